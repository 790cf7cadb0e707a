//! `portcullis revoke`.

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::credentials_service_client::CredentialsServiceClient;
use portcullis_proto::auth::v1::revoke_request::Target;
use serde_json::json;

use super::identity::text;
use crate::authority::Authority;
use crate::failure::Failure;
use crate::instant::{self, Instant};
use crate::print::{Printer, Report};
use crate::reference::{IdentityArgs, RequestArgs, credential_id, session_id};
use crate::table::View;
use crate::{input, receipt, span, words};

#[derive(Debug, Subcommand)]
pub(crate) enum RevokeCommand {
    /// One credential: an access token's jti, an API key's id, a ticket's id; or its presented form.
    #[command(after_help = CREDENTIAL_HELP)]
    Credential(CredentialArgs),
    /// One session: it and everything issued under it.
    #[command(after_help = "Example:\n  portcullis revoke session --tenant demo 0192f0c1-2345-7abc-8def-0123456789ab")]
    Session(SessionArgs),
    /// Every session an identity has now. It may log in again; to refuse that too: identity disable.
    #[command(
        after_help = "Examples:\n  portcullis revoke identity --tenant demo --name alice --reason compromised --wait\n  \
            portcullis revoke identity --tenant demo --name kiosk --pace 200 --wait=5m"
    )]
    Identity(TargetIdentityArgs),
    /// The sessions of an identity that began before a time, or that are on one device.
    #[command(after_help = SESSIONS_HELP)]
    Sessions(SessionsArgs),
    /// All API keys and client certificates of an identity, or those that were made before a time.
    #[command(after_help = KEYS_HELP)]
    Keys(KeysArgs),
    /// A client application: everything issued to it in the tenant.
    #[command(
        after_help = "Examples:\n  portcullis revoke client --tenant demo old-mobile-app --pace 200 --wait=5m\n  \
            portcullis revoke client --tenant demo mobile-app --before 2026-07-01T12:00:00Z --wait"
    )]
    Client(ClientArgs),
    /// Everything in a tenant that a session holds. Its people may log in again; to refuse that too: tenant suspend.
    #[command(after_help = "Examples:\n  portcullis revoke tenant demo --reason compromised --pace 500 --wait=5m\n  \
            portcullis revoke tenant demo --before 24h --reason compromised --wait")]
    Tenant(TenantArgs),
}

const SESSIONS_HELP: &str = "\
Examples:
  portcullis revoke sessions --tenant demo --name alice --before 2026-07-01T12:00:00Z
  portcullis revoke sessions --tenant demo --name alice --before 24h
  portcullis revoke sessions --tenant demo --name alice --device \"Alice's old phone\"

They are found and ended in one transaction. Where none of them lives there is no revision.";

const KEYS_HELP: &str = "\
Examples:
  portcullis revoke keys --tenant demo --name mailer --reason compromised --wait      # its environment has leaked
  portcullis revoke keys --tenant demo --name mailer --before 2026-07-01T12:00:00Z    # those that were exchanged since stay

They are found and ended in one transaction. Where none of them lives there is no revision.";

