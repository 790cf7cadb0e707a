//! The device cookie: by it, whoever comes back from another address is not slowed by the guesses of others.
//!
//! It opens nothing: it is no credential, and is neither asked for nor told of in an answer's body. Its value is random,
//! for this host and for one account, and another one once that account's password changes.

use auth_domain::KnownDevice;
use http::{HeaderMap, HeaderValue, header};
use portcullis_types::Secret;

use super::problem::Problem;

/// `__Host-`: set by this host alone, for this host alone, over TLS alone.
const NAME: &str = "__Host-portcullis_device";

/// The header that sets it.
pub(super) fn set(device: &KnownDevice) -> Result<HeaderValue, Problem> {
    let KnownDevice { value, expires_in } = device;
    let (value, seconds) = (value.expose_str().ok_or(Problem::Internal)?, expires_in.as_secs());
    let text = format!("{NAME}={value}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={seconds}");
    let mut header = HeaderValue::from_str(&text).map_err(|_| Problem::Internal)?;
    header.set_sensitive(true);
    Ok(header)
}

/// Its value in a request. Of two, one may have been planted: then there is none.
pub(super) fn read(headers: &HeaderMap) -> Option<Secret> {
    let pairs = headers.get_all(header::COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let mut values = pairs.filter_map(|pair| pair.trim_ascii().strip_prefix(NAME.as_bytes())?.strip_prefix(b"="));
    match (values.next(), values.next()) {
        (Some(value), None) => Some(Secret::new(value)),
        (None, _) | (_, Some(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_cookie_is_bound_to_this_host_and_hidden_from_scripts() {
        let device = KnownDevice { value: Secret::from("dv_x"), expires_in: Duration::from_secs(60) };
        assert_eq!(
            set(&device).expect("it is a header").to_str().expect("it is text"),
            "__Host-portcullis_device=dv_x; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=60"
        );
    }

    #[test]
    fn of_two_values_none_is_read() {
        let cookies = |lines: &[&'static str]| -> HeaderMap {
            lines.iter().map(|line| (header::COOKIE, HeaderValue::from_static(line))).collect()
        };
        let one = read(&cookies(&["a=b; __Host-portcullis_device=dv_x; c=d"]));
        assert_eq!(one, Some(Secret::from("dv_x")));
        assert_eq!(read(&cookies(&["__Host-portcullis_device=1", "__Host-portcullis_device=2"])), None);
        assert_eq!(read(&cookies(&["portcullis_device=1; x__Host-portcullis_device=2"])), None);
    }
}
