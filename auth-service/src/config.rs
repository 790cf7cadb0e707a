//! The configuration: one TOML file, then the environment (`PORTCULLIS_AUTH__GRPC__LISTEN` is `grpc.listen`).
//!
//! Owns every key with its default, each table in a file of its own. Refuses unknown keys, by name, and values that would
//! break a promise.

mod grpc;
mod grpc_limits;
mod http;
mod http_limits;
mod issuers;
mod keys;
mod login;
mod password;
mod retention;
mod signature_keys;
mod store;
mod tenants;
mod tokens;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use portcullis_config::Misread;
use portcullis_observe::{LogConfig, MetricsConfig, TracesConfig};
use portcullis_types::InvalidTerms;
use serde::Deserialize;

pub(crate) use self::grpc::{Grpc, Tls};
pub(crate) use self::grpc_limits::GrpcLimits;
pub(crate) use self::http::Http;
pub(crate) use self::http_limits::HttpLimits;
pub(crate) use self::issuers::Issuers;
pub(crate) use self::keys::Keys;
pub(crate) use self::login::{Cookie, Import, LoginGuard, Policy, SecondFactor};
pub(crate) use self::password::Password;
pub(crate) use self::retention::Retention;
pub(crate) use self::signature_keys::SignatureKeys;
pub(crate) use self::store::{Store, StoreKind};
use self::tenants::Tenants;
pub(crate) use self::tokens::Tokens;

use crate::guarantee::Guarantee;

/// Everything that can be configured.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Where the files of this process live: the database and its lock unless that is elsewhere, and key files. Made with
    /// mode 0700.
    pub(crate) data_dir: PathBuf,
    /// Written with the bound addresses once the service listens; absent: not written.
    pub(crate) ready_file: Option<PathBuf>,
    /// Where rows and the log are kept.
    pub(crate) store: Store,
    /// The listener for programs.
    pub(crate) grpc: Grpc,
    /// The listener for people, browsers and standards.
    pub(crate) http: Http,
    /// What is issued.
    pub(crate) tokens: Tokens,
    /// What signs, and what encrypts that at rest.
    pub(crate) keys: Keys,
    /// How many public keys clients may have.
    pub(crate) signature_keys: SignatureKeys,
    /// How the keys of external issuers are fetched.
    pub(crate) issuers: Issuers,
    /// How passwords are hashed.
    pub(crate) password: Password,
    /// What new passwords must be.
    pub(crate) password_policy: Policy,
    /// What hashes of other programs may cost.
    pub(crate) password_import: Import,
    /// What slows those who guess.
    pub(crate) login_guard: LoginGuard,
    /// How session cookies live.
    pub(crate) cookie: Cookie,
    /// What is asked for beside a password.
    pub(crate) second_factor: SecondFactor,
    /// What is kept, and for how long.
    pub(crate) retention: Retention,
    /// What one tenant may cost the others.
    pub(crate) tenants: Tenants,
    /// What is promised about revocation.
    pub(crate) guarantee: Guarantee,
    /// Where metrics are read.
    pub(crate) metrics: MetricsConfig,
    /// Where traces go.
    pub(crate) traces: TracesConfig,
    /// How events are written.
    pub(crate) log: LogConfig,
}

/// Whether it holds, of which key, and what it says.
type Rule = (bool, &'static str, &'static str);

/// A configuration that is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The named file is not there.
    #[error("the configuration file {} does not exist", .0.display())]
    NoFile(PathBuf),
    /// A key is unknown, or a value has the wrong type.
    #[error("configuration: {0}")]
    Unreadable(Misread),
    /// The lengths of leases do not fit each other.
    #[error("configuration: `guarantee.{}` {}", .0.what, .0.rule)]
    Terms(#[from] InvalidTerms),
    /// A value cannot be accepted.
    #[error("configuration: `{key}` {rule}")]
    Refused {
        /// Which key.
        key: &'static str,
        /// What it must be.
        rule: &'static str,
    },
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("data"),
            ready_file: None,
            store: Store::default(),
            grpc: Grpc::default(),
            http: Http::default(),
            tokens: Tokens::default(),
            keys: Keys::default(),
            signature_keys: SignatureKeys::default(),
            issuers: Issuers::default(),
            password: Password::default(),
            password_policy: Policy::default(),
            password_import: Import::default(),
            login_guard: LoginGuard::default(),
            cookie: Cookie::default(),
            second_factor: SecondFactor::default(),
            retention: Retention::default(),
            tenants: Tenants::default(),
            guarantee: Guarantee::default(),
            metrics: MetricsConfig::default(),
            traces: TracesConfig::default(),
            log: LogConfig::default(),
        }
    }
}

