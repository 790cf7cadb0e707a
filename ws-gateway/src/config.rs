//! What an operator may set, and what is refused before anything starts.
//!
//! Owns: the keys, their defaults and the rules between them. Reads one TOML file and the environment
//! (`PORTCULLIS_GATEWAY__`, `__` between levels). Refuses unknown keys, a verdict cache above five minutes, a listener that is
//! reachable from outside without TLS before it, and an authority that would be spoken to in the clear over a network.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use gateway_core::{Action, Grants};
use portcullis_config::Misread;
use portcullis_observe::{LogConfig, MetricsConfig, TracesConfig};
use portcullis_types::{AddressRange, GatewayId, LeaseClass, TenantId, is_loopback_host};
use serde::Deserialize;

use crate::origin::AllowedOrigin;

/// The longest a verdict may be reused, whatever is configured.
pub const LONGEST_VERDICT_TTL: Duration = Duration::from_secs(300);

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// This gateway's name, stable over restarts.
    pub gateway_id: GatewayId,
    /// Where it listens; port 0 takes any free one.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// Where to write the bound address once it listens.
    #[serde(default)]
    pub ready_file: Option<PathBuf>,
    /// Says that TLS ends at a proxy before this listener.
    #[serde(default)]
    pub behind_tls_proxy: bool,
    /// Proxies whose `X-Forwarded-For` says where a client is; a client's own word is never believed.
    #[serde(default)]
    pub trusted_proxies: Vec<AddressRange>,
    /// How to reach the authority.
    pub authority: AuthorityConfig,
    /// The verdict cache.
    #[serde(default)]
    pub cache: CacheConfig,
    /// The hub route.
    #[serde(default)]
    pub hub: HubConfig,
    /// What peers may take.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// The client protocol's pings.
    #[serde(default)]
    pub ping: PingConfig,
    /// Asking the authority again about open sockets.
    #[serde(default)]
    pub revalidation: RevalidationConfig,
    /// Leaving.
    #[serde(default)]
    pub drain: DrainConfig,
    /// Losing the lease.
    #[serde(default)]
    pub freeze: FreezeConfig,
    /// Where metrics are read.
    #[serde(default)]
    pub metrics: MetricsConfig,
    /// Closing what was revoked.
    #[serde(default)]
    pub revocation: RevocationConfig,
    /// Where traces go.
    #[serde(default)]
    pub traces: TracesConfig,
    /// Logging.
    #[serde(default)]
    pub log: LogConfig,
}

/// How to reach the authority.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorityConfig {
    /// Its gRPC endpoint, where there is one; `http` on loopback only, `https` anywhere.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The endpoints of its replicas, instead: what one does not answer another is asked.
    #[serde(default)]
    pub endpoints: Vec<String>,
    /// Over `https`: the certificate authorities that may vouch for it, in PEM.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Over `https`: the name that its certificate must have; absent: the endpoint's host.
    #[serde(default)]
    pub server_name: Option<String>,
    /// A file that holds the API key of this gateway's service account; read again at every new watch. Where there is
    /// one, it says who calls; absent: the certificate does.
    #[serde(default)]
    pub api_key_file: Option<PathBuf>,
    /// Over `https`: the certificate that this gateway shows, and those that vouch for it, in PEM; read again every few
    /// seconds, and at every new watch.
    #[serde(default)]
    pub client_cert_file: Option<PathBuf>,
    /// Its private key, in PEM.
    #[serde(default)]
    pub client_key_file: Option<PathBuf>,
    /// How long one question may take.
    #[serde(default = "default_deadline_ms")]
    pub deadline_ms: u64,
    /// How many questions may be open at once; more wait, at most for the deadline.
    #[serde(default = "default_concurrency")]
    pub concurrency: usize,
}

/// The verdict cache.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheConfig {
    /// For how long a verdict is reused at most.
    pub ttl_ms: u64,
    /// How many verdicts are kept; the least used give way.
    pub entries: u64,
}

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

/// What peers may take.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Bytes of a request's head; 431 above.
    pub header_bytes: usize,
    /// Until a socket has said `connect`.
    pub connect_timeout_ms: u64,
    /// Bytes of one message from a client; closed with 1009 above.
    pub message_bytes: usize,
    /// Levels of nesting in one message.
    pub json_depth: usize,
    /// Channels one socket may follow.
    pub subscriptions_per_socket: usize,
    /// Bytes waiting for one socket; closed with 4008 above.
    pub outgoing_bytes_per_socket: usize,
    /// Sockets, and connections that may become one; 503 above.
    pub sockets: usize,
    /// Bytes of one credential.
    pub credential_bytes: usize,
    /// Commands one socket may send in a second, in the long run, and twice as many after a pause. Refused above, and
    /// closed with 4029 when it goes on.
    pub commands_per_second: u32,
    /// How long one write to a slow peer may be stuck; closed above.
    pub write_timeout_ms: u64,
}

