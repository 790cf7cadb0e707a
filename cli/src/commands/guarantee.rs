//! `portcullis guarantee`.

use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::revocations_service_client::RevocationsServiceClient;
use portcullis_types::{Revision, Timestamp};
use serde_json::{Value, json};

use super::present;
use crate::authority::Authority;
use crate::failure::Failure;
use crate::print::{Printer, Report};
use crate::span;
use crate::table::View;
use crate::words;

pub(crate) async fn run(authority: &Authority, printer: &Printer) -> Result<(), Failure> {
    let answer = authority
        .call(v1::GetGuaranteeRequest {}, async |channel, request| {
            RevocationsServiceClient::new(channel).get_guarantee(request).await
        })
        .await?;
    let terms = present(answer.terms, "lease terms")?;
    let classes = classes(&terms);
    let mut view = vec![
        ("bound", format!("{}: whatever fails, no frame passes after that", span::millis_in_words(answer.bound_ms))),
        ("probes", format!("every {}", span::millis_in_words(answer.probe_interval_ms))),
    ];
    view.extend(classes.map(|class| (class.name, class.in_words())));
    let fork = answer.last_fork.as_ref().map(fork).transpose()?;
    if let Some(fork) = &fork {
        view.push(("log fork", fork.in_words()));
    }
    let json = json!({
        "last_fork": fork.as_ref().map(Fork::to_json),
        "bound_ms": answer.bound_ms,
        "probe_interval_ms": answer.probe_interval_ms,
        "classes": classes.map(Class::to_json),
    });
    printer.report(&Report { json, view: View::Fields(view) })
}

/// A sign that the log has lost a branch.
#[derive(Clone, Debug)]
struct Fork {
    gateway: String,
    cursor: String,
    at: Timestamp,
    count: u64,
}

fn fork(wire: &v1::LogFork) -> Result<Fork, Failure> {
    let cursor = present(wire.cursor, "cursor")?;
    let cursor = present(Revision::try_from(cursor).ok(), "readable cursor")?;
    let at = Timestamp::from_micros(wire.at_us);
    Ok(Fork { gateway: wire.gateway_id.clone(), cursor: cursor.to_string(), at, count: wire.count })
}

impl Fork {
    fn in_words(&self) -> String {
        let Self { gateway, cursor, count, .. } = self;
        let times = if *count == 1 { String::new() } else { format!(", the last of {count}") };
        format!(
            "{gateway} came at {} from {cursor}, which is not on this log{times}: a backup was restored or a failover \
             lost its tail; revoke again what was revoked since",
            words::timestamp(self.at),
        )
    }

    fn to_json(&self) -> Value {
        json!({ "gateway_id": self.gateway, "cursor": self.cursor, "at": words::timestamp(self.at), "count": self.count })
    }
}

#[derive(Clone, Copy, Debug)]
struct Class {
    name: &'static str,
    admitted_ms: i64,
    served_ms: i64,
    is_within_bound: bool,
}

fn classes(terms: &v1::LeaseTerms) -> [Class; 4] {
    let class = |name, admitted_ms, served_ms| {
        let is_within_bound = served_ms <= terms.bound_ms;
        Class { name, admitted_ms, served_ms, is_within_bound }
    };
    let held = terms.standard_ms.saturating_add(terms.hold_max_ms);
    [
        class("strict", terms.strict_ms, terms.strict_ms),
        class("standard", terms.standard_ms, terms.standard_ms),
        class("tolerant", terms.tolerant_ms, terms.tolerant_ms),
        class("hold", terms.standard_ms, held),
    ]
}

impl Class {
    fn in_words(self) -> String {
        let served = span::millis_in_words(self.served_ms);
        let held = match self.served_ms > self.admitted_ms {
            true => format!(", nobody new after {}", span::millis_in_words(self.admitted_ms)),
            false => String::new(),
        };
        let over = if self.is_within_bound { "" } else { "; longer than the bound, so refused" };
        format!("{served} without the authority{held}{over}")
    }

    fn to_json(self) -> Value {
        json!({
            "class": self.name,
            "admitted_ms": self.admitted_ms,
            "served_ms": self.served_ms,
            "within_bound": self.is_within_bound,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_says_how_long_it_is_and_whether_it_can_be_had() {
        let terms = v1::LeaseTerms {
            strict_ms: 5_000,
            standard_ms: 15_000,
            tolerant_ms: 60_000,
            hold_max_ms: 60_000,
            bound_ms: 60_000,
        };
        let words = classes(&terms).map(|class| class.in_words());
        assert_eq!(words[0], "5 s without the authority");
        assert_eq!(words[2], "1 min without the authority");
        assert_eq!(
            words[3],
            "1 min 15 s without the authority, nobody new after 15 s; longer than the bound, so refused"
        );
    }
}
