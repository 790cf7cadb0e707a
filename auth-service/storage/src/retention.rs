//! The statements that remove what is over, for every store: they are the same words.
//!
//! In each, `$1` is the instant before which it was over and `$2` how many rows go at most. Where one thing takes several
//! statements they choose the same rows, because nothing that is over changes and only one transaction tidies at a time.
//! But external sessions change: they are prolonged and revoked. Where that can happen meanwhile, it is one statement.

use auth_domain::Ended;

/// The oldest that are over.
macro_rules! first {
    ("credentials") => {
        "SELECT c.id FROM credentials c
         WHERE c.expires_at IS NOT NULL AND c.redeemed_by IS NULL AND c.kind <> 'api_key' AND c.expires_at < $1
         ORDER BY c.expires_at, c.id LIMIT $2"
    };
    // Without what rests on them, and without the successors of what is not over: presenting that again must find them.
    ("free credentials") => {
        "SELECT c.id FROM credentials c
         WHERE c.expires_at IS NOT NULL AND c.redeemed_by IS NULL AND c.kind <> 'api_key' AND c.expires_at < $1
           AND NOT EXISTS (SELECT 1 FROM credentials t WHERE t.parent = c.id AND t.kind IN ('ticket', 'access_token'))
           AND NOT EXISTS (SELECT 1 FROM credentials p WHERE p.id = c.parent AND p.kind = c.kind AND p.expires_at >= $1)
         ORDER BY c.expires_at, c.id LIMIT $2"
    };
    ("sessions") => {
        "SELECT s.tenant, s.id FROM sessions s WHERE s.external = 0 AND s.expires_at < $1
         ORDER BY s.expires_at, s.id LIMIT $2"
    };
    ("free sessions") => {
        "SELECT s.tenant, s.id FROM sessions s WHERE s.external = 0 AND s.expires_at < $1
           AND NOT EXISTS (SELECT 1 FROM credentials c WHERE c.tenant = s.tenant AND c.session = s.id)
           AND NOT EXISTS (SELECT 1 FROM issuer_sessions x WHERE x.session = s.id)
         ORDER BY s.expires_at, s.id LIMIT $2"
    };
    ("free external sessions") => {
        "SELECT s.tenant, s.id FROM sessions s WHERE s.external = 1 AND s.revoked_seq IS NULL AND s.expires_at < $1
           AND NOT EXISTS (SELECT 1 FROM credentials c WHERE c.tenant = s.tenant AND c.session = s.id)
         ORDER BY s.expires_at, s.id LIMIT $2"
    };
    // Those of a session that can still be used stay, also where they ended before it.
    ("signature keys") => {
        "SELECT c.id FROM credentials c
         WHERE c.signature_key IS NOT NULL AND c.session IS NOT NULL AND c.expires_at < $1
           AND NOT EXISTS (SELECT 1 FROM sessions s
                           WHERE s.tenant = c.tenant AND s.id = c.session AND s.expires_at >= $1)
         ORDER BY c.expires_at, c.id LIMIT $2"
    };
    ("api keys") => {
        "SELECT c.id FROM credentials c
         WHERE c.kind = 'api_key' AND (c.signature_key IS NULL OR c.session IS NULL)
           AND c.over_at IS NOT NULL AND c.over_at < $1
         ORDER BY c.over_at LIMIT $2"
    };
    ("free api keys") => {
        "SELECT c.id FROM credentials c
         WHERE c.kind = 'api_key' AND (c.signature_key IS NULL OR c.session IS NULL)
           AND c.over_at IS NOT NULL AND c.over_at < $1
           AND NOT EXISTS (SELECT 1 FROM credentials t WHERE t.parent = c.id AND t.kind IN ('ticket', 'access_token'))
         ORDER BY c.over_at LIMIT $2"
    };
}

