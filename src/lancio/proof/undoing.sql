-- name: written
-- The tables whose rows this transaction writes: INSERT, UPDATE and DELETE hold this lock until its end.
SELECT DISTINCT l.relation::bigint
FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
WHERE l.pid = pg_backend_pid() AND l.granted AND l.locktype = 'relation' AND l.mode = 'RowExclusiveLock'
  AND l.relation >= 16384 AND c.relkind IN ('r', 'p')
  AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())

-- name: tables
SELECT n.nspname::text, c.relname::text, c.oid::bigint, pg_table_is_visible(c.oid)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'lancio')
  AND n.nspname NOT LIKE 'pg\_%'
