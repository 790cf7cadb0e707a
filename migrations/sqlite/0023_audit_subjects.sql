-- Rows of the audit trail say whom they are about, what was done more closely, and from where.

-- The id of the identity, as text: a row is read as it is. It outlives the session or the key that `target` names.
ALTER TABLE audit ADD COLUMN identity TEXT;
-- A JSON object, and no secret: roles, scopes, digests, ids.
ALTER TABLE audit ADD COLUMN detail TEXT;
ALTER TABLE audit ADD COLUMN address TEXT;

CREATE INDEX audit_of_an_identity ON audit (tenant, identity, at, id) WHERE identity IS NOT NULL;

-- Which key-encryption key vouches for when a seal was made, and its tag; empty for those from before.
ALTER TABLE audit_seals ADD COLUMN mark BLOB NOT NULL DEFAULT x'';
