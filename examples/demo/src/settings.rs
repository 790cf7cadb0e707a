//! What the demonstration is told at its start, checked once.
//!
//! Guarantees: every address that a secret is sent to is on loopback, and every gateway is a plain WebSocket address
//! that can stand in a `Content-Security-Policy` header.
//! Refuses: to listen elsewhere than on loopback, and user names that could not be test ids of the page.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Parser;
use http::Uri;
use portcullis_types::{InvalidName, Secret, TenantId, is_loopback_host};

/// At most so many users have a panel on the page.
const MOST_USERS: usize = 4;
/// At most so many gateways have a row in a panel.
const MOST_GATEWAYS: usize = 4;

/// The demonstration of Portcullis: a page on loopback that logs users in, opens their sockets and revokes them.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    /// Where to listen; loopback only. Port 0 takes any free one.
    #[arg(long, env = "PORTCULLIS_DEMO_LISTEN", default_value = "127.0.0.1:7780")]
    pub(crate) listen: SocketAddr,
    /// The authority's gRPC address.
    #[arg(long, env = "PORTCULLIS_DEMO_AUTHORITY", default_value = "http://127.0.0.1:7700")]
    pub(crate) authority: Uri,
    /// The authority's HTTP address.
    #[arg(long, env = "PORTCULLIS_DEMO_AUTHORITY_HTTP", default_value = "http://127.0.0.1:7701")]
    pub(crate) authority_http: Uri,
    /// File with the API key of this back end; scopes `identity.read`, `identity.write`, `revoke`.
    #[arg(long, env = "PORTCULLIS_DEMO_API_KEY_FILE")]
    pub(crate) api_key_file: PathBuf,
    /// The tenant of the demo's users.
    #[arg(long, env = "PORTCULLIS_DEMO_TENANT", default_value = "demo")]
    pub(crate) tenant: String,
    /// A gateway's WebSocket address; once for each gateway, or separated by commas.
    #[arg(long = "gateway", env = "PORTCULLIS_DEMO_GATEWAYS", value_delimiter = ',', required = true)]
    pub(crate) gateways: Vec<Uri>,
    /// JSON file with the users' names and passwords, which the page fills in: {"alice":"…","bob":"…"}.
    #[arg(long, env = "PORTCULLIS_DEMO_PASSWORDS_FILE")]
    pub(crate) passwords_file: PathBuf,
    /// File to write the bound address to, as JSON, once it listens.
    #[arg(long, env = "PORTCULLIS_DEMO_READY_FILE")]
    pub(crate) ready_file: Option<PathBuf>,
}

/// Why the arguments cannot be used. Never repeats the content of a secret file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// The page would be served to a network.
    #[error("--listen {0} is not loopback: the demonstration lets whoever reaches it disable users")]
    ListenNotLoopback(SocketAddr),
    /// Keys and passwords would cross a network in the clear.
    #[error("--{0} must be http:// and an address on loopback, without a path: secrets are sent there in the clear")]
    AuthorityNotLoopback(&'static str),
    /// Not a WebSocket address.
    #[error("--gateway must be ws:// or wss://, a host and a path, without a query")]
    Gateway,
    /// None or too many.
    #[error("--gateway must be given 1 to {MOST_GATEWAYS} times")]
    GatewayCount,
    /// Not a tenant's name.
    #[error("--tenant: {0}")]
    Tenant(#[from] InvalidName),
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not a key of ours by its form.
    #[error("--api-key-file does not hold an API key (pk_…)")]
    ApiKey,
    /// Not a JSON object of texts.
    #[error("--passwords-file must be a JSON object of names and passwords")]
    Passwords,
    /// A name that cannot be a test id, none, or too many.
    #[error("--passwords-file must name 1 to {MOST_USERS} users: 1 to 31 of a-z, 0-9 and '-', not \"anon\"")]
    UserNames,
}

/// A gateway as the page and the security policy name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gateway {
    /// Where sockets are opened.
    pub(crate) url: String,
    /// Its scheme, host and port.
    pub(crate) origin: String,
}

/// The arguments, checked.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// The authority's gRPC address.
    pub(crate) authority: Uri,
    /// The authority's HTTP host and port.
    pub(crate) authority_http: http::uri::Authority,
    /// This back end's key.
    pub(crate) api_key: Secret,
    /// The tenant of the demo's users.
    pub(crate) tenant: TenantId,
    /// The gateways, in the order given.
    pub(crate) gateways: Vec<Gateway>,
    /// The users' names and passwords.
    pub(crate) passwords: BTreeMap<String, Secret>,
}

impl Settings {
    /// Checks the arguments and reads the files they name.
    pub(crate) fn read(arguments: &Arguments) -> Result<Self, SettingsError> {
        if !arguments.listen.ip().is_loopback() {
            return Err(SettingsError::ListenNotLoopback(arguments.listen));
        }
        if !(1..=MOST_GATEWAYS).contains(&arguments.gateways.len()) {
            return Err(SettingsError::GatewayCount);
        }
        loopback_http(&arguments.authority, "authority")?;
        Ok(Self {
            listen: arguments.listen,
            authority: arguments.authority.clone(),
            authority_http: loopback_http(&arguments.authority_http, "authority-http")?,
            api_key: api_key(&arguments.api_key_file)?,
            tenant: TenantId::try_from(arguments.tenant.as_str())?,
            gateways: arguments.gateways.iter().map(gateway).collect::<Result<_, _>>()?,
            passwords: passwords(&arguments.passwords_file)?,
        })
    }
}

