-- What is around the catalog, for the preflight. Nothing here waits for a lock longer than the caller's lock_timeout,
-- and what other sessions run is never read into an answer: it may hold a secret.

-- name: server
SELECT pg_catalog.current_setting('server_version_num')::integer AS version,
       pg_catalog.current_setting('server_version') AS version_text,
       current_user::text AS "user", r.rolsuper AS superuser, r.rolcreaterole AS createrole,
       pg_catalog.pg_is_in_recovery() AS standby, pg_catalog.pg_backend_pid() AS pid,
       pg_catalog.current_schema()::text AS creates_in, pg_catalog.inet_server_addr() IS NULL AS socket,
       coalesce((SELECT s.ssl FROM pg_catalog.pg_stat_ssl AS s WHERE s.pid = pg_catalog.pg_backend_pid()), false) AS tls
FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user

-- name: settings
SELECT name, setting || coalesce(CASE WHEN unit IN ('ms', 's', 'min') THEN ' ' || unit END, '') AS value, source
FROM pg_catalog.pg_settings
WHERE name = ANY (ARRAY['search_path', 'lock_timeout', 'statement_timeout', 'transaction_timeout',
                        'idle_in_transaction_session_timeout', 'idle_session_timeout', 'default_transaction_read_only',
                        'default_transaction_isolation', 'session_replication_role', 'row_security',
                        'check_function_bodies', 'tcp_keepalives_idle', 'tcp_keepalives_interval',
                        'tcp_keepalives_count', 'data_directory', 'port', 'wal_level', 'max_locks_per_transaction'])

-- name: custom
SELECT w.name, nullif(pg_catalog.current_setting(w.name, true), '') IS NOT NULL AS given
FROM pg_catalog.unnest($1::text[]) AS w (name)