/// The client protocol's pings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PingConfig {
    /// Between two pings.
    pub interval_ms: u64,
    /// How long an answer may take; closed with 3012 above.
    pub pong_timeout_ms: u64,
}

/// Asking the authority again about open sockets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RevalidationConfig {
    /// How often about each socket, spread by up to a quarter.
    pub interval_ms: u64,
}

/// Leaving.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DrainConfig {
    /// Over how long sockets are closed, in random order.
    pub window_ms: u64,
    /// How long to wait for the last ones afterwards.
    pub grace_ms: u64,
}

/// What becomes of sockets when the lease has run out.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FreezeConfig {
    /// For how long they are kept frozen before they are closed; 0: they are closed at once.
    pub max_ms: u64,
    /// How many are closed in a second at most.
    pub closes_per_second: u32,
}

/// Closing what was revoked. Nothing passes on any of it from the start, whatever is set here.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RevocationConfig {
    /// How many of the sockets that one revocation covers are closed in a second, where the revocation does not say;
    /// 0: all at once.
    pub closes_per_second: u32,
}

const fn default_listen() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7711)
}

impl AuthorityConfig {
    /// Where the authority is, one or more.
    pub fn all_endpoints(&self) -> Vec<String> {
        match &self.endpoint {
            Some(one) => vec![one.clone()],
            None if self.endpoints.is_empty() => vec![DEFAULT_ENDPOINT.to_owned()],
            None => self.endpoints.clone(),
        }
    }

    fn credential_rules(&self, is_tls: bool, rule: &mut impl FnMut(bool, &str)) {
        let (has_cert, has_key) = (self.client_cert_file.is_some(), self.client_key_file.is_some());
        rule(has_cert == has_key, "authority: client_cert_file and client_key_file, both or neither");
        rule(is_tls || !has_cert, "authority.client_cert_file: is shown over https only");
        rule(
            self.api_key_file.is_some() || has_cert,
            "authority.api_key_file: is needed, unless client_cert_file and client_key_file say who this gateway is",
        );
    }
}

const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:7700";

/// How many replicas one gateway may know.
const MOST_ENDPOINTS: usize = 16;

const fn default_deadline_ms() -> u64 {
    2_000
}

const fn default_concurrency() -> usize {
    256
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { ttl_ms: 30_000, entries: 100_000 }
    }
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

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            header_bytes: 16_384,
            connect_timeout_ms: 10_000,
            message_bytes: 65_536,
            json_depth: 32,
            subscriptions_per_socket: 128,
            outgoing_bytes_per_socket: 1_048_576,
            sockets: 19_000,
            credential_bytes: 8_192,
            commands_per_second: 100,
            write_timeout_ms: 15_000,
        }
    }
}

impl Default for PingConfig {
    fn default() -> Self {
        Self { interval_ms: 25_000, pong_timeout_ms: 10_000 }
    }
}

impl Default for RevalidationConfig {
    fn default() -> Self {
        Self { interval_ms: 300_000 }
    }
}

impl Default for DrainConfig {
    fn default() -> Self {
        Self { window_ms: 5_000, grace_ms: 5_000 }
    }
}

impl Default for FreezeConfig {
    fn default() -> Self {
        Self { max_ms: 60_000, closes_per_second: 5_000 }
    }
}

/// Why a configuration is not used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file or a variable cannot be read, or says what is not known.
    #[error("{0}")]
    Read(Misread),
    /// What is said cannot be meant; one rule a line.
    #[error("{}", .0.join("\n"))]
    Rules(Vec<String>),
}

