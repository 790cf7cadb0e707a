-- How signing keys come and go.

ALTER TABLE signing_keys ADD COLUMN algorithm TEXT NOT NULL DEFAULT 'ES256' CHECK (algorithm IN ('ES256', 'EdDSA'));

-- Since when it signs, or from when it did; absent for a key of before this migration, which signed from its making.
ALTER TABLE signing_keys ADD COLUMN signing_at BIGINT;

-- Since when it no longer signs. From then on `sealed_private` is empty.
ALTER TABLE signing_keys ADD COLUMN retained_at BIGINT;

CREATE UNIQUE INDEX one_key_is_published ON signing_keys (state) WHERE state = 'published';
