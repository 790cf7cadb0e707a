//! `portcullis api-key`.

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::api_keys_service_client::ApiKeysServiceClient;
use portcullis_types::SystemClock;
use serde_json::{Value, json};

use super::present;
use super::role::grants_json;
use crate::authority::Authority;
use crate::failure::Failure;
use crate::paging::{self, KeyListArgs, Shown};
use crate::print::{Printer, Report};
use crate::reference::{IdentityArgs, RequestArgs, credential_id};
use crate::table::View;
use crate::{grant, span, words};

#[derive(Debug, Subcommand)]
pub(crate) enum ApiKeyCommand {
    /// Makes a key and prints its secret, once.
    #[command(after_help = CREATE_HELP)]
    Create(CreateArgs),
    /// Reads the keys of an identity, newest first, without their secrets.
    #[command(after_help = "Example:\n  portcullis api-key list --tenant demo --name mailer --active")]
    List(KeyListArgs),
    /// Reads one key: what it is limited to, when it was used, what it replaces.
    #[command(after_help = "Example:\n  portcullis api-key get --tenant demo 0192f0c1-2345-7abc-8def-0123456789ab")]
    Get(GetArgs),
    /// Makes a successor of a key and prints its secret, once; the old key ends at a stated time or at once.
    #[command(after_help = ROTATE_HELP)]
    Rotate(RotateArgs),
}

const CREATE_HELP: &str = "\
Scopes: verify, watch, issue, revoke, identity.read, identity.write, keys, audit, admin; only for services,
and only those that the caller has itself.

Examples:
  (umask 077; portcullis api-key create --tenant demo --name mailer --scope verify --only secret > mailer.key)
  portcullis api-key create --tenant demo --name sensor --grant publish='metrics:*' --address 10.0.0.0/8 --expires-in 90d

To end a key: portcullis revoke credential --tenant demo ID. To exchange it: portcullis api-key rotate.";

const ROTATE_HELP: &str = "\
The successor may do what the old key may. Give it to the program, and the old one ends by itself; sockets that rest on
the old one are closed when it ends. A key whose successor lives is not exchanged again: exchange the successor.

Examples:
  (umask 077; portcullis api-key rotate --tenant demo ID --overlap 7d --only secret > mailer.key)
  portcullis api-key rotate --tenant demo ID --at-once      # it is in the wrong hands

Without --expires-in, the successor lives as long as the old one was made for.";

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// The key's id.
    id: String,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("until").args(["overlap", "at_once"]).required(true))]
pub(crate) struct RotateArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// The key's id.
    id: String,
    /// For how long the old key still works: 1h, 7d.
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    overlap: Option<Duration>,
    /// Revokes the old key at once, and closes its sockets.
    #[arg(long)]
    at_once: bool,
    /// Until the successor ends: 12h, 90d.
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    expires_in: Option<Duration>,
    #[command(flatten)]
    request: RequestArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    identity: IdentityArgs,
    /// What it is for.
    #[arg(long, default_value = "")]
    label: String,
    /// What it may do at the authority's API; may be repeated or separated by commas.
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',')]
    scopes: Vec<String>,
    /// Until it ends: 12h, 90d; otherwise it does not.
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    expires_in: Option<Duration>,
    /// Of what the roles of its identity grant, only this; may be repeated. Otherwise all of it.
    #[arg(long = "grant", value_name = "ACTION=PATTERN", value_parser = grant::parse)]
    grants: Vec<v1::Grant>,
    /// From where it may be presented: an address or a range such as 10.0.0.0/8; may be repeated. Otherwise from where
    /// the caller's own key may.
    #[arg(long = "address", value_name = "RANGE", value_delimiter = ',')]
    addresses: Vec<String>,
    #[command(flatten)]
    request: RequestArgs,
}

pub(crate) async fn run(command: ApiKeyCommand, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    match command {
        ApiKeyCommand::Create(args) => create(args, authority, printer).await,
        ApiKeyCommand::List(args) => list(&args, authority, printer).await,
        ApiKeyCommand::Get(args) => get(args, authority, printer).await,
        ApiKeyCommand::Rotate(args) => rotate(args, authority, printer).await,
    }
}

async fn create(args: CreateArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let request = v1::CreateApiKeyRequest {
        identity: Some(args.identity.reference()?),
        label: args.label,
        scopes: args.scopes,
        expires_in_ms: args.expires_in.map_or(0, span::millis),
        grants: args.grants,
        addresses: args.addresses,
        request_id: args.request.request_id,
    };
    let answer = authority
        .call(request, async |channel, request| ApiKeysServiceClient::new(channel).create_api_key(request).await)
        .await?;
    let key = present(answer.api_key, "API key")?;
    let mut fields = vec![("secret", secret(&answer.secret, answer.shown_before))];
    fields.extend(in_words(&key));
    let json = json!({ "api_key": as_json(&key), "secret": answer.secret, "shown_before": answer.shown_before });
    printer.report(&Report { json, view: View::Fields(fields) })?;
    keep(answer.shown_before, printer);
    Ok(())
}

