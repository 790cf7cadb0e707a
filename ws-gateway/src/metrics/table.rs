//! The documentation names every series, and no other.

use std::collections::BTreeSet;

use super::{CertificateLabel, ClassLabel, Code, Kind, Metrics, Reason, StateLabel};

#[test]
fn the_table_in_the_documentation_is_complete_and_true() {
    let metrics = Metrics::new();
    // A family is not there before it has a member.
    metrics.sockets.get_or_create(&Kind { kind: "" }).set(0);
    metrics.handshake("");
    metrics.limit("");
    metrics.closed.get_or_create(&Code { code: 0 }).inc();
    metrics.state.get_or_create(&StateLabel { state: "" }).set(0);
    for gauge in [&metrics.lease_remaining, &metrics.lease] {
        gauge.get_or_create(&ClassLabel { class: "" }).set(0.0);
    }
    metrics.frozen.get_or_create(&ClassLabel { class: "" }).set(0);
    metrics.resyncs.get_or_create(&Reason { reason: "" }).inc();
    metrics.certificate.get_or_create(&CertificateLabel { certificate: "" }).set(0.0);
    let text = metrics.encode();
    let is: BTreeSet<(String, String)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .filter(|(name, _)| name.starts_with("portcullis_gateway_"))
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect();
    let rows =
        include_str!("../../../docs/metrics.md").lines().filter_map(|line| line.strip_prefix("| `portcullis_gateway_"));
    let said: BTreeSet<(String, String)> = rows
        .map(|row| {
            let mut cells = row.split('|').map(str::trim);
            let name = format!("portcullis_gateway_{}", cells.next().unwrap_or_default().trim_end_matches('`'));
            (name, cells.next().unwrap_or_default().to_owned())
        })
        .collect();
    assert_eq!(said.difference(&is).collect::<Vec<_>>(), Vec::<&(String, String)>::new(), "said, and not there");
    assert_eq!(is.difference(&said).collect::<Vec<_>>(), Vec::<&(String, String)>::new(), "there, and not said");
}
