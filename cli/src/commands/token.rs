//! `portcullis token`.

use std::time::Duration;

use clap::{Args, Subcommand};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::credentials_service_client::CredentialsServiceClient;
use portcullis_proto::auth::v1::refresh_tokens_response::Outcome;
use portcullis_proto::auth::v1::service_tokens_service_client::ServiceTokensServiceClient;
use serde_json::{Value, json};

use super::identity::text;
use super::present;
use crate::authority::Authority;
use crate::failure::Failure;
use crate::input;
use crate::print::{Printer, Report};
use crate::reference::{IdentityArgs, RequestArgs};
use crate::table::View;
use crate::{span, words};

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Opens a session for an identity and issues its tokens, without a password.
    #[command(after_help = "Example:\n  portcullis token issue --tenant demo --name alice --only tokens.access_token")]
    Issue(IssueArgs),
    /// Spends a refresh token, from standard input or PORTCULLIS_CREDENTIAL, for the next pair.
    #[command(after_help = "A refresh token can be used once: use of a spent one ends its session.")]
    Refresh,
    /// Exchanges the caller's API key for a short-lived token that may do the same, or less, at the authority's API.
    #[command(after_help = SERVICE_HELP)]
    Service(ServiceArgs),
}

const SERVICE_HELP: &str = "\
For a program that should not hold the key: it presents the token in the key's place (PORTCULLIS_API_KEY takes it too).
The token dies with the key, opens no sockets, and is not exchanged for another one.

Example:
  (umask 077; portcullis token service --scope revoke --expires-in 5m --only token > job.token)";

#[derive(Debug, Args)]
pub(crate) struct ServiceArgs {
    /// What it may do, of what the key may; may be repeated or separated by commas. Otherwise all of it.
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',')]
    scopes: Vec<String>,
    /// Until it ends: 30s, 5m; otherwise as long as access tokens live.
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    expires_in: Option<Duration>,
    #[command(flatten)]
    request: RequestArgs,
}

#[derive(Debug, Args)]
pub(crate) struct IssueArgs {
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    origin: OriginArgs,
    #[command(flatten)]
    request: RequestArgs,
}

/// From where a session is begun.
#[derive(Debug, Args)]
pub(crate) struct OriginArgs {
    /// The device as its owner would name it, for the list of sessions.
    #[arg(long, default_value = "")]
    pub(super) device: String,
    /// The client application.
    #[arg(long, default_value = "")]
    pub(super) client_id: String,
}

pub(crate) async fn run(command: TokenCommand, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    match command {
        TokenCommand::Issue(args) => issue(args, authority, printer).await,
        TokenCommand::Refresh => refresh(authority, printer).await,
        TokenCommand::Service(args) => service(args, authority, printer).await,
    }
}

async fn service(args: ServiceArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let request = v1::IssueServiceTokenRequest {
        scopes: args.scopes,
        expires_in_ms: args.expires_in.map_or(0, span::millis),
        request_id: args.request.request_id,
    };
    let answer = authority
        .call(request, async |channel, request| {
            ServiceTokensServiceClient::new(channel).issue_service_token(request).await
        })
        .await?;
    let shown =
        if answer.shown_before { "shown before, once: ask for another one, under another name" } else { &answer.token };
    let view = View::Fields(vec![
        ("token", shown.to_owned()),
        ("id", answer.id.clone()),
        ("scopes", answer.scopes.join(" ")),
        ("expires in", span::millis_in_words(answer.expires_in_ms)),
    ]);
    let json = json!({
        "token": answer.token,
        "shown_before": answer.shown_before,
        "id": answer.id,
        "scopes": answer.scopes,
        "expires_in_ms": answer.expires_in_ms,
    });
    printer.report(&Report { json, view })
}

async fn issue(args: IssueArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let request = v1::IssueTokensRequest {
        identity: Some(args.identity.reference()?),
        device: args.origin.device,
        client_id: args.origin.client_id,
        request_id: args.request.request_id,
    };
    let answer = authority
        .call(request, async |channel, request| CredentialsServiceClient::new(channel).issue_tokens(request).await)
        .await?;
    let Some(tokens) = answer.tokens else {
        let shown = "nothing more: this request opened the session before, and its tokens were shown then".to_owned();
        let view = View::Fields(vec![("session", answer.session_id.clone()), ("tokens", shown)]);
        return printer.report(&Report { json: json!({ "session_id": answer.session_id, "tokens": null }), view });
    };
    let view = [("session", answer.session_id.clone())].into_iter().chain(fields(&tokens)).collect();
    let json = json!({ "session_id": answer.session_id, "tokens": as_json(&tokens) });
    printer.report(&Report { json, view: View::Fields(view) })
}

async fn refresh(authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let refresh_token = text(&input::credential("refresh token")?)?;
    let answer = authority
        .call(v1::RefreshTokensRequest { refresh_token }, async |channel, request| {
            CredentialsServiceClient::new(channel).refresh_tokens(request).await
        })
        .await?;
    match present(answer.outcome, "outcome")? {
        Outcome::Tokens(tokens) => {
            let view = View::Fields(fields(&tokens).into());
            printer.report(&Report { json: json!({ "tokens": as_json(&tokens) }), view })
        }
        Outcome::Denied(reason) => {
            let word = words::deny_reason(reason);
            let why = v1::DenyReason::try_from(reason).map_or("", words::deny_sentence);
            let view = View::Fields(vec![("denied", format!("{word}: {why}"))]);
            printer.report(&Report { json: json!({ "denied": word }), view })?;
            Err(Failure::Denied)
        }
    }
}

/// A pair for people.
pub(super) fn fields(tokens: &v1::TokenPair) -> [(&'static str, String); 4] {
    [
        ("access token", tokens.access_token.clone()),
        ("  expires in", span::millis_in_words(tokens.access_expires_in_ms)),
        ("refresh token", tokens.refresh_token.clone()),
        ("  expires in", span::millis_in_words(tokens.refresh_expires_in_ms)),
    ]
}

/// A pair for programs.
pub(super) fn as_json(tokens: &v1::TokenPair) -> Value {
    json!({
        "access_token": tokens.access_token,
        "access_expires_in_ms": tokens.access_expires_in_ms,
        "refresh_token": tokens.refresh_token,
        "refresh_expires_in_ms": tokens.refresh_expires_in_ms,
    })
}
