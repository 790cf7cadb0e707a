//! Removing what is over.

use std::time::Duration;

use super::{CLOCKS, RetentionRules, Tidied};
use crate::guard::PLACE_KNOWN;
use crate::{ANSWERS_KEPT, Authority, StoreError};

/// How many rows one transaction removes, or a few times as many where things belong together.
const AT_ONCE: u32 = 200;

/// What is over by itself one day. See the module above for what stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Access tokens, refresh tokens, cookies and tickets after their end; redeemed tickets with their parents.
    Credentials,
    /// Signature keys of sessions, after their end and their session's.
    SignatureKeys,
    /// Redeemed tickets whose sockets have ended, though their parents live.
    Tickets,
    /// Sessions after their end, without those that an external issuer's `sid` may come back to.
    Sessions,
    /// Those, unless they were revoked by themselves.
    ExternalSessions,
    /// API keys, and signature keys of identities, that ended or were revoked.
    ApiKeys,
    /// Logins that were asked for more.
    Continuations,
    /// One-time tokens for a password.
    PasswordResets,
    /// Counts of guesses that count no more.
    Attempts,
    /// Places that are no longer known.
    Places,
}

impl Ended {
    /// All of it: what rests on something before that on which it rests.
    pub const ALL: [Self; 10] = [
        Self::Credentials,
        Self::SignatureKeys,
        Self::Tickets,
        Self::Sessions,
        Self::ExternalSessions,
        Self::ApiKeys,
        Self::Continuations,
        Self::PasswordResets,
        Self::Attempts,
        Self::Places,
    ];

    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::SignatureKeys => "signature_keys",
            Self::Tickets => "tickets",
            Self::Sessions => "sessions",
            Self::ExternalSessions => "external_sessions",
            Self::ApiKeys => "api_keys",
            Self::Continuations => "login_continuations",
            Self::PasswordResets => "password_resets",
            Self::Attempts => "login_attempts",
            Self::Places => "known_places",
        }
    }
}

/// What ends after a time that is set elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Lives {
    /// For how long guesses count.
    pub guesses: Duration,
    /// How long a session lives, and a socket that a ticket opened.
    pub session: Duration,
}

impl RetentionRules {
    /// How long something is kept after it was over, or begun where that has no end of its own; none: for ever.
    pub fn kept(&self, what: Ended, lives: Lives) -> Option<Duration> {
        match what {
            Ended::Tickets => Some(lives.session.saturating_add(self.tokens)),
            Ended::Credentials | Ended::Continuations | Ended::PasswordResets => Some(self.tokens),
            Ended::Sessions | Ended::SignatureKeys => self.sessions,
            Ended::ExternalSessions => self.external_sessions,
            // The answer to the request that made one tells it from its row.
            Ended::ApiKeys => self.api_keys.map(|kept| kept.max(ANSWERS_KEPT + CLOCKS)),
            Ended::Attempts => Some(lives.guesses),
            Ended::Places => Some(PLACE_KNOWN),
        }
    }
}

impl Authority {
    /// Removes some of what was over for long enough.
    pub async fn remove_ended(&self, rules: &RetentionRules, what: Ended) -> Result<Tidied, StoreError> {
        let lives = Lives { guesses: self.settings().guard.forget_after, session: self.settings().session_ttl };
        let Some(kept) = rules.kept(what, lives) else { return Ok(Tidied::Nothing) };
        let now = self.now();
        let before = self.over_for(kept);
        // In a snapshot first, so that looking for what is not there keeps no writer waiting. API keys are noted first.
        if what != Ended::ApiKeys && self.store().read().await?.count_ended(what, before, 1).await? == 0 {
            return Ok(Tidied::Nothing);
        }
        let Some(mut turn) = self.turn().await? else { return Ok(Tidied::Elsewhere) };
        let noted = match what {
            Ended::ApiKeys => turn.tx.note_ended_api_keys(now, AT_ONCE).await?,
            _ => 0,
        };
        let rows = turn.tx.remove_ended(what, before, AT_ONCE).await?;
        if noted + rows == 0 {
            return Ok(Tidied::Nothing);
        }
        self.end_turn(turn, rows).await
    }

    /// Removes signing keys that nothing rests on any more.
    pub async fn remove_signing_keys(&self, rules: &RetentionRules) -> Result<Tidied, StoreError> {
        let Some(kept) = rules.signing_keys else { return Ok(Tidied::Nothing) };
        // Beside the writers: a key that signs no more never does again, so that nothing comes to rest on it.
        let over = self.store().read().await?.signing_keys_over(self.over_for(kept)).await?;
        if over.is_empty() {
            return Ok(Tidied::Nothing);
        }
        let Some(mut turn) = self.turn().await? else { return Ok(Tidied::Elsewhere) };
        let mut rows = 0;
        for id in over {
            rows += u64::from(turn.tx.remove_signing_key(id).await?);
        }
        self.end_turn(turn, rows).await
    }
}
