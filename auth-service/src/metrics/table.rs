//! The documentation names every series, and no other.

use std::collections::BTreeSet;
use std::time::Duration;

use auth_domain::PoolUse;
use auth_domain::watch::Able;
use portcullis_types::GatewayId;

use super::{CertificateLabel, ClassLabel, Metrics};

#[test]
fn the_table_in_the_documentation_is_complete_and_true() {
    let metrics = Metrics::new();
    // A family is not there before it has a member.
    metrics.ended("", "");
    metrics.took("", Duration::ZERO);
    metrics.issuer_fetch("");
    metrics.verdict("", "");
    metrics.refused("");
    metrics.revocation("");
    metrics.answer("", 0, Duration::ZERO);
    drop(metrics.begin(""));
    metrics.watch_end("");
    metrics.pools(&[PoolUse { pool: "", busy: 0, idle: 0, most: 0, waiting: 0 }]);
    metrics.registrations("", 0);
    metrics.beat(true);
    metrics.removed("", 0, Duration::ZERO);
    metrics.lease.get_or_create(&ClassLabel { class: "" }).set(0.0);
    metrics.certificate_left.get_or_create(&CertificateLabel { certificate: "" }).set(0.0);
    let gateway = GatewayId::try_from("gateway-1").expect("a name");
    metrics.gateways.applied(&gateway, Duration::ZERO);
    metrics.gateways.closed(&gateway, Duration::ZERO);
    metrics.gateways.stand([Able { gateway: &gateway, applied: None, lease_left: Duration::ZERO }].into_iter(), 0);
    let text = metrics.encode();
    let is: BTreeSet<(String, String)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .filter(|(name, _)| name.starts_with("portcullis_auth_"))
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect();
    let rows =
        include_str!("../../../docs/metrics.md").lines().filter_map(|line| line.strip_prefix("| `portcullis_auth_"));
    let said: BTreeSet<(String, String)> = rows
        .map(|row| {
            let mut cells = row.split('|').map(str::trim);
            let name = format!("portcullis_auth_{}", cells.next().unwrap_or_default().trim_end_matches('`'));
            (name, cells.next().unwrap_or_default().to_owned())
        })
        .collect();
    assert_eq!(said.difference(&is).collect::<Vec<_>>(), Vec::<&(String, String)>::new(), "said, and not there");
    assert_eq!(is.difference(&said).collect::<Vec<_>>(), Vec::<&(String, String)>::new(), "there, and not said");
}
