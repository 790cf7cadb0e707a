-- What began before a time is dead, in a whole tenant or of one client application.

-- Only ever moved forward, and kept for ever.
ALTER TABLE tenants ADD COLUMN ended_before INTEGER;
-- The same. `revoked_seq` is 0 where no entry killed the client application itself.
ALTER TABLE clients ADD COLUMN ended_before INTEGER;
