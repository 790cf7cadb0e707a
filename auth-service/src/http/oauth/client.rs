//! Which service asks, by the id and the secret of a client (RFC 6749, 2.3.1): in the header, or in the form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use portcullis_types::{CredentialId, OpaqueKind, OpaqueToken, Secret};

use super::Refused;

/// The API key that was presented as a client's secret, under its own id. Whether it is good is not looked at.
pub(super) fn key(headers: &HeaderMap, id: Option<&str>, secret: Option<Secret>) -> Result<Secret, Refused> {
    let (id, secret) = match (basic(headers)?, secret) {
        (Some(_), Some(_)) => return Err(Refused::InvalidRequest("a client authenticates in one way")),
        (Some((named, secret)), None) => {
            if id.is_some_and(|id| id != named) {
                return Err(Refused::InvalidRequest("the form names another client than the header"));
            }
            (named, secret)
        }
        (None, Some(secret)) => (id.ok_or(Refused::InvalidClient)?.to_owned(), secret),
        (None, None) => return Err(Refused::InvalidClient),
    };
    let token = secret.expose_str().and_then(|text| OpaqueToken::parse(text).ok()).ok_or(Refused::InvalidClient)?;
    let own = CredentialId::try_from(id.as_str()).is_ok_and(|id| id == token.id);
    if token.kind == OpaqueKind::ApiKey && own { Ok(secret) } else { Err(Refused::InvalidClient) }
}

/// The id and the secret of `Authorization: Basic`.
fn basic(headers: &HeaderMap) -> Result<Option<(String, Secret)>, Refused> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refused::InvalidRequest("a client authenticates in one way"));
    }
    let pair = value.to_str().ok().and_then(|text| text.split_once(' '));
    let (scheme, pair) = pair.ok_or(Refused::InvalidClient)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(Refused::InvalidClient);
    }
    let pair = STANDARD.decode(pair.trim()).map(Secret::new).map_err(|_| Refused::InvalidClient)?;
    let (id, secret) = pair.expose_str().and_then(|text| text.split_once(':')).ok_or(Refused::InvalidClient)?;
    Ok(Some((decoded(id)?, Secret::from(decoded(secret)?))))
}

/// Both are encoded as a form's values are before they are put together.
fn decoded(text: &str) -> Result<String, Refused> {
    let mut parts = form_urlencoded::parse(text.as_bytes());
    match (parts.next(), parts.next()) {
        (Some((value, rest)), None) if rest.is_empty() => Ok(value.into_owned()),
        _ => Err(Refused::InvalidClient),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use portcullis_types::SeededEntropy;

    use super::*;

    fn headers(values: &[String]) -> HeaderMap {
        let value = |value: &String| HeaderValue::try_from(value).expect("it is ASCII");
        values.iter().map(|text| (header::AUTHORIZATION, value(text))).collect()
    }

    fn basic_of(id: &str, secret: &str) -> String {
        format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
    }

    fn token(kind: OpaqueKind) -> (String, String) {
        let token = OpaqueToken::generate(kind, CredentialId::from_bytes([7; 16]), &SeededEntropy::new(1));
        (token.id.to_string(), token.reveal().expose_str().expect("text").to_owned())
    }

    #[test]
    fn a_client_is_its_key_in_the_header_or_in_the_form() {
        let (id, secret) = token(OpaqueKind::ApiKey);
        let encoded = (id.replace('-', "%2D"), secret.replace('_', "%5F"));
        for header in [basic_of(&id, &secret), basic_of(&encoded.0, &encoded.1).replacen("Basic", "basic", 1)] {
            assert_eq!(key(&headers(&[header]), None, None), Ok(Secret::from(&*secret)));
        }
        let in_form = key(&headers(&[]), Some(&id), Some(Secret::from(&*secret)));
        assert_eq!(in_form, Ok(Secret::from(&*secret)));
        assert!(key(&headers(&[basic_of(&id, &secret)]), Some(&id), None).is_ok(), "the same client twice");
    }

    #[test]
    fn everything_else_is_no_client() {
        let (id, secret) = token(OpaqueKind::ApiKey);
        let (_, refresh) = token(OpaqueKind::RefreshToken);
        let other = CredentialId::from_bytes([8; 16]).to_string();
        let headers_of = |text: &str| headers(&[text.to_owned()]);
        for header in [
            basic_of(&other, &secret),
            basic_of(&id, &refresh),
            basic_of(&id, ""),
            basic_of("", &secret),
            basic_of(&id, &format!("{secret}&x")),
            format!("Bearer {secret}"),
            "Basic !".to_owned(),
            "Basic".to_owned(),
            format!("Basic {}", STANDARD.encode(&secret)),
        ] {
            assert_eq!(key(&headers_of(&header), None, None), Err(Refused::InvalidClient), "{header}");
        }
        assert_eq!(key(&headers(&[]), Some(&id), None), Err(Refused::InvalidClient), "no secret");
        assert_eq!(key(&headers(&[]), None, Some(Secret::from(&*secret))), Err(Refused::InvalidClient), "no id");
        let both = headers(&[basic_of(&id, &secret)]);
        for (id, in_form) in [(None, Some(Secret::from(&*secret))), (Some(&*other), None)] {
            assert!(matches!(key(&both, id, in_form), Err(Refused::InvalidRequest(_))));
        }
        let twice = headers(&[basic_of(&id, &secret), basic_of(&id, &secret)]);
        assert!(matches!(key(&twice, None, None), Err(Refused::InvalidRequest(_))));
    }
}
