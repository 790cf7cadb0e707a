-- The entry by which a one-time token for a password began: what ended the identity's or the tenant's sessions later ended it
-- too. Absent where a release before this one made it; such a token is refused, and was good for an hour.

ALTER TABLE password_resets ADD COLUMN issue_seq INTEGER;
