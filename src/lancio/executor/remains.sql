-- What stands in the catalog about a statement that cannot run in a transaction: asked before it is sent, and again
-- where nobody heard what became of it. Names come as SQL and are answered with their schema, so that the second
-- question does not depend on a search_path.

-- name: indexes
-- A table's indexes and which of them are valid; one of a partitioned table may be invalid for good reason.
SELECT pg_catalog.json_build_object(
    'table', pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),
    'schema', pg_catalog.quote_ident(n.nspname),
    'indexes', coalesce((
        SELECT pg_catalog.json_object_agg(pg_catalog.quote_ident(m.nspname) || '.' || pg_catalog.quote_ident(x.relname),
                                          i.indisvalid AND i.indisready)
        FROM pg_catalog.pg_index AS i
        JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid AND x.relkind = 'i'
        JOIN pg_catalog.pg_namespace AS m ON m.oid = x.relnamespace
        WHERE i.indrelid = c.oid), '{}'))
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = pg_catalog.to_regclass($1)

-- name: relations
-- Of these relations those that are there, with their schemas.
SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
FROM pg_catalog.unnest($1::text[]) AS w (name)
JOIN pg_catalog.pg_class AS c ON c.oid = pg_catalog.to_regclass(w.name)
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY 1

-- name: leftovers
-- What a REINDEX CONCURRENTLY that was cut off left beside the index it was to take the place of: over an index, a
-- table, a schema, or all.
SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(x.relname)
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid AND x.relkind = 'i'
JOIN pg_catalog.pg_namespace AS n ON n.oid = x.relnamespace
JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
WHERE NOT i.indisvalid AND x.relname ~ '_cc(new|old)[0-9]*$'
  AND CASE $1
      WHEN 'index' THEN i.indrelid = (SELECT o.indrelid FROM pg_catalog.pg_index AS o
                                      WHERE o.indexrelid = pg_catalog.to_regclass($2))
      WHEN 'table' THEN t.oid = pg_catalog.to_regclass($2)
                        OR t.oid = (SELECT r.reltoastrelid FROM pg_catalog.pg_class AS r
                                    WHERE r.oid = pg_catalog.to_regclass($2))
      WHEN 'schema' THEN n.nspname = $2
      ELSE true END
ORDER BY 1

-- name: builders
-- Sessions that are at work on the table of an index under a lock of CONCURRENTLY: what is invalid may be theirs.
SELECT a.pid, a.application_name, a.usename::text AS "user", pg_catalog.host(a.client_addr) AS client,
       coalesce(a.xact_start, a.backend_start) AS since, a.state, pg_catalog.left(a.query, 1000) AS query,
       extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start) AS age
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_locks AS l ON l.relation = i.indrelid AND l.locktype = 'relation' AND l.granted
JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE i.indexrelid = pg_catalog.to_regclass($1) AND l.mode = 'ShareUpdateExclusiveLock'
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
  AND l.pid <> pg_catalog.pg_backend_pid() AND a.backend_type = 'client backend'
ORDER BY a.pid

-- name: database
SELECT pg_catalog.count(*) FROM pg_catalog.pg_database WHERE datname = $1

-- name: tablespace
SELECT pg_catalog.count(*) FROM pg_catalog.pg_tablespace WHERE spcname = $1

-- name: subscription
SELECT pg_catalog.count(*) FROM pg_catalog.pg_subscription AS s
JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid AND d.datname = pg_catalog.current_database()
WHERE s.subname = $1

-- name: enum_value
SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.typname),
       EXISTS (SELECT FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = t.oid AND e.enumlabel = $2)
FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
WHERE t.oid = pg_catalog.to_regtype($1)

-- name: partition
-- "t" where its detachment was begun; the column is there from PostgreSQL 14 on.
SELECT pg_catalog.quote_ident(pn.nspname) || '.' || pg_catalog.quote_ident(p.relname),
       pg_catalog.quote_ident(cn.nspname) || '.' || pg_catalog.quote_ident(c.relname),
       coalesce(pg_catalog.to_jsonb(i) ->> 'inhdetachpending', 'false')
FROM pg_catalog.pg_inherits AS i
JOIN pg_catalog.pg_class AS p ON p.oid = i.inhparent
JOIN pg_catalog.pg_namespace AS pn ON pn.oid = p.relnamespace
JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
JOIN pg_catalog.pg_namespace AS cn ON cn.oid = c.relnamespace
WHERE i.inhparent = pg_catalog.to_regclass($1) AND i.inhrelid = pg_catalog.to_regclass($2)

-- name: underway
-- How far a statement of that backend is, as the server itself reports: the view's name, its row as JSON.
SELECT v.name, v.said FROM (
    SELECT 'vacuum'::text AS name, pg_catalog.to_jsonb(p) AS said, p.pid FROM pg_catalog.pg_stat_progress_vacuum AS p
) AS v WHERE v.pid = $1::integer

-- name: underway_12
SELECT v.name, v.said FROM (
    SELECT 'vacuum'::text AS name, pg_catalog.to_jsonb(p) AS said, p.pid FROM pg_catalog.pg_stat_progress_vacuum AS p
    UNION ALL
    SELECT 'create_index', pg_catalog.to_jsonb(p), p.pid FROM pg_catalog.pg_stat_progress_create_index AS p
    UNION ALL
    SELECT 'cluster', pg_catalog.to_jsonb(p), p.pid FROM pg_catalog.pg_stat_progress_cluster AS p
) AS v WHERE v.pid = $1::integer
-- An index that CLUSTER or VACUUM FULL builds anew is in both; the index is what moves.
ORDER BY v.name DESC
