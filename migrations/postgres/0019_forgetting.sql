-- What is looked for before it is forgotten.

-- Of a position that goes: what claims it and is of another branch of the log is marked as dead.
CREATE INDEX sessions_by_position ON sessions (issue_seq) WHERE revoked_seq IS NULL;
CREATE INDEX credentials_by_position ON credentials (issue_seq) WHERE revoked_seq IS NULL;
-- Redeemed tickets, also of what has no end: a socket of one lives no longer than a session.
CREATE INDEX tickets_by_use ON credentials (spent_at) WHERE kind = 'ticket' AND redeemed_by IS NOT NULL;
