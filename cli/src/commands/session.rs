//! `portcullis session`.

use clap::{Args, Subcommand};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::credentials_service_client::CredentialsServiceClient;
use serde_json::{Value, json};

use super::present;
use crate::authority::Authority;
use crate::failure::Failure;
use crate::paging::{self, LimitArgs, Shown};
use crate::print::{Printer, Report};
use crate::reference::{IdentityArgs, session_id};
use crate::table::View;
use crate::words;

#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// Shows one: portcullis session show --tenant demo 0192f0c1-2345-7abc-8def-0123456789ab
    Show(ShowArgs),
    /// Reads the sessions of an identity, newest first.
    #[command(after_help = LIST_HELP)]
    List(ListArgs),
}

const LIST_HELP: &str = "\
Examples:
  portcullis session list --tenant demo --name alice --active
  portcullis session list --tenant demo --name alice --device \"Alice's phone\"

By: what its login proved it with: pwd, otp, recovery_code. Nothing: a back end or an external issuer said who it is.";

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// Its id.
    id: String,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    identity: IdentityArgs,
    /// Only on this device, as named at login.
    #[arg(long, default_value = "", hide_default_value = true)]
    device: String,
    /// Only of this client application, as named at login.
    #[arg(long, default_value = "", hide_default_value = true)]
    client: String,
    /// Only those that can be used.
    #[arg(long)]
    active: bool,
    #[command(flatten)]
    limit: LimitArgs,
}

pub(crate) async fn run(command: SessionCommand, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    match command {
        SessionCommand::Show(args) => show(args, authority, printer).await,
        SessionCommand::List(args) => list(&args, authority, printer).await,
    }
}

async fn show(args: ShowArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let request = v1::GetSessionRequest { tenant: args.tenant, session_id: session_id(&args.id)? };
    let answer = authority
        .call(request, async |channel, request| CredentialsServiceClient::new(channel).get_session(request).await)
        .await?;
    let session = present(answer.session, "session")?;
    let view = View::Fields(vec![
        ("id", session.id.clone()),
        ("identity", session.identity_id.clone()),
        ("state", words::session_state(session.state)),
        ("device", session.device.clone()),
        ("client", session.client_id.clone()),
        ("authenticated by", session.authentication_methods.join(" ")),
        ("authenticated", words::time(session.authenticated_at.as_ref())),
        ("created", words::time(session.created_at.as_ref())),
        ("expires", words::time(session.expires_at.as_ref())),
    ]);
    printer.report(&Report { json: json!({ "session": as_json(&session) }), view })
}

async fn list(args: &ListArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let identity = args.identity.reference()?;
    let listing = paging::read(args.limit.limit, async |page_size, page_token| {
        let request = v1::ListSessionsRequest {
            identity: Some(identity.clone()),
            page_size,
            page_token,
            device: args.device.clone(),
            client_id: args.client.clone(),
            only_active: args.active,
        };
        let page = authority
            .call(request, async |channel, request| CredentialsServiceClient::new(channel).list_sessions(request).await)
            .await?;
        Ok((page.sessions, page.next_page_token))
    })
    .await?;
    let shown = Shown {
        name: "sessions",
        columns: &["id", "state", "device", "client", "by", "created", "expires"],
        empty: "The identity has no such sessions.",
        row,
        json: as_json,
    };
    listing.report(&shown, printer)
}

fn row(session: &v1::Session) -> Vec<String> {
    let state = words::session_state(session.state);
    let (created, expires) = (words::time(session.created_at.as_ref()), words::time(session.expires_at.as_ref()));
    let by = session.authentication_methods.join(" ");
    vec![session.id.clone(), state, session.device.clone(), session.client_id.clone(), by, created, expires]
}

fn as_json(session: &v1::Session) -> Value {
    json!({
        "id": session.id,
        "identity_id": session.identity_id,
        "state": words::session_state(session.state),
        "device": session.device,
        "client_id": session.client_id,
        "authentication_methods": session.authentication_methods,
        "authenticated_at": words::time_json(session.authenticated_at.as_ref()),
        "created_at": words::time_json(session.created_at.as_ref()),
        "expires_at": words::time_json(session.expires_at.as_ref()),
    })
}
