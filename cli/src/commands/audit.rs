//! `portcullis audit`.

use clap::{Args, Subcommand, ValueEnum};
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::audit_service_client::AuditServiceClient;
use portcullis_types::{AuditAnchor, AuditCheck, AuditFinding, AuditRow, AuditSeal, SealedRow, Timestamp};
use serde_json::{Value, json};
use tonic::Streaming;

use super::audit_export::{self, ExportArgs};
use crate::authority::Authority;
use crate::failure::Failure;
use crate::instant::{self, Instant};
use crate::paging::{self, LimitArgs, Shown};
use crate::print::{Printer, Report};
use crate::reference;
use crate::table::View;
use crate::words;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Reads who did what in a tenant, newest first.
    #[command(after_help = LIST_HELP)]
    List(ListArgs),
    /// Checks the whole trail: finds what was removed, altered, added or put elsewhere.
    #[command(after_help = VERIFY_HELP)]
    Verify(VerifyArgs),
    /// Writes the whole trail as JSON lines, oldest first, for a store of logs elsewhere.
    #[command(after_help = audit_export::HELP)]
    Export(ExportArgs),
}

const LIST_HELP: &str = "\
Examples:
  portcullis audit list --tenant demo --since 24h
  portcullis audit list --tenant demo --action 'session.*' --limit 20
  portcullis audit list --tenant demo --outcome denied
  portcullis audit list --tenant demo --name alice --action 'session.*'
  portcullis audit list --tenant demo --identity 0192f0c1-2345-7abc-8def-0123456789ab
  portcullis audit list --tenant demo --target role:operator

A * at the end of an actor or an action stands for any rest. --identity and --name find what concerns somebody: also
sessions and keys that are long gone. Whoever was deleted has no name any more, and is found by id. With --output json
each row says more: what exactly was done, and from which address.";

const VERIFY_HELP: &str = "\
Every row is hashed here again and compared with the seals, so the authority is not believed. What lies beyond the last
seal cannot be missed by looking at what is there: note the anchor that this prints, elsewhere, and give it next time.
Rows of the last seconds have no seal yet. Needs the scope audit and a key of the system tenant.

Where the authority removes old rows (retention.audit_days), the trail begins after the last seal that was removed, and this
says so. The authority's key-encryption key vouches for that seal: whoever can write the database alone cannot have the
trail begin later by itself. A noted anchor from before the beginning cannot be compared, and that is a finding: a trail
that was made again and then removed looks the same. What an authority removes by its rules is never an anchor that was
noted less than audit_days ago. So note the anchor more often than that, daily for example.

Examples:
  portcullis audit verify
  portcullis audit verify --only anchor > anchor.txt
  portcullis audit verify --anchor \"$(cat anchor.txt)\"

Exit codes: 0 nothing was found, 1 something was.";

/// How what was asked ended.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Outcome {
    /// It was done.
    Done,
    /// The caller was not allowed to.
    Denied,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// Only from this time on: 2026-07-01T12:00:00Z, or how long ago: 24h.
    #[arg(long, value_name = "TIME", value_parser = instant::parse)]
    since: Option<Instant>,
    /// Only before this time.
    #[arg(long, value_name = "TIME", value_parser = instant::parse)]
    until: Option<Instant>,
    /// Only by this actor.
    #[arg(long, default_value = "", hide_default_value = true)]
    actor: String,
    /// Only this action, such as session.revoke.
    #[arg(long, default_value = "", hide_default_value = true)]
    action: String,
    /// Only to this target, such as session:<id>.
    #[arg(long, default_value = "", hide_default_value = true)]
    target: String,
    /// Only what concerns this identity, by its id.
    #[arg(long, value_name = "ID", conflicts_with = "name")]
    identity: Option<String>,
    /// Only what concerns this identity, by its name.
    #[arg(long)]
    name: Option<String>,
    /// Only what ended so.
    #[arg(long, value_enum)]
    outcome: Option<Outcome>,
    #[command(flatten)]
    limit: LimitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// A seal that was noted elsewhere: the trail must still hold it.
    #[arg(long, value_name = "NUMBER-HASH")]
    anchor: Option<AuditAnchor>,
}

