-- How many tickets a session has, or a credential without one, that are not over.

CREATE INDEX tickets_of_a_holder ON credentials (coalesce(session, parent), expires_at) WHERE kind = 'ticket';
