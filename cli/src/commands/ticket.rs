//! `portcullis ticket`.

use clap::{Args, Subcommand};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::tickets_service_client::TicketsServiceClient;
use serde_json::json;

use super::identity::text;
use crate::authority::Authority;
use crate::failure::Failure;
use crate::print::{Printer, Report};
use crate::reference::RequestArgs;
use crate::table::View;
use crate::{input, span};

#[derive(Debug, Subcommand)]
pub(crate) enum TicketCommand {
    /// Issues a ticket from a credential that is good now.
    #[command(after_help = CREATE_HELP)]
    Create(CreateArgs),
}

const CREATE_HELP: &str = "\
The parent (an access token, an API key or a session cookie's value) comes from standard input or
PORTCULLIS_CREDENTIAL. The socket that the ticket opens rests on it and ends with it.

Example:
  portcullis token issue --tenant demo --name alice --only tokens.access_token | portcullis ticket create";

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The audience of the route it is for; otherwise the default audience.
    #[arg(long, default_value = "")]
    audience: String,
    /// The origin it must be presented from; otherwise any.
    #[arg(long, default_value = "")]
    origin: String,
    #[command(flatten)]
    request: RequestArgs,
}

pub(crate) async fn run(command: TicketCommand, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let TicketCommand::Create(args) = command;
    let parent_credential = text(&input::credential("parent credential")?)?;
    let CreateArgs { audience, origin, request: RequestArgs { request_id } } = args;
    let request = v1::CreateTicketRequest { parent_credential, audience, origin, request_id };
    let answer = authority
        .call(request, async |channel, request| TicketsServiceClient::new(channel).create_ticket(request).await)
        .await?;
    let view = View::Fields(vec![
        ("ticket", answer.ticket.clone()),
        ("id", answer.ticket_id.clone()),
        ("expires in", span::millis_in_words(answer.expires_in_ms)),
    ]);
    let json = json!({
        "ticket": answer.ticket,
        "expires_in_ms": answer.expires_in_ms,
        "ticket_id": answer.ticket_id,
    });
    printer.report(&Report { json, view })
}
