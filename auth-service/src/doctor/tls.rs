//! The certificate of the gRPC listener: whether gateways can connect with it, now and for how long, and who may read its key.

use std::sync::Arc;

use portcullis_types::{CertificateStanding, Clock};

use super::report::{Report, Severity};
use crate::config::Config;
use crate::tailer::SourceText as _;
use crate::tls::{self, TlsError};

const CHECK: &str = "grpc.tls";

pub(super) fn examine(config: &Config, clock: &Arc<dyn Clock>, report: &mut Report) {
    let Some(files) = &config.grpc.tls else {
        return report.good(CHECK, "none: gRPC is spoken in the clear on this machine");
    };
    let gateways = "otherwise gateways cannot connect again, and what they serve freezes when its leases end";
    match tls::check(files, clock) {
        Ok(standing @ CertificateStanding::EndsSoon(_)) => {
            let mend = format!("exchange {}: {gateways}", files.cert_file.display());
            report.bad(CHECK, Severity::Warning, standing.to_string(), mend);
        }
        Ok(standing) => report.good(CHECK, format!("{standing}, and its key belongs to it and is private")),
        Err(error @ TlsError::OpenToAll { .. }) => {
            let mend = format!("chmod 600 {}; who read it meanwhile has it", files.key_file.display());
            report.bad(CHECK, Severity::Error, error.to_string(), mend);
        }
        Err(error) => {
            let finding = format!("{error}: {}", error.source_text()).trim_end_matches(": ").to_owned();
            let mend = format!("put a pair that belongs together and is good in place (docs/tls.md): {gateways}");
            report.bad(CHECK, Severity::Error, finding, mend);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::time::Duration;

    use portcullis_types::{ManualClock, Timestamp};
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;
    use crate::config::Tls;

    /// 1 January 2030.
    const START: Timestamp = Timestamp::from_unix_seconds(1_893_456_000);
    const DAY: Duration = Duration::from_secs(86_400);

    /// The files of a certificate that is good in 2030.
    fn issue(folder: &Path) -> Tls {
        let files = Tls { cert_file: folder.join("cert.pem"), key_file: folder.join("key.pem"), client_ca_file: None };
        let key = KeyPair::generate().expect("makes a key");
        let mut params = CertificateParams::new(vec!["authority.test".to_owned()]).expect("a valid name");
        (params.not_before, params.not_after) = (date_time_ymd(2030, 1, 1), date_time_ymd(2031, 1, 1));
        fs::write(&files.cert_file, params.self_signed(&key).expect("is signed").pem()).expect("it can be written");
        fs::write(&files.key_file, key.serialize_pem()).expect("it can be written");
        fs::set_permissions(&files.key_file, fs::Permissions::from_mode(0o600)).expect("it is ours");
        files
    }

    /// How bad it is after so many days, and what is said.
    fn after(config: &Config, days: u32) -> (Severity, String) {
        let mut report = Report::default();
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::starting_at(START + DAY * days));
        examine(config, &clock, &mut report);
        (report.worst(), report.text(crate::doctor::Output::Table))
    }

    #[test]
    fn a_certificate_is_examined_by_its_dates_its_key_and_who_may_read_that() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let mut config = Config::default();
        assert_eq!(after(&config, 1).0, Severity::Ok, "gRPC in the clear");
        let files = issue(folder.path());
        config.grpc.tls = Some(files.clone());
        for (days, worst, says) in [
            (1, Severity::Ok, "good for 364 days"),
            (360, Severity::Warning, "ends in 5 days"),
            (395, Severity::Error, "over since 30 days"),
        ] {
            let (found, said) = after(&config, days);
            assert!(found == worst && said.contains(says), "{days}: {said}");
        }
        fs::set_permissions(&files.key_file, fs::Permissions::from_mode(0o644)).expect("it is ours");
        let (worst, said) = after(&config, 1);
        assert!(worst == Severity::Error && said.contains("chmod 600"), "{said}");
        let other = tempfile::tempdir().expect("a folder for the test");
        fs::copy(issue(other.path()).key_file, &files.key_file).expect("it can be written");
        let (worst, said) = after(&config, 1);
        assert!(worst == Severity::Error && said.contains("do not belong together"), "{said}");
        fs::remove_file(&files.cert_file).expect("it is there");
        let (worst, said) = after(&config, 1);
        assert!(worst == Severity::Error && said.contains("cert.pem"), "{said}");
    }
}
