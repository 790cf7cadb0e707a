-- What is found again once it has been kept long enough.

-- API keys: since when it is known that they ended or were revoked.
ALTER TABLE credentials ADD COLUMN over_at INTEGER;
-- A `sid` of an external issuer may come back to it: it is kept by rules of its own. Noted when it is over.
ALTER TABLE sessions ADD COLUMN external INTEGER NOT NULL DEFAULT 0 CHECK (external IN (0, 1));

-- A redeemed ticket goes with its parent, on which its socket rests.
CREATE INDEX credentials_by_end ON credentials (expires_at, id)
    WHERE expires_at IS NOT NULL AND redeemed_by IS NULL AND kind <> 'api_key';
CREATE INDEX credentials_of_a_parent ON credentials (parent) WHERE parent IS NOT NULL AND kind IN ('ticket', 'access_token');
CREATE INDEX api_keys_over ON credentials (over_at) WHERE kind = 'api_key' AND over_at IS NOT NULL;
CREATE INDEX api_keys_revoked ON credentials (id) WHERE kind = 'api_key' AND revoked_seq IS NOT NULL AND over_at IS NULL;
CREATE INDEX api_keys_by_end ON credentials (expires_at)
    WHERE kind = 'api_key' AND expires_at IS NOT NULL AND over_at IS NULL;
CREATE INDEX sessions_by_end ON sessions (expires_at, id) WHERE external = 0;
CREATE INDEX external_sessions_by_end ON sessions (expires_at, id) WHERE external = 1 AND revoked_seq IS NULL;
CREATE INDEX password_resets_by_end ON password_resets (expires_at);
CREATE INDEX places_by_age ON known_places (seen_at);
