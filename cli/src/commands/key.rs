//! `portcullis key`.

use clap::{Args, Subcommand};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::keys_service_client::KeysServiceClient;
use portcullis_types::SigningKeyId;
use serde_json::{Value, json};

use super::present;
use super::revoke::{self, NoteArgs};
use crate::authority::Authority;
use crate::failure::Failure;
use crate::print::{Printer, Report};
use crate::reference::RequestArgs;
use crate::table::View;
use crate::words;

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Reads all signing keys, oldest first, without their private halves.
    #[command(after_help = LIST_HELP)]
    List,
    /// Publishes the next key, which signs when every cached key set can have it.
    #[command(after_help = ROTATE_HELP)]
    Rotate(RotateArgs),
    /// Kills everything signed with a key; where it was the one that signs, another does from the same instant.
    #[command(after_help = REVOKE_HELP)]
    Revoke(RevokeArgs),
    /// Encrypts under the current key-encryption key what an older one encrypted, so that the older one can go.
    #[command(after_help = REENCRYPT_HELP)]
    Reencrypt,
}

const LIST_HELP: &str = "\
A key is published (verifiers may know it), then signing, then retained (nothing new is signed with it; what was is still
good), and then no longer shown in /.well-known/jwks.json. A revoked key is dead, and so is everything it signed.";

const ROTATE_HELP: &str = "\
Nothing stops working: the next key is in the key set for longer than the set may be cached before it signs, and the old
one stays in it for longer than anything that it signed is good. Rotation by schedule does the same
(keys.rotate_every_ms). To be rid of a key that is in the wrong hands: key revoke.

Example:
  portcullis key rotate --instead-of 0192f0c1-2345-7abc-8def-0123456789ab";

const REVOKE_HELP: &str = "\
Sockets that rest on what it signed are closed; sessions stay, so clients get new tokens by refreshing. Verifiers other
than the gateways learn of it when they next read the key set.

Example:
  portcullis key revoke 0192f0c1-2345-7abc-8def-0123456789ab --reason compromised --wait";

const REENCRYPT_HELP: &str = "\
To exchange the key-encryption key without downtime, with keys.kek_file or PORTCULLIS_AUTH_KEK:
  1. add the new one after the old one everywhere, and restart the replicas one by one: now each can open both
  2. put the new one first everywhere, and restart them one by one: now it encrypts what is new
  3. portcullis key reencrypt
  4. take the old one away, and restart them one by one; a replica that lacks a key it needs says which, and stops";

#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// The key that shall stop signing, so that a repeated command rotates once; otherwise whichever signs.
    #[arg(long, value_name = "ID")]
    instead_of: Option<String>,
    /// Signs with the next key at once: verifiers that cache the key set refuse new tokens until they read it again.
    #[arg(long)]
    at_once: bool,
    #[command(flatten)]
    request: RequestArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// The key's id, the `kid` of what it signed.
    id: String,
    #[command(flatten)]
    note: NoteArgs,
}

pub(crate) async fn run(command: KeyCommand, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    match command {
        KeyCommand::List => list(authority, printer).await,
        KeyCommand::Rotate(args) => rotate(args, authority, printer).await,
        KeyCommand::Revoke(args) => kill(args, authority, printer).await,
        KeyCommand::Reencrypt => reencrypt(authority, printer).await,
    }
}

async fn list(authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let answer = authority
        .call(v1::ListSigningKeysRequest {}, async |channel, request| {
            KeysServiceClient::new(channel).list_signing_keys(request).await
        })
        .await?;
    let rows = answer.signing_keys.iter().map(|key| {
        vec![
            key.id.clone(),
            words::signing_key_state(key.state),
            key.algorithm.clone(),
            words::time(key.created_at.as_ref()),
            words::time(key.signing_at.as_ref()),
            words::time(key.needed_until.as_ref().or(key.retained_at.as_ref())),
            if key.shown { "yes" } else { "no" }.to_owned(),
            if key.kek_id.is_empty() { "-".to_owned() } else { key.kek_id.clone() },
        ]
    });
    let columns = &["id", "state", "algorithm", "published", "signs from", "until", "in the set", "encrypted under"];
    let view = View::Rows { columns, rows: rows.collect(), empty: "There are no signing keys." };
    let keys: Vec<Value> = answer.signing_keys.iter().map(as_json).collect();
    printer.report(&Report { json: json!({ "signing_keys": keys }), view })
}

async fn rotate(args: RotateArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let instead_of = args.instead_of.as_deref().map(signing_key_id).transpose()?.unwrap_or_default();
    let (at_once, request_id) = (args.at_once, args.request.request_id);
    let request = v1::RotateSigningKeyRequest { instead_of, at_once, request_id };
    let answer = authority
        .call(request, async |channel, request| KeysServiceClient::new(channel).rotate_signing_key(request).await)
        .await?;
    let key = present(answer.signing_key, "signing key")?;
    let view = View::Fields(vec![
        ("next key", key.id.clone()),
        ("state", words::signing_key_state(key.state)),
        ("algorithm", key.algorithm.clone()),
        ("signs from", words::time(key.signing_at.as_ref())),
    ]);
    printer.report(&Report { json: json!({ "signing_key": as_json(&key) }), view })
}

async fn kill(args: RevokeArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let reason: v1::RevocationReason = args.note.reason.into();
    let request = v1::RevokeSigningKeyRequest {
        signing_key_id: signing_key_id(&args.id)?,
        reason: reason.into(),
        request_id: args.note.request.request_id,
    };
    let answer = authority
        .call(request, async |channel, request| KeysServiceClient::new(channel).revoke_signing_key(request).await)
        .await?;
    let answer = revoke::answered(answer.revision, answer.enforced_within_ms, answer.committed_at);
    revoke::tell(&answer, args.note.wait, authority, printer).await
}

async fn reencrypt(authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let answer = authority
        .call(v1::ReencryptRequest {}, async |channel, request| {
            KeysServiceClient::new(channel).reencrypt(request).await
        })
        .await?;
    let view =
        View::Fields(vec![("key-encryption key", answer.kek_id.clone()), ("encrypted anew", answer.count.to_string())]);
    printer.report(&Report { json: json!({ "kek_id": answer.kek_id, "count": answer.count }), view })
}

fn signing_key_id(text: &str) -> Result<String, Failure> {
    SigningKeyId::try_from(text).map(|id| id.to_string()).map_err(|wrong| Failure::usage(wrong.to_string()))
}

fn as_json(key: &v1::SigningKey) -> Value {
    json!({
        "id": key.id,
        "state": words::signing_key_state(key.state),
        "algorithm": key.algorithm,
        "created_at": words::time_json(key.created_at.as_ref()),
        "signing_at": words::time_json(key.signing_at.as_ref()),
        "retained_at": words::time_json(key.retained_at.as_ref()),
        "needed_until": words::time_json(key.needed_until.as_ref()),
        "shown": key.shown,
        "kek_id": key.kek_id,
    })
}