const CREDENTIAL_HELP: &str = "\
Examples:
  portcullis revoke credential --tenant demo 0192f0c1-2345-7abc-8def-0123456789ab
  portcullis revoke credential --tenant demo --stdin < leaked.key";

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").args(["id", "stdin"]).required(true))]
pub(crate) struct CredentialArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// The credential's id.
    id: Option<String>,
    /// Reads the credential's presented form from standard input.
    #[arg(long)]
    stdin: bool,
    #[command(flatten)]
    note: NoteArgs,
    #[command(flatten)]
    pace: PaceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SessionArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// The session's id.
    id: String,
    #[command(flatten)]
    note: NoteArgs,
    #[command(flatten)]
    pace: PaceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TargetIdentityArgs {
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    note: NoteArgs,
    #[command(flatten)]
    pace: PaceArgs,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").args(["before", "device"]).required(true))]
pub(crate) struct SessionsArgs {
    #[command(flatten)]
    identity: IdentityArgs,
    /// Those that began before this time: 2026-07-01T12:00:00Z, or how long ago: 24h.
    #[arg(long, value_name = "TIME", value_parser = instant::parse)]
    before: Option<Instant>,
    /// Those on this device, as named at login.
    #[arg(long)]
    device: Option<String>,
    #[command(flatten)]
    note: NoteArgs,
    #[command(flatten)]
    pace: PaceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    #[command(flatten)]
    identity: IdentityArgs,
    /// Only those that were made before this time: 2026-07-01T12:00:00Z, or how long ago: 24h.
    #[arg(long, value_name = "TIME", value_parser = instant::parse)]
    before: Option<Instant>,
    #[command(flatten)]
    note: NoteArgs,
    #[command(flatten)]
    pace: PaceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ClientArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// The client application's id, as named at login.
    id: String,
    /// Only what began before this time: 2026-07-01T12:00:00Z, or how long ago: 24h.
    #[arg(long, value_name = "TIME", value_parser = instant::parse, conflicts_with = "pace")]
    before: Option<Instant>,
    #[command(flatten)]
    note: NoteArgs,
    #[command(flatten)]
    pace: PaceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TenantArgs {
    /// The tenant.
    tenant: String,
    /// Only what began before this time: 2026-07-01T12:00:00Z, or how long ago: 24h.
    #[arg(long, value_name = "TIME", value_parser = instant::parse, conflicts_with = "pace")]
    before: Option<Instant>,
    #[command(flatten)]
    note: NoteArgs,
    #[command(flatten)]
    pace: PaceArgs,
}

/// What is written beside a revocation.
#[derive(Debug, Args)]
pub(crate) struct NoteArgs {
    /// Why; for people, never input to a decision.
    #[arg(long, value_enum, default_value_t = Reason::Administrative)]
    pub(super) reason: Reason,
    #[command(flatten)]
    pub(super) request: RequestArgs,
    /// Waits until it is enforced, for 30s or as long as is said, and prints the receipt as it fills in.
    #[arg(long, value_name = "SPAN", num_args = 0..=1, require_equals = true, default_missing_value = "30s",
        value_parser = span::parse)]
    pub(super) wait: Option<Duration>,
}

/// How what was revoked is closed.
#[derive(Debug, Args)]
pub(crate) struct PaceArgs {
    /// Closes at most so many of the sockets it covers in a second on each gateway, so that their clients do not all come
    /// back together. Nothing passes on any of them from the start; only the closing is spread.
    #[arg(long, value_name = "CLOSES PER SECOND", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pace: Option<u32>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Reason {
    /// An administrator asked for it.
    Administrative,
    /// The person logged out.
    Logout,
    /// The identity was disabled or deleted.
    Disabled,
    /// The password or another credential changed.
    CredentialChanged,
    /// It is known or feared to be in the wrong hands.
    Compromised,
}

impl From<Reason> for v1::RevocationReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Administrative => Self::Administrative,
            Reason::Logout => Self::Logout,
            Reason::Disabled => Self::Disabled,
            Reason::CredentialChanged => Self::CredentialChanged,
            Reason::Compromised => Self::Compromised,
        }
    }
}

