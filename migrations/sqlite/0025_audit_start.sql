-- After which seal the audit trail begins, once rows of it were removed; a key-encryption key vouches for it.

CREATE TABLE audit_start (
    id     INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL CHECK (number > 0),
    hash   BLOB NOT NULL CHECK (length(hash) = 32),
    kek_id TEXT NOT NULL,
    mark   BLOB NOT NULL CHECK (length(mark) = 32)
) STRICT;
