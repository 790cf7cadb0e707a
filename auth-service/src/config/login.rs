//! What logging in is configured with: the rule for passwords, what is imported, who is slowed, how cookies live.

use std::time::Duration;

use auth_domain::{CookieRules, ForeignLimits, GuardRules, LONGEST_PASSWORD, PasswordPolicy};
use serde::Deserialize;

use super::{Config, Rule};

/// `[password_policy]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Policy {
    /// How many characters a new password has at least.
    pub(crate) shortest: usize,
    /// Whether the most common ones are refused.
    pub(crate) deny_common: bool,
    /// Whether the identity's own name, or little more, is refused.
    pub(crate) deny_name: bool,
}

/// `[password_import]`: what one evaluation of a hash that was made elsewhere may cost. Memory is at most
/// `password.workers` times the larger of this and `password.memory_kib`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Import {
    /// Its memory.
    pub(crate) memory_kib: u32,
    /// Its cost, where it is bcrypt; each one more doubles the time.
    pub(crate) bcrypt_cost: u32,
}

/// `[login_guard]`: how many attempts are free, and how slow it gets.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LoginGuard {
    /// Failures on one account from one place before the first delay.
    pub(crate) free_per_place: u32,
    /// Failures on one account from all places it was never logged into from.
    pub(crate) free_per_account: u32,
    /// Failures from one address on all accounts.
    pub(crate) free_per_address: u32,
    /// The longest delay.
    pub(crate) longest_ms: u64,
    /// How long after the last failure all are forgotten.
    pub(crate) forget_after_ms: u64,
}

/// `[cookie]`: how session cookies live. How long a session lasts at most is `tokens.session_ttl_ms`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Cookie {
    /// How long one lasts without being used.
    pub(crate) idle_after_ms: u64,
    /// How old a value gets before it is exchanged.
    pub(crate) exchange_after_ms: u64,
    /// How long an old value is good after the new one was used.
    pub(crate) grace_ms: u64,
}

/// `[second_factor]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SecondFactor {
    /// What authenticator apps show beside an account.
    pub(crate) display_name: String,
}

impl Default for Policy {
    fn default() -> Self {
        Self { shortest: 8, deny_common: true, deny_name: true }
    }
}

impl Default for Import {
    fn default() -> Self {
        Self { memory_kib: 65_536, bcrypt_cost: 14 }
    }
}

impl Default for LoginGuard {
    fn default() -> Self {
        Self {
            free_per_place: 10,
            free_per_account: 30,
            free_per_address: 100,
            longest_ms: 60_000,
            forget_after_ms: 900_000,
        }
    }
}

impl Default for Cookie {
    fn default() -> Self {
        Self { idle_after_ms: 12 * 3_600_000, exchange_after_ms: 24 * 3_600_000, grace_ms: 60_000 }
    }
}

impl Default for SecondFactor {
    fn default() -> Self {
        Self { display_name: "Portcullis".into() }
    }
}

impl Policy {
    /// In the domain's words.
    pub(crate) const fn policy(&self) -> PasswordPolicy {
        PasswordPolicy { shortest: self.shortest, deny_common: self.deny_common, deny_name: self.deny_name }
    }
}

impl Import {
    /// In the domain's words.
    pub(crate) const fn limits(&self) -> ForeignLimits {
        ForeignLimits { memory_kib: self.memory_kib, bcrypt_cost: self.bcrypt_cost }
    }
}

impl LoginGuard {
    /// In the domain's words.
    pub(crate) const fn rules(&self) -> GuardRules {
        GuardRules {
            free_per_place: self.free_per_place,
            free_per_account: self.free_per_account,
            free_per_address: self.free_per_address,
            longest: Duration::from_millis(self.longest_ms),
            forget_after: Duration::from_millis(self.forget_after_ms),
        }
    }
}

impl Cookie {
    /// In the domain's words.
    pub(crate) const fn rules(&self) -> CookieRules {
        CookieRules {
            idle_after: Duration::from_millis(self.idle_after_ms),
            exchange_after: Duration::from_millis(self.exchange_after_ms),
            grace: Duration::from_millis(self.grace_ms),
        }
    }
}

/// What these sections must hold.
pub(super) fn rules(config: &Config) -> [Rule; 9] {
    const MINUTE: u64 = 60_000;
    const YEAR: u64 = 366 * 24 * 60 * MINUTE;
    let Config { password_policy: policy, password_import: import, login_guard: guard, cookie, .. } = config;
    let free = [guard.free_per_place, guard.free_per_account, guard.free_per_address];
    [
        ((8..=LONGEST_PASSWORD / 4).contains(&policy.shortest), "password_policy.shortest", "must be 8 to 64"),
        ((8..=1 << 20).contains(&import.memory_kib), "password_import.memory_kib", "must be 8 to 1048576"),
        ((4..=16).contains(&import.bcrypt_cost), "password_import.bcrypt_cost", "must be 4 to 16"),
        (
            free.iter().all(|free| (1..=100_000).contains(free)),
            "login_guard",
            "must leave 1 to 100000 failures free for each of place, account and address",
        ),
        ((1_000..=15 * MINUTE).contains(&guard.longest_ms), "login_guard.longest_ms", "must be 1000 to 900000"),
        (
            (2 * guard.longest_ms..=24 * 60 * MINUTE).contains(&guard.forget_after_ms),
            "login_guard.forget_after_ms",
            "must be twice `login_guard.longest_ms` to 86400000 (a day)",
        ),
        (
            (1_000..=YEAR).contains(&cookie.idle_after_ms) && (1_000..=YEAR).contains(&cookie.exchange_after_ms),
            "cookie",
            "must idle and be exchanged after a second to a year",
        ),
        ((1_000..=10 * MINUTE).contains(&cookie.grace_ms), "cookie.grace_ms", "must be 1000 to 600000"),
        (
            (1..=64).contains(&config.second_factor.display_name.chars().count())
                && !config.second_factor.display_name.contains(|c: char| c.is_control() || c == ':'),
            "second_factor.display_name",
            "must be 1 to 64 characters, none of them a colon",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::tests::{read, refused};

    #[test]
    fn values_out_of_range_name_their_key() {
        for (section, line, key) in [
            ("password_policy", "shortest = 7", "password_policy.shortest"),
            ("password_import", "memory_kib = 2097152", "password_import.memory_kib"),
            ("password_import", "bcrypt_cost = 17", "password_import.bcrypt_cost"),
            ("login_guard", "free_per_place = 0", "login_guard"),
            ("login_guard", "longest_ms = 999", "login_guard.longest_ms"),
            ("login_guard", "forget_after_ms = 60000", "login_guard.forget_after_ms"),
            ("cookie", "idle_after_ms = 1", "cookie"),
            ("cookie", "grace_ms = 0", "cookie.grace_ms"),
            ("second_factor", "display_name = 'a:b'", "second_factor.display_name"),
        ] {
            assert!(refused(&format!("[{section}]\n{line}")).contains(key), "{key}");
        }
        assert!(read("[password_policy]\nshortest = 15\n[cookie]\ngrace_ms = 5000").is_ok());
    }
}
