//! `[hub]`: the route that is served, and who may come to it.

use gateway_core::{Action, Grants};
use portcullis_types::{LeaseClass, TenantId};
use serde::Deserialize;

use crate::origin::AllowedOrigin;

/// How a refusal at the handshake is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RefusalStyle {
    /// Upgraded, told by an error of the client protocol, closed: browsers and SDKs cannot read an HTTP status.
    Frame,
    /// Not upgraded: an HTTP status with a problem document.
    Http,
}

/// What becomes of a credential that is presented and bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InvalidCredential {
    /// The handshake is refused.
    Refuse,
    /// The socket is anonymous, and told why.
    Anonymous,
}

/// The hub route.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HubConfig {
    /// Its path.
    pub path: String,
    /// The audience a credential must be meant for.
    pub audience: String,
    /// Origins that browsers may come from, exact; `*` is any. A handshake without an Origin is not a browser's.
    pub allowed_origins: Vec<AllowedOrigin>,
    /// How a refusal is spoken.
    pub refusal: RefusalStyle,
    /// Whether API keys may open sockets.
    pub allow_api_keys: bool,
    /// Who has no credential; absent: is refused.
    pub anonymous: Option<AnonymousConfig>,
    /// What becomes of a bad credential.
    pub invalid_credential: InvalidCredential,
    /// For how long its sockets are served while the authority cannot be heard; the stricter one counts where the tenant
    /// names a class too. Absent: as the tenant says, or `standard`. A class that outlasts the authority's bound is not
    /// served at all.
    pub lease_class: Option<LeaseClass>,
}

/// Sockets without a credential.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnonymousConfig {
    /// The tenant they are in.
    pub tenant: TenantId,
    /// The channels they may follow: exact, or with a `*` at the end.
    #[serde(default)]
    pub subscribe: Vec<String>,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            path: "/connection/websocket".to_owned(),
            audience: "portcullis".to_owned(),
            allowed_origins: Vec::new(),
            refusal: RefusalStyle::Frame,
            allow_api_keys: true,
            anonymous: None,
            invalid_credential: InvalidCredential::Refuse,
            lease_class: None,
        }
    }
}

impl HubConfig {
    /// Says of each rule whether it holds.
    pub(super) fn broken_rules(&self, rule: &mut impl FnMut(bool, &str)) {
        rule(
            self.path.starts_with('/') && !["/", "/health", "/ready", "/metrics"].contains(&self.path.as_str()),
            "hub.path: begins with '/' and is not a path of the gateway's own",
        );
        rule(!self.audience.is_empty(), "hub.audience: must not be empty");
        let patterns = self.anonymous.iter().flat_map(|anonymous| &anonymous.subscribe);
        rule(
            Grants::compile(patterns.map(|pattern| (Action::Subscribe, pattern.as_str()))).is_ok(),
            "hub.anonymous.subscribe: channel names, of which only the last character may be '*'",
        );
        rule(
            self.invalid_credential == InvalidCredential::Refuse || self.anonymous.is_some(),
            "hub.invalid_credential: \"anonymous\" needs [hub.anonymous]",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{LEAST, read};
    use super::*;

    #[test]
    fn a_route_names_its_class_by_a_word() {
        let config = read(&format!("{LEAST}[hub]\nlease_class = \"strict\"\n")).expect("a class");
        assert_eq!(config.hub.lease_class, Some(LeaseClass::Strict));
    }
}
