//! The session cookie: its one name, how it is set, cleared and read.

use auth_domain::SessionCredentials;
use http::{HeaderMap, HeaderValue, header};
use portcullis_types::Secret;

use super::problem::Problem;

/// `__Host-`: set by this host alone, for this host alone, over TLS alone.
const NAME: &str = "__Host-portcullis_session";
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax";

/// The header that sets it.
pub(super) fn set(value: &Secret, seconds: u64) -> Option<HeaderValue> {
    let text = format!("{NAME}={}; {ATTRIBUTES}; Max-Age={seconds}", value.expose_str()?);
    let mut header = HeaderValue::from_str(&text).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// The header that sets the cookie among these credentials, if there is one.
pub(super) fn of(credentials: &SessionCredentials) -> Result<Option<HeaderValue>, Problem> {
    match credentials {
        SessionCredentials::Tokens(_) => Ok(None),
        SessionCredentials::Cookie { value, expires_in } => {
            set(value, expires_in.as_secs()).map(Some).ok_or(Problem::Internal)
        }
    }
}

/// The header that clears it.
pub(super) fn clear() -> HeaderValue {
    HeaderValue::from_static("__Host-portcullis_session=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")
}

/// Its value in a request. Two of them are refused: one may have been planted. Other cookies may be any bytes.
pub(super) fn read(headers: &HeaderMap) -> Result<Option<Secret>, Problem> {
    let mut found = None;
    for header in headers.get_all(header::COOKIE) {
        for pair in header.as_bytes().split(|byte| *byte == b';') {
            let Some(value) = value_of(pair.trim_ascii()) else {
                continue;
            };
            if found.replace(Secret::new(value)).is_some() {
                return Err(Problem::TwoCredentials);
            }
        }
    }
    Ok(found)
}

fn value_of(pair: &[u8]) -> Option<&[u8]> {
    pair.strip_prefix(NAME.as_bytes())?.strip_prefix(b"=")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(lines: &[&'static str]) -> HeaderMap {
        lines.iter().map(|line| (header::COOKIE, HeaderValue::from_static(line))).collect()
    }

    #[test]
    fn the_cookie_is_bound_to_this_host_and_hidden_from_scripts() {
        let header = set(&Secret::from("sc_x"), 60).expect("it is a header");
        assert_eq!(
            header.to_str().expect("it is text"),
            "__Host-portcullis_session=sc_x; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=60"
        );
        assert!(clear().to_str().expect("it is text").starts_with(&format!("{NAME}=; {ATTRIBUTES}")));
    }

    #[test]
    fn the_value_is_found_among_others_and_two_are_refused() {
        let found = read(&cookies(&["a=b; __Host-portcullis_session=sc_x; c=d"]));
        assert_eq!(found, Ok(Some(Secret::from("sc_x"))));
        assert_eq!(read(&cookies(&["x__Host-portcullis_session=sc_x", "portcullis_session=1"])), Ok(None));
        let twice = cookies(&["__Host-portcullis_session=1", "__Host-portcullis_session=1"]);
        assert_eq!(read(&twice), Err(Problem::TwoCredentials));
    }

    #[test]
    fn a_foreign_cookie_of_any_bytes_does_not_hide_the_value() {
        let line = "name=Zoë; __Host-portcullis_session=sc_x; b=\u{1f36a}";
        let headers = [(header::COOKIE, HeaderValue::from_bytes(line.as_bytes()).expect("bytes are allowed"))];
        assert_eq!(read(&headers.into_iter().collect()), Ok(Some(Secret::from("sc_x"))));
    }
}