/// What rests on credentials that are over: their tickets. Said in the words of the partial index too, because SQLite
/// infers nothing.
macro_rules! children_of {
    ($which:tt) => {
        concat!(
            "DELETE FROM credentials WHERE id IN (SELECT t.id FROM credentials t
             WHERE t.kind IN ('ticket', 'access_token') AND t.kind = 'ticket' AND t.parent IN (",
            first!($which),
            ") LIMIT $2)"
        )
    };
}

const CREDENTIALS: &[&str] = &[
    children_of!("credentials"),
    // An external token without a `sid` is a session of its own, to which nothing comes back.
    concat!(
        "DELETE FROM issuer_sessions WHERE (issuer, sid) IN (
         SELECT k.issuer, k.digest FROM issuer_tokens k WHERE k.credential IN (",
        first!("free credentials"),
        "))"
    ),
    concat!("DELETE FROM issuer_tokens WHERE credential IN (", first!("free credentials"), ")"),
    concat!("DELETE FROM credentials WHERE id IN (", first!("free credentials"), ") AND expires_at < $1"),
];

const TICKETS: &[&str] = &["DELETE FROM credentials WHERE id IN
    (SELECT id FROM credentials WHERE kind = 'ticket' AND redeemed_by IS NOT NULL AND spent_at < $1
     ORDER BY spent_at LIMIT $2)"];

const SESSIONS: &[&str] = &[
    concat!(
        "UPDATE sessions SET external = 1 WHERE (tenant, id) IN (",
        first!("sessions"),
        ") AND EXISTS (SELECT 1 FROM issuer_sessions x WHERE x.session = sessions.id)"
    ),
    concat!("DELETE FROM sessions WHERE (tenant, id) IN (", first!("free sessions"), ") AND expires_at < $1"),
];

const EXTERNAL_SESSIONS: &[&str] = &[
    concat!(
        "DELETE FROM issuer_sessions WHERE session IN (SELECT f.id FROM (",
        first!("free external sessions"),
        ") f)"
    ),
    concat!(
        "DELETE FROM sessions WHERE (tenant, id) IN (",
        first!("free external sessions"),
        ") AND expires_at < $1 AND revoked_seq IS NULL"
    ),
];

/// The same, beside other writers: of a session that one of them prolongs or revokes first, the mapping stays as well.
pub(crate) const EXTERNAL_SESSIONS_AT_ONCE: &[&str] = &[concat!(
    "WITH gone AS (DELETE FROM sessions WHERE (tenant, id) IN (",
    first!("free external sessions"),
    ") AND expires_at < $1 AND revoked_seq IS NULL RETURNING id),
     forgotten AS (DELETE FROM issuer_sessions WHERE session IN (SELECT id FROM gone) RETURNING session)
     SELECT id FROM gone UNION ALL SELECT session FROM forgotten"
)];

const SIGNATURE_KEYS: &[&str] = &[concat!("DELETE FROM credentials WHERE id IN (", first!("signature keys"), ")")];

const API_KEYS: &[&str] = &[
    children_of!("api keys"),
    // The name in a certificate is given again, also without the row that says so.
    concat!("DELETE FROM certificate_names WHERE credential IN (", first!("free api keys"), ")"),
    concat!("DELETE FROM credentials WHERE id IN (", first!("free api keys"), ") AND over_at < $1"),
];

/// Keys that ended or were revoked, as they are found: `$1` is now.
pub(crate) const NOTE_API_KEYS: &[&str] = &[
    "UPDATE credentials SET over_at = $1 WHERE id IN (SELECT c.id FROM credentials c
     WHERE c.kind = 'api_key' AND (c.signature_key IS NULL OR c.session IS NULL)
       AND c.revoked_seq IS NOT NULL AND c.over_at IS NULL LIMIT $2)",
    "UPDATE credentials SET over_at = expires_at WHERE id IN (SELECT c.id FROM credentials c
     WHERE c.kind = 'api_key' AND (c.signature_key IS NULL OR c.session IS NULL)
       AND c.expires_at IS NOT NULL AND c.over_at IS NULL AND c.expires_at <= $1 LIMIT $2)",
];

const CONTINUATIONS: &[&str] = &["DELETE FROM login_continuations WHERE id IN
    (SELECT id FROM login_continuations WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)"];
const PASSWORD_RESETS: &[&str] = &["DELETE FROM password_resets WHERE id IN
    (SELECT id FROM password_resets WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)"];
const ATTEMPTS: &[&str] = &["DELETE FROM login_attempts WHERE key IN
    (SELECT key FROM login_attempts WHERE last_at < $1 AND next_at < $1 ORDER BY last_at LIMIT $2)"];
const PLACES: &[&str] = &["DELETE FROM known_places WHERE (account, place) IN
    (SELECT account, place FROM known_places WHERE seen_at < $1 ORDER BY seen_at LIMIT $2)"];

/// What is executed one after the other.
pub(crate) const fn removal(of: Ended) -> &'static [&'static str] {
    match of {
        Ended::Credentials => CREDENTIALS,
        Ended::SignatureKeys => SIGNATURE_KEYS,
        Ended::Tickets => TICKETS,
        Ended::Sessions => SESSIONS,
        Ended::ExternalSessions => EXTERNAL_SESSIONS,
        Ended::ApiKeys => API_KEYS,
        Ended::Continuations => CONTINUATIONS,
        Ended::PasswordResets => PASSWORD_RESETS,
        Ended::Attempts => ATTEMPTS,
        Ended::Places => PLACES,
    }
}

macro_rules! count {
    ($rows:literal) => {
        concat!("SELECT count(*) AS found FROM (SELECT 1 FROM ", $rows, " LIMIT $2) x")
    };
}

/// How many there are.
pub(crate) const fn count(of: Ended) -> &'static str {
    match of {
        Ended::Credentials => count!(
            "credentials
             WHERE expires_at IS NOT NULL AND redeemed_by IS NULL AND kind <> 'api_key' AND expires_at < $1"
        ),
        Ended::Tickets => count!("credentials WHERE kind = 'ticket' AND redeemed_by IS NOT NULL AND spent_at < $1"),
        Ended::Sessions => count!("sessions WHERE external = 0 AND expires_at < $1"),
        Ended::ExternalSessions => {
            count!("sessions WHERE external = 1 AND revoked_seq IS NULL AND expires_at < $1")
        }
        Ended::SignatureKeys => count!(
            "credentials c
             WHERE c.signature_key IS NOT NULL AND c.session IS NOT NULL AND c.expires_at < $1
               AND NOT EXISTS (SELECT 1 FROM sessions s
                               WHERE s.tenant = c.tenant AND s.id = c.session AND s.expires_at >= $1)"
        ),
        Ended::ApiKeys => {
            count!(
                "credentials
                 WHERE kind = 'api_key' AND (signature_key IS NULL OR session IS NULL)
                   AND over_at IS NOT NULL AND over_at < $1"
            )
        }
        Ended::Continuations => count!("login_continuations WHERE expires_at < $1"),
        Ended::PasswordResets => count!("password_resets WHERE expires_at < $1"),
        Ended::Attempts => count!("login_attempts WHERE last_at < $1 AND next_at < $1"),
        Ended::Places => count!("known_places WHERE seen_at < $1"),
    }
}

/// Keys that sign no more since `$1` and signed nothing that has a row. A revocation is older than what the log keeps.
pub(crate) const SIGNING_KEYS_OVER: &str = "SELECT k.id AS id FROM signing_keys k
    WHERE k.state IN ('retained', 'revoked') AND coalesce(k.retained_at, k.signing_at, k.created_at) < $1
      AND (k.revoked_seq IS NULL OR k.revoked_seq <= (SELECT h.horizon_seq FROM revocation_head h WHERE h.shard = 0))
      AND NOT EXISTS (SELECT 1 FROM credentials c WHERE c.signing_key = k.id)";

/// The latest commit of the entries that are about to be forgotten.
pub(crate) const LATEST_COMMIT: &str =
    "SELECT max(committed_at) AS latest FROM revocation_log WHERE shard = 0 AND seq > $1 AND seq <= $2";

/// The latest commit of those that are.
pub(crate) const FORGOTTEN_UNTIL: &str = "SELECT horizon_committed_at AS latest FROM revocation_head WHERE shard = 0";

pub(crate) const REMOVE_SIGNING_KEY: &str =
    "DELETE FROM signing_keys WHERE id = $1 AND state IN ('retained', 'revoked')";

/// Of another branch of the log, at a position from `$1` to `$2`: the chain there is what the next entry began with, and
/// `$same` compares the two as the store has them. What has no session and is neither a service's token nor a key for
/// signatures does not die by its position.
macro_rules! lost {
    ("sessions", $same:literal) => {
        concat!(
            "r.revoked_seq IS NULL AND r.issue_seq >= $1 AND r.issue_seq <= $2
             AND NOT EXISTS (SELECT 1 FROM revocation_log l WHERE l.shard = 0 AND l.seq = r.issue_seq + 1 AND ",
            $same,
            ")"
        )
    };
    ("credentials", $same:literal) => {
        concat!(
            "(r.session IS NOT NULL OR r.kind = 'access_token' OR r.signature_key IS NOT NULL) AND ",
            $crate::retention::lost!("sessions", $same)
        )
    };
}

macro_rules! count_lost {
    ($same:literal) => {
        concat!(
            "SELECT (SELECT count(*) FROM (SELECT 1 FROM sessions r WHERE ",
            $crate::retention::lost!("sessions", $same),
            " LIMIT $3) x) + (SELECT count(*) FROM (SELECT 1 FROM credentials r WHERE ",
            $crate::retention::lost!("credentials", $same),
            " LIMIT $3) y) AS found"
        )
    };
}

macro_rules! mark_lost {
    ($same:literal) => {
        [
            concat!("UPDATE sessions AS r SET revoked_seq = $2 WHERE ", $crate::retention::lost!("sessions", $same)),
            concat!(
                "UPDATE credentials AS r SET revoked_seq = $2 WHERE ",
                $crate::retention::lost!("credentials", $same)
            ),
        ]
    };
}

pub(crate) use {count_lost, lost, mark_lost};
