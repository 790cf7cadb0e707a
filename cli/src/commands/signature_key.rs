//! `portcullis signature-key`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::signature_keys_service_client::SignatureKeysServiceClient;
use serde_json::{Value, json};

use super::present;
use super::revoke::{self, NoteArgs};
use crate::authority::Authority;
use crate::failure::Failure;
use crate::paging::{self, LimitArgs, Shown};
use crate::print::{Printer, Report};
use crate::proof::ClientKey;
use crate::reference::{IdentityArgs, RequestArgs, credential_id, session_id};
use crate::table::View;
use crate::{span, words};

#[derive(Debug, Subcommand)]
pub(crate) enum SignatureKeyCommand {
    /// Registers the public half of a key, for an identity or for one session of it.
    #[command(after_help = REGISTER_HELP)]
    Register(Box<RegisterArgs>),
    /// Reads the keys of an identity and of its sessions, newest first.
    #[command(after_help = "Example:\n  portcullis signature-key list --tenant demo --name alice")]
    List(ListArgs),
    /// Reads one key: whose it is, where it stands, its public half.
    #[command(
        after_help = "Example:\n  portcullis signature-key get --tenant demo 0192f0c1-2345-7abc-8def-0123456789ab"
    )]
    Get(GetArgs),
    /// Registers a successor; the old key ends after an overlap, and no socket is closed.
    #[command(after_help = ROTATE_HELP)]
    Rotate(Box<RotateArgs>),
    /// Ends a key at once, and closes every socket that was set up with it.
    #[command(after_help = REVOKE_HELP)]
    Revoke(RevokeArgs),
}

const REGISTER_HELP: &str = "\
A client signs what it sends with the private half; whoever verifies has the public half from the verdict on the client's
credential. The private half is read here from a file, to sign the authority's challenge, and is never sent.

Make a key, register it for a session, and see it in the verdict:
  openssl genpkey -algorithm ed25519 -out client.pem            # or: -algorithm EC -pkeyopt ec_paramgen_curve:P-256
  SESSION=$(portcullis session list --tenant demo --name alice --active --output json | jq -r '.sessions[0].id')
  portcullis signature-key register --tenant demo --name alice --session $SESSION client.pem
  echo \"$TOKEN\" | portcullis verify

Without --session it is the identity's: every verdict on one of its sessions or API keys carries it, and it dies with what
ends the identity's sessions. A key is registered once; a revoked one never again.";

const ROTATE_HELP: &str = "\
Examples:
  portcullis signature-key rotate --tenant demo --overlap 10m 0192f0c1-2345-7abc-8def-0123456789ab next.pem
  portcullis signature-key rotate --tenant demo --at-once 0192f0c1-2345-7abc-8def-0123456789ab next.pem

Live sockets stay open and learn of the successor. For a key in the wrong hands: portcullis signature-key revoke.";

const REVOKE_HELP: &str = "\
Example:
  portcullis signature-key revoke --tenant demo --reason compromised --wait 0192f0c1-2345-7abc-8def-0123456789ab

Its session and its identity go on. The same as portcullis revoke credential.";

#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    #[command(flatten)]
    identity: IdentityArgs,
    /// One session, which it dies with; otherwise it is the identity's.
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// The file with the private half: PKCS #8 in PEM, on Ed25519 or P-256. It stays here.
    private_key: PathBuf,
    /// What it is for.
    #[arg(long, default_value = "", hide_default_value = true)]
    label: String,
    /// Until it ends: 12h, 90d; otherwise with its session, or not.
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    expires_in: Option<Duration>,
    #[command(flatten)]
    request: RequestArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    identity: IdentityArgs,
    /// Only of this session.
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    #[command(flatten)]
    limit: LimitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// The key's id.
    id: String,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("until").args(["overlap", "at_once"]).required(true))]
