//! `portcullis password`.

use clap::{Args, Subcommand};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::passwords_service_client::PasswordsServiceClient;
use portcullis_proto::auth::v1::{change_password_response, redeem_password_reset_response};
use serde_json::{Value, json};

use super::identity::text;
use super::present;
use crate::authority::Authority;
use crate::failure::Failure;
use crate::input;
use crate::paging::{self, LimitArgs, Shown};
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
    /// Removes a password, or the one-time token that would set one; every session made before ends.
    #[command(after_help = "Example:\n  portcullis password remove --tenant demo --name carol")]
    Remove(NamedIdentityArgs),
    /// Shows where one stands: when it was set, whether it is temporary or its hash is old, or a reset is outstanding.
    #[command(after_help = "Example:\n  portcullis password show --tenant demo --name carol")]
    Show(IdentityArgs),
    /// Reads the same of everybody in a tenant, by name.
    #[command(after_help = LIST_HELP)]
    List(ListArgs),
}

const LIST_HELP: &str = "\
Example: who still has a hash that another program made, and so has not logged in since the import?
  portcullis --output json password list --tenant demo | jq -r '.passwords[] | select(.outdated) | .identity_name'";

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    #[command(flatten)]
    limit: LimitArgs,
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
        PasswordCommand::Remove(args) => remove(args, authority, printer).await,
        PasswordCommand::Show(args) => show(&args, authority, printer).await,
        PasswordCommand::List(args) => list(&args, authority, printer).await,
    }
}

async fn change(args: NamedIdentityArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let request = v1::ChangePasswordRequest {
        identity: Some(args.identity.reference()?),
        current_password: text(&input::password(false)?)?,
        new_password: text(&input::replacing_password()?)?,
        client_address: String::new(),
        device_token: input::device_token()?,
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

async fn remove(args: NamedIdentityArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let identity = Some(args.identity.reference()?);
    let request = v1::RemovePasswordRequest { identity, request_id: args.request.request_id };
    let answer = authority
        .call(request, async |channel, request| PasswordsServiceClient::new(channel).remove_password(request).await)
        .await?;
    let view = View::Fields(vec![
        ("password", "removed; sessions made before are ended".to_owned()),
        ("revision", words::revision(answer.revision.as_ref())),
    ]);
    printer.report(&Report { json: json!({ "revision": words::revision_json(answer.revision.as_ref()) }), view })
}

async fn show(args: &IdentityArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let request = v1::GetPasswordRequest { identity: Some(args.reference()?) };
    let answer = authority
        .call(request, async |channel, request| PasswordsServiceClient::new(channel).get_password(request).await)
        .await?;
    let password = present(answer.password, "password")?;
    let view = View::Fields(COLUMNS.iter().copied().zip(row(&password)).collect());
    printer.report(&Report { json: json!({ "password": as_json(&password) }), view })
}

async fn list(args: &ListArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let listing = paging::read(args.limit.limit, async |page_size, page_token| {
        let request = v1::ListPasswordsRequest { tenant: args.tenant.clone(), page_size, page_token };
        let page = authority
            .call(request, async |channel, request| PasswordsServiceClient::new(channel).list_passwords(request).await)
            .await?;
        Ok((page.passwords, page.next_page_token))
    })
    .await?;
    let empty = "The tenant has no identities.";
    listing.report(&Shown { name: "passwords", columns: COLUMNS, empty, row, json: as_json }, printer)
}

const COLUMNS: &[&str] = &["identity", "name", "password", "hash", "set", "reset until"];

fn row(password: &v1::Password) -> Vec<String> {
    let state = match (&password.set_at, password.must_change) {
        (None, _) => "none",
        (Some(_), true) => "temporary",
        (Some(_), false) => "set",
    };
    let hash = if password.outdated { format!("{}, outdated", password.scheme) } else { password.scheme.clone() };
    let (set, reset) = (words::time(password.set_at.as_ref()), words::time(password.reset_until.as_ref()));
    vec![password.identity_id.clone(), password.identity_name.clone(), state.to_owned(), hash, set, reset]
}

fn as_json(password: &v1::Password) -> Value {
    json!({
        "identity_id": password.identity_id,
        "identity_name": password.identity_name,
        "set_at": words::time_json(password.set_at.as_ref()),
        "scheme": password.scheme,
        "outdated": password.outdated,
        "must_change": password.must_change,
        "reset_until": words::time_json(password.reset_until.as_ref()),
    })
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
