-- name: exists
SELECT pg_catalog.to_regclass('lancio.counters') IS NOT NULL AS found

-- name: recorded
-- Of the latest run that has them, and how many began after it.
SELECT c.run, c.at, c.commits, c.rollbacks, c.deadlocks, c.conflicts, c.checksum_failures, c.stats_reset,
       c.server_started, true AS counting, r.outcome,
       (SELECT pg_catalog.count(*) FROM lancio.run AS later WHERE later.id > c.run) AS later
FROM lancio.counters AS c JOIN lancio.run AS r ON r.id = c.run
ORDER BY c.run DESC LIMIT 1

-- name: now
SELECT pg_catalog.clock_timestamp() AS at, d.xact_commit AS commits, d.xact_rollback AS rollbacks, d.deadlocks,
       d.conflicts, (pg_catalog.to_jsonb(d) ->> 'checksum_failures')::bigint AS checksum_failures, d.stats_reset,
       pg_catalog.pg_postmaster_start_time() AS server_started,
       pg_catalog.current_setting('track_counts')::boolean AS counting
FROM pg_catalog.pg_stat_database AS d WHERE d.datname = pg_catalog.current_database()
