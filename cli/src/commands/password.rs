//! `portcullis password`.

use clap::{Args, Subcommand};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::passwords_service_client::PasswordsServiceClient;
use portcullis_proto::auth::v1::{change_password_response, redeem_password_reset_response};
use serde_json::json;

use super::identity::text;
use super::present;
use crate::authority::Authority;
use crate::failure::Failure;
use crate::input;
use crate::print::{Printer, Report};
use crate::reference::{IdentityArgs, NamedIdentityArgs, RequestArgs};
use crate::span;
use crate::table::View;
use crate::words;

#[derive(Debug, Subcommand)]
pub(crate) enum PasswordCommand {
    /// Changes a password by whoever knows the current one; every session made before ends.
    #[command(after_help = CHANGE_HELP)]
    Change(NamedIdentityArgs),
    /// Makes an unknown password go away: by a one-time token, or by a temporary password.
    #[command(after_help = RESET_HELP)]
    Reset(ResetArgs),
    /// Sets a password by a one-time token of `reset`.
    #[command(after_help = REDEEM_HELP)]
    Redeem(RequestArgs),
    /// Sets a hash that another program made: argon2, scrypt or bcrypt.
    #[command(after_help = IMPORT_HELP)]
    Import(NamedIdentityArgs),
}

const CHANGE_HELP: &str = "\
The current password comes from PORTCULLIS_PASSWORD or a prompt, the new one from PORTCULLIS_NEW_PASSWORD or a prompt.

Example:
  portcullis password change --tenant demo --name carol";

const RESET_HELP: &str = "\
Both end every session. A one-time token is good for an hour, and until it is used there is no password; whoever holds it
sets one, with `portcullis password redeem` or at the HTTP edge. A temporary password is good for one login, which must
replace it.

Examples:
  portcullis password reset --tenant demo --name carol --only reset_token
  pass temporary | portcullis password reset --tenant demo --name carol --temporary-stdin";

const REDEEM_HELP: &str = "\
The token comes from PORTCULLIS_CREDENTIAL, standard input or a prompt, the new password from PORTCULLIS_NEW_PASSWORD or
a prompt.";

const IMPORT_HELP: &str = "\
The hash comes from standard input: `$argon2id$`, `$argon2i$`, `$argon2d$` or `$scrypt$` in PHC form, or `$2a$`, `$2b$`,
`$2x$` or `$2y$` of bcrypt. It is verified as it is, within the limits of `[password_import]`, and replaced by one of ours
at the next login.

Example:
  sqlite3 old.db \"select hash from users where name='carol'\" | portcullis password import --tenant demo --name carol";

#[derive(Debug, Args)]
pub(crate) struct ResetArgs {
    #[command(flatten)]
    identity: IdentityArgs,
    /// Reads a temporary password from standard input, instead of making a one-time token.
    #[arg(long)]
    temporary_stdin: bool,
    #[command(flatten)]
    request: RequestArgs,
}

pub(crate) async fn run(command: PasswordCommand, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    match command {
        PasswordCommand::Change(args) => change(args, authority, printer).await,
        PasswordCommand::Reset(args) => reset(args, authority, printer).await,
        PasswordCommand::Redeem(args) => redeem(args, authority, printer).await,
        PasswordCommand::Import(args) => import(args, authority, printer).await,
    }
}

async fn change(args: NamedIdentityArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let request = v1::ChangePasswordRequest {
        identity: Some(args.identity.reference()?),
        current_password: text(&input::password(false)?)?,
        new_password: text(&input::replacing_password()?)?,
        client_address: String::new(),
        request_id: args.request.request_id,
    };
    let answer = authority
        .call(request, async |channel, request| PasswordsServiceClient::new(channel).change_password(request).await)
        .await?;
    match present(answer.outcome, "outcome")? {
        change_password_response::Outcome::Changed(changed) => changed_to(changed.revision.as_ref(), printer),
        change_password_response::Outcome::Refused(refused) => {
            refuse(&refused, "the current password is wrong, or it came too early after others", printer)
        }
    }
}

async fn reset(args: ResetArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let identity = Some(args.identity.reference()?);
    let temporary_password =
        if args.temporary_stdin { text(&input::from_standard_input("password")?)? } else { String::new() };
    let request = v1::ResetPasswordRequest { identity, temporary_password, request_id: args.request.request_id };
    let answer = authority
        .call(request, async |channel, request| PasswordsServiceClient::new(channel).reset_password(request).await)
        .await?;
    let mut fields = vec![("revision", words::revision(answer.revision.as_ref()))];
    if answer.shown_before {
        fields.insert(0, ("reset token", "shown before, once: reset again, under another name".to_owned()));
    } else if answer.reset_token.is_empty() {
        fields.insert(0, ("password", "temporary: the next login must replace it".to_owned()));
    } else {
        fields.insert(0, ("reset token", answer.reset_token.clone()));
        fields.push(("expires in", span::millis_in_words(answer.expires_in_ms)));
    }
    let json = json!({
        "revision": words::revision_json(answer.revision.as_ref()),
        "reset_token": answer.reset_token,
        "expires_in_ms": answer.expires_in_ms,
        "shown_before": answer.shown_before,
    });
    printer.report(&Report { json, view: View::Fields(fields) })
}

async fn redeem(args: RequestArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let request = v1::RedeemPasswordResetRequest {
        reset_token: text(&input::credential("reset token")?)?,
        new_password: text(&input::replacing_password()?)?,
        request_id: args.request_id,
    };
    let answer = authority
        .call(request, async |channel, request| {
            PasswordsServiceClient::new(channel).redeem_password_reset(request).await
        })
        .await?;
    match present(answer.outcome, "outcome")? {
        redeem_password_reset_response::Outcome::Changed(changed) => changed_to(changed.revision.as_ref(), printer),
        redeem_password_reset_response::Outcome::Refused(refused) => {
            refuse(&refused, "the token is not good: unknown, used, over, or replaced by another one", printer)
        }
    }
}

async fn import(args: NamedIdentityArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let request = v1::ImportPasswordRequest {
        identity: Some(args.identity.reference()?),
        hash: text(&input::from_standard_input("hash")?)?,
        request_id: args.request.request_id,
    };
    let answer = authority
        .call(request, async |channel, request| PasswordsServiceClient::new(channel).import_password(request).await)
        .await?;
    let view = View::Fields(vec![
        ("password", "imported; the next login replaces the hash".to_owned()),
        ("revision", words::revision(answer.revision.as_ref())),
    ]);
    printer.report(&Report { json: json!({ "revision": words::revision_json(answer.revision.as_ref()) }), view })
}

fn changed_to(revision: Option<&v1::Revision>, printer: &Printer) -> Result<(), Failure> {
    let view = View::Fields(vec![
        ("password", "changed; sessions made before are ended".to_owned()),
        ("revision", words::revision(revision)),
    ]);
    printer.report(&Report { json: json!({ "revision": words::revision_json(revision) }), view })
}

fn refuse(refused: &v1::PasswordRefused, why: &str, printer: &Printer) -> Result<(), Failure> {
    let mut fields = vec![("refused", why.to_owned())];
    if refused.retry_after_ms > 0 {
        fields.push(("wait", span::millis_in_words(refused.retry_after_ms)));
    }
    let json = json!({ "refused": true, "retry_after_ms": refused.retry_after_ms });
    printer.report(&Report { json, view: View::Fields(fields) })?;
    Err(Failure::Denied)
}