fn loopback_http(uri: &Uri, flag: &'static str) -> Result<http::uri::Authority, SettingsError> {
    let refused = SettingsError::AuthorityNotLoopback(flag);
    let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    match uri.authority() {
        Some(to)
            if uri.scheme_str() == Some("http")
                && bare
                && !to.as_str().contains('@')
                && is_loopback_host(to.host()) =>
        {
            Ok(to.clone())
        }
        Some(_) | None => Err(refused),
    }
}

fn gateway(uri: &Uri) -> Result<Gateway, SettingsError> {
    let (Some(scheme @ ("ws" | "wss")), Some(to)) = (uri.scheme_str(), uri.authority()) else {
        return Err(SettingsError::Gateway);
    };
    // These are the only characters of a host and port; a policy header must not be extended by others.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    if uri.query().is_some() || !to.as_str().chars().all(plain) {
        return Err(SettingsError::Gateway);
    }
    Ok(Gateway { url: uri.to_string(), origin: format!("{scheme}://{to}") })
}

fn read(path: &Path) -> Result<String, SettingsError> {
    std::fs::read_to_string(path).map_err(|source| SettingsError::Read { path: path.into(), source })
}

fn api_key(path: &Path) -> Result<Secret, SettingsError> {
    let text = Secret::from(read(path)?);
    let key = text.expose_str().map(str::trim).unwrap_or_default();
    let in_form = key.starts_with("pk_") && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if in_form { Ok(Secret::from(key)) } else { Err(SettingsError::ApiKey) }
}

fn passwords(path: &Path) -> Result<BTreeMap<String, Secret>, SettingsError> {
    let all: BTreeMap<String, String> = serde_json::from_str(&read(path)?).map_err(|_| SettingsError::Passwords)?;
    let is_name = |name: &str| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        (1..=31).contains(&name.len()) && name != "anon" && name.bytes().all(plain)
    };
    if !(1..=MOST_USERS).contains(&all.len()) || !all.keys().all(|name| is_name(name)) {
        return Err(SettingsError::UserNames);
    }
    Ok(all.into_iter().map(|(name, password)| (name, Secret::from(password))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(folder: &Path, more: &[&str]) -> Arguments {
        let file = |name: &str, content: &str| {
            std::fs::write(folder.join(name), content).expect("the folder is ours");
            folder.join(name).display().to_string()
        };
        let key = file("key", "pk_abc_DEF-1\n");
        let passwords = file("passwords", r#"{"alice":"correct horse","bob":"battery staple"}"#);
        let fixed = ["demo", "--api-key-file", &key, "--passwords-file", &passwords];
        let gateway: &[&str] = if more.contains(&"--gateway") { &[] } else { &["--gateway", "ws://127.0.0.1:1/hub"] };
        Arguments::parse_from(fixed.iter().chain(gateway).chain(more))
    }

    fn read_with(more: &[&str]) -> Result<Settings, SettingsError> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Settings::read(&arguments(folder.path(), more))
    }

    #[test]
    fn it_refuses_to_listen_beyond_loopback() {
        for listen in ["0.0.0.0:7780", "[::]:7780", "192.168.1.2:7780", "[::ffff:127.0.0.1]:7780"] {
            let refused = read_with(&["--listen", listen]).expect_err("not loopback");
            assert!(matches!(refused, SettingsError::ListenNotLoopback(_)), "{listen}: {refused}");
        }
        for listen in ["127.0.0.1:0", "[::1]:0", "127.9.9.9:0"] {
            assert!(read_with(&["--listen", listen]).is_ok(), "{listen}");
        }
    }

    #[test]
    fn it_refuses_to_send_secrets_beyond_loopback() {
        for bad in
            ["http://10.0.0.1:7700", "https://127.0.0.1:7700", "http://127.0.0.1.example:1", "http://127.0.0.1:1/x"]
        {
            assert!(read_with(&["--authority", bad]).is_err(), "{bad}");
            assert!(read_with(&["--authority-http", bad]).is_err(), "{bad}");
        }
        assert!(read_with(&["--authority", "http://[::1]:7700", "--authority-http", "http://localhost:1"]).is_ok());
    }

    #[test]
    fn a_gateway_is_a_websocket_address_and_its_origin_is_cut_from_it() {
        let settings = read_with(&["--gateway", "ws://127.0.0.1:7711/connection/websocket"]).expect("a good gateway");
        assert_eq!(settings.gateways[0].origin, "ws://127.0.0.1:7711");
        for bad in ["http://127.0.0.1:1/", "ws://a@b:1/", "ws://a:1/?token=x", "ws://a;b:1/", "/path"] {
            assert!(read_with(&["--gateway", bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_message_repeats_a_secret() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let arguments = arguments(folder.path(), &[]);
        std::fs::write(&arguments.api_key_file, "sk_hunter2").expect("the folder is ours");
        let refused = Settings::read(&arguments).expect_err("not a key");
        assert!(!format!("{refused} {refused:?}").contains("hunter2"));
        std::fs::write(&arguments.api_key_file, "pk_a").expect("the folder is ours");
        std::fs::write(&arguments.passwords_file, r#"{"Alice":"hunter2"}"#).expect("the folder is ours");
        let refused = Settings::read(&arguments).expect_err("a capital is not allowed");
        assert!(!format!("{refused} {refused:?}").contains("hunter2"));
    }
}