impl Config {
    /// Reads the file, when one is named, and the environment over it, and checks the whole.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        if let Some(missing) = file.filter(|file| !file.is_file()) {
            return Err(ConfigError::NoFile(missing.to_owned()));
        }
        Self::from_figment(&portcullis_config::layers(file, "PORTCULLIS_AUTH__"))
    }

    fn from_figment(figment: &Figment) -> Result<Self, ConfigError> {
        let config: Self = figment.extract().map_err(|error| ConfigError::Unreadable(error.into()))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let listeners = self.grpc.rules().into_iter().chain(self.http.rules()).chain(self.http.limits.rules());
        let listeners = listeners.chain(self.grpc.limits.rules());
        let issued = self.tokens.rules().into_iter().chain(self.password.rules()).chain(login::rules(self));
        let kept = self.keys.rules().into_iter().chain(self.store.rules()).chain(self.retention.rules());
        let others = self.issuers.rules().into_iter().chain(self.guarantee.rules()).chain(self.signature_keys.rules());
        let watched = [self.metrics.rule(), self.tenants.rule()].into_iter().chain(self.traces.rules());
        let listeners = listeners.chain(self.one_address_each());
        for (holds, key, rule) in listeners.chain(issued).chain(kept).chain(others).chain(watched) {
            if !holds {
                return Err(ConfigError::Refused { key, rule });
            }
        }
        self.guarantee.terms()?;
        Ok(())
    }

    /// Only one listener can have an address.
    fn one_address_each(&self) -> [Rule; 2] {
        let (grpc, http) = (self.grpc.listen, self.http.listen);
        let is_free = |metrics: SocketAddr| !overlap(metrics, grpc) && !overlap(metrics, http);
        [
            (!overlap(http, grpc), "http.listen", "must be another address or port than `grpc.listen`"),
            (
                self.metrics.listen.is_none_or(is_free),
                "metrics.listen",
                "must be another address or port than `grpc.listen` and `http.listen`",
            ),
        ]
    }
}

/// Whether listeners there would be in each other's way. Port 0 is any free one.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let is_any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (is_any || one.ip() == other.ip())
}

#[cfg(test)]
mod tests {
    use figment::providers::{Format as _, Toml};
    use portcullis_types::LeaseClass;

    use super::*;

    pub(super) fn read(toml: &str) -> Result<Config, ConfigError> {
        Config::from_figment(&Figment::new().merge(Toml::string(toml)))
    }

    pub(super) fn refused(toml: &str) -> String {
        read(toml).expect_err("it is refused").to_string()
    }

    #[test]
    fn nothing_configured_is_the_defaults() {
        assert_eq!(read("").expect("the defaults hold"), Config::default());
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        assert!(refused("colour = 1").contains("colour"));
        assert!(refused("[grpc]\nlissten = '127.0.0.1:1'").contains("lissten"));
        assert!(refused("[http.cookies]\nname = 'x'").contains("cookies"));
    }

    #[test]
    fn two_listeners_do_not_share_an_address() {
        let both = |grpc: &str, http: &str| format!("[grpc]\nlisten = '{grpc}'\n[http]\nlisten = '{http}'");
        assert!(refused(&both("127.0.0.1:7700", "127.0.0.1:7700")).contains("`http.listen`"));
        let everywhere = "behind_tls_proxy = true\ntrusted_proxies = ['10.0.0.1']";
        assert!(refused(&format!("{}\n{everywhere}", both("127.0.0.1:1", "0.0.0.0:1"))).contains("`http.listen`"));
        for (grpc, http) in [("127.0.0.1:0", "127.0.0.1:0"), ("127.0.0.1:1", "127.0.0.2:1"), ("[::1]:1", "127.0.0.1:1")]
        {
            assert!(read(&both(grpc, http)).is_ok(), "{grpc} {http}");
        }
        for taken in ["127.0.0.1:7700", "127.0.0.1:7701"] {
            assert!(refused(&format!("[metrics]\nlisten = '{taken}'")).contains("`metrics.listen`"), "{taken}");
        }
        assert!(read("[metrics]\nlisten = '127.0.0.1:7702'").is_ok());
    }

    #[test]
    fn a_lease_has_room_for_lost_probes() {
        assert!(refused("[guarantee]\nstandard_ms = 1000\nprobe_interval_ms = 500").contains("probe_interval_ms"));
    }

    #[test]
    fn what_is_not_said_of_leases_fits_what_is() {
        for (said, expected) in [
            ("", [5_000, 15_000, 60_000, 75_000, 15_000]),
            ("standard_ms = 2000", [2_000, 2_000, 60_000, 62_000, 2_000]),
            ("standard_ms = 90000\nbound_ms = 150000", [5_000, 90_000, 90_000, 150_000, 150_000]),
            ("tolerant_ms = 300000\nbound_ms = 300000", [5_000, 15_000, 300_000, 300_000, 300_000]),
        ] {
            let config = read(&format!("[guarantee]\nprobe_interval_ms = 500\n{said}")).expect(said);
            let terms = config.guarantee.terms().expect("checked when it was read");
            let mut lengths: Vec<_> = LeaseClass::ALL.map(|class| terms.served(class).as_millis()).to_vec();
            lengths.push(terms.bound().as_millis());
            assert_eq!(lengths, expected, "{said}");
        }
    }

