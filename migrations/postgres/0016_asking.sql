-- Who asks belongs to a request's name, and no longer the key that it asks with; and what a session's login rested on.

-- Who asked, whichever of its keys it asked with; null where the release before wrote the answer. `actor` names the key
-- too, and is what that release looks for.
ALTER TABLE requests ADD COLUMN asker TEXT COLLATE "C";
CREATE UNIQUE INDEX requests_by_asker ON requests (tenant, asker, request);

-- What proved who it is, in the words of RFC 8176 and separated by spaces, and when; null: nobody proved it here.
ALTER TABLE sessions ADD COLUMN amr TEXT;
ALTER TABLE sessions ADD COLUMN authenticated_at BIGINT;

-- What a login that goes on has proved so far; null where the release before began it.
ALTER TABLE login_continuations ADD COLUMN amr TEXT;