pub(crate) async fn run(command: AuditCommand, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    match command {
        AuditCommand::List(args) => list(&args, authority, printer).await,
        AuditCommand::Verify(args) => verify(&args, authority, printer).await,
        AuditCommand::Export(args) => audit_export::run(&args, authority, printer).await,
    }
}

async fn list(args: &ListArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let outcome = match args.outcome {
        None => v1::AuditOutcome::Unspecified,
        Some(Outcome::Done) => v1::AuditOutcome::Done,
        Some(Outcome::Denied) => v1::AuditOutcome::Denied,
    };
    let identity = reference::maybe_identity(&args.tenant, args.identity.as_deref(), args.name.as_deref())?;
    let listing = paging::read(args.limit.limit, async |page_size, page_token| {
        let request = v1::ListAuditEntriesRequest {
            tenant: args.tenant.clone(),
            page_size,
            page_token,
            since: args.since.map(|at| at.0),
            until: args.until.map(|at| at.0),
            actor: args.actor.clone(),
            action: args.action.clone(),
            target: args.target.clone(),
            outcome: outcome.into(),
            identity: identity.clone(),
        };
        let page = authority
            .call(request, async |channel, request| AuditServiceClient::new(channel).list_audit_entries(request).await)
            .await?;
        Ok((page.entries, page.next_page_token))
    })
    .await?;
    let shown = Shown {
        name: "entries",
        columns: &["at", "action", "target", "identity", "outcome", "reason", "actor", "address"],
        empty: "There are no such rows.",
        row,
        json: as_json,
    };
    listing.report(&shown, printer)
}

fn row(entry: &v1::AuditEntry) -> Vec<String> {
    let (at, outcome) = (words::time(entry.at.as_ref()), words::audit_outcome(entry.outcome));
    let (action, target, whose) = (entry.action.clone(), entry.target.clone(), entry.identity_id.clone());
    vec![at, action, target, whose, outcome, entry.reason.clone(), entry.actor.clone(), entry.address.clone()]
}

pub(super) fn as_json(entry: &v1::AuditEntry) -> Value {
    json!({
        "id": entry.id,
        "at": words::time_json(entry.at.as_ref()),
        "tenant": entry.tenant,
        "actor": entry.actor,
        "action": entry.action,
        "target": entry.target,
        "outcome": words::audit_outcome(entry.outcome),
        "reason": entry.reason,
        "request_id": entry.request_id,
        "identity_id": entry.identity_id,
        "detail": serde_json::from_str(&entry.detail).unwrap_or(Value::Null),
        "address": entry.address,
    })
}

/// What a check came to.
#[derive(Default)]
struct Checked {
    seals: u64,
    sealed: usize,
    waiting: usize,
    findings: Vec<AuditFinding>,
    last: Option<AuditAnchor>,
    begins_after: Option<AuditAnchor>,
}

async fn verify(args: &VerifyArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let request = v1::ExportAuditRequest { after_seal: 0 };
    let parts = authority
        .open(request, async |channel, request| AuditServiceClient::new(channel).export_audit(request).await)
        .await?;
    let checked = check(parts, args.anchor, authority).await?;
    let findings: Vec<String> = checked.findings.iter().map(sentence).collect();
    let anchor = checked.last.map_or_else(String::new, |anchor| anchor.to_string());
    let begins = checked.begins_after.map(|anchor| anchor.to_string());
    let mut fields = vec![
        (
            "begins after",
            begins.clone().map_or_else(|| "nothing: no row was removed".to_owned(), |seal| format!("seal {seal}")),
        ),
        ("seals", checked.seals.to_string()),
        ("sealed rows", checked.sealed.to_string()),
        ("without a seal yet", checked.waiting.to_string()),
        ("anchor", anchor.clone()),
    ];
    fields.extend(findings.iter().map(|finding| ("found", finding.clone())));
    if findings.is_empty() {
        fields.push(("found", "nothing wrong".to_owned()));
    }
    let json = json!({
        "begins_after": begins,
        "seals": checked.seals,
        "sealed_rows": checked.sealed,
        "waiting_rows": checked.waiting,
        "anchor": anchor,
        "findings": findings,
    });
    printer.report(&Report { json, view: View::Fields(fields) })?;
    if findings.is_empty() { Ok(()) } else { Err(Failure::Denied) }
}