impl Config {
    /// Reads the file, if one is named, then the environment over it, and checks the rules.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        Self::from_figment(&portcullis_config::layers(file, "PORTCULLIS_GATEWAY__"))
    }

    fn from_figment(figment: &Figment) -> Result<Self, ConfigError> {
        let config: Self = figment.extract().map_err(|error| ConfigError::Read(error.into()))?;
        let broken = config.broken_rules();
        if broken.is_empty() { Ok(config) } else { Err(ConfigError::Rules(broken)) }
    }

    fn broken_rules(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut rule = |holds: bool, text: &str| {
            if !holds {
                broken.push(text.to_owned());
            }
        };
        rule(
            self.listen.ip().is_loopback() || self.behind_tls_proxy,
            "listen: an address that is not on loopback needs TLS before it; set behind_tls_proxy = true if a proxy ends it",
        );
        rule(
            Duration::from_millis(self.cache.ttl_ms) <= LONGEST_VERDICT_TTL,
            "cache.ttl_ms: at most 300000 (5 minutes)",
        );
        let endpoints = self.authority.all_endpoints();
        rule(endpoints.iter().all(|endpoint| is_good_endpoint(endpoint)), ENDPOINT_RULE);
        let named_once = self.authority.endpoint.is_none() || self.authority.endpoints.is_empty();
        rule(named_once, "authority: `endpoint` or `endpoints`, not both");
        let is_tls = endpoints.iter().all(|endpoint| endpoint.starts_with("https://"));
        let is_mixed = !is_tls && endpoints.iter().any(|endpoint| endpoint.starts_with("https://"));
        rule(!is_mixed, "authority.endpoints: all over https, or none");
        rule(
            is_tls == self.authority.ca_file.is_some() && (is_tls || self.authority.server_name.is_none()),
            "authority: ca_file is needed with an https endpoint, and neither it nor server_name is used with http",
        );
        self.authority.credential_rules(is_tls, &mut rule);
        let distinct: std::collections::BTreeSet<_> = endpoints.iter().collect();
        rule(
            distinct.len() == endpoints.len() && endpoints.len() <= MOST_ENDPOINTS,
            "authority.endpoints: at most 16, each once",
        );
        rule(
            (100..=30_000).contains(&self.authority.deadline_ms) && self.authority.concurrency > 0,
            "authority: deadline_ms is 100 to 30000, concurrency at least 1",
        );
        rule(
            self.hub.path.starts_with('/') && !["/", "/health", "/ready", "/metrics"].contains(&self.hub.path.as_str()),
            "hub.path: begins with '/' and is not a path of the gateway's own",
        );
        rule(!self.hub.audience.is_empty(), "hub.audience: must not be empty");
        let patterns = self.hub.anonymous.iter().flat_map(|anonymous| &anonymous.subscribe);
        rule(
            Grants::compile(patterns.map(|pattern| (Action::Subscribe, pattern.as_str()))).is_ok(),
            "hub.anonymous.subscribe: channel names, of which only the last character may be '*'",
        );
        self.limits.broken_rules(&mut rule);
        for (holds, key, text) in [self.metrics.rule()].into_iter().chain(self.traces.rules()) {
            rule(holds, &format!("{key}: {text}"));
        }
        rule(
            self.ping.interval_ms >= 1_000 && self.ping.pong_timeout_ms < self.ping.interval_ms,
            "ping: interval_ms is at least 1000, pong_timeout_ms below it",
        );
        rule(self.revalidation.interval_ms >= 1_000, "revalidation.interval_ms: at least 1000");
        rule(
            self.hub.invalid_credential == InvalidCredential::Refuse || self.hub.anonymous.is_some(),
            "hub.invalid_credential: \"anonymous\" needs [hub.anonymous]",
        );
        broken
    }
}

const ENDPOINT_RULE: &str = "authority.endpoint and .endpoints: https://<host>:<port>, or http://<loopback address>:<port>; the clear is spoken on loopback only";

impl LimitsConfig {
    fn broken_rules(&self, rule: &mut impl FnMut(bool, &str)) {
        rule((8_192..=65_536).contains(&self.header_bytes), "limits.header_bytes: 8192 to 65536");
        rule(
            (64..=self.header_bytes).contains(&self.credential_bytes),
            "limits.credential_bytes: 64 to limits.header_bytes",
        );
        rule((1_024..=1 << 24).contains(&self.message_bytes), "limits.message_bytes: 1024 to 16777216");
        rule((4..=128).contains(&self.json_depth), "limits.json_depth: 4 to 128");
        rule(self.connect_timeout_ms >= 100, "limits.connect_timeout_ms: at least 100");
        rule(self.write_timeout_ms >= 100, "limits.write_timeout_ms: at least 100");
        rule(self.outgoing_bytes_per_socket >= 4_096, "limits.outgoing_bytes_per_socket: at least 4096");
        rule(self.sockets > 0 && self.commands_per_second > 0, "limits: sockets and commands_per_second at least 1");
    }
}

