-- A run that said that it is over: it passes no frame and admits nobody ever after, whatever renewal of it comes late.
ALTER TABLE gateway_runs ADD COLUMN released BOOLEAN NOT NULL DEFAULT FALSE;
