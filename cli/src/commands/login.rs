//! `portcullis login`.

use clap::Args;
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::authentication_service_client::AuthenticationServiceClient;
use portcullis_proto::auth::v1::begin_authentication_request::Method;
use portcullis_proto::auth::v1::begin_authentication_response::Outcome;
use serde_json::json;

use super::identity::{self, text};
use super::{present, token};
use crate::authority::Authority;
use crate::failure::Failure;
use crate::input;
use crate::print::{Printer, Report};
use crate::table::View;

const HELP: &str = "\
Examples:
  portcullis login --tenant demo --name alice
  pass alice | portcullis login --tenant demo --name alice --password-stdin --only tokens.access_token

The password comes from --password-stdin, PORTCULLIS_PASSWORD or a prompt.";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct LoginArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// The name of the identity.
    #[arg(long)]
    name: String,
    /// Reads the password from standard input.
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    origin: token::OriginArgs,
}

pub(crate) async fn run(args: LoginArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let password = text(&input::password(args.password_stdin)?)?;
    let method = Method::Password(v1::PasswordMethod { name: args.name, password });
    let request = v1::BeginAuthenticationRequest {
        tenant: args.tenant,
        method: Some(method),
        device: args.origin.device,
        client_id: args.origin.client_id,
    };
    let answer = authority
        .call(request, async |channel, request| {
            AuthenticationServiceClient::new(channel).begin_authentication(request).await
        })
        .await?;
    match present(answer.outcome, "outcome")? {
        Outcome::Authenticated(authenticated) => welcome(authenticated, printer),
        Outcome::Denied(v1::AuthenticationDenied {}) => {
            let why = "unknown name, wrong password or disabled identity; which one is not told";
            let view = View::Fields(vec![("denied", why.to_owned())]);
            printer.report(&Report { json: json!({ "denied": true }), view })?;
            Err(Failure::Denied)
        }
    }
}

fn welcome(authenticated: v1::Authenticated, printer: &Printer) -> Result<(), Failure> {
    let who = present(authenticated.identity, "identity")?;
    let tokens = present(authenticated.tokens, "tokens")?;
    let mut fields = vec![
        ("identity", format!("{} ({}) of tenant {}", who.name, who.id, who.tenant)),
        ("session", authenticated.session_id.clone()),
    ];
    fields.extend(token::fields(&tokens));
    let json = json!({
        "identity": identity::as_json(&who),
        "session_id": authenticated.session_id,
        "tokens": token::as_json(&tokens),
    });
    printer.report(&Report { json, view: View::Fields(fields) })
}
