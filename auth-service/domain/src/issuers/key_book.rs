//! Which keys of an issuer are known, and when to ask for them again. No I/O: whoever fetches asks this what to do.
//!
//! Guarantees: at most one fetch at a time, and at most one in a cooldown, however many tokens name keys that nobody
//! knows; a key that the issuer no longer publishes is forgotten at the next fetch that succeeds, and every key once no
//! fetch has succeeded for too long.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use portcullis_types::Boottime;

use super::{IssuerKey, IssuerUrl, KeySet};

/// The issuer's keys cannot be had now, so that nothing can be said about its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the keys of the token's issuer cannot be fetched")]
pub struct IssuerSilent;

/// Where keys of issuers come from.
#[async_trait]
pub trait IssuerKeys: fmt::Debug + Send + Sync {
    /// Whether keys are never fetched from the address that the issuer's URL is at. What a name leads to is seen at each
    /// fetch.
    fn is_out_of_reach(&self, issuer: &IssuerUrl) -> bool;

    /// The key that the issuer publishes under this id; none when it publishes no such key, as far as is known.
    async fn key(&self, issuer: &IssuerUrl, kid: &str) -> Result<Option<Arc<IssuerKey>>, IssuerSilent>;
}

/// How long keys are believed, and how often they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRules {
    /// After this they are asked for again, and used meanwhile.
    pub refresh: Duration,
    /// After this without an answer they are used no more.
    pub keep: Duration,
    /// The least time from one fetch to the next.
    pub cooldown: Duration,
}

/// What to do about a key.
#[derive(Clone, Debug)]
pub enum KeyAnswer {
    /// It is known.
    Known(Arc<IssuerKey>),
    /// It is known, and it is time to fetch; the fetch has been noted as begun.
    KnownAndFetch(Arc<IssuerKey>),
    /// Fetch, then ask again; the fetch has been noted as begun.
    Fetch,
    /// Somebody fetches: wait, then ask again.
    Wait,
    /// The issuer has no such key.
    Unknown,
    /// Nothing is known of the issuer.
    Silent,
}

/// The keys of one issuer.
#[derive(Debug, Default)]
pub struct KeyBook {
    known: Option<(KeySet, Boottime)>,
    began: Option<Boottime>,
    is_fetching: bool,
}

impl KeyBook {
    /// What to do about this key.
    pub fn ask(&mut self, kid: &str, now: Boottime, rules: &KeyRules) -> KeyAnswer {
        let known = self.known.as_ref().filter(|(_, at)| now.saturating_since(*at) < rules.keep);
        let key = known.and_then(|(set, _)| set.get(kid)).cloned();
        let is_old = known.is_none_or(|(_, at)| now.saturating_since(*at) >= rules.refresh);
        let is_known = known.is_some();
        match key {
            Some(key) if is_old && self.begin(now, rules) => KeyAnswer::KnownAndFetch(key),
            Some(key) => KeyAnswer::Known(key),
            None if self.is_fetching => KeyAnswer::Wait,
            None if self.begin(now, rules) => KeyAnswer::Fetch,
            None if is_known => KeyAnswer::Unknown,
            None => KeyAnswer::Silent,
        }
    }

    /// What a fetch brought; nothing when it failed.
    pub fn fetched(&mut self, keys: Option<KeySet>, now: Boottime) {
        self.is_fetching = false;
        if let Some(keys) = keys {
            self.known = Some((keys, now));
        }
    }

    /// Whether somebody fetches.
    pub const fn is_fetching(&self) -> bool {
        self.is_fetching
    }

    /// When it was last fetched, for whoever must forget one.
    pub const fn last_used(&self) -> Option<Boottime> {
        self.began
    }

    fn begin(&mut self, now: Boottime, rules: &KeyRules) -> bool {
        let rested = self.began.is_none_or(|began| now.saturating_since(began) >= rules.cooldown);
        let begins = rested && !self.is_fetching;
        if begins {
            (self.is_fetching, self.began) = (true, Some(now));
        }
        begins
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const RULES: KeyRules = KeyRules {
        refresh: Duration::from_secs(600),
        keep: Duration::from_secs(3_600),
        cooldown: Duration::from_secs(30),
    };

    fn at(seconds: u64) -> Boottime {
        Boottime::ZERO + Duration::from_secs(1_000 + seconds)
    }

    fn set(kid: &str) -> KeySet {
        let key = json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                         "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
        KeySet::parse(json!({"keys": [key]}).to_string().as_bytes()).expect("it is a set")
    }

    fn book(kid: &str) -> KeyBook {
        let mut book = KeyBook::default();
        assert!(matches!(book.ask(kid, at(0), &RULES), KeyAnswer::Fetch));
        book.fetched(Some(set(kid)), at(0));
        book
    }

    #[test]
    fn a_flood_of_unknown_keys_is_one_fetch_a_cooldown() {
        let mut book = book("a");
        let mut fetches = 0;
        for second in 0..300 {
            for n in 0..50 {
                if matches!(book.ask(&format!("junk-{n}"), at(second), &RULES), KeyAnswer::Fetch) {
                    fetches += 1;
                    book.fetched(Some(set("a")), at(second));
                }
            }
        }
        assert_eq!(fetches, 9, "one every 30 seconds from second 30 on");
    }

    #[test]
    fn all_who_ask_while_one_fetches_wait_for_it() {
        let mut book = KeyBook::default();
        assert!(matches!(book.ask("a", at(0), &RULES), KeyAnswer::Fetch));
        assert!(matches!(book.ask("a", at(1), &RULES), KeyAnswer::Wait));
        assert!(matches!(book.ask("b", at(100), &RULES), KeyAnswer::Wait), "even after the cooldown");
        book.fetched(Some(set("a")), at(2));
        assert!(matches!(book.ask("a", at(2), &RULES), KeyAnswer::Known(_)));
        assert!(matches!(book.ask("b", at(2), &RULES), KeyAnswer::Unknown));
    }

    #[test]
    fn a_new_key_is_found_after_the_cooldown_and_one_that_went_is_forgotten() {
        let mut book = book("old");
        assert!(matches!(book.ask("new", at(29), &RULES), KeyAnswer::Unknown));
        assert!(matches!(book.ask("new", at(30), &RULES), KeyAnswer::Fetch));
        book.fetched(Some(set("new")), at(31));
        assert!(matches!(book.ask("new", at(31), &RULES), KeyAnswer::Known(_)));
        assert!(matches!(book.ask("old", at(31), &RULES), KeyAnswer::Unknown));
    }

    #[test]
    fn known_keys_serve_while_they_are_asked_for_again_and_not_for_ever() {
        let mut book = book("a");
        assert!(matches!(book.ask("a", at(599), &RULES), KeyAnswer::Known(_)));
        assert!(matches!(book.ask("a", at(600), &RULES), KeyAnswer::KnownAndFetch(_)));
        assert!(matches!(book.ask("a", at(601), &RULES), KeyAnswer::Known(_)), "one fetch at a time");
        book.fetched(None, at(605));
        assert!(
            matches!(book.ask("a", at(606), &RULES), KeyAnswer::Known(_)),
            "the cooldown holds after a failure too"
        );
        assert!(matches!(book.ask("a", at(630), &RULES), KeyAnswer::KnownAndFetch(_)));
        book.fetched(None, at(631));
        assert!(matches!(book.ask("a", at(3_600), &RULES), KeyAnswer::Fetch), "too old to be believed");
        book.fetched(None, at(3_601));
        assert!(matches!(book.ask("a", at(3_602), &RULES), KeyAnswer::Silent));
    }
}
