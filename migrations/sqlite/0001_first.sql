-- The revocation log. One row is one transaction's batch; the head row is written last in its transaction.
CREATE TABLE revocation_head (
    shard       INTEGER NOT NULL PRIMARY KEY CHECK (shard = 0),
    seq         INTEGER NOT NULL CHECK (seq >= 0),
    prev_chain  BLOB    NOT NULL CHECK (length(prev_chain) = 16),
    chain       BLOB    NOT NULL CHECK (length(chain) = 16),
    -- Drawn once for each store, so that two stores differ from their first entry.
    genesis     BLOB    NOT NULL CHECK (length(genesis) = 16),
    horizon_seq INTEGER NOT NULL DEFAULT 0 CHECK (horizon_seq BETWEEN 0 AND seq)
) STRICT;

CREATE TABLE revocation_log (
    shard        INTEGER NOT NULL CHECK (shard = 0),
    seq          INTEGER NOT NULL CHECK (seq > 0),
    prev_chain   BLOB    NOT NULL CHECK (length(prev_chain) = 16),
    chain        BLOB    NOT NULL CHECK (length(chain) = 16),
    committed_at INTEGER NOT NULL,
    payload      BLOB    NOT NULL,
    PRIMARY KEY (shard, seq)
) STRICT;

CREATE TABLE tenants (
    name        TEXT    NOT NULL PRIMARY KEY,
    created_at  INTEGER NOT NULL,
    revoked_seq INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE roles (
    tenant TEXT NOT NULL REFERENCES tenants (name),
    name   TEXT NOT NULL,
    -- [["subscribe", "room:*"], …]
    grants TEXT NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE identities (
    tenant      TEXT    NOT NULL REFERENCES tenants (name),
    id          BLOB    NOT NULL CHECK (length(id) = 16),
    kind        TEXT    NOT NULL CHECK (kind IN ('user', 'service')),
    name        TEXT    NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('active', 'disabled')),
    created_at  INTEGER NOT NULL,
    revoked_seq INTEGER,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE identity_roles (
    tenant   TEXT NOT NULL,
    identity BLOB NOT NULL,
    role     TEXT NOT NULL,
    PRIMARY KEY (tenant, identity, role),
    FOREIGN KEY (tenant, identity) REFERENCES identities (tenant, id),
    FOREIGN KEY (tenant, role) REFERENCES roles (tenant, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE passwords (
    tenant   TEXT    NOT NULL,
    identity BLOB    NOT NULL,
    -- Another one at each change.
    id       BLOB    NOT NULL CHECK (length(id) = 16),
    phc      TEXT    NOT NULL,
    set_at   INTEGER NOT NULL,
    PRIMARY KEY (tenant, identity),
    FOREIGN KEY (tenant, identity) REFERENCES identities (tenant, id)
) STRICT, WITHOUT ROWID;

-- A client application has a row only once it was revoked.
CREATE TABLE clients (
    tenant      TEXT    NOT NULL REFERENCES tenants (name),
    id          TEXT    NOT NULL,
    revoked_seq INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE signing_keys (
    id             BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    state          TEXT    NOT NULL CHECK (state IN ('published', 'signing', 'retained', 'revoked')),
    public_key     BLOB    NOT NULL,
    sealed_private BLOB    NOT NULL,
    kek_id         TEXT    NOT NULL,
    created_at     INTEGER NOT NULL,
    revoked_seq    INTEGER
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX one_key_signs ON signing_keys (state) WHERE state = 'signing';

CREATE TABLE sessions (
    tenant      TEXT    NOT NULL,
    id          BLOB    NOT NULL CHECK (length(id) = 16),
    identity    BLOB    NOT NULL,
    device      TEXT,
    client      TEXT,
    issue_seq   INTEGER NOT NULL,
    issue_chain INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    revoked_seq INTEGER,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, identity) REFERENCES identities (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_of_an_identity ON sessions (tenant, identity, id);

CREATE TABLE credentials (
    id          BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    tenant      TEXT    NOT NULL,
    identity    BLOB    NOT NULL,
    session     BLOB,
    kind        TEXT    NOT NULL
        CHECK (kind IN ('session_cookie', 'access_token', 'refresh_token', 'ticket', 'api_key')),
    digest      BLOB             CHECK (length(digest) = 32),
    parent      BLOB,
    label       TEXT,
    -- Names separated by spaces.
    scopes      TEXT    NOT NULL,
    -- JSON lists of texts; an empty list means any.
    audiences   TEXT    NOT NULL,
    origins     TEXT    NOT NULL,
    issue_seq   INTEGER NOT NULL,
    issue_chain INTEGER NOT NULL,
    signing_key BLOB    REFERENCES signing_keys (id),
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER,
    spent_at    INTEGER,
    successor   BLOB,
    redeemed_by BLOB,
    revoked_seq INTEGER,
    FOREIGN KEY (tenant, identity) REFERENCES identities (tenant, id),
    FOREIGN KEY (tenant, session) REFERENCES sessions (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX api_keys_of_an_identity ON credentials (tenant, identity, id) WHERE kind = 'api_key';
CREATE INDEX credentials_of_a_session ON credentials (tenant, session);

-- Answers to named requests, written in the transaction that they answer.
CREATE TABLE requests (
    tenant       TEXT    NOT NULL,
    actor        TEXT    NOT NULL,
    request      TEXT    NOT NULL,
    content      BLOB    NOT NULL CHECK (length(content) = 32),
    seq          INTEGER NOT NULL,
    chain        INTEGER NOT NULL,
    committed_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, actor, request)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    id      INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    tenant  TEXT    NOT NULL,
    actor   TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    target  TEXT    NOT NULL,
    request TEXT
) STRICT;
