-- name: format
SELECT version FROM lancio.ledger_format ORDER BY version DESC LIMIT 1

-- name: formats
SELECT version FROM lancio.ledger_format

-- name: exists
-- By the rows of the catalog: to_regclass would see a ledger that is made after the reader's snapshot, and empty then.
SELECT EXISTS (SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
               WHERE n.nspname = 'lancio' AND c.relname = 'ledger_format') AS found

-- name: add_format
INSERT INTO lancio.ledger_format (version, made_by) VALUES ($1::integer, $2)

-- name: start_run
INSERT INTO lancio.run (who, operator, host, lancio_version, server_version, plan_hash, backend_pid)
VALUES (session_user, $1, $2, $3, $4, $5, pg_catalog.pg_backend_pid())
RETURNING id

-- name: finish_run
-- With the run's end goes what the server had counted by then; the row as JSON, because PostgreSQL 10 and 11 have no
-- checksum_failures.
WITH counted AS (
    INSERT INTO lancio.counters
        (run, commits, rollbacks, deadlocks, conflicts, checksum_failures, stats_reset, server_started)
    SELECT $1::bigint, d.xact_commit, d.xact_rollback, d.deadlocks, d.conflicts,
           (pg_catalog.to_jsonb(d) ->> 'checksum_failures')::bigint, d.stats_reset,
           pg_catalog.pg_postmaster_start_time()
    FROM pg_catalog.pg_stat_database AS d WHERE d.datname = pg_catalog.current_database()
    ON CONFLICT (run) DO NOTHING
)
UPDATE lancio.run SET finished_at = pg_catalog.clock_timestamp(), outcome = $2 WHERE id = $1::bigint

-- name: add_events
INSERT INTO lancio.event (run, number, at, kind, data)
SELECT $1::bigint, e.number, e.at, e.kind, e.data
FROM ROWS FROM (pg_catalog.unnest($2::integer[]), pg_catalog.unnest($3::timestamptz[]), pg_catalog.unnest($4::text[]),
               pg_catalog.unnest($5::jsonb[])) AS e (number, at, kind, data)

-- name: add_step
-- The relations still locked are read before the verification, which locks what it reads. A relation was there before
-- if one of its columns' rows is older than this transaction: an ALTER rewrites the row in pg_class, so that one's age
-- would tell nothing; one that is gone has its name from the beginning of the step. Those in the ledger's own schema and
-- in pg_catalog are left out.
--
-- The runner's lock is proved by giving it back and taking it again while this transaction holds it as well, so that it
-- is never free in between: a hundred times cheaper than the lock table. Where it is not held any more, backend_pid is
-- NULL and the row is refused, and with it the step. The plan is small on purpose: every node of it costs each step.
INSERT INTO lancio.step
    (run, backend_pid, migration, checksum, digest, position, state, started_at, duration_ms, verifications, statements,
     locks)
VALUES ($1::bigint,
        CASE WHEN CASE WHEN $9::boolean
                       THEN pg_catalog.pg_try_advisory_xact_lock_shared($8::bigint)
                            AND pg_catalog.pg_advisory_unlock_shared($8::bigint)
                            AND pg_catalog.pg_try_advisory_lock_shared($8::bigint)
                       ELSE pg_catalog.pg_try_advisory_xact_lock($8::bigint)
                            AND pg_catalog.pg_advisory_unlock($8::bigint)
                            AND pg_catalog.pg_try_advisory_lock($8::bigint) END
             THEN pg_catalog.pg_backend_pid() END,
        $2, $3, $4, $5::integer, 'applied', pg_catalog.now(),
        pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - pg_catalog.now()) * 1000
            -- what a statement took that could not run in this transaction
            + coalesce(nullif(pg_catalog.current_setting('lancio.spent', true), '')::double precision, 0),
        $6::jsonb, $7::jsonb,
        coalesce((SELECT pg_catalog.jsonb_agg(
                      pg_catalog.jsonb_build_object('relation', k.relation, 'mode', k.mode) ORDER BY k.relation, k.mode)
                  FROM (SELECT o.mode, CASE
                            WHEN EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
                                         WHERE a.attrelid = o.relation AND pg_catalog.age(a.xmin) > 0)
                            THEN (pg_catalog.pg_identify_object('pg_catalog.pg_class'::pg_catalog.regclass, o.relation, 0)
                                 ).identity
                            ELSE (SELECT nullif(pg_catalog.current_setting('lancio.relations', true), '')::jsonb)
                                 ->> o.relation::text END AS relation
                        FROM pg_catalog.pg_locks AS o
                        WHERE o.pid = pg_catalog.pg_backend_pid() AND o.locktype = 'relation'
                          AND o.relation >= 16384 AND o.granted
                        OFFSET 0) AS k
                  WHERE k.relation !~ '^(pg_toast|lancio)[.]'), '[]'))
