//! The statements that shorten the audit trail, for every store: they are the same words.

/// There is one row, once anything was removed.
pub(crate) const START: &str = "SELECT number, hash, kek_id, mark FROM audit_start WHERE id = 1";

/// `$1` and `$2` are the seal after which the trail begins, `$3` and `$4` what vouches for it.
pub(crate) const BEGIN: &str = "INSERT INTO audit_start (id, number, hash, kek_id, mark) VALUES (1, $1, $2, $3, $4)
    ON CONFLICT DO NOTHING";

/// The same, where it begins after the seal `$5` and `$6`.
pub(crate) const MOVE_ON: &str = "UPDATE audit_start SET number = $1, hash = $2, kek_id = $3, mark = $4
    WHERE id = 1 AND number = $5 AND hash = $6";

/// `$1` is the seal after which the trail began, `$2` the last one that goes.
pub(crate) const REMOVE_ROWS: &str = "DELETE FROM audit WHERE seal > $1 AND seal <= $2";
/// `$1` is the last seal that goes.
pub(crate) const REMOVE_SEALS: &str = "DELETE FROM audit_seals WHERE number <= $1";

/// `$1` and `$2` vouch for it from now on, where `$5` vouches for the seal `$3` and `$4` until now.
pub(crate) const MARK_ANEW: &str = "UPDATE audit_start SET kek_id = $1, mark = $2
    WHERE id = 1 AND number = $3 AND hash = $4 AND kek_id = $5";

/// After the seal `$1`, at most `$2`.
pub(crate) const MARKS: &str = "SELECT number, hash, sealed_at, mark FROM audit_seals
    WHERE number > $1 ORDER BY number LIMIT $2";

/// The same, where a key is named at the beginning, as every one is in 16 bytes, and it is not `$3`.
pub(crate) const MARKS_NOT_UNDER: &str = "SELECT number, hash, sealed_at, mark FROM audit_seals
    WHERE number > $1 AND length(mark) = 48 AND substr(mark, 1, 16) <> $3 ORDER BY number LIMIT $2";

/// `$1` in the place of `$4`, for the seal `$2` and `$3`.
pub(crate) const MARK_SEAL: &str = "UPDATE audit_seals SET mark = $1 WHERE number = $2 AND hash = $3 AND mark = $4";
