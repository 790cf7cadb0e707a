//! `portcullis identity`.

use clap::{Args, Subcommand, ValueEnum};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::identities_service_client::IdentitiesServiceClient;
use serde_json::{Value, json};

use super::present;
use crate::authority::Authority;
use crate::failure::Failure;
use crate::input;
use crate::paging::{self, LimitArgs};
use crate::print::{Printer, Report};
use crate::reference::IdentityArgs;
use crate::table::View;
use crate::words;

#[derive(Debug, Subcommand)]
pub(crate) enum IdentityCommand {
    /// Makes an identity.
    #[command(after_help = CREATE_HELP)]
    Create(CreateArgs),
    /// Shows one: portcullis identity show --tenant demo --name alice
    Show(IdentityArgs),
    /// Reads those of a tenant, by name.
    List(ListArgs),
    /// Refuses everything of an identity from now on, and ends its sessions for ever.
    Disable(IdentityArgs),
    /// Allows new sessions again; what was revoked stays dead.
    Enable(IdentityArgs),
    /// Sets the password, and ends every session that was made with the old one.
    SetPassword(SetPasswordArgs),
    /// Sets the roles; live sockets are judged again.
    SetRoles(SetRolesArgs),
}

const CREATE_HELP: &str = "\
Examples:
  portcullis identity create --tenant demo --name carol --role member
  pass carol | portcullis identity create --tenant demo --name carol --password-stdin
  portcullis identity create --tenant demo --name mailer --kind service";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A person.
    User,
    /// A program.
    Service,
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// The name it logs in with, unique in its tenant.
    #[arg(long)]
    name: String,
    /// What it is. A user has a password unless --no-password; a service has none unless --password-stdin.
    #[arg(long, value_enum, default_value_t = Kind::User)]
    kind: Kind,
    /// A role it has; may be repeated.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// Reads the password from standard input; otherwise PORTCULLIS_PASSWORD or a prompt.
    #[arg(long, conflicts_with = "no_password")]
    password_stdin: bool,
    /// Makes a user without a password.
    #[arg(long)]
    no_password: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    #[command(flatten)]
    limit: LimitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SetPasswordArgs {
    #[command(flatten)]
    identity: IdentityArgs,
    /// Reads the password from standard input; otherwise PORTCULLIS_PASSWORD or a prompt.
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SetRolesArgs {
    #[command(flatten)]
    identity: IdentityArgs,
    /// A role it shall have; may be repeated. Roles that are not named are taken away.
    #[arg(long = "role", value_name = "ROLE", required_unless_present = "no_roles")]
    roles: Vec<String>,
    /// Takes all roles away.
    #[arg(long, conflicts_with = "roles")]
    no_roles: bool,
}

pub(crate) async fn run(command: IdentityCommand, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    match command {
        IdentityCommand::Create(args) => create(args, authority, printer).await,
        IdentityCommand::Show(args) => show(&args, authority, printer).await,
        IdentityCommand::List(args) => list(&args, authority, printer).await,
        IdentityCommand::Disable(args) => disable(&args, authority, printer).await,
        IdentityCommand::Enable(args) => enable(&args, authority, printer).await,
        IdentityCommand::SetPassword(args) => set_password(&args, authority, printer).await,
        IdentityCommand::SetRoles(args) => set_roles(args, authority, printer).await,
    }
}

async fn create(args: CreateArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let wanted = args.password_stdin || (args.kind == Kind::User && !args.no_password);
    let password = if wanted { text(&input::new_password(args.password_stdin)?)? } else { String::new() };
    let kind = match args.kind {
        Kind::User => v1::IdentityKind::User,
        Kind::Service => v1::IdentityKind::Service,
    };
    let request = v1::CreateIdentityRequest {
        tenant: args.tenant,
        kind: kind.into(),
        name: args.name,
        password,
        roles: args.roles,
    };
    let answer = authority
        .call(request, async |channel, request| IdentitiesServiceClient::new(channel).create_identity(request).await)
        .await?;
    print(&present(answer.identity, "identity")?, Vec::new(), json!({}), printer)
}

async fn show(args: &IdentityArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let answer = authority
        .call(v1::GetIdentityRequest { identity: Some(args.reference()?) }, async |channel, request| {
            IdentitiesServiceClient::new(channel).get_identity(request).await
        })
        .await?;
    print(&present(answer.identity, "identity")?, Vec::new(), json!({}), printer)
}

async fn list(args: &ListArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let listing = paging::read(args.limit.limit, async |page_size, page_token| {
        let request = v1::ListIdentitiesRequest { tenant: args.tenant.clone(), page_size, page_token };
        let page = authority
            .call(request, async |channel, request| {
                IdentitiesServiceClient::new(channel).list_identities(request).await
            })
            .await?;
        Ok((page.identities, page.next_page_token))
    })
    .await?;
    let rows = listing.items.iter().map(|identity| {
        let kind = words::identity_kind(identity.kind);
        let state = words::identity_state(identity.state);
        vec![identity.name.clone(), kind, state, identity.roles.join(" "), identity.id.clone()]
    });
    let columns = &["name", "kind", "state", "roles", "id"];
    let view = View::Rows { columns, rows: rows.collect(), empty: "The tenant has no identities." };
    let identities: Vec<Value> = listing.items.iter().map(as_json).collect();
    printer.report(&Report { json: json!({ "identities": identities, "truncated": listing.truncated }), view })?;
    listing.note().iter().for_each(|note| printer.note(note));
    Ok(())
}

async fn disable(args: &IdentityArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let answer = authority
        .call(v1::DisableIdentityRequest { identity: Some(args.reference()?) }, async |channel, request| {
            IdentitiesServiceClient::new(channel).disable_identity(request).await
        })
        .await?;
    let event = vec![
        ("revision", words::revision(answer.revision.as_ref())),
        ("committed", words::time(answer.committed_at.as_ref())),
    ];
    let json = json!({
        "revision": words::revision_json(answer.revision.as_ref()),
        "committed_at": words::time_json(answer.committed_at.as_ref()),
    });
    print(&present(answer.identity, "identity")?, event, json, printer)
}

async fn enable(args: &IdentityArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let answer = authority
        .call(v1::EnableIdentityRequest { identity: Some(args.reference()?) }, async |channel, request| {
            IdentitiesServiceClient::new(channel).enable_identity(request).await
        })
        .await?;
    print(&present(answer.identity, "identity")?, Vec::new(), json!({}), printer)
}

async fn set_password(args: &SetPasswordArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let identity = args.identity.reference()?;
    let password = text(&input::new_password(args.password_stdin)?)?;
    let answer = authority
        .call(v1::SetPasswordRequest { identity: Some(identity), password }, async |channel, request| {
            IdentitiesServiceClient::new(channel).set_password(request).await
        })
        .await?;
    let view = View::Fields(vec![
        ("password", "set; sessions made with the old one are ended".to_owned()),
        ("revision", words::revision(answer.revision.as_ref())),
    ]);
    printer.report(&Report { json: json!({ "revision": words::revision_json(answer.revision.as_ref()) }), view })
}

async fn set_roles(args: SetRolesArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let request = v1::SetIdentityRolesRequest { identity: Some(args.identity.reference()?), roles: args.roles };
    let answer = authority
        .call(request, async |channel, request| IdentitiesServiceClient::new(channel).set_identity_roles(request).await)
        .await?;
    let event = vec![("revision", words::revision(answer.revision.as_ref()))];
    let json = json!({ "revision": words::revision_json(answer.revision.as_ref()) });
    print(&present(answer.identity, "identity")?, event, json, printer)
}

fn print(
    identity: &v1::Identity,
    event: Vec<(&'static str, String)>,
    mut json: Value,
    printer: &Printer,
) -> Result<(), Failure> {
    let mut fields = vec![
        ("tenant", identity.tenant.clone()),
        ("name", identity.name.clone()),
        ("id", identity.id.clone()),
        ("kind", words::identity_kind(identity.kind)),
        ("state", words::identity_state(identity.state)),
        ("roles", identity.roles.join(" ")),
        ("created", words::time(identity.created_at.as_ref())),
    ];
    fields.extend(event);
    json["identity"] = as_json(identity);
    printer.report(&Report { json, view: View::Fields(fields) })
}

/// An identity for programs.
pub(super) fn as_json(identity: &v1::Identity) -> Value {
    json!({
        "tenant": identity.tenant,
        "id": identity.id,
        "kind": words::identity_kind(identity.kind),
        "name": identity.name,
        "state": words::identity_state(identity.state),
        "roles": identity.roles,
        "created_at": words::time_json(identity.created_at.as_ref()),
    })
}

/// A secret for a message of the contract, which holds texts.
pub(super) fn text(secret: &portcullis_types::Secret) -> Result<String, Failure> {
    secret.expose_str().map(str::to_owned).ok_or_else(|| Failure::usage("the secret is not text"))
}
