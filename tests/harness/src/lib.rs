//! Starts the real programs on free ports in a temporary directory, speaks to them as users do, and stops them.
//!
//! Owns: building and running the programs ([`Process`]), the network between them ([`Link`]), the three ways in
//! (gRPC: [`Api`], HTTP: [`Edge`], WebSocket: [`Socket`]), the command line ([`Cli`]), clients that are not ours ([`Node`]), and a whole site of one
//! authority and two gateways ([`Site`]), to which others on the same [`Database`] can be added; and what none of their
//! logs may hold ([`remember`]).
//! Guarantees: every wait has a deadline and says what it waited for; nothing is left running.
//! Refuses: to know anything about the programs that a user could not know.

mod api;
mod authority;
mod cli;
mod collector;
mod database;
mod edge;
mod gateway;
mod link;
mod node;
mod process;
mod secrets;
mod site;
mod slow_authority;
mod socket;
mod totp;

use std::future::Future;
use std::time::Duration;

pub use api::{Api, Caller};
pub use authority::Authority;
pub use cli::{Cli, Said};
pub use collector::Collector;
pub use database::Database;
pub use edge::{Answer, Edge, Login};
pub use gateway::{Gateway, GatewayOptions};
pub use link::Link;
pub use node::{Event, Node};
pub use process::{Process, program};
pub use secrets::{
    assert_none_in, assert_none_in_store, remember, remember_code, remember_hash, remember_pem, remember_pkcs8,
};
pub use site::{PASSWORD, Site};
pub use slow_authority::SlowAuthority;
pub use socket::{Closed, Connected, Socket, command};
pub use totp::code_now;

/// The longest that anything in a test may take; far above what anything needs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What the programs log in every scene: everything, but for what the transports say of frames, pings and polls. That is
/// most of the lines (it is the bulk of an unfiltered log) and holds no payload; one scene reads it all the same.
const LOG_FILTER: &str = "trace,h2=info,hyper=info,hyper_util=info,tower=info,mio=info";

/// The `[log]` table of every scene that has none of its own.
pub(crate) fn log_config() -> String {
    format!("[log]\nformat = \"json\"\nfilter = {LOG_FILTER:?}\n")
}

/// Waits for `what`, at most [`PATIENCE`].
///
/// # Panics
/// When it does not come.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} for {what}"),
    }
}

/// Asks again and again until `check` has an answer, at most for [`PATIENCE`].
///
/// # Panics
/// When it never has one.
pub async fn eventually<T, F>(what: &str, mut check: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    within(what, async {
        loop {
            if let Some(value) = Box::pin(check()).await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}
