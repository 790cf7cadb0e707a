-- The audit trail: how what was asked ended, and the seals that hold rows in place.

ALTER TABLE audit ADD COLUMN outcome TEXT NOT NULL DEFAULT 'done' CHECK (outcome IN ('done', 'denied'));
ALTER TABLE audit ADD COLUMN reason TEXT;
-- The seal that a row is under; rows wait a few seconds for one.
ALTER TABLE audit ADD COLUMN seal BIGINT;

CREATE TABLE audit_seals (
    number    BIGINT NOT NULL PRIMARY KEY CHECK (number > 0),
    previous  BYTEA   NOT NULL CHECK (length(previous) = 32),
    hash      BYTEA   NOT NULL CHECK (length(hash) = 32),
    sealed_at BIGINT NOT NULL,
    -- For each row its number (8 bytes, big endian) and its digest (32 bytes).
    sealed    BYTEA   NOT NULL CHECK (length(sealed) % 40 = 0)
);

CREATE INDEX audit_of_a_tenant ON audit (tenant, at, id);
CREATE INDEX audit_of_a_seal ON audit (seal, id);
