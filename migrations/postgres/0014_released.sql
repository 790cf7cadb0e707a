-- A run that said that it is over: it passes no frame and admits nobody ever after. A renewal of it that comes late leaves
-- this as it is while the row is kept (about 300 seconds); after one that came later still, a lease is waited for again.
ALTER TABLE gateway_runs ADD COLUMN released BOOLEAN NOT NULL DEFAULT FALSE;
