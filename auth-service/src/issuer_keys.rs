//! The keys of external issuers, as they publish them: fetched, kept for a while, fetched again.
//!
//! Owns the fetches and their bounds in number; what to do when is said by [`KeyBook`].
//! Guarantees: a fetch runs to its end whoever stops waiting for it, so a flood of impatient callers begins no second
//! one; issuers do not wait for each other. At most 1,024 issuers are remembered: the one fetched longest ago gives way.

mod address;
mod fetch;
mod network;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use auth_domain::{Discovery, IssuerKey, IssuerKeys, IssuerSilent, IssuerUrl, KeyAnswer, KeyBook, KeyRules, KeySet};
use portcullis_types::{Clock, Shutdown};
use tokio::sync::watch;

use self::fetch::{FetchError, Fetcher};
use crate::config::Issuers;
use crate::metrics::Metrics;
use crate::tailer::SourceText as _;

const MOST_REMEMBERED: usize = 1_024;

pub(crate) use self::address::AllowedNetworks;
pub(crate) use self::fetch::RootsError;

/// Whether the file of additional roots can be used, where one is named.
pub(crate) fn check_roots(config: &Issuers) -> Result<(), RootsError> {
    Fetcher::new(config).map(drop)
}

/// See the module.
#[derive(Debug)]
pub(crate) struct PublishedKeys {
    fetcher: Arc<Fetcher>,
    rules: KeyRules,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
    lines: Mutex<HashMap<IssuerUrl, Arc<Line>>>,
}

/// What is known of one issuer, and who waits for more.
#[derive(Debug)]
struct Line {
    book: Mutex<KeyBook>,
    fetched: watch::Sender<()>,
}

impl PublishedKeys {
    /// Knows nothing yet.
    pub(crate) fn new(
        config: &Issuers,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
        shutdown: Shutdown,
    ) -> Result<Self, RootsError> {
        let fetcher = Arc::new(Fetcher::new(config)?);
        Ok(Self { fetcher, rules: config.key_rules(), metrics, clock, shutdown, lines: Mutex::default() })
    }

    fn line(&self, issuer: &IssuerUrl) -> Arc<Line> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get(issuer) {
            return Arc::clone(line);
        }
        if lines.len() >= MOST_REMEMBERED {
            let oldest = lines.iter().min_by_key(|(_, line)| line.book().last_used()).map(|(url, _)| url.clone());
            oldest.map(|url| lines.remove(&url));
        }
        let line = Arc::new(Line { book: Mutex::default(), fetched: watch::Sender::new(()) });
        lines.insert(issuer.clone(), Arc::clone(&line));
        line
    }

    /// The book has noted that it began.
    fn fetch(&self, issuer: &IssuerUrl, line: &Arc<Line>) {
        let flight = Flight { line: Arc::clone(line), keys: None, clock: Arc::clone(&self.clock) };
        let (fetcher, metrics) = (Arc::clone(&self.fetcher), Arc::clone(&self.metrics));
        self.shutdown.track(flight.fly(fetcher, metrics, issuer.clone()));
    }
}

impl Line {
    fn book(&self) -> std::sync::MutexGuard<'_, KeyBook> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fetch: however it ends, those who wait are told.
struct Flight {
    line: Arc<Line>,
    keys: Option<KeySet>,
    clock: Arc<dyn Clock>,
}

impl Flight {
    async fn fly(mut self, fetcher: Arc<Fetcher>, metrics: Arc<Metrics>, issuer: IssuerUrl) {
        let fetched = keys_of(&fetcher, &issuer).await;
        metrics.issuer_fetch(fetched.as_ref().map_or_else(FetchError::word, |_| "fetched"));
        match fetched {
            Ok(keys) => self.keys = Some(keys),
            Err(error) => {
                tracing::warn!(issuer = issuer.as_str(), %error, cause = error.source_text(), "no keys of an issuer");
            }
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.line.book().fetched(self.keys.take(), self.clock.boottime());
        self.line.fetched.send_replace(());
    }
}

async fn keys_of(fetcher: &Fetcher, issuer: &IssuerUrl) -> Result<KeySet, FetchError> {
    let document = fetcher.get(&Discovery::url(issuer)).await?;
    let discovery = Discovery::parse(&document, issuer)?;
    Ok(KeySet::parse(&fetcher.get(discovery.jwks.as_str()).await?)?)
}

#[async_trait]
impl IssuerKeys for PublishedKeys {
    fn is_out_of_reach(&self, issuer: &IssuerUrl) -> bool {
        self.fetcher.is_out_of_reach(issuer.as_str())
    }

    async fn key(&self, issuer: &IssuerUrl, kid: &str) -> Result<Option<Arc<IssuerKey>>, IssuerSilent> {
        let line = self.line(issuer);
        let mut fetched = line.fetched.subscribe();
        loop {
            // Before asking, so that no end of a fetch is missed.
            fetched.borrow_and_update();
            let answer = line.book().ask(kid, self.clock.boottime(), &self.rules);
            match answer {
                KeyAnswer::Known(key) => return Ok(Some(key)),
                KeyAnswer::KnownAndFetch(key) => {
                    self.fetch(issuer, &line);
                    return Ok(Some(key));
                }
                KeyAnswer::Unknown => return Ok(None),
                KeyAnswer::Silent => return Err(IssuerSilent),
                KeyAnswer::Fetch => self.fetch(issuer, &line),
                KeyAnswer::Wait => {}
            }
            fetched.changed().await.map_err(|_| IssuerSilent)?;
        }
    }
}
