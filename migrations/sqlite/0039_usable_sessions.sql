-- Whether there is still something to use a session with.

CREATE INDEX usable_credentials_of_a_session ON credentials (session, expires_at)
    WHERE kind IN ('access_token', 'refresh_token', 'session_cookie') AND spent_at IS NULL AND revoked_seq IS NULL;
