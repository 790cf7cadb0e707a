//! What is in a store, whichever it is: the log, the signing keys, and the time they were written at.

use std::time::Duration;

use auth_domain::{
    Ended, KeyEncryptionKeys, Lives, LogFault, ReadView, RetentionRules, Store, StoreError, WholeLog, check_log,
};
use auth_storage::Schema;
use portcullis_types::{Clock, Timestamp};

use super::report::{Report, Severity};
use crate::config::Config;
use crate::kek::Source;
use crate::tailer::SourceText as _;

/// Clocks of two machines differ by less, where they are kept.
const CLOCK_SLACK: Duration = Duration::from_secs(5);

/// How late a removal may be before it is mentioned.
const LATE: Duration = Duration::from_secs(86_400);
/// How many rows of a kind are counted.
const MOST_COUNTED: u32 = 100_000;

/// Whether the rest can be looked at.
pub(super) fn schema(schema: &Schema, report: &mut Report) -> bool {
    let (missing, unknown) = (schema.missing(), schema.unknown());
    if !unknown.is_empty() {
        let mend = "run the version that made it, or a newer one";
        report.bad("schema", Severity::Error, format!("migrations {unknown:?} are of a newer version"), mend);
    } else if !missing.is_empty() {
        let finding = format!("migrations {missing:?} are missing");
        report.bad("schema", Severity::Error, finding, "run `auth-service migrate`, or start the service");
    } else {
        report.good("schema", format!("migration {}", schema.newest().unwrap_or_default()));
    }
    missing.is_empty() && unknown.is_empty()
}

pub(super) async fn examine(config: &Config, store: &dyn Store, clock: &dyn Clock, report: &mut Report) {
    match check_log(store).await {
        Ok(whole) => {
            let WholeLog { head, horizon, newest } = whole;
            report.good("log", format!("entries {} to {} are whole; head {}", horizon + 1, head.seq, head.revision()));
            time(newest, clock, report);
        }
        Err(LogFault::Store(error)) => unanswered("log", &error, report),
        Err(fault) => {
            let mend = "do not serve from it: restore a backup, or promote a replica whose log is whole";
            report.bad("log", Severity::Error, fault.to_string(), mend);
        }
    }
    overdue(config, store, clock, report).await;
    match keks(config).await {
        Ok(Some(keks)) => {
            signing_keys(store, &keks, report).await;
            trail(store, &keks, report).await;
            authenticator_apps(store, &keks, report).await;
        }
        Ok(None) => without_keks(store, report).await,
        Err(error) => {
            let mend = "see docs/keys.md: without them nothing can be signed";
            report.bad("key-encryption keys", Severity::Error, error, mend);
        }
    }
}

pub(super) fn unanswered(check: &'static str, error: &StoreError, report: &mut Report) {
    let finding = format!("{error}: {}", error.source_text());
    report.bad(check, Severity::Error, finding, "look whether the store can be reached");
}

/// The clock of this machine is not behind what was written already: what is issued would be expired, or live too long.
fn time(newest: Option<Timestamp>, clock: &dyn Clock, report: &mut Report) {
    let (now, mend) = (clock.now(), "set the clock, and keep it by NTP");
    match newest {
        Some(newest) if newest.saturating_since(now) > CLOCK_SLACK => {
            let ahead = newest.saturating_since(now).as_secs();
            report.bad("clock", Severity::Error, format!("the newest entry was written {ahead} s in the future"), mend);
        }
        Some(_) | None if now.as_unix_seconds() < 1_700_000_000 => {
            report.bad("clock", Severity::Error, "it is years behind", mend);
        }
        Some(_) | None => report.good("clock", "not behind the log"),
    }
}

/// What should be gone since a day; of the audit trail since two, because it is shortened by a day at a time. Whoever serves removes it.
async fn overdue(config: &Config, store: &dyn Store, clock: &dyn Clock, report: &mut Report) {
    let rules = config.retention.kept();
    let lives = Lives {
        guesses: config.login_guard.rules().forget_after,
        session: Duration::from_millis(config.tokens.session_ttl_ms),
    };
    let late = clock.now().saturating_sub(LATE);
    let counted = async {
        let mut found = Vec::new();
        let first = store.log_after(store.horizon().await?, 2).await?;
        if first.len() > 1 && first[0].committed_at < late.saturating_sub(rules.log()) {
            found.push("entries of the log".to_owned());
        }
        let mut view = store.read().await?;
        for what in Ended::ALL {
            let Some(kept) = rules.kept(what, lives) else { continue };
            let count = view.count_ended(what, late.saturating_sub(kept), MOST_COUNTED).await?;
            if count > 0 {
                let more = if count == u64::from(MOST_COUNTED) { " or more" } else { "" };
                found.push(format!("{count}{more} {}", what.word()));
            }
        }
        if let Some(seal) = overdue_seal(view.as_mut(), &rules, late).await? {
            found.push(format!("rows of the audit trail, from seal {seal} on"));
        }
        Ok::<_, StoreError>(found)
    };
    match counted.await {
        Ok(found) if found.is_empty() => report.good("retention", "nothing is overdue"),
        Ok(found) => {
            let finding = format!("kept for longer than `retention` says: {}", found.join(", "));
            let mend =
                "let the service run: it removes them a little at a time; if it does, read its log for why it cannot";
            report.bad("retention", Severity::Advice, finding, mend);
        }
        Err(error) => unanswered("retention", &error, report),
    }
}

