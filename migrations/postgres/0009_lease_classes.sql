-- For how long a tenant's sockets are served while their gateway cannot hear the authority; NULL: as the route says.
ALTER TABLE tenants ADD COLUMN lease_class TEXT COLLATE "C" CHECK (lease_class IN ('strict', 'standard', 'tolerant', 'hold'));
