-- A session of an external issuer is one client application's, so that revoking the client finds it.

CREATE TABLE issuer_sessions_of_clients (
    issuer   BLOB    NOT NULL REFERENCES issuers (id),
    sid      BLOB    NOT NULL CHECK (length(sid) = 32),
    epoch    INTEGER NOT NULL,
    identity BLOB    NOT NULL,
    session  BLOB    NOT NULL,
    -- Empty: of no client application.
    client   TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (issuer, sid, epoch, identity, client)
) STRICT, WITHOUT ROWID;

INSERT INTO issuer_sessions_of_clients (issuer, sid, epoch, identity, session, client)
SELECT x.issuer, x.sid, x.epoch, x.identity, x.session, coalesce(s.client, '')
FROM issuer_sessions x
JOIN issuers i ON i.id = x.issuer
LEFT JOIN sessions s ON s.tenant = i.tenant AND s.id = x.session;

DROP TABLE issuer_sessions;
ALTER TABLE issuer_sessions_of_clients RENAME TO issuer_sessions;

CREATE INDEX issuer_sessions_by_session ON issuer_sessions (session);
