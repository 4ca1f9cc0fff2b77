-- name: statements_schema
SELECT n.nspname FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
WHERE e.extname = 'pg_stat_statements'

-- name: statement_columns
SELECT a.attname FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = 'pg_stat_statements' AND a.attnum > 0

-- name: top
-- One text may stand there once for each user.
SELECT s.queryid, pg_catalog.max(s.query) AS query, pg_catalog.sum(s.calls) AS calls,
       pg_catalog.sum(s.{time}) AS total
FROM {view} AS s
WHERE s.dbid = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()) {level}
GROUP BY s.queryid ORDER BY total DESC, s.queryid LIMIT %s

-- name: session
-- What the times should not depend on: who else asked before, and what the connection string has set.
SELECT pg_catalog.set_config('statement_timeout', %(timeout)s, false),
       pg_catalog.set_config('lock_timeout', '5s', false),
       pg_catalog.set_config('idle_in_transaction_session_timeout', '120s', false),
       pg_catalog.set_config('client_min_messages', 'error', false)

-- name: counting
-- The server's own account of what each message cost, told to this session and kept out of its log. Superusers only.
SELECT pg_catalog.set_config('log_min_messages', 'fatal', false),
       pg_catalog.set_config('log_min_duration_statement', '-1', false),
       pg_catalog.set_config('log_statement', 'none', false),
       pg_catalog.set_config('log_duration', 'off', false),
       pg_catalog.set_config('auto_explain.log_min_duration', '-1', false),
       pg_catalog.set_config('pg_stat_statements.track', 'none', false),
       pg_catalog.set_config('client_min_messages', 'log', false),
       pg_catalog.set_config('log_statement_stats', 'on', false)

-- name: may_count
SELECT r.rolsuper FROM pg_catalog.pg_roles AS r WHERE r.rolname = session_user

-- name: yardstick
-- A piece of work that has nothing to do with the database: what it takes is how fast the machine is just now.
SELECT pg_catalog.sum(pg_catalog.hashtext(pg_catalog.md5(i::text))) FROM pg_catalog.generate_series(1, 4000) AS i

-- name: yardstick_small
SELECT c.relname, n.nspname FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = 1259

-- name: relations
-- What can make a plan change: how the tables that it reads stand.
SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS relation,
       c.reltuples::bigint AS rows, c.relpages AS pages, c.relrowsecurity AS row_security,
       coalesce(s.n_mod_since_analyze, 0) AS changed_since_analyze,
       coalesce(s.last_analyze, s.last_autoanalyze) IS NOT NULL AS analyzed,
       ARRAY(SELECT i.relname::text FROM pg_catalog.pg_index AS x JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid
             WHERE x.indrelid = c.oid AND x.indisvalid ORDER BY 1) AS indexes
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_stat_all_tables AS s ON s.relid = c.oid
WHERE c.relkind IN ('r', 'p', 'm')
  AND pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) = ANY (%s)
ORDER BY 1
