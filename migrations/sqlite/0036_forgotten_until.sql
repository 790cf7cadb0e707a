-- The latest commit of an entry that the log no longer keeps, for what carries no position and is judged by time: tokens of
-- external issuers. Absent until entries are forgotten that say it.

ALTER TABLE revocation_head ADD COLUMN horizon_committed_at INTEGER;
