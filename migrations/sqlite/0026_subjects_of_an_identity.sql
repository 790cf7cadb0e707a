-- Which subjects of external issuers an identity is, without reading those of everybody.

CREATE INDEX subjects_of_an_identity ON issuer_subjects (tenant, identity, issuer);
