//! What a server says of itself, for whoever looks whether it keeps what it answers.

use std::collections::BTreeMap;

use sqlx::{ConnectOptions as _, Connection as _};

use super::{DatabaseUrl, MIGRATOR, NAME};
use crate::schema::Schema;

const ASKED: [&str; 5] =
    ["server_version", "fsync", "full_page_writes", "synchronous_standby_names", "max_connections"];

/// A server that answered.
#[derive(Clone, Debug)]
pub struct Server {
    /// Which migrations the database has.
    pub schema: Schema,
    settings: BTreeMap<String, String>,
}

impl Server {
    /// Asks it, and changes nothing.
    pub async fn ask(url: &DatabaseUrl) -> Result<Self, sqlx::Error> {
        let options = url.options().clone().application_name(NAME).disable_statement_logging();
        let mut connection = options.connect().await?;
        let names: Vec<String> = ASKED.iter().map(|&name| name.to_owned()).collect();
        let settings = sqlx::query_as("SELECT name, setting FROM pg_settings WHERE name = ANY($1)").bind(names);
        let settings: Vec<(String, String)> = settings.fetch_all(&mut connection).await?;
        let has_any: bool =
            sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL").fetch_one(&mut connection).await?;
        let applied: Vec<i64> = if has_any {
            let applied = sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success");
            applied.fetch_all(&mut connection).await?
        } else {
            Vec::new()
        };
        connection.close().await?;
        Ok(Self { schema: Schema::new(applied, &MIGRATOR), settings: settings.into_iter().collect() })
    }

    /// A setting as the server has it; empty when it does not say.
    pub fn setting(&self, name: &str) -> &str {
        self.settings.get(name).map_or("", String::as_str)
    }
}
