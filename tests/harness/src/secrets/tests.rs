//! The search finds what it must, and nothing else.

use base64::engine::general_purpose::URL_SAFE;
use portcullis_types::{CredentialId, OpaqueKind, SystemEntropy};

use super::*;

fn find(content: &[u8]) -> Option<Found> {
    super::find(content, Search::default())
}

#[test]
fn a_secret_is_found_in_every_form_it_may_be_printed_in() {
    remember("a password", "hunter2 & hunter3");
    for leak in [
        "password=hunter2 & hunter3",
        "/login?password=hunter2%20%26%20hunter3",
        &format!("Basic {}", STANDARD.encode("hunter2 & hunter3")),
        &format!("{:?}", b"hunter2 & hunter3"),
    ] {
        let content = format!("one line\n{{\"message\":\"{leak}\"}}\n");
        assert_eq!(find(content.as_bytes()), Some(Found { what: "a password", line: 2 }), "{leak}");
    }
    assert_eq!(find(b"hunter2 and hunter3"), None);
}

#[test]
fn a_secret_is_found_in_base64_wherever_it_begins_and_ends() {
    remember("a client's secret", "a-secret-behind-an-id");
    for before in ["", "i", "id", "id:", "id2:"] {
        for after in ["", "!", "!!", "!!!"] {
            let pair = format!("{before}a-secret-behind-an-id{after}");
            for leak in [STANDARD.encode(&pair), URL_SAFE.encode(&pair)] {
                let found = find(format!("Basic {leak}").as_bytes());
                assert_eq!(found, Some(Found { what: "a client's secret", line: 1 }), "{pair}");
            }
        }
    }
    assert_eq!(find(STANDARD.encode("id:a-secret-beside-an-id").as_bytes()), None);
}

#[test]
fn a_private_key_is_found_by_its_form_and_by_the_number_in_it() {
    remember("a word", "that is known");
    let header = b"\x30\x81\x87\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04";
    let rest = b"\x6d\x30\x6b\x02\x01\x01\x04\x20";
    let der = [&header[..], rest, &[0xa7; 32], b"\xa1\x44"].concat();
    for leak in [STANDARD.encode(&der), format!("{der:?}"), "-----BEGIN EC PRIVATE KEY-----".to_owned()] {
        assert_eq!(find(leak.as_bytes()), Some(Found { what: "a private key", line: 1 }), "{leak}");
    }
    let number = format!("d: {:?}", [0xa7_u8; 32]);
    assert_eq!(find(number.as_bytes()), None, "nobody made it yet");
    remember_pem("the key of a server", &format!("-----BEGIN\n{}\n-----END\n", STANDARD.encode(&der)));
    assert_eq!(find(number.as_bytes()), Some(Found { what: "the key of a server", line: 1 }));
}

#[test]
fn a_code_is_found_as_a_text_and_not_within_a_number() {
    remember_code("418273");
    remember_code("abcd-efgh-ijkl-mnop");
    for leak in [r#"{"code":"418273"}"#, r#"{"message":"code \"418273\""}"#, "abcd-efgh-ijkl-mnop", "abcdefghijklmnop"]
    {
        assert_eq!(find(leak.as_bytes()), Some(Found { what: "a code", line: 1 }), "{leak}");
    }
    assert_eq!(find(br#"{"at":"12:00:00.418273Z","took":418273}"#), None);
}

#[test]
fn a_store_may_keep_the_hash_of_a_password_and_a_command_may_show_what_it_makes() {
    remember_hash("$2b$05$a-hash-of-the-test");
    remember_database("postgres://user:a-password-of-the-test@127.0.0.1/db");
    let (hash, url) = (b"$2b$05$a-hash-of-the-test", b"password: a-password-of-the-test");
    assert_eq!(find(hash), Some(Found { what: HASH, line: 1 }));
    assert_eq!(super::find(hash, Search { hashes: false, ..Search::default() }), None);
    let of_a_command = Search { unknown: false, ..Search::default() };
    assert!(super::find(url, of_a_command).is_some());
    let signed = format!("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.{}", "B".repeat(86));
    assert_eq!(super::find(signed.as_bytes(), of_a_command), None);
}

#[test]
fn a_credential_is_found_by_its_form_whoever_made_it() {
    let token = OpaqueToken::generate(OpaqueKind::Ticket, CredentialId::from_bytes([9; 16]), &SystemEntropy);
    let text = token.reveal().expose_str().expect("text").to_owned();
    assert!(find(format!("?ticket={text}&x").as_bytes()).is_some());
    assert_eq!(find(format!("?ticket={}&x", &text[..40]).as_bytes()), None, "an id and half a secret open nothing");
    let signed = format!("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.{}", "A".repeat(86));
    assert!(find(signed.as_bytes()).is_some());
    assert_eq!(find(b"eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0."), None, "without a signature it opens nothing");
}

#[test]
fn messages_headers_and_urls_give_away_what_is_secret_in_them() {
    remember_text(r#"{"outer":[{"refresh_token":"a-refresh-token-of-the-test"}],"name":"a-name-of-the-test"}"#);
    remember_header("Cookie", "theme=dark; session=a-cookie-of-the-test");
    remember_url("ws://x/y?ticket=a-ticket-of-the-test");
    remember_header("Authorization", &format!("Basic {}", STANDARD.encode("id:a-client-of-the-test")));
    remember_text(r#"{"recovery_codes":["qrst-uvwx-yz23-4567"]}"#);
    for secret in [
        "a-refresh-token-of-the-test",
        "a-cookie-of-the-test",
        "a-ticket-of-the-test",
        "a-client-of-the-test",
        "qrst-uvwx-yz23-4567",
    ] {
        assert!(find(secret.as_bytes()).is_some(), "{secret}");
    }
    assert_eq!(find(b"a-name-of-the-test"), None);
}
