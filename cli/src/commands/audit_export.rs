//! `portcullis audit export`.

use clap::Args;
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::audit_service_client::AuditServiceClient;
use serde_json::{Value, json};

use super::audit;
use crate::authority::Authority;
use crate::failure::Failure;
use crate::print::Printer;
use crate::words;

pub(super) const HELP: &str = "\
One line a row, in JSON whatever --output says, with the number of the seal that holds it; and before the rows of a seal
a line for the seal: its hash, and the digest of each row, so that what was removed elsewhere is missed there too. Rows
of the last seconds have no seal yet: the next export brings them again, with one. Where the authority has removed old rows
(retention.audit_days), a line says after which seal the trail begins: export before. Needs the scope audit and a key of the
system tenant.

Examples:
  portcullis audit export > trail.jsonl
  portcullis audit export --after-seal 4711 >> trail.jsonl";

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Only what is sealed after this seal, the last one that was written before.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after_seal: u64,
}

pub(crate) async fn run(args: &ExportArgs, authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let request = v1::ExportAuditRequest { after_seal: args.after_seal };
    let mut parts = authority
        .open(request, async |channel, request| AuditServiceClient::new(channel).export_audit(request).await)
        .await?;
    while let Some(part) = parts.message().await.map_err(|status| authority.failure(&status))? {
        lines(&part).iter().try_for_each(|line| printer.event(line, || format!("{line}\n")))?;
    }
    Ok(())
}

fn lines(part: &v1::ExportAuditResponse) -> Vec<Value> {
    let number = part.seal.as_ref().map(|seal| seal.number);
    let beginning = part.beginning.iter().map(|beginning| {
        let hash = hex(&beginning.hash);
        json!({ "begins_after": beginning.after_seal, "hash": hash, "vouched_for": beginning.vouched_for })
    });
    let seal = part.seal.iter().map(|seal| json!({ "seal": seal.number, "made": seal_json(seal) }));
    let rows = part.entries.iter().map(|entry| json!({ "seal": number, "row": audit::as_json(entry) }));
    beginning.chain(seal).chain(rows).collect()
}

fn seal_json(seal: &v1::AuditSeal) -> Value {
    let rows: Vec<Value> = seal.rows.iter().map(|row| json!({ "id": row.id, "digest": hex(&row.digest) })).collect();
    json!({
        "previous": hex(&seal.previous),
        "hash": hex(&seal.hash),
        "sealed_at": words::time_json(seal.sealed_at.as_ref()),
        "rows": rows,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_stands_before_its_rows_and_each_row_names_it() {
        let seal = v1::AuditSeal {
            number: 7,
            hash: vec![0xab; 32],
            rows: vec![v1::SealedRow { id: 3, digest: vec![1; 32] }],
            ..Default::default()
        };
        let entry = v1::AuditEntry { id: 3, action: "tenant.create".to_owned(), ..Default::default() };
        let part = v1::ExportAuditResponse { seal: Some(seal), entries: vec![entry.clone()], beginning: None };
        let written = lines(&part);
        assert_eq!((&written[0]["seal"], &written[0]["made"]["hash"]), (&json!(7), &json!("ab".repeat(32))));
        assert_eq!(written[0]["made"]["rows"][0]["digest"], json!("01".repeat(32)));
        assert_eq!((&written[1]["seal"], &written[1]["row"]["action"]), (&json!(7), &json!("tenant.create")));
        let waiting = lines(&v1::ExportAuditResponse { seal: None, entries: vec![entry], beginning: None });
        assert_eq!((waiting.len(), &waiting[0]["seal"]), (1, &Value::Null));
        let beginning = Some(v1::AuditBeginning { after_seal: 6, hash: vec![0xcd; 32], vouched_for: true });
        let begins = lines(&v1::ExportAuditResponse { beginning, ..Default::default() });
        assert_eq!(begins, [json!({ "begins_after": 6, "hash": "cd".repeat(32), "vouched_for": true })]);
    }
}
