-- What the server had counted in this database when a run ended: what it has counted since is the difference.

CREATE TABLE lancio.counters (
    run bigint PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    commits bigint NOT NULL,
    rollbacks bigint NOT NULL,
    deadlocks bigint NOT NULL,
    conflicts bigint NOT NULL,
    checksum_failures bigint,
    stats_reset timestamptz,
    server_started timestamptz NOT NULL
);
COMMENT ON TABLE lancio.counters IS 'pg_stat_database of this database at the end of a run';
COMMENT ON COLUMN lancio.counters.checksum_failures IS 'NULL where pages have no checksums, and before PostgreSQL 12';
COMMENT ON COLUMN lancio.counters.stats_reset IS 'When the server last began to count anew; where it differs, nothing can be told';
COMMENT ON COLUMN lancio.counters.server_started IS 'A server that crashed counts anew without a stats_reset, so a restart tells nothing either';
