//! The columns of the wider rows, in one place each. They are named because a statement that is prepared already must
//! not answer another row when the next release has added a column.

/// Credentials, with what follows `FROM credentials`.
macro_rules! credentials {
    ($rest:literal) => {
        concat!(
            "SELECT id, tenant, identity, session, kind, digest, parent, label, scopes, audiences, origins, issue_seq,
             issue_chain, signing_key, created_at, expires_at, spent_at, successor, redeemed_by, revoked_seq, key_grants,
             addresses, replaces, replaced_by, last_used_at, certificate, signature_key
             FROM credentials ",
            $rest
        )
    };
}

/// Signing keys, with what follows `FROM signing_keys`.
macro_rules! signing_keys {
    ($rest:literal) => {
        concat!(
            "SELECT id, state, algorithm, public_key, sealed_private, kek_id, created_at, signing_at, retained_at,
             revoked_seq FROM signing_keys ",
            $rest
        )
    };
}

pub(super) use {credentials, signing_keys};
