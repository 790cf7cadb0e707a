-- What several processes of the authority tell each other.

-- A beat is a write that a deposed server cannot finish. One row a process; the time is for people.
CREATE TABLE authority_beat (
    replica BYTEA       NOT NULL PRIMARY KEY CHECK (length(replica) = 16),
    beats   BIGINT      NOT NULL,
    at      TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 10);

-- Runs of gateways that may hold a lease. A row goes only when a process has seen it unchanged for longer than that.
CREATE TABLE gateway_runs (
    gateway       TEXT COLLATE "C" NOT NULL,
    boot          BYTEA            NOT NULL CHECK (length(boot) = 16),
    renewals      BIGINT           NOT NULL,
    lease_us      BIGINT           NOT NULL,
    sockets       BIGINT           NOT NULL,
    applied_seq   BIGINT,
    applied_chain BIGINT,
    PRIMARY KEY (gateway, boot)
) WITH (fillfactor = 50);

-- What runs said about single entries. What is lost of it is late and never wrong.
CREATE TABLE gateway_notes (
    seq      BIGINT           NOT NULL,
    chain    BIGINT           NOT NULL,
    gateway  TEXT COLLATE "C" NOT NULL,
    boot     BYTEA            NOT NULL CHECK (length(boot) = 16),
    fenced   BIGINT           NOT NULL,
    closed   BIGINT           NOT NULL,
    apply_us BIGINT           NOT NULL,
    PRIMARY KEY (seq, gateway, boot)
);
