-- name: undone
-- The step's row, in the transaction that takes it back. Where the runner's lock is not held any more, backend_pid is
-- NULL and the row is refused, and with it the undoing.
INSERT INTO lancio.step (run, backend_pid, migration, checksum, digest, position, state, started_at, duration_ms)
VALUES ($1::bigint,
        (SELECT l.pid FROM pg_catalog.pg_locks AS l
         WHERE l.pid = pg_catalog.pg_backend_pid() AND l.granted AND l.locktype = 'advisory' AND l.objsubid = 1
           AND (l.classid::bigint << 32 | l.objid::bigint) = $6::bigint),
        $2, $3, $4, $5::integer, 'rolled back', pg_catalog.now(),
        extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.now()) * 1000)
RETURNING duration_ms

-- name: there
SELECT pg_catalog.to_regclass($1) IS NOT NULL AS found

-- name: lockable
SELECT c.relkind IN ('r', 'p') FROM pg_catalog.pg_class AS c WHERE c.oid = $1::text::pg_catalog.regclass
