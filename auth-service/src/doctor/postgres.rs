//! A store on PostgreSQL: what the server promises for a commit, and whether there is room for its connections.

use auth_domain::Store as _;
use auth_storage::{PostgresStore, Server};
use portcullis_types::Clock;

use super::report::{Report, Severity};
use super::stored;
use crate::config::Config;
use crate::store;
use crate::tailer::SourceText as _;

/// Who serves the store cannot be told from it: others may, on other machines.
pub(super) async fn examine(config: &Config, clock: &dyn Clock, report: &mut Report) {
    let url = match store::database(config, store::from_environment()) {
        Ok(url) => url,
        Err(error) => {
            report.bad("store", Severity::Error, error.to_string(), "see docs/operations.md, PostgreSQL");
            return;
        }
    };
    let server = match Server::ask(&url).await {
        Ok(server) => server,
        Err(error) => {
            let finding = format!("{error}: {}", error.source_text());
            let mend = "look whether the server runs, and whether address and password are right";
            report.bad("store", Severity::Error, finding, mend);
            return;
        }
    };
    settings(config, &server, report);
    if stored::schema(&server.schema, report) {
        match PostgresStore::beside(&url, &config.store.postgres()).await {
            Ok(store) => {
                stored::examine(config, &store, clock, report).await;
                store.close().await;
            }
            Err(error) => {
                let finding = format!("{error}: {}", error.source_text());
                report.bad("store", Severity::Error, finding, "look whether the server is the primary");
            }
        }
    }
}

fn settings(config: &Config, server: &Server, report: &mut Report) {
    report.good("store", format!("PostgreSQL {}", server.setting("server_version")));
    if server.setting("fsync") == "off" {
        let mend = "fsync = on: a power cut may lose or damage anything";
        report.bad("fsync", Severity::Error, "off", mend);
    }
    if server.setting("full_page_writes") == "off" {
        let mend = "full_page_writes = on, unless the file system writes whole pages";
        report.bad("full_page_writes", Severity::Warning, "off", mend);
    }
    if server.setting("synchronous_standby_names").is_empty() {
        let mend = "name a synchronous standby: without one a failover may lose revocations that were acknowledged; \
                    the loss is detected, and what rests on it dies, but they must be made again";
        report.bad("standby", Severity::Warning, "synchronous_standby_names is empty", mend);
    } else {
        report.good("standby", format!("synchronous_standby_names = {}", server.setting("synchronous_standby_names")));
    }
    // Each replica: its pools, one for the head's proof, one that follows the log, two that look credentials up.
    let wanted = u64::from(config.store.readers) + u64::from(config.store.writers) + 4;
    let most: u64 = server.setting("max_connections").parse().unwrap_or_default();
    let finding = format!("{wanted} of {most} connections for this replica");
    if wanted > most {
        let mend = "raise max_connections, or lower `store.readers` and `store.writers`";
        report.bad("connections", Severity::Error, finding, mend);
    } else {
        report.good("connections", finding);
    }
}
