//! What the machine gives: room on the disk, ports, open files.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use rustix::fs::statvfs;
use rustix::process::{Resource, getrlimit};

use super::report::{Report, Severity};
use crate::config::Config;

const MEBI: u64 = 1 << 20;
/// Below this a burst of revocations may not be written.
const LEAST_ROOM: u64 = 64 * MEBI;
const LITTLE_ROOM: u64 = 1_024 * MEBI;
/// Connections to the store, and what else is open.
const OTHER_FILES: u64 = 512;

pub(super) fn disk(config: &Config, report: &mut Report) {
    // A directory that is not there yet will be on its parent's file system.
    let exists = config.data_dir.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let Ok(found) = statvfs(exists) else {
        let mend = "look whether its file system is mounted";
        return report.bad("disk", Severity::Warning, "how much is free cannot be read", mend);
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let finding = format!("{} MiB are free", free / MEBI);
    let mend = "make room, or move the data directory: without room nothing can be revoked";
    match free {
        ..LEAST_ROOM => report.bad("disk", Severity::Error, finding, mend),
        LEAST_ROOM..LITTLE_ROOM => report.bad("disk", Severity::Warning, finding, mend),
        _ => report.good("disk", finding),
    }
}

pub(super) fn files(config: &Config, report: &mut Report) {
    let connections = config.grpc.limits.connections + config.http.limits.connections;
    let enough = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    match getrlimit(Resource::Nofile).current {
        Some(most) if most < enough => {
            let mend = format!("raise the limit (LimitNOFILE, ulimit -n) to {enough} or more");
            report.bad("open files", Severity::Warning, format!("at most {most}"), mend);
        }
        Some(most) => report.good("open files", format!("at most {most}")),
        None => report.good("open files", "without a limit"),
    }
}

/// Ports are free, or taken by the process that serves.
pub(super) fn ports(config: &Config, served: bool, report: &mut Report) {
    let all = [
        ("grpc.listen", Some(config.grpc.listen)),
        ("http.listen", Some(config.http.listen)),
        ("metrics.listen", config.metrics.listen),
    ];
    for (key, address) in all {
        if let Some(address) = address {
            port(key, address, served, report);
        }
    }
}

/// Somebody can read the figures, and not everybody.
pub(super) fn metrics(config: &Config, report: &mut Report) {
    let is_public = config.http.is_public();
    match (config.metrics.beside(is_public), config.metrics.listen) {
        (true, _) if is_public => {
            let mend = "set `metrics.listen` to an address that only your scraper reaches";
            report.bad("metrics", Severity::Warning, "whoever reaches `http.listen` reads them", mend);
        }
        (true, _) => report.good("metrics", "at /metrics of `http.listen`"),
        (false, Some(address)) => report.good("metrics", format!("at /metrics of {address}")),
        (false, None) => {
            let mend = "set `metrics.listen`: the HTTP listener does not show them, because others reach it";
            report.bad("metrics", Severity::Warning, "nobody can read them", mend);
        }
    }
}

fn port(key: &'static str, address: SocketAddr, served: bool, report: &mut Report) {
    match (TcpListener::bind(address), served) {
        (Ok(_), _) => report.good(key, format!("{address} is free")),
        (Err(_), true) => report.good(key, format!("{address} is taken, and the service runs")),
        (Err(error), false) => {
            let mend = format!("change `{key}`, or stop what uses it");
            report.bad(key, Severity::Error, format!("{address}: {error}"), mend);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_that_nobody_or_everybody_reads_are_warned_of() {
        let worst = |config: &Config| {
            let mut report = Report::default();
            metrics(config, &mut report);
            report.worst()
        };
        let mut config = Config::default();
        assert_eq!(worst(&config), Severity::Ok);
        config.http.behind_tls_proxy = true;
        assert_eq!(worst(&config), Severity::Warning, "nobody");
        config.metrics.exposed = true;
        assert_eq!(worst(&config), Severity::Warning, "everybody");
        config.metrics.listen = Some(SocketAddr::from(([127, 0, 0, 1], 9464)));
        assert_eq!(worst(&config), Severity::Ok);
    }

    #[test]
    fn a_port_that_somebody_else_has_is_an_error_and_one_of_ours_is_none() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = taken.local_addr().expect("it is bound");
        let worst = |served| {
            let mut report = Report::default();
            port("grpc.listen", address, served, &mut report);
            report.worst()
        };
        assert_eq!((worst(false), worst(true)), (Severity::Error, Severity::Ok));
    }
}
