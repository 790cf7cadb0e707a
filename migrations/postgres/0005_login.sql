-- What logging in rests on beside the password, and what slows those who guess.

-- Set by somebody else: the next login must replace it.
ALTER TABLE passwords ADD COLUMN must_change BIGINT NOT NULL DEFAULT 0 CHECK (must_change IN (0, 1));

-- The random half of the id: what an unknown name is checked against is drawn evenly from what known names have.
CREATE INDEX password_draws ON passwords (tenant, substr(id, 9));

-- One authenticator app for each identity; it counts once it is confirmed.
CREATE TABLE totp_factors (
    tenant        TEXT COLLATE "C" NOT NULL,
    identity      BYTEA            NOT NULL,
    id            BYTEA            NOT NULL CHECK (length(id) = 16),
    sealed_secret BYTEA            NOT NULL,
    kek_id        TEXT             NOT NULL,
    created_at    BIGINT           NOT NULL,
    confirmed_at  BIGINT,
    -- The newest time step whose code was taken; none at or below it is taken again.
    last_step     BIGINT           NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, identity),
    FOREIGN KEY (tenant, identity) REFERENCES identities (tenant, id)
);

CREATE TABLE recovery_codes (
    tenant   TEXT COLLATE "C" NOT NULL,
    identity BYTEA            NOT NULL,
    digest   BYTEA            NOT NULL CHECK (length(digest) = 32),
    used_at  BIGINT,
    PRIMARY KEY (tenant, identity, digest),
    FOREIGN KEY (tenant, identity) REFERENCES identities (tenant, id)
);

-- Logins that were asked for more. Each is of one use; expired ones are deleted when new ones come.
CREATE TABLE login_continuations (
    id          BYTEA            NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    tenant      TEXT COLLATE "C" NOT NULL,
    identity    BYTEA            NOT NULL,
    digest      BYTEA            NOT NULL CHECK (length(digest) = 32),
    -- The password that was checked, and the head that was read before it was.
    password    BYTEA            NOT NULL CHECK (length(password) = 16),
    issue_seq   BIGINT           NOT NULL,
    issue_chain BIGINT           NOT NULL,
    -- Who began it, and therefore goes on.
    actor       TEXT             NOT NULL,
    step        TEXT             NOT NULL CHECK (step IN ('second_factor', 'new_password')),
    -- How many wrong proofs came before.
    refused     BIGINT           NOT NULL,
    mode        TEXT             NOT NULL CHECK (mode IN ('tokens', 'cookie')),
    device      TEXT,
    client      TEXT,
    -- Where from, by digest; known after the login.
    account     BYTEA            NOT NULL CHECK (length(account) = 16),
    place       BYTEA            CHECK (length(place) = 16),
    expires_at  BIGINT           NOT NULL,
    spent_at    BIGINT,
    FOREIGN KEY (tenant, identity) REFERENCES identities (tenant, id)
);

CREATE INDEX continuations_by_end ON login_continuations (expires_at);

-- One-time tokens for a new password. Each is of one use; expired ones are deleted when new ones come.
CREATE TABLE password_resets (
    id         BYTEA            NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    tenant     TEXT COLLATE "C" NOT NULL,
    identity   BYTEA            NOT NULL,
    digest     BYTEA            NOT NULL CHECK (length(digest) = 32),
    created_at BIGINT           NOT NULL,
    expires_at BIGINT           NOT NULL,
    spent_at   BIGINT,
    FOREIGN KEY (tenant, identity) REFERENCES identities (tenant, id)
);

CREATE INDEX password_resets_of_an_identity ON password_resets (tenant, identity);

-- Guesses, by the digest of what they are counted for. Rows of long ago are deleted when new ones come.
CREATE TABLE login_attempts (
    key      BYTEA  NOT NULL PRIMARY KEY CHECK (length(key) = 16),
    failures BIGINT NOT NULL CHECK (failures >= 0),
    next_at  BIGINT NOT NULL,
    last_at  BIGINT NOT NULL
);

CREATE INDEX attempts_by_age ON login_attempts (last_at);

-- From where an account was logged into before, both by digest.
CREATE TABLE known_places (
    account BYTEA  NOT NULL CHECK (length(account) = 16),
    place   BYTEA  NOT NULL CHECK (length(place) = 16),
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (account, place)
);
