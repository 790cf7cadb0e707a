-- Whom tenants trust to say who somebody is, and what was seen of theirs.

CREATE TABLE issuers (
    tenant            TEXT    NOT NULL REFERENCES tenants (name),
    id                BLOB    NOT NULL CHECK (length(id) = 16),
    name              TEXT    NOT NULL,
    url               TEXT    NOT NULL,
    audience          TEXT    NOT NULL,
    -- A JSON list of names.
    algorithms        TEXT    NOT NULL,
    name_template     TEXT    NOT NULL,
    -- [["groups", "staff", "member"], …]
    role_rules        TEXT    NOT NULL,
    create_identities INTEGER NOT NULL CHECK (create_identities IN (0, 1)),
    link_identities   INTEGER NOT NULL CHECK (link_identities IN (0, 1)),
    created_at        INTEGER NOT NULL,
    removed_at        INTEGER,
    revoked_seq       INTEGER,
    PRIMARY KEY (tenant, id),
    UNIQUE (id),
    UNIQUE (tenant, url, audience)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX one_issuer_of_a_name ON issuers (tenant, name) WHERE removed_at IS NULL;
-- A token names its issuer by both, so both together name one tenant.
CREATE UNIQUE INDEX one_tenant_of_an_audience ON issuers (url, audience) WHERE removed_at IS NULL;

-- Subjects, by the SHA-256 of their `sub`.
CREATE TABLE issuer_subjects (
    issuer   BLOB NOT NULL REFERENCES issuers (id),
    subject  BLOB NOT NULL CHECK (length(subject) = 32),
    tenant   TEXT NOT NULL,
    identity BLOB NOT NULL,
    PRIMARY KEY (issuer, subject),
    UNIQUE (issuer, identity)
) STRICT, WITHOUT ROWID;

-- Sessions, by the SHA-256 of their `sid` and the newest entry that had ended something above them.
CREATE TABLE issuer_sessions (
    issuer   BLOB    NOT NULL REFERENCES issuers (id),
    sid      BLOB    NOT NULL CHECK (length(sid) = 32),
    epoch    INTEGER NOT NULL,
    identity BLOB    NOT NULL,
    session  BLOB    NOT NULL,
    PRIMARY KEY (issuer, sid, epoch, identity)
) STRICT, WITHOUT ROWID;

-- Tokens that were seen, by the SHA-256 of what was signed: a credential of the kind `access_token` without a key here.
CREATE TABLE issuer_tokens (
    issuer     BLOB NOT NULL REFERENCES issuers (id),
    digest     BLOB NOT NULL CHECK (length(digest) = 32),
    credential BLOB NOT NULL,
    -- A JSON list of the roles that its claims brought.
    roles      TEXT NOT NULL,
    PRIMARY KEY (issuer, digest),
    UNIQUE (credential)
) STRICT, WITHOUT ROWID;
