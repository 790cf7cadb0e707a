//! The one file of a store on SQLite. Whether a process serves it.

use auth_domain::Store as _;
use auth_storage::SqliteStore;
use portcullis_types::Clock;

use super::report::{Report, Severity};
use super::stored;
use crate::config::Config;
use crate::tailer::SourceText as _;

pub(super) async fn examine(config: &Config, clock: &dyn Clock, report: &mut Report) -> bool {
    let directory = &config.data_dir;
    let served = SqliteStore::is_served(directory);
    report.good("process", if served { "one serves this directory" } else { "none serves this directory" });
    if !directory.join("authority.db").exists() {
        let mend = "start the service once, run `auth-service bootstrap`, or restore a backup";
        report.bad("store", Severity::Advice, "there is none yet", mend);
        return served;
    }
    match SqliteStore::beside(directory).await {
        Err(error) => {
            let finding = format!("{error}: {}", error.source_text());
            report.bad("store", Severity::Error, finding, "restore a backup: `auth-service restore`");
        }
        Ok(store) => {
            whole(&store, report).await;
            if matches!(store.schema().await, Ok(found) if stored::schema(&found, report)) {
                stored::examine(config, &store, clock, report).await;
            }
            store.close().await;
        }
    }
    served
}

async fn whole(store: &SqliteStore, report: &mut Report) {
    let mend = "restore a backup: `auth-service restore`";
    match store.damage().await {
        Ok(None) => report.good("store", "SQLite finds no damage"),
        Ok(Some(finding)) => report.bad("store", Severity::Error, finding, mend),
        Err(error) => report.bad("store", Severity::Error, error.to_string(), mend),
    }
}
