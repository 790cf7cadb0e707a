//! What an operator may set, and what is refused before anything starts.
//!
//! Owns: the keys, their defaults and the rules between them; larger tables have files of their own. Reads one TOML file
//! and the environment (`PORTCULLIS_GATEWAY__`, `__` between levels). Refuses unknown keys, a verdict cache above five
//! minutes, and a listener that is reachable from outside without TLS before it.

mod authority;
mod hub;
mod limits;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use portcullis_config::{Misread, TrustedProxies};
use portcullis_observe::{LogConfig, MetricsConfig, TracesConfig};
use portcullis_types::GatewayId;
use serde::Deserialize;

pub use self::authority::AuthorityConfig;
pub use self::hub::{AnonymousConfig, HubConfig, InvalidCredential, RefusalStyle};
pub use self::limits::LimitsConfig;

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
    pub trusted_proxies: TrustedProxies,
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

/// The verdict cache.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheConfig {
    /// For how long a verdict is reused at most.
    pub ttl_ms: u64,
    /// How many verdicts are kept; the least used give way.
    pub entries: u64,
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

impl Default for CacheConfig {
    fn default() -> Self {
        Self { ttl_ms: 30_000, entries: 100_000 }
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

    /// Whether others than programs of this machine reach the listener.
    pub const fn is_public(&self) -> bool {
        self.behind_tls_proxy || !self.listen.ip().is_loopback()
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
            !self.behind_tls_proxy || !self.trusted_proxies.is_empty(),
            "trusted_proxies: must name the proxies in front, such as [\"10.0.0.0/8\"], because behind_tls_proxy = true: \
             otherwise all clients would have the proxy's address",
        );
        rule(
            !self.trusted_proxies.has_everybody(),
            "trusted_proxies: must not hold every address: then each client could choose its own",
        );
        rule(
            self.metrics.listen.is_none_or(|metrics| metrics.port() == 0 || metrics != self.listen),
            "metrics.listen: must be another address or port than listen",
        );
        rule(
            Duration::from_millis(self.cache.ttl_ms) <= LONGEST_VERDICT_TTL,
            "cache.ttl_ms: at most 300000 (5 minutes)",
        );
        self.authority.broken_rules(&mut rule);
        self.hub.broken_rules(&mut rule);
        self.limits.broken_rules(&mut rule);
        for (holds, key, text) in [self.metrics.rule()].into_iter().chain(self.traces.rules()) {
            rule(holds, &format!("{key}: {text}"));
        }
        rule(
            self.ping.interval_ms >= 1_000 && self.ping.pong_timeout_ms < self.ping.interval_ms,
            "ping: interval_ms is at least 1000, pong_timeout_ms below it",
        );
        rule(self.revalidation.interval_ms >= 1_000, "revalidation.interval_ms: at least 1000");
        broken
    }
}

#[cfg(test)]
mod tests {
    use figment::providers::{Format as _, Toml};

    use super::*;

    pub(super) fn read(toml: &str) -> Result<Config, ConfigError> {
        Config::from_figment(&Figment::new().merge(Toml::string(toml)))
    }

    pub(super) const LEAST: &str = "gateway_id = \"gw-1\"\nauthority = { api_key_file = \"k\" }\n";

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
    fn a_gateway_without_a_name_is_refused() {
        assert!(read("authority = { api_key_file = \"k\" }").is_err());
    }

    #[test]
    fn rules_say_which_key_breaks_them() {
        let cases = [
            ("listen = \"0.0.0.0:1\"\n", "", "behind_tls_proxy"),
            ("behind_tls_proxy = true\n", "", "trusted_proxies"),
            ("trusted_proxies = [\"0.0.0.0/0\"]\n", "", "trusted_proxies"),
            ("", "[metrics]\nlisten = \"127.0.0.1:7711\"\n", "metrics.listen"),
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
    fn a_listener_behind_a_tls_proxy_may_be_reached_from_outside() {
        assert!(
            read(&format!(
                "listen = \"0.0.0.0:1\"\nbehind_tls_proxy = true\ntrusted_proxies = [\"10.0.0.1\"]\n{LEAST}"
            ))
            .is_ok()
        );
    }
}
