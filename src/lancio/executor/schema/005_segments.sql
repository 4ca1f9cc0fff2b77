-- Statements of files that are not one transaction: what of a file has run that has no row in lancio.step yet.
--
-- Statements that share a transaction come into this table with it; one that stands alone has its row before it is
-- sent, so that a run that ends in between leaves a question that the catalog can answer. With the file's last
-- transaction, its row in lancio.step and its rows in lancio.statement, they are gone.

CREATE TABLE lancio.begun (
    migration text NOT NULL,
    ordinal integer NOT NULL,
    run bigint NOT NULL,
    backend_pid integer NOT NULL,
    line integer NOT NULL,
    summary text NOT NULL,
    hash text NOT NULL,
    alone boolean NOT NULL,
    state text NOT NULL CHECK (state IN ('begun', 'applied', 'failed')),
    before jsonb NOT NULL DEFAULT '{}',
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    duration_ms double precision,
    PRIMARY KEY (migration, ordinal)
);
COMMENT ON TABLE lancio.begun IS 'Statements of migrations that were begun and are not applied whole yet';
COMMENT ON COLUMN lancio.begun.ordinal IS 'From 1, without the file''s own BEGIN and COMMIT';
COMMENT ON COLUMN lancio.begun.backend_pid IS 'The server process that held the runner''s lock as the row was written; without the lock there is no row';
COMMENT ON COLUMN lancio.begun.hash IS 'SHA-256 of the statement''s tokens: what ran may not be changed any more, what stands behind it may';
COMMENT ON COLUMN lancio.begun.alone IS 'Whether it ran outside of a transaction';
COMMENT ON COLUMN lancio.begun.state IS 'begun: it was sent, and whether it was carried out has to be looked at; failed: the server said no, and something may be left of it';
COMMENT ON COLUMN lancio.begun.before IS 'What stood in the catalog about it before it was sent';
COMMENT ON COLUMN lancio.begun.duration_ms IS 'Of its transaction, at the transaction''s last statement; of itself where it stood alone';