async fn check(
    mut parts: Streaming<v1::ExportAuditResponse>,
    noted: Option<AuditAnchor>,
    authority: &Authority,
) -> Result<Checked, Failure> {
    let mut check = AuditCheck::from_the_beginning(noted);
    let mut checked = Checked::default();
    while let Some(part) = parts.message().await.map_err(|status| authority.failure(&status))? {
        let rows: Vec<SealedRow> = part.entries.iter().map(digest).collect();
        match (part.seal, part.beginning) {
            (Some(seal), _) => {
                checked.findings.extend(check.next(&seal_of(seal)?, &rows));
                checked.seals += 1;
                checked.sealed += rows.len();
            }
            (None, Some(beginning)) => {
                let seal = AuditAnchor { number: beginning.after_seal, hash: hash_of(beginning.hash)? };
                checked.findings.extend(check.begin_after(seal, beginning.vouched_for, &rows));
            }
            (None, None) => checked.waiting += rows.len(),
        }
    }
    checked.findings.extend(check.end());
    (checked.last, checked.begins_after) = (check.last(), check.begins_after());
    Ok(checked)
}

fn digest(entry: &v1::AuditEntry) -> SealedRow {
    let row = AuditRow {
        id: entry.id,
        at: micros(entry.at.as_ref()),
        tenant: &entry.tenant,
        actor: &entry.actor,
        action: &entry.action,
        target: &entry.target,
        outcome: &words::audit_outcome(entry.outcome),
        reason: &entry.reason,
        request: &entry.request_id,
        identity: &entry.identity_id,
        detail: &entry.detail,
        address: &entry.address,
    };
    row.sealed()
}

fn hash_of(bytes: Vec<u8>) -> Result<[u8; 32], Failure> {
    bytes.try_into().map_err(|_| Failure::Log {
        what: "a hash of the audit trail does not have 32 bytes".to_owned(),
        next: "compare the versions of the authority and of this program".to_owned(),
    })
}

fn seal_of(seal: v1::AuditSeal) -> Result<AuditSeal, Failure> {
    let row = |row: v1::SealedRow| Ok(SealedRow { id: row.id, digest: hash_of(row.digest)? });
    Ok(AuditSeal {
        number: seal.number,
        previous: hash_of(seal.previous)?,
        sealed_at: micros(seal.sealed_at.as_ref()),
        rows: seal.rows.into_iter().map(row).collect::<Result<_, Failure>>()?,
        hash: hash_of(seal.hash)?,
    })
}

fn micros(at: Option<&prost_types::Timestamp>) -> Timestamp {
    let micros = |at: &prost_types::Timestamp| at.seconds.saturating_mul(1_000_000) + i64::from(at.nanos / 1_000);
    Timestamp::from_micros(at.map_or(0, micros))
}

fn sentence(finding: &AuditFinding) -> String {
    match finding {
        AuditFinding::SealsMissing { from, before } => format!("seal {from} is missing: seal {before} came instead"),
        AuditFinding::SealAltered { seal } => format!("seal {seal} was altered: its hash is not that of its content"),
        AuditFinding::SealForked { seal } => format!("seal {seal} was not made after the seal before it"),
        AuditFinding::AnchorMissed { seal } => format!("seal {seal} is not the one that was noted"),
        AuditFinding::Truncated { noted, last } => {
            format!("the trail was cut off: it ends at seal {last}, and seal {noted} was noted")
        }
        AuditFinding::AnchorGone { noted, begins_after } => format!(
            "seal {noted} was noted and is gone: the trail begins after seal {begins_after}. Where it was noted less than \
             retention.audit_days ago, no rule removed it"
        ),
        AuditFinding::BeginningForged { seal } => format!(
            "the trail is said to begin after seal {seal}, and no key-encryption key vouches for that: seals may be gone"
        ),
        AuditFinding::RowRemoved { seal, row } => format!("row {row} was removed; it is in seal {seal}"),
        AuditFinding::RowAltered { seal, row } => format!("row {row} was altered; its digest is in seal {seal}"),
        AuditFinding::RowAdded { seal, row } => format!("row {row} was added; it is not in seal {seal}"),
    }
}