fn is_good_endpoint(endpoint: &str) -> bool {
    let Ok(uri) = endpoint.parse::<http::Uri>() else { return false };
    let host = uri.host().unwrap_or_default();
    uri.port_u16().is_some()
        && match uri.scheme_str() {
            Some("http") => is_loopback_host(host),
            Some("https") => !host.is_empty(),
            Some(_) | None => false,
        }
}

#[cfg(test)]
mod tests {
    use figment::providers::{Format as _, Toml};

    use super::*;

    fn read(toml: &str) -> Result<Config, ConfigError> {
        Config::from_figment(&Figment::new().merge(Toml::string(toml)))
    }

    const LEAST: &str = "gateway_id = \"gw-1\"\nauthority = { api_key_file = \"k\" }\n";

    #[test]
    fn a_name_and_a_key_file_are_enough() {
        let config = read(LEAST).expect("the least configuration is valid");
        assert_eq!(config.listen, default_listen());
        assert_eq!(config.cache.ttl_ms, 30_000);
        assert!(config.hub.anonymous.is_none());
    }

    #[test]
    fn what_is_not_a_key_is_refused() {
        for text in [
            "colour = 1\n".to_owned() + LEAST,
            LEAST.to_owned() + "[hub]\npaht = \"/x\"\n",
            LEAST.to_owned() + "[hub.anonymous]\ntenant = \"demo\"\npublish = []\n",
            LEAST.to_owned() + "[hub]\nlease_class = \"eternal\"\n",
        ] {
            assert!(matches!(read(&text), Err(ConfigError::Read(_))), "{text}");
        }
    }

    #[test]
    fn a_route_names_its_class_by_a_word() {
        let config = read(&format!("{LEAST}[hub]\nlease_class = \"strict\"\n")).expect("a class");
        assert_eq!(config.hub.lease_class, Some(LeaseClass::Strict));
    }

    #[test]
    fn a_gateway_without_a_name_is_refused() {
        assert!(read("authority = { api_key_file = \"k\" }").is_err());
    }

    #[test]
    fn rules_say_which_key_breaks_them() {
        let cases = [
            ("listen = \"0.0.0.0:1\"\n", "", "behind_tls_proxy"),
            ("", "[cache]\nttl_ms = 300001\n", "cache.ttl_ms"),
            ("", "[hub]\npath = \"/health\"\n", "hub.path"),
            ("", "[hub]\ninvalid_credential = \"anonymous\"\n", "hub.invalid_credential"),
            ("", "[limits]\nheader_bytes = 100\n", "limits.header_bytes"),
            ("", "[hub.anonymous]\ntenant = \"demo\"\nsubscribe = [\"a*b\"]\n", "hub.anonymous.subscribe"),
            ("", "[ping]\ninterval_ms = 5000\npong_timeout_ms = 5000\n", "ping:"),
        ];
        for (before, after, key) in cases {
            let error = read(&format!("{before}{LEAST}{after}")).expect_err(key).to_string();
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn a_gateway_is_known_by_its_key_or_by_its_certificate() {
        let read = |authority: &str| read(&format!("gateway_id = \"gw-1\"\n[authority]\n{authority}"));
        assert!(read("").expect_err("by neither").to_string().contains("authority.api_key_file"));
        let https = "endpoint = \"https://auth.example:7700\"\nca_file = \"ca\"\n";
        let certificate = "client_cert_file = \"c\"\nclient_key_file = \"k\"\n";
        assert!(read(https).is_err());
        assert!(read(&format!("{https}{certificate}")).is_ok());
        assert!(read(&format!("{https}{certificate}api_key_file = \"k\"")).is_ok());
        let half = read(&format!("{https}client_cert_file = \"c\"")).expect_err("without its key").to_string();
        assert!(half.contains("both or neither"), "{half}");
        let clear = read(certificate).expect_err("in the clear").to_string();
        assert!(clear.contains("over https only"), "{clear}");
    }

    #[test]
    fn a_listener_behind_a_tls_proxy_may_be_reached_from_outside() {
        assert!(read(&format!("listen = \"0.0.0.0:1\"\nbehind_tls_proxy = true\n{LEAST}")).is_ok());
    }

    #[test]
    fn the_authority_is_spoken_to_in_the_clear_on_loopback_only() {
        for good in ["http://127.0.0.1:7700", "http://localhost:7700", "http://[::1]:7700", "https://auth.example:7700"]
        {
            assert!(is_good_endpoint(good), "{good}");
        }
        for bad in ["http://10.0.0.1:7700", "https://10.0.0.1", "http://127.0.0.1.evil.test:1", "127.0.0.1:1", ""] {
            assert!(!is_good_endpoint(bad), "{bad}");
        }
    }
}
