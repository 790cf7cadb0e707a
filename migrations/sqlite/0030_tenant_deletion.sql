-- Tenants that are gone for ever: a name, when it was made, and the newest entry that killed it.

-- A tombstone for ever once it has one; it stays suspended, as a release before this one must read it.
ALTER TABLE tenants ADD COLUMN deleted_at INTEGER;
-- Since when nothing is looked for beneath it any more.
ALTER TABLE tenants ADD COLUMN emptied_at INTEGER;

CREATE INDEX tenants_to_empty ON tenants (deleted_at) WHERE deleted_at IS NOT NULL AND emptied_at IS NULL;
