//! `portcullis api-key`.

use std::time::Duration;

use clap::{Args, Subcommand};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::api_keys_service_client::ApiKeysServiceClient;
use serde_json::{Value, json};

use super::present;
use crate::authority::Authority;
use crate::failure::Failure;
use crate::print::{Printer, Report};
use crate::reference::IdentityArgs;
use crate::table::View;
use crate::{span, words};

#[derive(Debug, Subcommand)]
pub(crate) enum ApiKeyCommand {
    /// Makes a key and prints its secret, once.
    #[command(after_help = CREATE_HELP)]
    Create(CreateArgs),
    /// Reads the keys of an identity, newest first, without their secrets.
    List(IdentityArgs),
}

const CREATE_HELP: &str = "\
Scopes: verify, watch, issue, revoke, identity.read, identity.write, keys, audit, admin; only for services,
and only those that the caller has itself.

Example:
  (umask 077; portcullis api-key create --tenant demo --name mailer --scope verify --only secret > mailer.key)";

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
}

pub(crate) async fn run(command: ApiKeyCommand, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    match command {
        ApiKeyCommand::Create(args) => create(args, authority, printer).await,
        ApiKeyCommand::List(args) => list(&args, authority, printer).await,
    }
}

async fn create(args: CreateArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let request = v1::CreateApiKeyRequest {
        identity: Some(args.identity.reference()?),
        label: args.label,
        scopes: args.scopes,
        expires_in_ms: args.expires_in.map_or(0, span::millis),
    };
    let answer = authority
        .call(request, async |channel, request| ApiKeysServiceClient::new(channel).create_api_key(request).await)
        .await?;
    let key = present(answer.api_key, "API key")?;
    let view = View::Fields(vec![
        ("secret", answer.secret.clone()),
        ("id", key.id.clone()),
        ("label", key.label.clone()),
        ("scopes", key.scopes.join(" ")),
        ("expires", words::time(key.expires_at.as_ref())),
    ]);
    printer.report(&Report { json: json!({ "api_key": as_json(&key), "secret": answer.secret }), view })?;
    printer.note("Keep the secret now: it is not shown again.");
    Ok(())
}

async fn list(args: &IdentityArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let answer = authority
        .call(v1::ListApiKeysRequest { identity: Some(args.reference()?) }, async |channel, request| {
            ApiKeysServiceClient::new(channel).list_api_keys(request).await
        })
        .await?;
    let rows = answer.api_keys.iter().map(|key| {
        let state = if key.revoked { "revoked" } else { "active" };
        let (created, expires) = (words::time(key.created_at.as_ref()), words::time(key.expires_at.as_ref()));
        vec![key.id.clone(), state.to_owned(), key.label.clone(), key.scopes.join(" "), created, expires]
    });
    let columns = &["id", "state", "label", "scopes", "created", "expires"];
    let view = View::Rows { columns, rows: rows.collect(), empty: "The identity has no API keys." };
    let keys: Vec<Value> = answer.api_keys.iter().map(as_json).collect();
    printer.report(&Report { json: json!({ "api_keys": keys }), view })
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
    })
}