RETURNING duration_ms, locks

-- name: record
INSERT INTO lancio.step (run, backend_pid, migration, checksum, digest, position, state, origin, started_at)
VALUES ($1::bigint, pg_catalog.pg_backend_pid(), $2, $3, $4, $5::integer, $6, $7,
        coalesce($8::timestamptz, pg_catalog.clock_timestamp()))
RETURNING id

-- name: rows
-- Of each migration the row that counts, the latest; what was rolled back is as if it had never been there. An accepted
-- edit has a row of its own, long after the file ran.
SELECT l.id, l.run, l.migration, l.checksum, l.digest, l.position, l.state, l.started_at, l.duration_ms, l.locks,
       l.verifications, l.origin, r.who, r.host, coalesce(l.ran, l.id) AS ran
FROM (SELECT DISTINCT ON (s.migration) s.id, s.run, s.migration, s.checksum, s.digest, s.position, s.state, s.started_at,
             s.duration_ms, s.locks, s.verifications, coalesce(pg_catalog.to_jsonb(s) ->> 'origin', 'lancio') AS origin,
             max(s.id) FILTER (WHERE s.state <> 'edited') OVER (PARTITION BY s.migration) AS ran
      FROM lancio.step AS s ORDER BY s.migration, s.id DESC) AS l
JOIN lancio.run AS r ON r.id = l.run
WHERE l.state <> 'rolled back'
ORDER BY l.migration

-- name: steps_of
SELECT s.id, s.run, s.migration, s.checksum, s.digest, s.position, s.state, s.started_at,
       s.duration_ms, s.locks, s.verifications, coalesce(pg_catalog.to_jsonb(s) ->> 'origin', 'lancio') AS origin, r.who,
       r.host, s.id AS ran
FROM lancio.step AS s JOIN lancio.run AS r ON r.id = s.run
WHERE s.run = $1::bigint
ORDER BY s.position

-- name: runs
SELECT id, started_at, finished_at, who, operator, host, lancio_version, server_version, plan_hash, outcome
FROM lancio.run ORDER BY id DESC LIMIT $1::bigint

-- name: events_of
SELECT number, at, kind, data FROM lancio.event WHERE run = $1::bigint AND number > $2::integer ORDER BY number

-- name: durations
-- The median of what was measured: one slow night should not rule the forecast.
SELECT migration, pg_catalog.percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_ms) AS duration_ms
FROM lancio.step WHERE state = 'applied' AND duration_ms IS NOT NULL GROUP BY migration

-- name: begun
-- Whether an earlier run sent this file and did not come to its end.
SELECT EXISTS (SELECT FROM lancio.event
               WHERE kind = 'step-started' AND data ->> 'migration' = $1 AND run < $2::bigint)

-- name: all_begun
-- Files that a run sent and that have no row: failed, or cut off.
SELECT DISTINCT e.data ->> 'migration' AS migration FROM lancio.event AS e
WHERE e.kind = 'step-started' AND NOT EXISTS (SELECT FROM lancio.step AS s WHERE s.migration = e.data ->> 'migration')

-- name: find_step
SELECT id FROM lancio.step WHERE run = $1::bigint AND migration = $2

-- name: unfinished
-- Runs without an end, their steps, the last file each told of, and the process that still holds the runner's lock $1.
SELECT r.id, r.operator, r.host, r.started_at::text,
       ARRAY(SELECT s.migration FROM lancio.step AS s WHERE s.run = r.id ORDER BY s.id) AS applied,
       coalesce((SELECT e.data ->> 'migration' FROM lancio.event AS e
                 WHERE e.run = r.id AND e.kind = 'step-started' ORDER BY e.number DESC LIMIT 1), '') AS begun,
       (SELECT l.pid FROM pg_catalog.pg_locks AS l
        WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
          AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
          AND (l.classid::bigint << 32 | l.objid::bigint) = $1::bigint
          AND l.pid = (pg_catalog.to_jsonb(r) ->> 'backend_pid')::integer LIMIT 1) AS process
FROM lancio.run AS r WHERE r.finished_at IS NULL
ORDER BY r.id DESC LIMIT 20

-- name: close_runs
-- Whoever holds the runner's lock knows that no other run is at work.
WITH closed AS (
    UPDATE lancio.run SET finished_at = pg_catalog.clock_timestamp(), outcome = 'lost'
    WHERE finished_at IS NULL AND id < $1::bigint
    RETURNING id, operator, host, started_at
)
SELECT c.id, c.operator, c.host, c.started_at,
       (SELECT coalesce(pg_catalog.json_agg(s.migration ORDER BY s.id), '[]') FROM lancio.step AS s WHERE s.run = c.id),
       (SELECT e.data ->> 'migration' FROM lancio.event AS e
        WHERE e.run = c.id AND e.kind = 'step-started' ORDER BY e.number DESC LIMIT 1)
