//! Commits, and whether they took place.
//!
//! A commit waits for its replication, and the server does not bound that wait: the client does. A wait that somebody
//! cancels is answered with success and a warning, though a failover would lose the commit. The driver hands warnings
//! to the log alone, so a commit runs under a subscriber that notes them.

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

use auth_domain::StoreError;
use sqlx::{Executor as _, PgConnection};
use tokio::time::timeout;
use tracing::field::{Field, Visit};
use tracing::instrument::WithSubscriber as _;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// Where the driver's copy of a warning appears.
const NOTICES: &str = "sqlx::postgres::notice";

tokio::task_local! {
    /// The warning that the commit of this task was answered with.
    static WARNING: Cell<Option<String>>;
}

/// Carries out commits.
#[derive(Debug)]
pub(super) struct Commits {
    patience: Duration,
    warnings: Dispatch,
}

/// A commit that a failover may lose.
#[derive(Debug, thiserror::Error)]
#[error("the commit was answered with a warning: {0}")]
struct Warned(String);

impl Commits {
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, warnings: Dispatch::new(Warnings) }
    }

    /// Commits what the connection did. After an error the connection must not be used again.
    pub(super) async fn commit(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        let answered = async {
            let answer = timeout(self.patience, connection.execute("COMMIT")).await;
            (answer, WARNING.with(Cell::take))
        };
        let answered = answered.with_subscriber(self.warnings.clone());
        match WARNING.scope(Cell::new(None), answered).await {
            (Ok(Ok(_)), None) => Ok(()),
            (Ok(Ok(_)), Some(warning)) => {
                tracing::error!(warning, "a commit was answered, but a failover may lose it");
                Err(unknown(Warned(warning)))
            }
            (Ok(Err(error)), _) if is_refusal(&error) => Err(super::refused(error)),
            (Ok(Err(error)), _) => Err(unknown(error)),
            (Err(late), _) => Err(unknown(late)),
        }
    }
}

fn unknown(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::UnknownOutcome(Box::new(error))
}

/// Whether the server says that the transaction did not take place: a broken constraint or a rollback. That it was
/// told to stop, or cannot say, is no such word.
fn is_refusal(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code != "40003" && (code.starts_with("23") || code.starts_with("40")))
}

/// Notes the driver's warnings for the task that it runs in, and nothing else.
struct Warnings;

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == NOTICES && *metadata.level() <= Level::WARN
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        // No span is enabled; an id must not be zero.
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        // Outside of a commit there is nobody to tell.
        let _ = WARNING.try_with(|warning| warning.set(Some(message.0)));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
