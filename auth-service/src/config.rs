//! The configuration: one TOML file, then the environment (`PORTCULLIS_AUTH__GRPC__LISTEN` is `grpc.listen`).
//!
//! Owns every key with its default. Refuses unknown keys, by name, and values that would break a promise.

mod http_limits;
mod issuers;
mod keys;
mod login;
mod retention;
mod store;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use portcullis_config::Misread;
use portcullis_observe::{LogConfig, MetricsConfig, TracesConfig};
use portcullis_types::InvalidTerms;
use serde::Deserialize;

pub(crate) use self::http_limits::HttpLimits;
pub(crate) use self::issuers::Issuers;
pub(crate) use self::keys::Keys;
pub(crate) use self::login::{Cookie, Import, LoginGuard, Policy, SecondFactor};
pub(crate) use self::retention::Retention;
pub(crate) use self::store::{Store, StoreKind};

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
    /// What is promised about revocation.
    pub(crate) guarantee: Guarantee,
    /// Where metrics are read.
    pub(crate) metrics: MetricsConfig,
    /// Where traces go.
    pub(crate) traces: TracesConfig,
    /// How events are written.
    pub(crate) log: LogConfig,
}

/// `[grpc]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Grpc {
    /// A loopback address, or any with TLS.
    pub(crate) listen: SocketAddr,
    /// What is shown to whoever connects; absent: the transport is in the clear.
    pub(crate) tls: Option<Tls>,
    /// Whether the contract can be asked for.
    pub(crate) reflection: bool,
    /// The largest message taken or given.
    pub(crate) max_message_bytes: usize,
    /// The longest a unary call may take.
    pub(crate) max_deadline_ms: u64,
}

/// `[grpc.tls]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// The certificate and those that vouch for it, in PEM; read again when it changes.
    pub(crate) cert_file: PathBuf,
    /// Its private key, in PEM.
    pub(crate) key_file: PathBuf,
    /// The certificate authorities that vouch for the certificates of callers, in PEM; absent: callers show none.
    #[serde(default)]
    pub(crate) client_ca_file: Option<PathBuf>,
}

/// `[http]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Http {
    /// A loopback address, or any behind a TLS proxy.
    pub(crate) listen: SocketAddr,
    /// That a proxy speaks TLS to the world in front of this listener.
    pub(crate) behind_tls_proxy: bool,
    /// That the proxy in front names the client last in `X-Forwarded-For`: attempts are counted by that address.
    pub(crate) forwarded_for: bool,
    /// The origins whose pages may use the session cookie, exactly as browsers write them.
    pub(crate) allowed_origins: Vec<String>,
    /// What a peer may ask of it.
    pub(crate) limits: HttpLimits,
}

/// `[tokens]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tokens {
    /// `iss` of access tokens.
    pub(crate) issuer: String,
    /// The default audience.
    pub(crate) audience: String,
    /// How long an access token is good.
    pub(crate) access_ttl_ms: u64,
    /// How long a refresh token is good.
    pub(crate) refresh_ttl_ms: u64,
    /// How long a session lasts at most.
    pub(crate) session_ttl_ms: u64,
    /// How long a ticket is good.
    pub(crate) ticket_ttl_ms: u64,
}

/// `[password]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Password {
    /// argon2id's memory for one hash.
    pub(crate) memory_kib: u32,
    /// argon2id's passes.
    pub(crate) iterations: u32,
    /// argon2id's lanes.
    pub(crate) parallelism: u32,
    /// How many hashes are computed at once.
    pub(crate) workers: usize,
    /// How many more may wait; beyond that a login is refused as overloaded.
    pub(crate) queue: usize,
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
            issuers: Issuers::default(),
            password: Password::default(),
            password_policy: Policy::default(),
            password_import: Import::default(),
            login_guard: LoginGuard::default(),
            cookie: Cookie::default(),
            second_factor: SecondFactor::default(),
            retention: Retention::default(),
            guarantee: Guarantee::default(),
            metrics: MetricsConfig::default(),
            traces: TracesConfig::default(),
            log: LogConfig::default(),
        }
    }
}

impl Default for Grpc {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7700)),
            tls: None,
            reflection: false,
            max_message_bytes: 1 << 20,
            max_deadline_ms: 30_000,
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 7701));
        Self {
            listen,
            behind_tls_proxy: false,
            forwarded_for: false,
            allowed_origins: Vec::new(),
            limits: HttpLimits::default(),
        }
    }
}

impl Default for Tokens {
    fn default() -> Self {
        const DAY: u64 = 86_400_000;
        Self {
            issuer: "https://portcullis.local".into(),
            audience: "portcullis".into(),
            access_ttl_ms: 600_000,
            refresh_ttl_ms: 30 * DAY,
            session_ttl_ms: 30 * DAY,
            ticket_ttl_ms: 30_000,
        }
    }
}

impl Default for Password {
    fn default() -> Self {
        Self { memory_kib: 19_456, iterations: 2, parallelism: 1, workers: 2, queue: 64 }
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
        let sections = self
            .keys
            .rules()
            .into_iter()
            .chain(self.issuers.rules())
            .chain(self.store.rules())
            .chain(self.retention.rules())
            .chain(self.guarantee.rules())
            .chain([self.metrics.rule()])
            .chain(self.traces.rules());
        for (holds, key, rule) in
            self.rules().into_iter().chain(sections).chain(self.http.limits.rules()).chain(login::rules(self))
        {
            if !holds {
                return Err(ConfigError::Refused { key, rule });
            }
        }
        self.guarantee.terms()?;
        Ok(())
    }

