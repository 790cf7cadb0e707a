-- What is found again once it has been kept long enough.

-- API keys: since when it is known that they ended or were revoked.
ALTER TABLE credentials ADD COLUMN over_at BIGINT;
-- A `sid` of an external issuer may come back to it: it is kept by rules of its own. Noted when it is over.
ALTER TABLE sessions ADD COLUMN external BIGINT NOT NULL DEFAULT 0 CHECK (external IN (0, 1));

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

-- Sessions that were begun on a branch of the log which is gone, also beyond where this one ends. They were dead by their
-- position alone, which the log forgets; from here on such a session is not inserted.
UPDATE sessions s SET revoked_seq = h.seq
FROM revocation_head h
WHERE h.shard = 0 AND s.revoked_seq IS NULL AND (s.issue_seq > h.seq OR s.issue_chain <> coalesce(
    (SELECT ('x' || encode(substr(h.chain, 1, 8), 'hex'))::bit(64)::bigint WHERE h.seq = s.issue_seq),
    (SELECT ('x' || encode(substr(l.chain, 1, 8), 'hex'))::bit(64)::bigint FROM revocation_log l
     WHERE l.shard = 0 AND l.seq = s.issue_seq),
    (SELECT ('x' || encode(substr(l.prev_chain, 1, 8), 'hex'))::bit(64)::bigint FROM revocation_log l
     WHERE l.shard = 0 AND l.seq = s.issue_seq + 1),
    s.issue_chain));
