//! Documents that are the same for everybody, and that caches may keep: with a strong validator (RFC 9110, 8.8.3).

use std::fmt::Write as _;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};

/// The document, or that the asker has it already.
pub(super) fn document(asked: &HeaderMap, body: Bytes, max_age: Duration) -> Response {
    let etag = etag_of(&body);
    let mut response = if has_it(asked, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], Body::from(body)).into_response()
    };
    let headers = response.headers_mut();
    let cache = format!("public, max-age={}", max_age.as_secs());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_str(&cache).expect("digits are text"));
    headers.insert(header::ETAG, etag);
    response
}

fn etag_of(body: &[u8]) -> HeaderValue {
    let mut text = String::from("\"");
    for byte in &Sha256::digest(body)[..12] {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
    }
    text.push('"');
    HeaderValue::from_str(&text).expect("hexadecimal digits in quotes are text")
}

/// Weak comparison, as `If-None-Match` asks for (RFC 9110, 13.1.2).
fn has_it(asked: &HeaderMap, etag: &HeaderValue) -> bool {
    let lines = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    let mut tags = lines.flat_map(|line| line.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(tags: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(tags))])
    }

    #[test]
    fn whoever_has_the_document_is_not_sent_it_again() {
        let answer = |asked: &HeaderMap, body: &'static str| document(asked, body.into(), Duration::from_secs(60));
        let first = answer(&HeaderMap::new(), "{}");
        let etag = first.headers()[header::ETAG].to_str().expect("text").to_owned();
        assert_eq!(etag, "\"44136fa355b3678a1146ad16\"");
        assert_eq!(first.headers()[header::CACHE_CONTROL], "public, max-age=60");
        for tags in ["\"44136fa355b3678a1146ad16\"", "\"x\", W/\"44136fa355b3678a1146ad16\"", "*"] {
            let again = answer(&asked(tags), "{}");
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{tags}");
            assert_eq!(again.headers()[header::ETAG], *etag, "{tags}");
            assert!(!again.headers().contains_key(header::CONTENT_TYPE), "{tags}");
        }
        assert_eq!(answer(&asked("\"x\""), "{}").status(), StatusCode::OK);
        assert_eq!(answer(&asked("\"44136fa355b3678a1146ad16\""), "{ }").status(), StatusCode::OK, "it has changed");
    }
}
