//! `portcullis issuer`.

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::issuers_service_client::IssuersServiceClient;
use serde_json::{Value, json};

use super::revoke::{self, Reason};
use super::{present, subject};
use crate::authority::Authority;
use crate::failure::Failure;
use crate::print::{Printer, Report};
use crate::reference::RequestArgs;
use crate::table::View;
use crate::{span, words};

#[derive(Debug, Subcommand)]
pub(crate) enum IssuerCommand {
    /// Trusts an OpenID Connect provider's tokens in a tenant, or changes how they are mapped.
    #[command(after_help = PUT_HELP)]
    Put(PutArgs),
    /// Reads whom a tenant trusts.
    List(ListArgs),
    /// Kills everything that rests on an issuer's word until now; it stays trusted for what it issues later.
    #[command(after_help = REVOKE_HELP)]
    Revoke(RevokeArgs),
    /// Trusts an issuer no more, and kills everything that rests on its word.
    Remove(RemoveArgs),
    /// Reads which subjects of issuers are whom here.
    #[command(after_help = subject::LIST_HELP)]
    Subjects(subject::ListArgs),
    /// Undoes that an issuer's subject is somebody here, and ends every session of that identity.
    #[command(after_help = subject::UNLINK_HELP)]
    Unlink(subject::UnlinkArgs),
}

const PUT_HELP: &str = "\
Clients then present the provider's access or ID token as they would present one of this authority's: as bearer, or as
the `connect` token. Its keys are found at URL/.well-known/openid-configuration, over https.

--identity makes the name out of claims: {sub}, corp:{email} (an address counts only when it is verified). Begin it with
a text of the provider's own, so that nobody there can be called what somebody here is called.
--create makes an identity for a subject that is seen for the first time; --link takes the person who has that name here
already, whatever else that person logs in with. A subject that was seen stays the identity it is.
--role gives a role to whoever has a claim with a value, beside the roles that the identity has here.

Examples:
  portcullis issuer put --tenant demo --name corp --url https://id.example.com --audience demo-app \\
    --identity 'corp:{sub}' --create --role groups=staff:member
  portcullis issuer put --tenant demo --name keycloak --url https://kc.example.com/realms/demo --audience account \\
    --identity '{preferred_username}' --link --role realm_access.roles=admin:moderator --algorithm RS256

Changing the mapping changes what is seen from now on. To have it hold for everybody at once: issuer revoke.";

const REVOKE_HELP: &str = "\
Tokens that the issuer stamps at least a minute later are good again (its clock and ours may differ by that), so whoever
logs in anew waits for as long.

Example:
  portcullis issuer revoke --tenant demo --name corp --reason compromised --wait";

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("known").args(["create", "link"]).required(true).multiple(true))]
pub(crate) struct PutArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// The provider's `iss`, byte for byte.
    #[arg(long, value_name = "URL")]
    url: String,
    /// What `aud` of its tokens must name: the client id or API that the provider knows this tenant by.
    #[arg(long)]
    audience: String,
    /// How its tokens may be signed; may be repeated.
    #[arg(long = "algorithm", value_name = "ALG", default_values = ["ES256", "RS256", "EdDSA"])]
    algorithms: Vec<String>,
    /// The identity's name, made of claims.
    #[arg(long, value_name = "TEMPLATE")]
    identity: String,
    /// Makes identities for subjects that are new.
    #[arg(long)]
    create: bool,
    /// Takes the person who has the name here already.
    #[arg(long)]
    link: bool,
    /// A role by a claim's value; may be repeated. Rules that are not named are taken away.
    #[arg(long = "role", value_name = "CLAIM=VALUE:ROLE", value_parser = rule)]
    roles: Vec<v1::RoleRule>,
    /// Only if it still has this etag (issuer list).
    #[arg(long, default_value = "", hide_default_value = true)]
    etag: String,
    #[command(flatten)]
    request: RequestArgs,
}

#[derive(Debug, Args)]
struct WhichArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// What the tenant calls the issuer.
    #[arg(long)]
    name: String,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// Why; for people, never input to a decision.
    #[arg(long, value_enum, default_value_t = Reason::Administrative)]
    reason: Reason,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    request: RequestArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    #[command(flatten)]
    which: WhichArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    request: RequestArgs,
}

#[derive(Debug, Args)]
pub(super) struct WaitArgs {
    /// Waits until it is enforced, for 30s or as long as is said, and prints the receipt as it fills in.
    #[arg(long, value_name = "SPAN", num_args = 0..=1, require_equals = true, default_missing_value = "30s",
        value_parser = span::parse)]
    pub(super) wait: Option<Duration>,
}

/// The claim may hold `=` nowhere and the role holds no `:`, so the first and the last part what is between them.
fn rule(text: &str) -> Result<v1::RoleRule, String> {
    let parts = text.split_once('=').and_then(|(claim, rest)| Some((claim, rest.rsplit_once(':')?)));
    let (claim, (value, role)) = parts.ok_or("write CLAIM=VALUE:ROLE, such as groups=staff:member")?;
    Ok(v1::RoleRule { claim: claim.to_owned(), value: value.to_owned(), role: role.to_owned() })
}

