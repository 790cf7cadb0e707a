//! The parameters of a request, as a form has them.

use portcullis_types::Secret;

use super::Refused;

/// Those that are known; one without a value is not there, and an unknown one is ignored (RFC 6749, 3.2).
#[derive(Debug, Default)]
pub(super) struct Parameters {
    pub(super) grant_type: Option<String>,
    pub(super) scope: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<Secret>,
    pub(super) refresh_token: Option<Secret>,
}

impl Parameters {
    /// Each once.
    pub(super) fn read(form: &[u8]) -> Result<Self, Refused> {
        let mut read = Self::default();
        for (name, value) in form_urlencoded::parse(form).filter(|(_, value)| !value.is_empty()) {
            let twice = match &*name {
                "grant_type" => read.grant_type.replace(value.into_owned()).is_some(),
                "scope" => read.scope.replace(value.into_owned()).is_some(),
                "client_id" => read.client_id.replace(value.into_owned()).is_some(),
                "client_secret" => read.client_secret.replace(Secret::from(value.into_owned())).is_some(),
                "refresh_token" => read.refresh_token.replace(Secret::from(value.into_owned())).is_some(),
                _ => false,
            };
            if twice {
                return Err(Refused::InvalidRequest("a parameter is there twice"));
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_is_there_once_or_not_at_all() {
        let read = Parameters::read(b"grant_type=client_credentials&scope=verify+revoke&x=1&x=2&client_id=");
        let read = read.expect("it is a form");
        assert_eq!(read.grant_type.as_deref(), Some("client_credentials"));
        assert_eq!(read.scope.as_deref(), Some("verify revoke"));
        assert_eq!((read.client_id, read.refresh_token), (None, None));
        for name in ["grant_type", "scope", "client_id", "client_secret", "refresh_token"] {
            let refused = Parameters::read(format!("{name}=a&{name}=b").as_bytes());
            assert!(matches!(refused, Err(Refused::InvalidRequest(_))), "{name}");
        }
    }
}