FROM closed AS c ORDER BY c.id

-- name: at_work
-- The run that a server process works for, which began after the process itself.
SELECT r.id, r.operator, r.host, r.started_at
FROM lancio.run AS r JOIN pg_catalog.pg_stat_activity AS a ON a.pid = $1::integer
WHERE (pg_catalog.to_jsonb(r) ->> 'backend_pid')::integer = a.pid AND r.finished_at IS NULL
  AND r.started_at >= a.backend_start
ORDER BY r.id DESC LIMIT 1

-- name: has_segments
SELECT pg_catalog.to_regclass('lancio.begun') IS NOT NULL AS found

-- name: in_progress
-- Statements of files that were begun and are not applied whole. Those of a file that was applied before and is run
-- again belong to a later run than its row.
SELECT b.migration, b.ordinal, b.line, b.summary, b.hash, b.alone, b.state, b.before, b.duration_ms
FROM lancio.begun AS b
WHERE NOT EXISTS (SELECT FROM lancio.step AS s WHERE s.migration = b.migration AND s.run >= b.run)
ORDER BY b.migration, b.ordinal

-- name: add_statements
-- Statements that commit together with this row, in the middle of a file.
INSERT INTO lancio.begun AS b (migration, ordinal, run, backend_pid, line, summary, hash, alone, state, duration_ms)
SELECT $1, s.ordinal, $2::bigint,
       (SELECT l.pid FROM pg_catalog.pg_locks AS l
        WHERE l.locktype = 'advisory' AND l.granted AND l.pid = pg_catalog.pg_backend_pid() AND l.objsubid = 1
          AND (l.classid::bigint << 32 | l.objid::bigint) = $3::bigint),
       s.line, s.summary, s.hash, false, 'applied',
       CASE WHEN row_number() OVER (ORDER BY s.ordinal DESC) = 1
            THEN extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.now()) * 1000 END
FROM ROWS FROM (pg_catalog.unnest($4::integer[]), pg_catalog.unnest($5::integer[]), pg_catalog.unnest($6::text[]),
                pg_catalog.unnest($7::text[])) AS s (ordinal, line, summary, hash)
ON CONFLICT (migration, ordinal) DO UPDATE
SET run = excluded.run, backend_pid = excluded.backend_pid, line = excluded.line, summary = excluded.summary,
    hash = excluded.hash, alone = false, state = 'applied', before = '{}', at = pg_catalog.clock_timestamp(),
    duration_ms = excluded.duration_ms

-- name: begin_statement
INSERT INTO lancio.begun (migration, ordinal, run, backend_pid, line, summary, hash, alone, state, before)
SELECT $1, $2::integer, $3::bigint,
       (SELECT l.pid FROM pg_catalog.pg_locks AS l
        WHERE l.locktype = 'advisory' AND l.granted AND l.pid = pg_catalog.pg_backend_pid() AND l.objsubid = 1
          AND (l.classid::bigint << 32 | l.objid::bigint) = $4::bigint),
       $5::integer, $6, $7, true, 'begun', $8::jsonb
ON CONFLICT (migration, ordinal) DO UPDATE
SET run = excluded.run, backend_pid = excluded.backend_pid, line = excluded.line, summary = excluded.summary,
    hash = excluded.hash, alone = true, state = 'begun', before = excluded.before, at = pg_catalog.clock_timestamp(),
    duration_ms = NULL

-- name: end_statement
UPDATE lancio.begun SET state = $3, duration_ms = $4::double precision, line = $5::integer, summary = $6, hash = $7
WHERE migration = $1 AND ordinal = $2::integer

-- name: end_file
-- Behind the file's row in lancio.step: what its statements took that ran by themselves, and the file is not in
-- progress any more.
WITH gone AS (
    DELETE FROM lancio.begun WHERE migration = $1 RETURNING ordinal, alone, duration_ms
)
UPDATE lancio.step AS s
SET statements = (SELECT pg_catalog.jsonb_agg(
                      CASE WHEN g.alone AND g.duration_ms IS NOT NULL
                           THEN t.said || pg_catalog.jsonb_build_object('duration_ms', g.duration_ms)
                           ELSE t.said END ORDER BY t.ordinal)
                  FROM pg_catalog.jsonb_array_elements(s.statements) WITH ORDINALITY AS t (said, ordinal)
                  LEFT JOIN gone AS g ON g.ordinal = t.ordinal)
WHERE s.id = (SELECT pg_catalog.max(t.id) FROM lancio.step AS t WHERE t.migration = $1)
