-- Client certificates: services that are known by the name in a certificate that they show.

-- The name. Its row's `kind` stays 'api_key', as a release before this one must read it: a key without a digest, which
-- nobody can present.
ALTER TABLE credentials ADD COLUMN certificate TEXT COLLATE "C";

-- Whose a name is: the credential that took it last. It is given again once that one is dead.
CREATE TABLE certificate_names (
    name       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    credential BYTEA            NOT NULL CHECK (length(credential) = 16),
    -- When that one is over by itself, also where its row is gone; absent: never.
    ends_at    BIGINT
);