async fn get(args: GetArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let request = v1::GetApiKeyRequest { tenant: args.tenant, id: credential_id(&args.id)? };
    let answer = authority
        .call(request, async |channel, request| ApiKeysServiceClient::new(channel).get_api_key(request).await)
        .await?;
    let key = present(answer.api_key, "API key")?;
    printer.report(&Report { json: json!({ "api_key": as_json(&key) }), view: View::Fields(in_words(&key)) })
}

async fn rotate(args: RotateArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let request = v1::RotateApiKeyRequest {
        tenant: args.tenant,
        id: credential_id(&args.id)?,
        old_ends_in_ms: args.overlap.map_or(0, span::millis),
        expires_in_ms: args.expires_in.map_or(0, span::millis),
        request_id: args.request.request_id,
    };
    let answer = authority
        .call(request, async |channel, request| ApiKeysServiceClient::new(channel).rotate_api_key(request).await)
        .await?;
    let (key, old) = (present(answer.api_key, "API key")?, present(answer.old, "old API key")?);
    let mut fields = vec![("secret", secret(&answer.secret, answer.shown_before))];
    fields.extend(in_words(&key));
    let end = if old.revoked { "revoked now".to_owned() } else { words::time(old.expires_at.as_ref()) };
    fields.push(("the old key ends", end));
    fields.push(("revision", words::revision(answer.revision.as_ref())));
    let json = json!({
        "api_key": as_json(&key),
        "secret": answer.secret,
        "shown_before": answer.shown_before,
        "old": as_json(&old),
        "revision": words::revision_json(answer.revision.as_ref()),
        "enforced_within_ms": answer.enforced_within_ms,
    });
    printer.report(&Report { json, view: View::Fields(fields) })?;
    keep(answer.shown_before, printer);
    Ok(())
}

fn secret(shown: &str, before: bool) -> String {
    if before { "shown before, once".to_owned() } else { shown.to_owned() }
}

/// What to do about the secret.
fn keep(shown_before: bool, printer: &Printer) {
    printer.note(if shown_before {
        "This request was answered before, with the secret. If nobody kept it: portcullis api-key rotate --at-once"
    } else {
        "Keep the secret now: it is not shown again."
    });
}

fn in_words(key: &v1::ApiKey) -> Vec<(&'static str, String)> {
    let listed = |items: &[String]| if items.is_empty() { "any".to_owned() } else { items.join(" ") };
    let mut fields = vec![
        ("id", key.id.clone()),
        ("state", state(key).to_owned()),
        ("label", key.label.clone()),
        ("scopes", key.scopes.join(" ")),
        ("addresses", listed(&key.addresses)),
        ("created", words::time(key.created_at.as_ref())),
        ("last used", words::time(key.last_used_at.as_ref())),
        ("expires", words::time(key.expires_at.as_ref())),
    ];
    if !key.grants.is_empty() {
        fields.push(("grants only", grant::all_in_words(&key.grants)));
    }
    for (name, id) in [("replaces", &key.replaces), ("replaced by", &key.replaced_by)] {
        if !id.is_empty() {
            fields.push((name, id.clone()));
        }
    }
    fields
}

fn state(key: &v1::ApiKey) -> &'static str {
    words::key_state(key.revoked, key.expires_at.as_ref(), &SystemClock)
}

async fn list(args: &KeyListArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let identity = args.identity.reference()?;
    let listing = paging::read(args.limit.limit, async |page_size, page_token| {
        let identity = Some(identity.clone());
        let request = v1::ListApiKeysRequest { identity, page_size, page_token, only_active: args.active };
        let page = authority
            .call(request, async |channel, request| ApiKeysServiceClient::new(channel).list_api_keys(request).await)
            .await?;
        Ok((page.api_keys, page.next_page_token))
    })
    .await?;
    let shown = Shown {
        name: "api_keys",
        columns: &["id", "state", "label", "scopes", "created", "last used", "expires"],
        empty: "The identity has no such API keys.",
        row,
        json: as_json,
    };
    listing.report(&shown, printer)
}

fn row(key: &v1::ApiKey) -> Vec<String> {
    let (created, expires) = (words::time(key.created_at.as_ref()), words::time(key.expires_at.as_ref()));
    let (label, scopes, used) = (key.label.clone(), key.scopes.join(" "), words::time(key.last_used_at.as_ref()));
    vec![key.id.clone(), state(key).to_owned(), label, scopes, created, used, expires]
}

fn as_json(key: &v1::ApiKey) -> Value {
    json!({
        "id": key.id,
        "identity_id": key.identity_id,
        "label": key.label,
        "scopes": key.scopes,
        "created_at": words::time_json(key.created_at.as_ref()),
        "expires_at": words::time_json(key.expires_at.as_ref()),
        "revoked": key.revoked,
        "grants": grants_json(&key.grants),
        "addresses": key.addresses,
        "last_used_at": words::time_json(key.last_used_at.as_ref()),
        "replaces": key.replaces,
        "replaced_by": key.replaced_by,
    })
}
