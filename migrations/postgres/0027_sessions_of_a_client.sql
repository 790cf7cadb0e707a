-- Whether anything was ever issued to a client application.

CREATE INDEX sessions_of_a_client ON sessions (tenant, client) WHERE client IS NOT NULL;