    #[test]
    fn lengths_of_leases_that_break_their_order_or_the_bound_are_refused_by_name() {
        for (said, key) in [
            ("strict_ms = 16000", "guarantee.strict_ms"),
            ("tolerant_ms = 14000", "guarantee.tolerant_ms"),
            ("hold_max_ms = 1000", "guarantee.hold_max_ms"),
            ("bound_ms = 14999", "guarantee.bound_ms"),
            ("standard_ms = 0", "guarantee.standard_ms"),
            ("lease_ms = 15000", "lease_ms"),
        ] {
            assert!(refused(&format!("[guarantee]\n{said}")).contains(key), "{said}");
        }
    }

    #[test]
    fn values_out_of_range_name_their_key() {
        for (section, line, key) in [
            ("grpc", "max_message_bytes = 1", "grpc.max_message_bytes"),
            ("tokens", "access_ttl_ms = 3600001", "tokens.access_ttl_ms"),
            ("tokens", "ticket_ttl_ms = 30001", "tokens.ticket_ttl_ms"),
            ("tokens", "tickets_per_session = 0", "tokens.tickets_per_session"),
            ("tokens", "tickets_per_key = 1000001", "tokens.tickets_per_key"),
            ("password", "parallelism = 0", "password.memory_kib"),
            ("password", "memory_kib = 8", "is too weak"),
            ("password", "iterations = 1", "is too weak"),
            ("password", "memory_kib = 12288", "is too weak"),
            ("password", "workers = 0", "password.workers"),
            ("store", "writers = 2", "store.writers"),
            ("store", "url_file = 'url'", "store.url_file"),
            ("keys", "algorithm = 'RS256'", "keys.algorithm"),
            ("issuers", "cooldown_ms = 0", "issuers.cooldown_ms"),
            ("issuers", "refresh_ms = 3600000", "issuers.refresh_ms"),
            ("issuers", "fetch_timeout_ms = 1", "issuers.fetch_timeout_ms"),
            ("keys", "jwks_max_age_ms = 0", "keys.jwks_max_age_ms"),
            ("retention", "resume_window_hours = 23", "retention.resume_window_hours"),
            ("retention", "every_ms = 0", "retention.every_ms"),
            ("tenants", "events_per_minute = 0", "tenants.events_per_minute"),
            ("retention", "tokens_hours = 1", "retention.tokens_hours"),
            ("retention", "sessions_days = 1\ntokens_hours = 25", "retention.sessions_days"),
            ("retention", "external_sessions_days = 29", "retention.external_sessions_days"),
            ("retention", "api_keys_days = 36601", "retention.api_keys_days"),
            ("retention", "signing_keys_days = 36601", "retention.signing_keys_days"),
            ("keys", "rotate_every_ms = 600000", "keys.rotate_every_ms"),
            ("signature_keys", "per_session = 5", "signature_keys.per_session"),
            ("signature_keys", "per_identity = 5", "signature_keys.per_identity"),
        ] {
            assert!(refused(&format!("[{section}]\n{line}")).contains(key), "{key}");
        }
    }

    #[test]
    #[expect(clippy::result_large_err, reason = "the jail's signature, not ours")]
    fn the_environment_lies_over_the_file() {
        figment::Jail::expect_with(|jail| {
            jail.create_file("auth.toml", "[grpc]\nlisten = '127.0.0.1:1'\nreflection = true")?;
            jail.set_env("PORTCULLIS_AUTH__GRPC__LISTEN", "127.0.0.1:2");
            jail.set_env("PORTCULLIS_AUTH__HTTP__ALLOWED_ORIGINS", "[\"http://a.example\"]");
            let config = Config::load(Some(Path::new("auth.toml"))).expect("it is valid");
            assert_eq!(config.grpc.listen, SocketAddr::from(([127, 0, 0, 1], 2)));
            assert!(config.grpc.reflection);
            assert_eq!(config.http.allowed_origins, ["http://a.example"]);
            jail.set_env("PORTCULLIS_AUTH__GRPC__COLOUR", "red");
            let error = Config::load(None).expect_err("unknown").to_string();
            assert!(error.to_lowercase().contains("colour"), "{error}");
            Ok(())
        });
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Config::load(Some(Path::new("/nonexistent/auth.toml"))).expect_err("it is not there");
        assert!(error.to_string().contains("/nonexistent/auth.toml"));
    }
}