pub(crate) async fn run(command: RevokeCommand, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let (tenant, target, note, pace) = match command {
        RevokeCommand::Credential(args) => (args.tenant.clone(), presented_or_named(&args)?, args.note, args.pace),
        RevokeCommand::Session(args) => (args.tenant, Target::SessionId(session_id(&args.id)?), args.note, args.pace),
        RevokeCommand::Identity(args) => {
            (args.identity.tenant().to_owned(), Target::Identity(args.identity.reference()?), args.note, args.pace)
        }
        RevokeCommand::Sessions(args) => (args.identity.tenant().to_owned(), sessions_of(&args)?, args.note, args.pace),
        RevokeCommand::Keys(args) => (args.identity.tenant().to_owned(), keys_of(&args)?, args.note, args.pace),
        RevokeCommand::Client(args) => {
            let target = match args.before {
                Some(Instant(at)) => {
                    Target::ClientBefore(v1::ClientBefore { client_id: args.id, begun_before: Some(at) })
                }
                None => Target::ClientId(args.id),
            };
            (args.tenant, target, args.note, args.pace)
        }
        RevokeCommand::Tenant(args) => {
            let target = match args.before {
                Some(Instant(at)) => Target::TenantBefore(v1::TenantBefore { begun_before: Some(at) }),
                None => Target::WholeTenant(v1::WholeTenant::default()),
            };
            (args.tenant, target, args.note, args.pace)
        }
    };
    let wait = note.wait;
    let reason: v1::RevocationReason = note.reason.into();
    let request = v1::RevokeRequest {
        tenant,
        target: Some(target),
        reason: reason.into(),
        request_id: note.request.request_id,
        closes_per_second: pace.pace.unwrap_or(0),
    };
    let answer = authority
        .call(request, async |channel, request| CredentialsServiceClient::new(channel).revoke(request).await)
        .await?;
    tell(&answer, wait, authority, printer).await
}

/// What a revocation by another call answered, in the words of `Revoke`: it names no sessions.
pub(super) fn answered(
    revision: Option<v1::Revision>,
    enforced_within_ms: i64,
    committed_at: Option<prost_types::Timestamp>,
) -> v1::RevokeResponse {
    v1::RevokeResponse { revision, enforced_within_ms, committed_at, sessions: 0, keys: 0 }
}

/// Says what was revoked, and follows its receipt for as long as was asked.
pub(super) async fn tell(
    answer: &v1::RevokeResponse,
    wait: Option<Duration>,
    authority: &Authority,
    printer: &Printer,
) -> Result<(), Failure> {
    if answer.revision.is_none() {
        let view = View::Fields(vec![("ended", "nothing: nothing of it lived".to_owned())]);
        return printer.report(&Report { json: json!({ "revision": null, "sessions": 0, "keys": 0 }), view });
    }
    let bound = span::millis_in_words(answer.enforced_within_ms);
    let mut fields = vec![
        ("revision", words::revision(answer.revision.as_ref())),
        ("bound", format!("{bound} from now at the latest, no frame passes on a socket it covers")),
        ("committed", words::time(answer.committed_at.as_ref())),
    ];
    if answer.sessions > 0 {
        fields.push(("sessions", answer.sessions.to_string()));
    }
    if answer.keys > 0 {
        fields.push(("keys", answer.keys.to_string()));
    }
    let view = View::Fields(fields);
    let json = json!({
        "revision": words::revision_json(answer.revision.as_ref()),
        "sessions": answer.sessions,
        "keys": answer.keys,
        "enforced_within_ms": answer.enforced_within_ms,
        "committed_at": words::time_json(answer.committed_at.as_ref()),
    });
    let Some(time) = wait else { return printer.report(&Report { json, view }) };
    printer.event(&json, || view.render())?;
    receipt::follow(super::present(answer.revision, "revision")?, time, authority, printer).await
}

fn sessions_of(args: &SessionsArgs) -> Result<Target, Failure> {
    let identity = Some(args.identity.reference()?);
    match (args.before, &args.device) {
        (Some(Instant(at)), _) => Ok(Target::SessionsBefore(v1::SessionsBefore { identity, begun_before: Some(at) })),
        (None, Some(device)) => Ok(Target::SessionsOnDevice(v1::SessionsOnDevice { identity, device: device.clone() })),
        (None, None) => Err(Failure::usage("say which sessions: --before or --device")),
    }
}

fn keys_of(args: &KeysArgs) -> Result<Target, Failure> {
    let made_before = args.before.map(|Instant(at)| at);
    Ok(Target::KeysOfIdentity(v1::KeysOfIdentity { identity: Some(args.identity.reference()?), made_before }))
}

fn presented_or_named(args: &CredentialArgs) -> Result<Target, Failure> {
    match &args.id {
        Some(id) => Ok(Target::CredentialId(credential_id(id)?)),
        None => Ok(Target::Credential(text(&input::from_standard_input("credential")?)?)),
    }
}
