-- What was run in this database: the runs, their steps, the statements of each step, and the events on the way.
--
-- One row of lancio.step commits together with the change it tells of, or not at all. Made by the first apply, in one
-- transaction, under the runner's lock; commands that only read never make it. Rows of one run and of one step are
-- written together by one statement, so foreign keys between these tables would only cost time in every step.

CREATE SCHEMA IF NOT EXISTS lancio;
COMMENT ON SCHEMA lancio IS 'Lancio''s ledger: which migrations ran here, when, and what they did';

CREATE TABLE lancio.ledger_format (
    version integer PRIMARY KEY,
    made_at timestamptz NOT NULL DEFAULT now(),
    made_by text NOT NULL
);
COMMENT ON TABLE lancio.ledger_format IS 'The formats of the ledger that were installed here; the largest is its own';

CREATE TABLE lancio.run (
    id bigserial PRIMARY KEY,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    who text NOT NULL,
    operator text NOT NULL,
    host text NOT NULL,
    lancio_version text NOT NULL,
    server_version text NOT NULL,
    plan_hash text NOT NULL,
    outcome text CHECK (outcome IN ('done', 'failed', 'interrupted', 'lost'))
);
COMMENT ON TABLE lancio.run IS 'One invocation that changed something';
COMMENT ON COLUMN lancio.run.who IS 'The role that was logged in';
COMMENT ON COLUMN lancio.run.operator IS 'The account of the operating system that started it';
COMMENT ON COLUMN lancio.run.outcome IS 'NULL while it runs, and for ever if its runner was killed';

CREATE TABLE lancio.step (
    id bigserial PRIMARY KEY,
    run bigint NOT NULL,
    backend_pid integer NOT NULL,
    migration text NOT NULL,
    checksum text NOT NULL,
    digest text NOT NULL,
    position integer NOT NULL,
    state text NOT NULL CHECK (state IN ('applied', 'adopted', 'edited')),
    started_at timestamptz NOT NULL,
    duration_ms double precision,
    locks jsonb NOT NULL DEFAULT '[]',
    verifications jsonb NOT NULL DEFAULT '[]'
);
CREATE INDEX step_migration_idx ON lancio.step (migration, id DESC);
COMMENT ON TABLE lancio.step IS 'A migration that is in this database; the row with the largest id of a name counts';
COMMENT ON COLUMN lancio.step.backend_pid IS 'The server process that held the runner''s lock as the row was written; without the lock there is no row';
COMMENT ON COLUMN lancio.step.checksum IS 'SHA-256 of the file''s tokens: comments and white space may change';
COMMENT ON COLUMN lancio.step.digest IS 'SHA-256 of the file''s bytes';
COMMENT ON COLUMN lancio.step.state IS 'applied: it ran here; adopted: found to be here; edited: the file changed later and that was accepted';
COMMENT ON COLUMN lancio.step.locks IS 'Relations that were there before and were locked until the end, with PostgreSQL''s lock modes';
COMMENT ON COLUMN lancio.step.verifications IS 'What was asked and held before the step was committed';

CREATE TABLE lancio.statement (
    step bigint NOT NULL,
    ordinal integer NOT NULL,
    line integer NOT NULL,
    summary text NOT NULL,
    state text NOT NULL CHECK (state IN ('applied')),
    duration_ms double precision,
    PRIMARY KEY (step, ordinal)
);
COMMENT ON TABLE lancio.statement IS 'The statements of a step, in the order they ran';
COMMENT ON COLUMN lancio.statement.duration_ms IS 'Of a statement that committed by itself; those of a shared transaction have theirs in lancio.event';

CREATE TABLE lancio.event (
    run bigint NOT NULL,
    number integer NOT NULL,
    at timestamptz NOT NULL,
    kind text NOT NULL,
    data jsonb NOT NULL,
    PRIMARY KEY (run, number)
);
COMMENT ON TABLE lancio.event IS 'What the runner told while it ran, numbered; the same stream as on the terminal';

CREATE FUNCTION lancio.verify(held boolean[], says text[]) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    failed text := '';
BEGIN
    FOR i IN 1 .. pg_catalog.array_length(held, 1) LOOP
        IF held[i] IS NOT TRUE THEN
            failed := failed || E'\n' || says[i];
        END IF;
    END LOOP;
    IF failed <> '' THEN
        RAISE EXCEPTION 'verification failed:%', failed USING ERRCODE = 'assert_failure';
    END IF;
END
$$;
COMMENT ON FUNCTION lancio.verify(boolean[], text[]) IS 'Refuse, naming each, unless every check held';
