//! `auth-service doctor`: what is wrong with an installation, and how it is mended, before somebody is locked out by it.
//!
//! Guarantees: it changes nothing and may run beside the process that serves; every finding says what it rests on, and
//! every one that is not good says what to do. Ends with 1 where a finding is an error.
//! Refuses to print a secret, or the address of a database, which holds one.

mod data_directory;
mod health;
mod machine;
mod postgres;
mod report;
mod sqlite;
mod stored;
mod tls;

use std::sync::Arc;

use portcullis_types::Clock;

pub(crate) use self::report::{Output, Report, Severity};

use crate::config::{Config, StoreKind};

/// Looks at everything.
pub(crate) async fn examine(config: &Config, clock: &Arc<dyn Clock>) -> Report {
    let mut report = Report::default();
    data_directory::examine(config, &mut report);
    machine::disk(config, &mut report);
    machine::files(config, &mut report);
    let served = match config.store.kind {
        StoreKind::Sqlite => sqlite::examine(config, &**clock, &mut report).await,
        StoreKind::Postgres => {
            postgres::examine(config, &**clock, &mut report).await;
            health::answers(config.http.listen).await
        }
    };
    machine::ports(config, served, &mut report);
    tls::examine(config, clock, &mut report);
    machine::metrics(config, &mut report);
    report
}
