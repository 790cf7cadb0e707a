//! `portcullis session`.

use clap::{Args, Subcommand};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::credentials_service_client::CredentialsServiceClient;
use serde_json::{Value, json};

use crate::authority::Authority;
use crate::failure::Failure;
use crate::paging::{self, LimitArgs};
use crate::print::{Printer, Report};
use crate::reference::IdentityArgs;
use crate::table::View;
use crate::words;

#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// Reads the sessions of an identity, newest first.
    List(ListArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    limit: LimitArgs,
}

pub(crate) async fn run(command: SessionCommand, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let SessionCommand::List(args) = command;
    let identity = args.identity.reference()?;
    let listing = paging::read(args.limit.limit, async |page_size, page_token| {
        let request = v1::ListSessionsRequest { identity: Some(identity.clone()), page_size, page_token };
        let page = authority
            .call(request, async |channel, request| CredentialsServiceClient::new(channel).list_sessions(request).await)
            .await?;
        Ok((page.sessions, page.next_page_token))
    })
    .await?;
    let rows = listing.items.iter().map(|session| {
        let state = words::session_state(session.state);
        let (created, expires) = (words::time(session.created_at.as_ref()), words::time(session.expires_at.as_ref()));
        vec![session.id.clone(), state, session.device.clone(), session.client_id.clone(), created, expires]
    });
    let columns = &["id", "state", "device", "client", "created", "expires"];
    let view = View::Rows { columns, rows: rows.collect(), empty: "The identity has no sessions." };
    let sessions: Vec<Value> = listing.items.iter().map(as_json).collect();
    printer.report(&Report { json: json!({ "sessions": sessions, "truncated": listing.truncated }), view })?;
    listing.note().iter().for_each(|note| printer.note(note));
    Ok(())
}

fn as_json(session: &v1::Session) -> Value {
    json!({
        "id": session.id,
        "identity_id": session.identity_id,
        "state": words::session_state(session.state),
        "device": session.device,
        "client_id": session.client_id,
        "created_at": words::time_json(session.created_at.as_ref()),
        "expires_at": words::time_json(session.expires_at.as_ref()),
    })
}