pub(crate) struct RotateArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// The old key's id.
    id: String,
    /// The file with the private half of the successor. It stays here.
    private_key: PathBuf,
    /// For how long verdicts carry the old key as well: 1h, 7d.
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    overlap: Option<Duration>,
    /// Ends the old key at once.
    #[arg(long)]
    at_once: bool,
    /// Until the successor ends: 12h, 90d; otherwise it lives as long as the old one was made for.
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    expires_in: Option<Duration>,
    #[command(flatten)]
    request: RequestArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// The key's id.
    id: String,
    #[command(flatten)]
    note: NoteArgs,
}

pub(crate) async fn run(command: SignatureKeyCommand, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    match command {
        SignatureKeyCommand::Register(args) => register(*args, authority, printer).await,
        SignatureKeyCommand::List(args) => list(&args, authority, printer).await,
        SignatureKeyCommand::Get(args) => get(args, authority, printer).await,
        SignatureKeyCommand::Rotate(args) => rotate(*args, authority, printer).await,
        SignatureKeyCommand::Revoke(args) => kill(args, authority, printer).await,
    }
}

async fn register(args: RegisterArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let key = ClientKey::read(&args.private_key)?;
    let identity = args.identity.reference()?;
    let session_id = args.session.as_deref().map(session_id).transpose()?.unwrap_or_default();
    let proof = prove(&key, identity.clone(), session_id.clone(), authority).await?;
    let request = v1::RegisterSignatureKeyRequest {
        identity: Some(identity),
        session_id,
        jwk: key.jwk(),
        proof,
        label: args.label,
        expires_in_ms: args.expires_in.map_or(0, span::millis),
        request_id: args.request.request_id,
    };
    let answer = authority
        .call(request, async |channel, request| {
            SignatureKeysServiceClient::new(channel).register_signature_key(request).await
        })
        .await?;
    let key = present(answer.signature_key, "signature key")?;
    let json = json!({
        "signature_key": as_json(&key),
        "revision": words::revision_json(answer.revision.as_ref()),
        "enforced_within_ms": answer.enforced_within_ms,
    });
    let mut fields = in_words(&key);
    fields.push(("known everywhere", within(answer.enforced_within_ms)));
    printer.report(&Report { json, view: View::Fields(fields) })
}

/// A challenge for this holder, signed.
async fn prove(
    key: &ClientKey,
    identity: v1::IdentityReference,
    session_id: String,
    authority: &Authority,
) -> Result<String, Failure> {
    let begin = v1::BeginSignatureKeyRequest { identity: Some(identity), session_id };
    let begun = authority
        .call(begin, async |channel, request| {
            SignatureKeysServiceClient::new(channel).begin_signature_key(request).await
        })
        .await?;
    key.prove(&begun.challenge, &begun.audience)
}

async fn find(tenant: String, id: &str, authority: &Authority) -> Result<v1::SignatureKey, Failure> {
    let request = v1::GetSignatureKeyRequest { tenant, id: credential_id(id)? };
    let answer = authority
        .call(request, async |channel, request| {
            SignatureKeysServiceClient::new(channel).get_signature_key(request).await
        })
        .await?;
    present(answer.signature_key, "signature key")
}

async fn get(args: GetArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let key = find(args.tenant, &args.id, authority).await?;
    printer.report(&Report { json: json!({ "signature_key": as_json(&key) }), view: View::Fields(in_words(&key)) })
}

async fn list(args: &ListArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let identity = args.identity.reference()?;
    let session_id = args.session.as_deref().map(session_id).transpose()?.unwrap_or_default();
    let listing = paging::read(args.limit.limit, async |page_size, page_token| {
        let request = v1::ListSignatureKeysRequest {
            identity: Some(identity.clone()),
            session_id: session_id.clone(),
            page_size,
            page_token,
        };
        let page = authority
            .call(request, async |channel, request| {
                SignatureKeysServiceClient::new(channel).list_signature_keys(request).await
            })
            .await?;
        Ok((page.signature_keys, page.next_page_token))
    })
    .await?;
    let shown = Shown {
        name: "signature_keys",
        columns: &["id", "state", "algorithm", "session", "label", "created", "expires"],
        empty: "The identity has no signature keys.",
        row,
        json: as_json,
    };
    listing.report(&shown, printer)
}

