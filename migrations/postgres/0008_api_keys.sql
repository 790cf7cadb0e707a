-- What an API key is limited to, what it replaces, and when it was used.

-- [["subscribe", "room:*"], …]: of what its identity's roles grant, only this; absent: all of it.
ALTER TABLE credentials ADD COLUMN key_grants TEXT;

-- A JSON list of address ranges ("10.0.0.0/8"); absent or empty: from anywhere.
ALTER TABLE credentials ADD COLUMN addresses TEXT;

-- The key it was made to replace, and the one that was made to replace it.
ALTER TABLE credentials ADD COLUMN replaces BYTEA CHECK (length(replaces) = 16);
ALTER TABLE credentials ADD COLUMN replaced_by BYTEA CHECK (length(replaced_by) = 16);

-- Coarse: written now and then, not at each use.
ALTER TABLE credentials ADD COLUMN last_used_at BIGINT;
