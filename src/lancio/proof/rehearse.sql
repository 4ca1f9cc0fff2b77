-- name: relations
-- The tables and views that are there, so that a lock on one that the step drops still has its name.
SELECT c.oid::bigint, n.nspname || '.' || c.relname
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'lancio') AND n.nspname !~ '^pg_(toast_)?temp_'

-- name: locks
SELECT DISTINCT l.relation::bigint, l.mode
FROM pg_locks AS l
WHERE l.pid = pg_backend_pid() AND l.granted AND l.locktype = 'relation' AND l.relation >= 16384
  AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())

-- name: roles
SELECT rolname::text FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY 1