-- name: rights
-- All rights at once. NULL: what it is on is not there.
SELECT w.kind, w.name, w."right", CASE w.kind
    WHEN 'relation' THEN CASE
        WHEN w."right" = 'OWNER' THEN (SELECT pg_catalog.pg_has_role(c.relowner, 'USAGE') FROM pg_catalog.pg_class AS c
                                       WHERE c.oid = pg_catalog.to_regclass(w.name))
        WHEN w."right" = 'DROP' THEN (SELECT pg_catalog.pg_has_role(c.relowner, 'USAGE')
                                             OR pg_catalog.pg_has_role(n.nspowner, 'USAGE')
                                      FROM pg_catalog.pg_class AS c
                                      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                                      WHERE c.oid = pg_catalog.to_regclass(w.name))
        WHEN w."right" = 'NO RLS' THEN NOT pg_catalog.row_security_active(pg_catalog.to_regclass(w.name)::oid)
        -- A right on some of the columns may be all that it takes: which ones are read is not looked at.
        WHEN w."right" IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
            THEN pg_catalog.has_any_column_privilege(pg_catalog.to_regclass(w.name)::oid, w."right")
                 OR pg_catalog.has_table_privilege(pg_catalog.to_regclass(w.name)::oid, w."right")
        ELSE pg_catalog.has_table_privilege(pg_catalog.to_regclass(w.name)::oid, w."right") END
    WHEN 'schema' THEN CASE
        WHEN w."right" IN ('OWNER', 'DROP') THEN (SELECT pg_catalog.pg_has_role(n.nspowner, 'USAGE')
            FROM pg_catalog.pg_namespace AS n WHERE n.oid = pg_catalog.to_regnamespace(w.name))
        ELSE pg_catalog.has_schema_privilege(pg_catalog.to_regnamespace(w.name)::oid, w."right") END
    WHEN 'database' THEN pg_catalog.has_database_privilege(pg_catalog.current_database(), w."right")
    WHEN 'routine' THEN CASE
        WHEN w."right" IN ('OWNER', 'DROP') THEN (SELECT pg_catalog.pg_has_role(p.proowner, 'USAGE')
            FROM pg_catalog.pg_proc AS p WHERE p.oid = pg_catalog.to_regprocedure(w.name))
        ELSE pg_catalog.has_function_privilege(pg_catalog.to_regprocedure(w.name)::oid, w."right") END
    WHEN 'type' THEN CASE
        WHEN w."right" IN ('OWNER', 'DROP') THEN (SELECT pg_catalog.pg_has_role(t.typowner, 'USAGE')
            FROM pg_catalog.pg_type AS t WHERE t.oid = pg_catalog.to_regtype(w.name))
        ELSE pg_catalog.has_type_privilege(pg_catalog.to_regtype(w.name)::oid, w."right") END
    WHEN 'extension' THEN (SELECT pg_catalog.pg_has_role(e.extowner, 'USAGE') FROM pg_catalog.pg_extension AS e
                           WHERE pg_catalog.quote_ident(e.extname) = w.name)
    WHEN 'role' THEN pg_catalog.pg_has_role(pg_catalog.to_regrole(w.name)::oid, w."right")
    WHEN 'language' THEN (SELECT pg_catalog.has_language_privilege(l.oid, 'USAGE') AND (l.lanpltrusted OR r.rolsuper)
                          FROM pg_catalog.pg_language AS l, pg_catalog.pg_roles AS r
                          WHERE pg_catalog.quote_ident(l.lanname) = w.name AND r.rolname = current_user)
    WHEN 'setting' THEN (SELECT r.rolsuper OR s.context NOT IN ('superuser', 'superuser-backend')
                         FROM pg_catalog.pg_settings AS s, pg_catalog.pg_roles AS r
                         WHERE s.name = w.name AND r.rolname = current_user)
    END AS held,
    pg_catalog.pg_get_userbyid(CASE w.kind
        WHEN 'relation' THEN (SELECT c.relowner FROM pg_catalog.pg_class AS c WHERE c.oid = pg_catalog.to_regclass(w.name))
        WHEN 'schema' THEN (SELECT n.nspowner FROM pg_catalog.pg_namespace AS n
                            WHERE n.oid = pg_catalog.to_regnamespace(w.name))
        WHEN 'routine' THEN (SELECT p.proowner FROM pg_catalog.pg_proc AS p
                             WHERE p.oid = pg_catalog.to_regprocedure(w.name))
        WHEN 'type' THEN (SELECT t.typowner FROM pg_catalog.pg_type AS t WHERE t.oid = pg_catalog.to_regtype(w.name))
        WHEN 'extension' THEN (SELECT e.extowner FROM pg_catalog.pg_extension AS e
                               WHERE pg_catalog.quote_ident(e.extname) = w.name)
        WHEN 'database' THEN (SELECT d.datdba FROM pg_catalog.pg_database AS d
                              WHERE d.datname = pg_catalog.current_database())
        END)::text AS owner
FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::text[]))
     AS w (kind, name, "right")

-- name: parameters
-- Settings of superusers that were granted (from 15 on).
SELECT w.name, pg_catalog.has_parameter_privilege(w.name, 'SET') AS held FROM pg_catalog.unnest($1::text[]) AS w (name)

-- name: extensions
SELECT v.name::text, v.version, v.version = a.default_version AS is_default, a.installed_version AS installed,
       n.nspname::text AS schema, coalesce(v.requires::text[], '{}') AS requires, v.superuser,
       coalesce((pg_catalog.to_jsonb(v) ->> 'trusted')::boolean, false) AS trusted
FROM pg_catalog.pg_available_extension_versions AS v
JOIN pg_catalog.pg_available_extensions AS a ON a.name = v.name
LEFT JOIN pg_catalog.pg_extension AS e ON e.extname = v.name
LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
WHERE v.name = ANY ($1::text[])

-- name: tables
-- With their partitions. What was never counted has no rows to tell: NULL.
WITH RECURSIVE asked AS (
    SELECT w.name, pg_catalog.to_regclass(w.name)::oid AS part FROM pg_catalog.unnest($1::text[]) AS w (name)
), whole AS (
    SELECT a.name, a.part FROM asked AS a WHERE a.part IS NOT NULL
    UNION
    SELECT w.name, i.inhrelid FROM whole AS w
    JOIN pg_catalog.pg_inherits AS i ON i.inhparent = w.part
    JOIN pg_catalog.pg_class AS c ON c.oid = i.inhparent AND c.relkind = 'p'
)
SELECT w.name, coalesce(pg_catalog.sum(pg_catalog.pg_total_relation_size(c.oid)), 0)::bigint AS bytes,
       CASE WHEN pg_catalog.bool_and(c.relkind = 'p' OR c.reltuples > 0 OR pg_catalog.pg_relation_size(c.oid) = 0)
            THEN pg_catalog.sum(greatest(c.reltuples, 0)) FILTER (WHERE c.relkind <> 'p') END::double precision AS rows,
       coalesce(pg_catalog.max(t.spcname), '')::text AS tablespace
