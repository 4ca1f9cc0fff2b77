-- name: take
SELECT pg_catalog.pg_try_advisory_lock($1::bigint)

-- name: release
SELECT pg_catalog.pg_advisory_unlock($1::bigint)

-- name: take_shared
SELECT pg_catalog.pg_try_advisory_lock_shared($1::bigint)

-- name: release_shared
SELECT pg_catalog.pg_advisory_unlock_shared($1::bigint)

-- name: held
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_locks AS l
    WHERE l.locktype = 'advisory' AND l.granted AND l.pid = pg_catalog.pg_backend_pid() AND l.objsubid = 1
      AND (l.classid::bigint << 32 | l.objid::bigint) = $1::bigint
)

-- name: holders
SELECT l.pid, a.application_name, a.usename::text AS "user", pg_catalog.host(a.client_addr) AS client, a.backend_start AS since,
       a.state, pg_catalog.left(a.query, 1000) AS query,
       extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start) AS age
FROM pg_catalog.pg_locks AS l
LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
  AND (l.classid::bigint << 32 | l.objid::bigint) = $1::bigint
ORDER BY l.pid

-- name: blockers
-- Who keeps backend $1 waiting, and for which relation it waits.
SELECT a.pid, a.application_name, a.usename::text AS "user", pg_catalog.host(a.client_addr) AS client,
       coalesce(a.xact_start, a.backend_start) AS since, a.state,
       pg_catalog.left(a.query, 1000) AS query,
       extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start) AS age,
       (SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
        FROM pg_catalog.pg_locks AS l
        JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE l.pid = $1::integer AND NOT l.granted AND l.relation IS NOT NULL LIMIT 1) AS relation
FROM pg_catalog.pg_stat_activity AS a
WHERE a.pid = ANY (pg_catalog.pg_blocking_pids($1::integer))
ORDER BY a.pid

-- name: waits_for
-- What backend $1 waits for, as one word; no row where it does not wait. The lock table, which costs more, is looked at
-- only when it does.
SELECT coalesce((SELECT pg_catalog.concat_ws(' ', l.locktype, l.mode, l.relation, l.page, l.tuple, l.virtualxid,
                                             l.transactionid, l.classid, l.objid, l.objsubid)
                 FROM pg_catalog.pg_locks AS l WHERE l.pid = a.pid AND NOT l.granted LIMIT 1), '')
FROM pg_catalog.pg_stat_activity AS a WHERE a.pid = $1::integer AND a.wait_event_type = 'Lock'
