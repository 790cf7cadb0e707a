-- Public signature keys: with which clients sign what they send.

-- The key as the JSON text that RFC 7638 hashes. Its row's `kind` stays 'api_key', as a release before this one must read
-- it: a key without a digest, which nobody can present.
ALTER TABLE credentials ADD COLUMN signature_key TEXT;
-- Whose verdicts look at it: the session's id, or the identity's. None once it is over.
ALTER TABLE credentials ADD COLUMN signature_holder BLOB CHECK (length(signature_holder) = 16);

-- Dead ones count as well, for as long as they are kept.
CREATE UNIQUE INDEX one_signature_key ON credentials (tenant, signature_key) WHERE signature_key IS NOT NULL;
CREATE INDEX signature_keys_of_a_holder ON credentials (signature_holder)
    WHERE signature_holder IS NOT NULL AND revoked_seq IS NULL;
CREATE INDEX signature_keys_of_an_identity ON credentials (tenant, identity, id) WHERE signature_key IS NOT NULL;
CREATE INDEX signature_keys_by_end ON credentials (expires_at, id) WHERE signature_key IS NOT NULL AND session IS NOT NULL;
