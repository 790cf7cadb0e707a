//! `portcullis totp`.

use clap::Subcommand;
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::confirm_totp_response::Outcome;
use portcullis_proto::auth::v1::second_factors_service_client::SecondFactorsServiceClient;
use serde_json::json;

use super::identity::text;
use super::{present, shown_before};
use crate::authority::Authority;
use crate::failure::Failure;
use crate::input;
use crate::print::{Printer, Report};
use crate::reference::{IdentityArgs, NamedIdentityArgs};
use crate::span;
use crate::table::View;
use crate::words;

#[derive(Debug, Subcommand)]
pub(crate) enum TotpCommand {
    /// Shows the secret of a new authenticator app, once; it counts when it is confirmed.
    #[command(after_help = ENROL_HELP)]
    Enrol(NamedIdentityArgs),
    /// Makes the app count by a code of it, and shows recovery codes, once.
    #[command(after_help = "The code comes from PORTCULLIS_SECOND_FACTOR or a prompt.")]
    Confirm(NamedIdentityArgs),
    /// Takes the app and the recovery codes away: the password alone logs in again.
    Remove(NamedIdentityArgs),
    /// Shows new recovery codes, once, in place of those before.
    RecoveryCodes(NamedIdentityArgs),
    /// Says what an identity has.
    Show(IdentityArgs),
}

const ENROL_HELP: &str = "\
Examples:
  portcullis totp enrol --tenant demo --name carol
  portcullis totp enrol --tenant demo --name carol --only uri | qrencode -t ansiutf8
  portcullis totp confirm --tenant demo --name carol";

pub(crate) async fn run(command: TotpCommand, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    match command {
        TotpCommand::Enrol(args) => enrol(args, authority, printer).await,
        TotpCommand::Confirm(args) => confirm(args, authority, printer).await,
        TotpCommand::Remove(args) => remove(args, authority, printer).await,
        TotpCommand::RecoveryCodes(args) => renew(args, authority, printer).await,
        TotpCommand::Show(args) => show(&args, authority, printer).await,
    }
}

async fn enrol(args: NamedIdentityArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let identity = Some(args.identity.reference()?);
    let request = v1::EnrolTotpRequest { identity, request_id: args.request.request_id };
    let answer = authority
        .call(request, async |channel, request| SecondFactorsServiceClient::new(channel).enrol_totp(request).await)
        .await?;
    if answer.shown_before {
        return shown_before("secret", "portcullis totp enrol, under another name", printer);
    }
    let view = View::Fields(vec![("secret", answer.secret.clone()), ("uri", answer.uri.clone())]);
    printer.report(&Report { json: json!({ "secret": answer.secret, "uri": answer.uri }), view })?;
    printer.note("It counts once it is confirmed: portcullis totp confirm");
    Ok(())
}

async fn confirm(args: NamedIdentityArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let request = v1::ConfirmTotpRequest {
        identity: Some(args.identity.reference()?),
        code: text(&input::second_factor("Code of the app")?)?,
        request_id: args.request.request_id,
    };
    let answer = authority
        .call(request, async |channel, request| SecondFactorsServiceClient::new(channel).confirm_totp(request).await)
        .await?;
    match present(answer.outcome, "outcome")? {
        Outcome::Confirmed(confirmed) if confirmed.shown_before => {
            shown_before("recovery_codes", "portcullis totp recovery-codes", printer)
        }
        Outcome::Confirmed(confirmed) => codes(&confirmed.recovery_codes, printer),
        Outcome::Refused(refused) => {
            let mut fields = vec![("refused", "the code is not of this app and this time".to_owned())];
            if refused.retry_after_ms > 0 {
                fields.push(("wait", span::millis_in_words(refused.retry_after_ms)));
            }
            let json = json!({ "refused": true, "retry_after_ms": refused.retry_after_ms });
            printer.report(&Report { json, view: View::Fields(fields) })?;
            Err(Failure::Denied)
        }
    }
}

async fn remove(args: NamedIdentityArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let identity = Some(args.identity.reference()?);
    let request = v1::RemoveSecondFactorRequest { identity, request_id: args.request.request_id };
    authority
        .call(request, async |channel, request| {
            SecondFactorsServiceClient::new(channel).remove_second_factor(request).await
        })
        .await?;
    let view = View::Fields(vec![("second factor", "removed; the password alone logs in".to_owned())]);
    printer.report(&Report { json: json!({ "removed": true }), view })
}

async fn renew(args: NamedIdentityArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let identity = Some(args.identity.reference()?);
    let request = v1::RenewRecoveryCodesRequest { identity, request_id: args.request.request_id };
    let answer = authority
        .call(request, async |channel, request| {
            SecondFactorsServiceClient::new(channel).renew_recovery_codes(request).await
        })
        .await?;
    if answer.shown_before {
        return shown_before("recovery_codes", "portcullis totp recovery-codes, under another name", printer);
    }
    codes(&answer.recovery_codes, printer)
}

fn codes(codes: &[String], printer: &Printer) -> Result<(), Failure> {
    let rows = codes.iter().map(|code| vec![code.clone()]).collect();
    let view = View::Rows { columns: &["recovery code"], rows, empty: "There are no recovery codes." };
    printer.report(&Report { json: json!({ "recovery_codes": codes }), view })?;
    printer.note("Keep them where the app is not: each logs in once, and they are not shown again.");
    Ok(())
}

async fn show(args: &IdentityArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let answer = authority
        .call(v1::GetSecondFactorsRequest { identity: Some(args.reference()?) }, async |channel, request| {
            SecondFactorsServiceClient::new(channel).get_second_factors(request).await
        })
        .await?;
    let app = match (&answer.totp_since, answer.totp_unconfirmed) {
        (Some(_), _) => format!("since {}", words::time(answer.totp_since.as_ref())),
        (None, true) => "waits to be confirmed".to_owned(),
        (None, false) => "none".to_owned(),
    };
    let view =
        View::Fields(vec![("authenticator app", app), ("recovery codes left", answer.recovery_codes_left.to_string())]);
    let json = json!({
        "totp_since": words::time_json(answer.totp_since.as_ref()),
        "totp_unconfirmed": answer.totp_unconfirmed,
        "recovery_codes_left": answer.recovery_codes_left,
    });
    printer.report(&Report { json, view })
}