async fn rotate(args: RotateArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let key = ClientKey::read(&args.private_key)?;
    let old = find(args.tenant.clone(), &args.id, authority).await?;
    let which = v1::identity_reference::Identity::Id(old.identity_id);
    let identity = v1::IdentityReference { tenant: args.tenant.clone(), identity: Some(which) };
    let proof = prove(&key, identity, old.session_id, authority).await?;
    let request = v1::RotateSignatureKeyRequest {
        tenant: args.tenant,
        id: old.id,
        jwk: key.jwk(),
        proof,
        old_ends_in_ms: args.overlap.map_or(0, span::millis),
        expires_in_ms: args.expires_in.map_or(0, span::millis),
        request_id: args.request.request_id,
    };
    let answer = authority
        .call(request, async |channel, request| {
            SignatureKeysServiceClient::new(channel).rotate_signature_key(request).await
        })
        .await?;
    let (next, old) = (present(answer.signature_key, "signature key")?, present(answer.old, "old signature key")?);
    let mut fields = in_words(&next);
    fields.push(("old key ends", words::time(old.expires_at.as_ref())));
    fields.push(("known everywhere", within(answer.enforced_within_ms)));
    let json = json!({
        "signature_key": as_json(&next),
        "old": as_json(&old),
        "revision": words::revision_json(answer.revision.as_ref()),
        "enforced_within_ms": answer.enforced_within_ms,
    });
    printer.report(&Report { json, view: View::Fields(fields) })
}

async fn kill(args: RevokeArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let reason: v1::RevocationReason = args.note.reason.into();
    let request = v1::RevokeSignatureKeyRequest {
        tenant: args.tenant,
        id: credential_id(&args.id)?,
        reason: reason.into(),
        request_id: args.note.request.request_id,
    };
    let answer = authority
        .call(request, async |channel, request| {
            SignatureKeysServiceClient::new(channel).revoke_signature_key(request).await
        })
        .await?;
    let answer = revoke::answered(answer.revision, answer.enforced_within_ms, answer.committed_at);
    revoke::tell(&answer, args.note.wait, authority, printer).await
}

fn within(millis: i64) -> String {
    format!("to live sockets in {} at the latest", span::millis_in_words(millis))
}

fn in_words(key: &v1::SignatureKey) -> Vec<(&'static str, String)> {
    let holder = match key.session_id.as_str() {
        "" => format!("identity {}", key.identity_id),
        session => format!("session {session} of identity {}", key.identity_id),
    };
    vec![
        ("id", key.id.clone()),
        ("state", words::signature_key_state(key.state)),
        ("of", holder),
        ("public half", key.jwk.clone()),
        ("algorithm", key.algorithm.clone()),
        ("thumbprint", key.thumbprint.clone()),
        ("label", key.label.clone()),
        ("created", words::time(key.created_at.as_ref())),
        ("expires", words::time(key.expires_at.as_ref())),
        ("replaces", key.replaces.clone()),
        ("replaced by", key.replaced_by.clone()),
    ]
}

fn row(key: &v1::SignatureKey) -> Vec<String> {
    let (state, session) = (words::signature_key_state(key.state), key.session_id.clone());
    let (created, expires) = (words::time(key.created_at.as_ref()), words::time(key.expires_at.as_ref()));
    vec![key.id.clone(), state, key.algorithm.clone(), session, key.label.clone(), created, expires]
}

fn as_json(key: &v1::SignatureKey) -> Value {
    json!({
        "id": key.id,
        "identity_id": key.identity_id,
        "session_id": key.session_id,
        "state": words::signature_key_state(key.state),
        "jwk": key.jwk,
        "algorithm": key.algorithm,
        "thumbprint": key.thumbprint,
        "label": key.label,
        "created_at": words::time_json(key.created_at.as_ref()),
        "expires_at": words::time_json(key.expires_at.as_ref()),
        "replaces": key.replaces,
        "replaced_by": key.replaced_by,
    })
}