    fn rules(&self) -> [Rule; 15] {
        const HOUR: u64 = 3_600_000;
        const YEAR: u64 = 366 * 24 * HOUR;
        let Self { grpc, http, tokens, password, .. } = self;
        [
            (
                grpc.listen.ip().is_loopback() || grpc.tls.is_some(),
                "grpc.listen",
                "must be a loopback address, or have `grpc.tls.cert_file` and `grpc.tls.key_file`: the clear stays on this \
                 machine",
            ),
            (
                (1 << 12..=64 << 20).contains(&grpc.max_message_bytes),
                "grpc.max_message_bytes",
                "must be 4096 to 67108864",
            ),
            ((100..=300_000).contains(&grpc.max_deadline_ms), "grpc.max_deadline_ms", "must be 100 to 300000"),
            (
                http.listen.ip().is_loopback() || http.behind_tls_proxy,
                "http.listen",
                "must be a loopback address unless `http.behind_tls_proxy = true` says that a proxy speaks TLS in front",
            ),
            (
                http.allowed_origins.iter().all(|origin| is_origin(origin)),
                "http.allowed_origins",
                "must hold origins as browsers write them: scheme://host or scheme://host:port, in lower case",
            ),
            (is_named(&tokens.issuer), "tokens.issuer", "must be 1 to 255 visible ASCII characters"),
            (is_named(&tokens.audience), "tokens.audience", "must be 1 to 255 visible ASCII characters"),
            (
                (1_000..=HOUR).contains(&tokens.access_ttl_ms),
                "tokens.access_ttl_ms",
                "must be 1000 to 3600000 (an hour)",
            ),
            ((1_000..=YEAR).contains(&tokens.refresh_ttl_ms), "tokens.refresh_ttl_ms", "must be a second to a year"),
            ((1_000..=YEAR).contains(&tokens.session_ttl_ms), "tokens.session_ttl_ms", "must be a second to a year"),
            ((1_000..=30_000).contains(&tokens.ticket_ttl_ms), "tokens.ticket_ttl_ms", "must be 1000 to 30000"),
            (
                password.parallelism > 0 && (8 * password.parallelism..=1 << 20).contains(&password.memory_kib),
                "password.memory_kib",
                "must be 8 × `password.parallelism` to 1048576",
            ),
            ((1..=64).contains(&password.iterations), "password.iterations", "must be 1 to 64"),
            ((1..=64).contains(&password.workers), "password.workers", "must be 1 to 64"),
            ((1..=65_536).contains(&password.queue), "password.queue", "must be 1 to 65536"),
        ]
    }
}

fn is_named(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// An origin as it is serialised (RFC 6454, 6.2): anything else would never equal what a browser sends.
fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<http::Uri>() else {
        return false;
    };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return false;
    };
    let default_port = matches!((scheme, authority.port_u16()), ("http", Some(80)) | ("https", Some(443)));
    text == format!("{scheme}://{authority}").to_ascii_lowercase() && !authority.as_str().contains('@') && !default_port
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
    fn grpc_in_the_clear_stays_on_loopback() {
        for address in ["0.0.0.0:7700", "[::]:7700", "192.0.2.1:7700"] {
            assert!(refused(&format!("[grpc]\nlisten = '{address}'")).contains("grpc.listen"), "{address}");
        }
        assert!(read("[grpc]\nlisten = '[::1]:0'").is_ok());
        let tls = "[grpc.tls]\ncert_file = 'a'\nkey_file = 'b'";
        assert!(read(&format!("[grpc]\nlisten = '0.0.0.0:7700'\n{tls}")).is_ok());
        assert!(refused("[grpc.tls]\ncert_file = 'a'").contains("key_file"));
    }

    #[test]
    fn http_leaves_loopback_only_behind_a_tls_proxy() {
        assert!(refused("[http]\nlisten = '0.0.0.0:80'").contains("http.behind_tls_proxy"));
        assert!(read("[http]\nlisten = '0.0.0.0:80'\nbehind_tls_proxy = true").is_ok());
    }

    #[test]
    fn an_origin_that_no_browser_sends_is_refused() {
        for origin in [
            "*",
            "null",
            "example.org",
            "https://Example.org",
            "https://a.example/",
            "https://u@a.example",
            "https://a:443",
        ] {
            assert!(
                refused(&format!("[http]\nallowed_origins = ['{origin}']")).contains("allowed_origins"),
                "{origin}"
            );
        }
        assert!(
            read("[http]\nallowed_origins = ['https://a.example', 'http://127.0.0.1:7780', 'http://[::1]:1']").is_ok()
        );
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
            ("password", "parallelism = 0", "password.memory_kib"),
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
            ("retention", "tokens_hours = 1", "retention.tokens_hours"),
            ("retention", "sessions_days = 1\ntokens_hours = 25", "retention.sessions_days"),
            ("retention", "external_sessions_days = 29", "retention.external_sessions_days"),
            ("retention", "api_keys_days = 36601", "retention.api_keys_days"),
            ("retention", "signing_keys_days = 36601", "retention.signing_keys_days"),
            ("keys", "rotate_every_ms = 600000", "keys.rotate_every_ms"),
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