FROM whole AS w
JOIN pg_catalog.pg_class AS c ON c.oid = w.part
LEFT JOIN pg_catalog.pg_tablespace AS t ON t.oid = c.reltablespace
WHERE c.relkind IN ('r', 'p', 'm', 'i', 'S')
GROUP BY w.name

-- name: tables_locked
-- The same from statistics alone, for when somebody holds one of them and its files cannot be measured.
SELECT w.name, c.relpages::bigint * pg_catalog.current_setting('block_size')::bigint AS bytes,
       CASE WHEN c.reltuples > 0 THEN c.reltuples END::double precision AS rows, '' AS tablespace
FROM pg_catalog.unnest($1::text[]) AS w (name)
JOIN pg_catalog.pg_class AS c ON c.oid = pg_catalog.to_regclass(w.name)

-- name: widths
SELECT w.name, s.attname::text AS "column", s.avg_width::double precision AS width
FROM pg_catalog.unnest($1::text[]) AS w (name)
JOIN pg_catalog.pg_class AS c ON c.oid = pg_catalog.to_regclass(w.name)
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_stats AS s ON s.schemaname = n.nspname AND s.tablename = c.relname

-- name: holders
WITH asked AS (
    SELECT w.name, pg_catalog.to_regclass(w.name)::oid AS relation FROM pg_catalog.unnest($1::text[]) AS w (name)
)
SELECT s.name AS relation, l.mode, coalesce(l.pid, 0) AS pid, coalesce(p.owner, a.usename, '')::text AS "user",
       coalesce(a.application_name, '') AS application, coalesce(a.state, '') AS state,
       coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - coalesce(p.prepared, a.xact_start)), 0)
           ::double precision AS age_s,
       coalesce(p.gid, '') AS prepared,
       coalesce(a.backend_type = 'autovacuum worker' AND a.query LIKE '%(to prevent wraparound)%', false) AS wraparound
FROM asked AS s
JOIN pg_catalog.pg_locks AS l ON l.locktype = 'relation' AND l.relation = s.relation AND l.granted
    AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
    AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
LEFT JOIN pg_catalog.pg_prepared_xacts AS p ON l.pid IS NULL AND l.virtualtransaction = '-1/' || p.transaction
ORDER BY age_s DESC, pid

-- name: oldest
SELECT a.pid, coalesce(a.usename, '')::text AS "user", coalesce(a.application_name, '') AS application,
       coalesce(a.state, '') AS state,
       extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::double precision AS age_s
FROM pg_catalog.pg_stat_activity AS a
WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid() AND a.xact_start IS NOT NULL
  AND a.backend_type = 'client backend'
ORDER BY a.xact_start LIMIT 1

-- name: volatile
-- Unless every function of that name holds still, it is taken for one that does not.
SELECT DISTINCT p.proname::text AS name FROM pg_catalog.pg_proc AS p
WHERE p.proname = ANY ($1::name[]) AND p.provolatile = 'v'

-- name: with_pages
-- Tables of users that take room: their rows may be dead, or not yet counted. Those of extensions are theirs.
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, c.reltuples > 0 AS counted
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'lancio') AND n.nspname !~ '^pg_(toast|temp_)'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_catalog.pg_class'::regclass
                  AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e')
  AND pg_catalog.pg_relation_size(c.oid) > 0
ORDER BY c.reltuples DESC, 1

-- name: with_pages_locked
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, c.reltuples > 0 AS counted
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_stat_all_tables AS s ON s.relid = c.oid
WHERE c.relkind = 'r' AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'lancio') AND n.nspname !~ '^pg_(toast|temp_)'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_catalog.pg_class'::regclass
                  AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e')
  AND (c.relpages > 0 OR coalesce(s.n_live_tup, 0) > 0 OR coalesce(s.n_tup_ins, 0) > 0)
ORDER BY c.reltuples DESC, 1