pub(crate) async fn run(command: IssuerCommand, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    match command {
        IssuerCommand::Put(args) => put(args, authority, printer).await,
        IssuerCommand::List(args) => list(args, authority, printer).await,
        IssuerCommand::Revoke(args) => revoke_issuer(args, authority, printer).await,
        IssuerCommand::Remove(args) => remove(args, authority, printer).await,
        IssuerCommand::Subjects(args) => subject::list(&args, authority, printer).await,
        IssuerCommand::Unlink(args) => subject::unlink(args, authority, printer).await,
    }
}

async fn put(args: PutArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let issuer = v1::Issuer {
        tenant: args.which.tenant,
        name: args.which.name,
        url: args.url,
        audience: args.audience,
        algorithms: args.algorithms,
        name_template: args.identity,
        role_rules: args.roles,
        create_identities: args.create,
        link_identities: args.link,
        ..v1::Issuer::default()
    };
    let answer = authority
        .call(
            v1::PutIssuerRequest { issuer: Some(issuer), etag: args.etag, request_id: args.request.request_id },
            async |channel, request| IssuersServiceClient::new(channel).put_issuer(request).await,
        )
        .await?;
    let issuer = present(answer.issuer, "issuer")?;
    let view = View::Fields(vec![
        ("issuer", issuer.name.clone()),
        ("url", issuer.url.clone()),
        ("audience", issuer.audience.clone()),
        ("algorithms", issuer.algorithms.join(" ")),
        ("identity", issuer.name_template.clone()),
        ("new subjects", new_subjects(&issuer).to_owned()),
        ("roles", rules_in_words(&issuer.role_rules)),
        ("id", issuer.id.clone()),
    ]);
    printer.report(&Report { json: json!({ "issuer": as_json(&issuer) }), view })
}

async fn list(args: ListArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let answer = authority
        .call(v1::ListIssuersRequest { tenant: args.tenant }, async |channel, request| {
            IssuersServiceClient::new(channel).list_issuers(request).await
        })
        .await?;
    let rows = answer.issuers.iter().map(|issuer| {
        vec![
            issuer.name.clone(),
            issuer.url.clone(),
            issuer.audience.clone(),
            issuer.name_template.clone(),
            new_subjects(issuer).to_owned(),
            rules_in_words(&issuer.role_rules),
            issuer.etag.clone(),
        ]
    });
    let columns = &["name", "url", "audience", "identity", "new subjects", "roles", "etag"];
    let view = View::Rows { columns, rows: rows.collect(), empty: "The tenant trusts no external issuer." };
    let issuers: Vec<Value> = answer.issuers.iter().map(as_json).collect();
    printer.report(&Report { json: json!({ "issuers": issuers }), view })
}

async fn revoke_issuer(args: RevokeArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let RevokeArgs { which, reason, wait, request } = args;
    let reason: v1::RevocationReason = reason.into();
    let WhichArgs { tenant, name } = which;
    let (reason, request_id) = (reason.into(), request.request_id);
    let request = v1::RevokeIssuerRequest { tenant, name, reason, request_id };
    let answer = authority
        .call(request, async |channel, request| IssuersServiceClient::new(channel).revoke_issuer(request).await)
        .await?;
    let answer = revoke::answered(answer.revision, answer.enforced_within_ms, answer.committed_at);
    revoke::tell(&answer, wait.wait, authority, printer).await
}

async fn remove(args: RemoveArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let WhichArgs { tenant, name } = args.which;
    let request = v1::RemoveIssuerRequest { tenant, name, request_id: args.request.request_id };
    let answer = authority
        .call(request, async |channel, request| IssuersServiceClient::new(channel).remove_issuer(request).await)
        .await?;
    let answer = revoke::answered(answer.revision, answer.enforced_within_ms, answer.committed_at);
    revoke::tell(&answer, args.wait.wait, authority, printer).await
}

const fn new_subjects(issuer: &v1::Issuer) -> &'static str {
    match (issuer.create_identities, issuer.link_identities) {
        (true, true) => "created or linked",
        (true, false) => "created",
        (false, true) => "linked",
        (false, false) => "refused",
    }
}

fn rules_in_words(rules: &[v1::RoleRule]) -> String {
    let rules: Vec<_> = rules.iter().map(|rule| format!("{}={}:{}", rule.claim, rule.value, rule.role)).collect();
    rules.join(" ")
}

fn as_json(issuer: &v1::Issuer) -> Value {
    let rule = |rule: &v1::RoleRule| json!({ "claim": rule.claim, "value": rule.value, "role": rule.role });
    json!({
        "tenant": issuer.tenant,
        "name": issuer.name,
        "id": issuer.id,
        "url": issuer.url,
        "audience": issuer.audience,
        "algorithms": issuer.algorithms,
        "name_template": issuer.name_template,
        "role_rules": issuer.role_rules.iter().map(rule).collect::<Vec<_>>(),
        "create_identities": issuer.create_identities,
        "link_identities": issuer.link_identities,
        "etag": issuer.etag,
        "created_at": words::time_json(issuer.created_at.as_ref()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_a_claim_a_value_and_a_role() {
        let rule = rule("groups=cn=staff:x:member").expect("a rule");
        assert_eq!((&*rule.claim, &*rule.value, &*rule.role), ("groups", "cn=staff:x", "member"));
        for bad in ["", "groups", "groups=staff", "staff:member"] {
            assert!(super::rule(bad).is_err(), "{bad}");
        }
    }
}
