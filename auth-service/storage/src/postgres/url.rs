//! Where the database is and who we are there. It holds a password, so it is never shown.

use std::fmt;
use std::str::FromStr as _;

use portcullis_types::Secret;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// What may follow the `?`. Anything else is refused, because what is misspelt may be a password.
const PARAMETERS: [&str; 10] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
];

/// `postgres://user:password@host/database?sslmode=verify-full&sslrootcert=/etc/ssl/db.pem`.
#[derive(Clone)]
pub struct DatabaseUrl {
    options: PgConnectOptions,
}

/// Why a text is not the address of a database. It never repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDatabaseUrl {
    /// It does not read as one.
    #[error("the database's address must be postgres://user:password@host/database")]
    Form,
    /// It has a parameter that means nothing here.
    #[error("the database's address has a parameter that is none of: {}", PARAMETERS.join(", "))]
    Parameter,
    /// It would send rows and passwords over a network in the clear, or to whoever answers.
    #[error(
        "the database is on another machine: add sslmode=verify-full (and sslrootcert=FILE for an authority of your own), \
         or allow plaintext"
    )]
    InTheClear,
}

impl DatabaseUrl {
    /// Reads an address. A database on another machine must prove by TLS who it is, unless plaintext is allowed.
    pub fn parse(text: &Secret, allow_plaintext: bool) -> Result<Self, InvalidDatabaseUrl> {
        let text = text.expose_str().map(str::trim).ok_or(InvalidDatabaseUrl::Form)?;
        if !(text.starts_with("postgres://") || text.starts_with("postgresql://")) {
            return Err(InvalidDatabaseUrl::Form);
        }
        let query = text.split_once('?').map_or("", |(_, query)| query);
        let mut names =
            query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split('=').next().unwrap_or(pair));
        if !names.all(|name| PARAMETERS.contains(&name)) {
            return Err(InvalidDatabaseUrl::Parameter);
        }
        let options = PgConnectOptions::from_str(text).map_err(|_| InvalidDatabaseUrl::Form)?;
        let proven = matches!(options.get_ssl_mode(), PgSslMode::VerifyFull | PgSslMode::VerifyCa);
        if proven || allow_plaintext || stays_here(&options) {
            Ok(Self { options })
        } else {
            Err(InvalidDatabaseUrl::InTheClear)
        }
    }

    pub(super) const fn options(&self) -> &PgConnectOptions {
        &self.options
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseUrl").field("host", &self.options.get_host()).finish_non_exhaustive()
    }
}

fn stays_here(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let loopback = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    options.get_socket().is_some() || host.starts_with('/') || host == "localhost" || loopback
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<DatabaseUrl, InvalidDatabaseUrl> {
        DatabaseUrl::parse(&Secret::from(text), false)
    }

    #[test]
    fn a_database_on_another_machine_proves_who_it_is() {
        let elsewhere = "postgres://portcullis:hunter2@db.example/portcullis";
        assert_eq!(read(elsewhere).expect_err("in the clear"), InvalidDatabaseUrl::InTheClear);
        for mode in ["disable", "prefer", "require"] {
            let error = read(&format!("{elsewhere}?sslmode={mode}")).expect_err("proves nothing");
            assert_eq!(error, InvalidDatabaseUrl::InTheClear, "{mode}");
        }
        assert!(read(&format!("{elsewhere}?sslmode=verify-full")).is_ok());
        assert!(DatabaseUrl::parse(&Secret::from(elsewhere), true).is_ok());
        for here in ["localhost", "127.0.0.1", "%2Fvar%2Frun%2Fpostgresql"] {
            assert!(read(&format!("postgres://portcullis@{here}/portcullis")).is_ok(), "{here}");
        }
    }

    #[test]
    fn neither_an_error_nor_a_log_repeats_the_password() {
        let good = read("postgres://portcullis:hunter2@localhost/portcullis").expect("valid");
        assert!(!format!("{good:?}").contains("hunter2"));
        for bad in ["hunter2", "postgres://u:hunter2@h:notaport/d", "postgres://u@localhost/d?pasword=hunter2"] {
            let error = read(bad).expect_err("invalid");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{bad}");
        }
        let error = read("postgres://u@localhost/d?pasword=hunter2").expect_err("misspelt");
        assert_eq!(error, InvalidDatabaseUrl::Parameter);
    }
}
