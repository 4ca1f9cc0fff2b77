-- name: process
SELECT pg_catalog.pg_backend_pid()

-- name: keep
-- A setting and a lock that belong to this session, both called by a word that nobody else knows.
SELECT pg_catalog.set_config('lancio.pooler', $1, false), pg_catalog.pg_advisory_lock(pg_catalog.hashtext($1), 9)

-- name: kept
SELECT coalesce(pg_catalog.current_setting('lancio.pooler', true), '')

-- name: locked
SELECT EXISTS (SELECT FROM pg_catalog.pg_locks AS l
               WHERE l.locktype = 'advisory' AND l.granted AND l.pid = pg_catalog.pg_backend_pid()
                 AND l.classid::bigint = (pg_catalog.hashtext($1)::bigint & 4294967295) AND l.objid = 9 AND l.objsubid = 2)

-- name: forget
SELECT pg_catalog.pg_advisory_unlock(pg_catalog.hashtext($1), 9), pg_catalog.set_config('lancio.pooler', '', false)
