-- A session of an external issuer is one client application's, so that revoking the client finds it.

-- Empty: of no client application.
ALTER TABLE issuer_sessions ADD COLUMN client TEXT NOT NULL DEFAULT '';

UPDATE issuer_sessions x SET client = s.client
FROM issuers i, sessions s
WHERE i.id = x.issuer AND s.tenant = i.tenant AND s.id = x.session AND s.client IS NOT NULL;

ALTER TABLE issuer_sessions
    DROP CONSTRAINT issuer_sessions_pkey,
    ADD PRIMARY KEY (issuer, sid, epoch, identity, client);

CREATE INDEX issuer_sessions_by_session ON issuer_sessions (session);