/// The first seal of the audit trail, where it should be gone. The newest one never is.
async fn overdue_seal(
    view: &mut dyn ReadView,
    rules: &RetentionRules,
    late: Timestamp,
) -> Result<Option<u64>, StoreError> {
    let Some(kept) = rules.audit else { return Ok(None) };
    let start = view.audit_start().await?.map_or(0, |start| start.anchor.number);
    let seals = view.audit_seals(start, 2).await?;
    let before = late.saturating_sub(kept).saturating_sub(LATE);
    Ok(seals.first().filter(|first| seals.len() > 1 && first.sealed_at < before).map(|first| first.number))
}

async fn signing_keys(store: &dyn Store, keks: &KeyEncryptionKeys, report: &mut Report) {
    match open_all(store, keks).await {
        Ok((good, bad)) if bad.is_empty() => {
            report.good("signing keys", format!("{good} open under the key-encryption keys"));
        }
        Ok((_, bad)) => {
            let mend = "give the key-encryption key that sealed them, or rotate and revoke them";
            report.bad("signing keys", Severity::Error, format!("{} do not open", bad.join(", ")), mend);
        }
        Err(error) => unanswered("signing keys", &error, report),
    }
}

/// Whose secret does not open cannot log in. They may be many, so they are counted by what they are sealed under.
async fn authenticator_apps(store: &dyn Store, keks: &KeyEncryptionKeys, report: &mut Report) {
    const CHECK: &str = "authenticator apps";
    let counted = async { store.read().await?.totp_factors_by_kek().await };
    let (good, bad): (Vec<_>, Vec<_>) = match counted.await {
        Ok(counted) => counted.into_iter().partition(|(kek_id, _)| keks.named(kek_id).is_ok()),
        Err(error) => return unanswered(CHECK, &error, report),
    };
    if bad.is_empty() {
        let good: u64 = good.iter().map(|(_, count)| count).sum();
        return report.good(CHECK, format!("{good} are sealed under the key-encryption keys"));
    }
    let bad: Vec<_> = bad.iter().map(|(kek_id, count)| format!("{count} under {kek_id}")).collect();
    let finding = format!("nobody can log in by them: {}, which was not given", bad.join(", "));
    let mend = "give that key-encryption key too, and take it away after `portcullis key reencrypt`";
    report.bad(CHECK, Severity::Error, finding, mend);
}

async fn keks(config: &Config) -> Result<Option<KeyEncryptionKeys>, String> {
    let source = Source::find(config, Source::from_environment());
    let found = source.and_then(|source| source.given());
    found.map_err(|error| format!("{error}: {}", error.source_text()).trim_end_matches(": ").to_owned())
}

/// Before the first start there is nothing to open; afterwards nothing is served without what opens it.
async fn without_keks(store: &dyn Store, report: &mut Report) {
    let read = async { store.read().await?.signing_keys().await };
    match read.await.map(|keys| keys.iter().filter(|key| !key.sealed_private.is_empty()).count()) {
        Ok(0) => report.good("signing keys", "there is no key-encryption key yet, and nothing that it opens"),
        Ok(count) => {
            let finding = format!("there is no key-encryption key, and {count} signing keys are sealed by one");
            let mend = "put the `kek` of this store back into the data directory, or name it (docs/keys.md): without it \
                        the service does not start";
            report.bad("signing keys", Severity::Error, finding, mend);
        }
        Err(error) => unanswered("signing keys", &error, report),
    }
}

/// Where the audit trail begins. Whether the rest is whole is for `portcullis audit verify` to say.
async fn trail(store: &dyn Store, keks: &KeyEncryptionKeys, report: &mut Report) {
    let read = async { store.read().await?.audit_start().await };
    match read.await {
        Ok(None) => report.good("audit trail", "nothing was removed"),
        Ok(Some(start)) if start.is_vouched_for(keks) => {
            report.good("audit trail", format!("removed up to seal {}", start.anchor.number));
        }
        Ok(Some(start)) => {
            let finding = format!(
                "it is said to begin after seal {}, and no key-encryption key vouches for that",
                start.anchor.number
            );
            let mend = "give the key-encryption key that did, or find out who changed the database";
            report.bad("audit trail", Severity::Error, finding, mend);
        }
        Err(error) => unanswered("audit trail", &error, report),
    }
}

/// How many open, and the ids of those that do not.
async fn open_all(store: &dyn Store, keks: &KeyEncryptionKeys) -> Result<(usize, Vec<String>), StoreError> {
    let (mut good, mut bad) = (0, Vec::new());
    for key in store.read().await?.signing_keys().await? {
        // One that no longer signs has no private half.
        if key.sealed_private.is_empty() {
            continue;
        }
        let opened = keks.named(&key.kek_id).ok().and_then(|kek| kek.open(key.id.as_bytes(), &key.sealed_private).ok());
        match opened {
            Some(_) => good += 1,
            None => bad.push(key.id.to_string()),
        }
    }
    Ok((good, bad))
}
