-- The revocation log. One row is one transaction's batch; the head row is written last in its transaction.
-- The head is updated at every append: room on its page keeps the updates off the index, and it is vacuumed early.
CREATE TABLE revocation_head (
    shard       BIGINT NOT NULL PRIMARY KEY CHECK (shard = 0),
    seq         BIGINT NOT NULL CHECK (seq >= 0),
    prev_chain  BYTEA  NOT NULL CHECK (length(prev_chain) = 16),
    chain       BYTEA  NOT NULL CHECK (length(chain) = 16),
    -- Drawn once for each store, so that two stores differ from their first entry.
    genesis     BYTEA  NOT NULL CHECK (length(genesis) = 16),
    horizon_seq BIGINT NOT NULL DEFAULT 0 CHECK (horizon_seq BETWEEN 0 AND seq)
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);

CREATE TABLE revocation_log (
    shard        BIGINT NOT NULL CHECK (shard = 0),
    seq          BIGINT NOT NULL CHECK (seq > 0),
    prev_chain   BYTEA  NOT NULL CHECK (length(prev_chain) = 16),
    chain        BYTEA  NOT NULL CHECK (length(chain) = 16),
    committed_at BIGINT NOT NULL,
    payload      BYTEA  NOT NULL,
    PRIMARY KEY (shard, seq)
);

-- Names compare by their bytes, as in every store.
CREATE TABLE tenants (
    name        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    created_at  BIGINT           NOT NULL,
    revoked_seq BIGINT
);

CREATE TABLE roles (
    tenant TEXT COLLATE "C" NOT NULL REFERENCES tenants (name),
    name   TEXT COLLATE "C" NOT NULL,
    -- [["subscribe", "room:*"], …]
    grants TEXT             NOT NULL,
    PRIMARY KEY (tenant, name)
);

CREATE TABLE identities (
    tenant      TEXT COLLATE "C" NOT NULL REFERENCES tenants (name),
    id          BYTEA            NOT NULL CHECK (length(id) = 16),
    kind        TEXT             NOT NULL CHECK (kind IN ('user', 'service')),
    name        TEXT COLLATE "C" NOT NULL,
    state       TEXT             NOT NULL CHECK (state IN ('active', 'disabled')),
    created_at  BIGINT           NOT NULL,
    revoked_seq BIGINT,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, name)
);

CREATE TABLE identity_roles (
    tenant   TEXT COLLATE "C" NOT NULL,
    identity BYTEA            NOT NULL,
    role     TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, identity, role),
    FOREIGN KEY (tenant, identity) REFERENCES identities (tenant, id),
    FOREIGN KEY (tenant, role) REFERENCES roles (tenant, name)
);

CREATE TABLE passwords (
    tenant   TEXT COLLATE "C" NOT NULL,
    identity BYTEA            NOT NULL,
    -- Another one at each change.
    id       BYTEA            NOT NULL CHECK (length(id) = 16),
    phc      TEXT             NOT NULL,
    set_at   BIGINT           NOT NULL,
    PRIMARY KEY (tenant, identity),
    FOREIGN KEY (tenant, identity) REFERENCES identities (tenant, id)
);

-- A client application has a row only once it was revoked.
CREATE TABLE clients (
    tenant      TEXT COLLATE "C" NOT NULL REFERENCES tenants (name),
    id          TEXT COLLATE "C" NOT NULL,
    revoked_seq BIGINT           NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE TABLE signing_keys (
    id             BYTEA  NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    state          TEXT   NOT NULL CHECK (state IN ('published', 'signing', 'retained', 'revoked')),
    public_key     BYTEA  NOT NULL,
    sealed_private BYTEA  NOT NULL,
    kek_id         TEXT   NOT NULL,
    created_at     BIGINT NOT NULL,
    revoked_seq    BIGINT
);

CREATE UNIQUE INDEX one_key_signs ON signing_keys (state) WHERE state = 'signing';

CREATE TABLE sessions (
    tenant      TEXT COLLATE "C" NOT NULL,
    id          BYTEA            NOT NULL CHECK (length(id) = 16),
    identity    BYTEA            NOT NULL,
    device      TEXT,
    client      TEXT,
    issue_seq   BIGINT           NOT NULL,
    issue_chain BIGINT           NOT NULL,
    created_at  BIGINT           NOT NULL,
    expires_at  BIGINT           NOT NULL,
    revoked_seq BIGINT,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, identity) REFERENCES identities (tenant, id)
);

CREATE INDEX sessions_of_an_identity ON sessions (tenant, identity, id);

-- `signing_key` names a row of signing_keys without a foreign key: checking one would have every writer share a lock on
-- the row of the one key that signs, and keys are never deleted.
CREATE TABLE credentials (
    id          BYTEA            NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    tenant      TEXT COLLATE "C" NOT NULL,
    identity    BYTEA            NOT NULL,
    session     BYTEA,
    kind        TEXT             NOT NULL
        CHECK (kind IN ('session_cookie', 'access_token', 'refresh_token', 'ticket', 'api_key')),
    digest      BYTEA            CHECK (length(digest) = 32),
    parent      BYTEA,
    label       TEXT,
    -- Names separated by spaces.
    scopes      TEXT             NOT NULL,
    -- JSON lists of texts; an empty list means any.
    audiences   TEXT             NOT NULL,
    origins     TEXT             NOT NULL,
    issue_seq   BIGINT           NOT NULL,
    issue_chain BIGINT           NOT NULL,
    signing_key BYTEA,
    created_at  BIGINT           NOT NULL,
    expires_at  BIGINT,
    spent_at    BIGINT,
    successor   BYTEA,
    redeemed_by BYTEA,
    revoked_seq BIGINT,
    FOREIGN KEY (tenant, identity) REFERENCES identities (tenant, id),
    FOREIGN KEY (tenant, session) REFERENCES sessions (tenant, id)
);

CREATE INDEX api_keys_of_an_identity ON credentials (tenant, identity, id) WHERE kind = 'api_key';
CREATE INDEX credentials_of_a_session ON credentials (tenant, session);

-- Answers to named requests, written in the transaction that they answer.
CREATE TABLE requests (
    tenant       TEXT COLLATE "C" NOT NULL,
    actor        TEXT COLLATE "C" NOT NULL,
    request      TEXT COLLATE "C" NOT NULL,
    content      BYTEA            NOT NULL CHECK (length(content) = 32),
    seq          BIGINT           NOT NULL,
    chain        BIGINT           NOT NULL,
    committed_at BIGINT           NOT NULL,
    PRIMARY KEY (tenant, actor, request)
);

-- Ids are given before a transaction commits: their order is not that of commits, and a number may be missing.
CREATE TABLE audit (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      BIGINT NOT NULL,
    tenant  TEXT COLLATE "C" NOT NULL,
    actor   TEXT COLLATE "C" NOT NULL,
    action  TEXT   NOT NULL,
    target  TEXT   NOT NULL,
    request TEXT
);
