-- What logging in rests on beside the password, and what slows those who guess.

-- Set by somebody else: the next login must replace it.
ALTER TABLE passwords ADD COLUMN must_change INTEGER NOT NULL DEFAULT 0 CHECK (must_change IN (0, 1));

-- The random half of the id: what an unknown name is checked against is drawn evenly from what known names have.
CREATE INDEX password_draws ON passwords (tenant, substr(id, 9));

-- One authenticator app for each identity; it counts once it is confirmed.
CREATE TABLE totp_factors (
    tenant        TEXT    NOT NULL,
    identity      BLOB    NOT NULL,
    id            BLOB    NOT NULL CHECK (length(id) = 16),
    sealed_secret BLOB    NOT NULL,
    kek_id        TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    confirmed_at  INTEGER,
    -- The newest time step whose code was taken; none at or below it is taken again.
    last_step     INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, identity),
    FOREIGN KEY (tenant, identity) REFERENCES identities (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE recovery_codes (
    tenant   TEXT    NOT NULL,
    identity BLOB    NOT NULL,
    digest   BLOB    NOT NULL CHECK (length(digest) = 32),
    used_at  INTEGER,
    PRIMARY KEY (tenant, identity, digest),
    FOREIGN KEY (tenant, identity) REFERENCES identities (tenant, id)
) STRICT, WITHOUT ROWID;

-- Logins that were asked for more. Each is of one use; expired ones are deleted when new ones come.
CREATE TABLE login_continuations (
    id          BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    tenant      TEXT    NOT NULL,
    identity    BLOB    NOT NULL,
    digest      BLOB    NOT NULL CHECK (length(digest) = 32),
    -- The password that was checked, and the head that was read before it was.
    password    BLOB    NOT NULL CHECK (length(password) = 16),
    issue_seq   INTEGER NOT NULL,
    issue_chain INTEGER NOT NULL,
    -- Who began it, and therefore goes on.
    actor       TEXT    NOT NULL,
    step        TEXT    NOT NULL CHECK (step IN ('second_factor', 'new_password')),
    -- How many wrong proofs came before.
    refused     INTEGER NOT NULL,
    mode        TEXT    NOT NULL CHECK (mode IN ('tokens', 'cookie')),
    device      TEXT,
    client      TEXT,
    -- Where from, by digest; known after the login.
    account     BLOB    NOT NULL CHECK (length(account) = 16),
    place       BLOB             CHECK (length(place) = 16),
    expires_at  INTEGER NOT NULL,
    spent_at    INTEGER,
    FOREIGN KEY (tenant, identity) REFERENCES identities (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX continuations_by_end ON login_continuations (expires_at);

-- One-time tokens for a new password. Each is of one use; expired ones are deleted when new ones come.
CREATE TABLE password_resets (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    tenant     TEXT    NOT NULL,
    identity   BLOB    NOT NULL,
    digest     BLOB    NOT NULL CHECK (length(digest) = 32),
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    spent_at   INTEGER,
    FOREIGN KEY (tenant, identity) REFERENCES identities (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX password_resets_of_an_identity ON password_resets (tenant, identity);

-- Guesses, by the digest of what they are counted for. Rows of long ago are deleted when new ones come.
CREATE TABLE login_attempts (
    key      BLOB    NOT NULL PRIMARY KEY CHECK (length(key) = 16),
    failures INTEGER NOT NULL CHECK (failures >= 0),
    next_at  INTEGER NOT NULL,
    last_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX attempts_by_age ON login_attempts (last_at);

-- From where an account was logged into before, both by digest.
CREATE TABLE known_places (
    account BLOB    NOT NULL CHECK (length(account) = 16),
    place   BLOB    NOT NULL CHECK (length(place) = 16),
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (account, place)
) STRICT, WITHOUT ROWID;
