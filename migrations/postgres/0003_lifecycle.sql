-- The whole life of tenants and identities, and answers to named requests that made no log entry.

ALTER TABLE tenants ADD COLUMN display_name TEXT;
-- Refused by state while it has one.
ALTER TABLE tenants ADD COLUMN suspended_at BIGINT;
-- Counts changes; what an etag is made of.
ALTER TABLE tenants ADD COLUMN version BIGINT NOT NULL DEFAULT 1;

ALTER TABLE identities ADD COLUMN display_name TEXT;
-- A JSON object of texts.
ALTER TABLE identities ADD COLUMN attributes TEXT NOT NULL DEFAULT '{}';
ALTER TABLE identities ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
-- A tombstone for ever once it has one; its `state` stays 'disabled', as a release before this one must read it.
ALTER TABLE identities ADD COLUMN deleted_at BIGINT;

-- What the answer was about: an id, or a name. Never a secret.
ALTER TABLE requests ADD COLUMN subject TEXT;
-- Whether `seq` is an entry that answers, or nothing.
ALTER TABLE requests ADD COLUMN has_entry BIGINT NOT NULL DEFAULT 1;
-- Answers are kept for a day from here.
ALTER TABLE requests ADD COLUMN answered_at BIGINT NOT NULL DEFAULT 0;
UPDATE requests SET answered_at = committed_at;

CREATE INDEX requests_by_age ON requests (answered_at);
CREATE INDEX credentials_of_an_identity ON credentials (tenant, identity, id);
