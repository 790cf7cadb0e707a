//! `portcullis login`.

use clap::Args;
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::authentication_challenge::Challenge;
use portcullis_proto::auth::v1::authentication_service_client::AuthenticationServiceClient;
use portcullis_proto::auth::v1::begin_authentication_request::Method;
use portcullis_proto::auth::v1::begin_authentication_response::Outcome;
use portcullis_proto::auth::v1::continue_authentication_request::Proof;
use portcullis_proto::auth::v1::continue_authentication_response::Outcome as Next;
use serde_json::json;

use super::identity::{self, text};
use super::{present, token};
use crate::authority::Authority;
use crate::failure::Failure;
use crate::input;
use crate::print::{Printer, Report};
use crate::span;
use crate::table::View;

const HELP: &str = "\
Examples:
  portcullis login --tenant demo --name alice
  pass alice | portcullis login --tenant demo --name alice --password-stdin --only tokens.access_token

The password comes from --password-stdin, PORTCULLIS_PASSWORD or a prompt. Where the identity has an authenticator app,
its code (or a recovery code) comes from PORTCULLIS_SECOND_FACTOR or a prompt; where somebody else set the password, the
one that replaces it from PORTCULLIS_NEW_PASSWORD or a prompt.

Guesses that others make at the account slow a login from an address that it was never logged into from; on a device
that is known they do not. --remember-device prints what this one is known by (device_token); later logins show it in
PORTCULLIS_DEVICE_TOKEN. It opens nothing.";

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
    /// Asks for what this device is known by at later logins.
    #[arg(long)]
    remember_device: bool,
    #[command(flatten)]
    origin: token::OriginArgs,
}

pub(crate) async fn run(args: LoginArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let password = text(&input::password(args.password_stdin)?)?;
    let method = Method::Password(v1::PasswordMethod { name: args.name, password });
    let tenant = args.tenant;
    let device = Device { token: input::device_token()?, remember: args.remember_device };
    let request = v1::BeginAuthenticationRequest {
        tenant: tenant.clone(),
        method: Some(method),
        device: args.origin.device,
        client_id: args.origin.client_id,
        client_address: String::new(),
        device_token: device.token.clone(),
        remember_device: device.remember,
    };
    let answer = authority
        .call(request, async |channel, request| {
            AuthenticationServiceClient::new(channel).begin_authentication(request).await
        })
        .await?;
    match present(answer.outcome, "outcome")? {
        Outcome::Authenticated(authenticated) => welcome(authenticated, &device, printer),
        Outcome::Denied(denied) => refuse(&denied, "unknown name, wrong password or disabled identity", printer),
        Outcome::Challenged(challenge) => go_on(tenant, device, challenge, authority, printer).await,
    }
}

/// What this device is known by, and whether it shall be.
struct Device {
    token: String,
    remember: bool,
}

/// Answers what is asked for until there is nothing more. What comes from the environment is tried once.
async fn go_on(
    tenant: String,
    device: Device,
    mut challenge: v1::AuthenticationChallenge,
    authority: &Authority,
    printer: &Printer,
) -> Result<(), Failure> {
    loop {
        let proof = answer_to(&challenge, printer)?;
        let request = v1::ContinueAuthenticationRequest {
            tenant: tenant.clone(),
            continuation: challenge.continuation,
            proof: Some(proof),
            device_token: device.token.clone(),
            remember_device: device.remember,
        };
        let answer = authority
            .call(request, async |channel, request| {
                AuthenticationServiceClient::new(channel).continue_authentication(request).await
            })
            .await?;
        match present(answer.outcome, "outcome")? {
            Next::Authenticated(authenticated) => return welcome(authenticated, &device, printer),
            Next::Denied(denied) => return refuse(&denied, "this login is over; begin again", printer),
            Next::Challenged(next) => {
                if next.refused_before && input::from_environment("PORTCULLIS_SECOND_FACTOR")?.is_some() {
                    let over = v1::AuthenticationDenied::default();
                    return refuse(&over, "the code in PORTCULLIS_SECOND_FACTOR is wrong or was used before", printer);
                }
                challenge = next;
            }
        }
    }
}

fn answer_to(challenge: &v1::AuthenticationChallenge, printer: &Printer) -> Result<Proof, Failure> {
    match &challenge.challenge {
        Some(Challenge::SecondFactor(factor)) => {
            if challenge.refused_before {
                printer.note("That code is wrong or was used before.");
            }
            let left = factor.recovery_codes_left;
            let code = text(&input::second_factor(&format!("Code of the app, or one of {left} recovery codes"))?)?;
            let is_code = code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit());
            Ok(if is_code { Proof::TotpCode(code) } else { Proof::RecoveryCode(code) })
        }
        Some(Challenge::NewPassword(v1::NewPasswordChallenge {})) => {
            printer.note("Somebody else set this password: choose another one.");
            Ok(Proof::NewPassword(text(&input::replacing_password()?)?))
        }
        None => Err(Failure::usage("the login asks for something that this program does not know; update it")),
    }
}

fn refuse(denied: &v1::AuthenticationDenied, why: &str, printer: &Printer) -> Result<(), Failure> {
    let mut fields = vec![("denied", why.to_owned())];
    if denied.retry_after_ms > 0 {
        let wait = span::millis_in_words(denied.retry_after_ms);
        fields.push(("wait", format!("{wait}: until then every attempt is refused, whatever it presents")));
    }
    let json = json!({ "denied": true, "retry_after_ms": denied.retry_after_ms });
    printer.report(&Report { json, view: View::Fields(fields) })?;
    Err(Failure::Denied)
}

fn welcome(authenticated: v1::Authenticated, device: &Device, printer: &Printer) -> Result<(), Failure> {
    let who = present(authenticated.identity, "identity")?;
    let tokens = present(authenticated.tokens, "tokens")?;
    let mut fields = vec![
        ("identity", format!("{} ({}) of tenant {}", who.name, who.id, who.tenant)),
        ("session", authenticated.session_id.clone()),
    ];
    fields.extend(token::fields(&tokens));
    let mut json = json!({
        "identity": identity::as_json(&who),
        "session_id": authenticated.session_id,
        "tokens": token::as_json(&tokens),
    });
    let known = authenticated.device_token == device.token;
    if !device.token.is_empty() {
        json["device_known"] = known.into();
        fields.push(("device", if known { "known" } else { "not known" }.to_owned()));
    }
    // Whoever showed it has it.
    if !known && !authenticated.device_token.is_empty() {
        json["device_token"] = authenticated.device_token.clone().into();
        json["device_expires_in_ms"] = authenticated.device_expires_in_ms.into();
        fields.push(("device token", authenticated.device_token));
        fields.push(("  expires in", span::millis_in_words(authenticated.device_expires_in_ms)));
    }
    printer.report(&Report { json, view: View::Fields(fields) })
}
