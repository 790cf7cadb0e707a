-- What bounds rest on.

-- When a spent refresh token was answered once more; it is never answered again.
ALTER TABLE credentials ADD COLUMN repeated_at BIGINT;

-- What a role's grants take in an answer, at most.
ALTER TABLE roles ADD COLUMN bytes BIGINT NOT NULL DEFAULT 0;
UPDATE roles SET bytes = length(grants);

CREATE INDEX holders_of_a_role ON identity_roles (tenant, role, identity);
