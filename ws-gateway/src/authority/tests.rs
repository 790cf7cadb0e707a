use std::path::Path;
use std::sync::Arc;

use portcullis_types::{CredentialId, ManualClock, SeededEntropy, SystemClock};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use serde_json::json;
use tonic::Code;

use super::*;

type Ca = CertifiedIssuer<'static, KeyPair>;

fn authority_of_certificates() -> Ca {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ca::self_signed(params, KeyPair::generate().expect("makes a key")).expect("signs itself")
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("it can be written");
}

/// A certificate for the gateway, and its key.
fn issue(folder: &Path, by: &Ca) {
    let key = KeyPair::generate().expect("makes a key");
    let params = CertificateParams::new(vec!["gateway.internal".to_owned()]).expect("a valid name");
    write(folder, "own.pem", &params.signed_by(&key, by).expect("is signed").pem());
    write(folder, "own.key", &key.serialize_pem());
}

fn new_key(folder: &Path, seed: u64) -> String {
    let entropy = SeededEntropy::new(seed);
    let token = OpaqueToken::generate(OpaqueKind::ApiKey, CredentialId::from_bytes([1; 16]), &entropy);
    let text = token.reveal().expose_str().expect("text").to_owned();
    write(folder, "api.key", &text);
    format!("Bearer {text}")
}

fn config(folder: &Path) -> AuthorityConfig {
    let file = |name: &str| folder.join(name);
    let config = json!({
        "endpoint": "https://auth.internal:7700",
        "ca_file": file("ca.pem"),
        "client_cert_file": file("own.pem"),
        "client_key_file": file("own.key"),
        "api_key_file": file("api.key"),
    });
    serde_json::from_value(config).expect("it is one")
}

impl Authority {
    fn sent(&self) -> String {
        let key = self.key.read().expect("no panic held it").clone();
        key.expect("there is one").to_str().expect("ASCII").to_owned()
    }
}

#[tokio::test]
async fn authorities_that_nobody_is_among_are_no_reason_to_give_up_good_lines() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (path, ca) = (folder.path(), authority_of_certificates());
    let next = authority_of_certificates().pem();
    issue(path, &ca);
    new_key(path, 1);
    let (half, own) = (&next[..next.len() / 2], std::fs::read_to_string(path.join("own.pem")).expect("text"));
    let not_one = "-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n";
    let broken = ["", "no certificate", half, not_one];
    for text in broken {
        write(path, "ca.pem", text);
        let refused = Authority::new(&config(path), Arc::new(SystemClock)).expect_err("nobody could be vouched for");
        assert!(matches!(refused, AuthorityError::Authorities { .. }), "{text}: {refused}");
    }
    write(path, "ca.pem", &ca.pem());
    let line = Authority::new(&config(path), Arc::new(SystemClock)).expect("the files are good");
    for text in broken {
        write(path, "ca.pem", text);
        assert!(matches!(line.look(), Err(AuthorityError::Authorities { .. })), "{text}");
    }
    let first = line.generation();
    write(path, "ca.pem", &ca.pem());
    line.look().expect("they are good");
    assert_eq!(line.generation(), first, "the lines are those of before");
    write(path, "ca.pem", &format!("{}{next}", ca.pem()));
    line.look().expect("they are good");
    assert_ne!(line.generation(), first, "another authority means other lines");
    write(path, "own.key", &own);
    assert!(matches!(line.look(), Err(AuthorityError::Tls(_))), "the authorities are not what is wrong");
}

#[tokio::test]
async fn a_new_key_is_taken_up_beside_a_broken_certificate_and_the_other_way_round() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (path, ca) = (folder.path(), authority_of_certificates());
    write(path, "ca.pem", &ca.pem());
    issue(path, &ca);
    let first = new_key(path, 1);
    let line = Arc::new(Authority::new(&config(path), Arc::new(SystemClock)).expect("the files are good"));
    assert_eq!(line.sent(), first);
    write(path, "own.pem", "");
    let second = new_key(path, 2);
    line.reload().await.expect_err("the certificate is broken");
    assert_eq!(line.sent(), second);
    issue(path, &ca);
    write(path, "api.key", "no key");
    line.reload().await.expect_err("the key is broken");
    assert_eq!(line.sent(), second, "the last good one stays");
    let taken_up = line.generation();
    line.look().expect("they are good");
    assert_eq!(line.generation(), taken_up, "the new certificate was taken up");
}

#[tokio::test]
async fn a_certificate_that_nobody_takes_is_refused_before_a_start_and_told_at_one() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (path, ca, key) = (folder.path(), authority_of_certificates(), KeyPair::generate().expect("makes a key"));
    let mut params = CertificateParams::new(vec!["gateway.internal".to_owned()]).expect("a valid name");
    (params.not_before, params.not_after) = (date_time_ymd(2030, 1, 1), date_time_ymd(2031, 1, 1));
    write(path, "ca.pem", &ca.pem());
    write(path, "own.pem", &params.signed_by(&key, &ca).expect("is signed").pem());
    write(path, "own.key", &key.serialize_pem());
    new_key(path, 1);
    let (start, day) = (Timestamp::from_unix_seconds(1_893_456_000), Duration::from_secs(86_400));
    assert!(check(&config(path), start + day).is_ok());
    for (at, says) in [(start.saturating_sub(day), "not good before 24 hours"), (start + 395 * day, "over since 30")] {
        let refused = check(&config(path), at).expect_err("nobody takes it").to_string();
        assert!(refused.contains(says) && refused.contains("own.pem"), "{refused}");
    }
    let clock = Arc::new(ManualClock::starting_at(start + 395 * day));
    let line = Authority::new(&config(path), clock).expect("a start is no better without it");
    let left = line.certificate_seconds_left().expect("one is shown");
    assert!((left + 30.0 * 86_400.0).abs() < 1e-6, "{left}");
    issue(path, &ca);
    line.look().expect("they are good");
    assert!(line.certificate_seconds_left().is_some_and(|left| left > 0.0), "the new one is taken up");
    write(path, "api.key", "no key");
    assert!(matches!(check(&config(path), start), Err(AuthorityError::NotAKey { .. })));
}

#[test]
fn a_line_that_broke_is_told_apart_from_an_answer_of_the_same_code() {
    for code in [Code::Internal, Code::ResourceExhausted, Code::PermissionDenied] {
        let answer = failed(Status::new(code, "said by the authority"));
        assert!(!answer.is_about_the_line(), "{code:?}");
        let mut status = Status::new(code, "protocol error");
        status.set_source(Arc::new(std::io::Error::other("a frame of an invalid size")));
        let broken = failed(status);
        assert!(broken.is_about_the_line() && !broken.is_about_the_call(), "{code:?}");
    }
}
