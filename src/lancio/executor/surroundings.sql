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
-- All rights at once. NULL: what it is on is not there. Names are looked up in the catalogs: to_regclass and its kind fail
-- where the role has no USAGE on the schema.
WITH asked AS (
    SELECT w.*, CASE w.kind
        WHEN 'relation' THEN (SELECT c.oid FROM pg_catalog.pg_class AS c
                              JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                              WHERE c.relname = w.bare AND n.nspname = w.schema)
        WHEN 'schema' THEN (SELECT n.oid FROM pg_catalog.pg_namespace AS n WHERE n.nspname = w.bare)
        WHEN 'routine' THEN (SELECT p.oid FROM pg_catalog.pg_proc AS p
                             JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
                             WHERE p.proname = w.bare AND n.nspname = w.schema
                               AND w.args = (SELECT coalesce(string_agg(pg_catalog.format_type(t, NULL), ', ' ORDER BY o), '')
                                             FROM pg_catalog.unnest(p.proargtypes) WITH ORDINALITY AS u (t, o)))
        WHEN 'type' THEN (SELECT t.oid FROM pg_catalog.pg_type AS t
                          JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
                          WHERE t.typname = w.bare AND n.nspname = w.schema)
        WHEN 'extension' THEN (SELECT e.oid FROM pg_catalog.pg_extension AS e WHERE e.extname = w.bare)
        WHEN 'role' THEN (SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = w.bare)
        WHEN 'language' THEN (SELECT l.oid FROM pg_catalog.pg_language AS l WHERE l.lanname = w.bare)
        WHEN 'database' THEN (SELECT d.oid FROM pg_catalog.pg_database AS d
                              WHERE d.datname = pg_catalog.current_database()) END AS oid
    FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::text[]),
                    pg_catalog.unnest($4::name[]), pg_catalog.unnest($5::name[]), pg_catalog.unnest($6::text[]))
         AS w (kind, name, "right", schema, bare, args)
), owned AS (
    SELECT a.*, CASE a.kind
        WHEN 'relation' THEN (SELECT c.relowner FROM pg_catalog.pg_class AS c WHERE c.oid = a.oid)
        WHEN 'schema' THEN (SELECT n.nspowner FROM pg_catalog.pg_namespace AS n WHERE n.oid = a.oid)
        WHEN 'routine' THEN (SELECT p.proowner FROM pg_catalog.pg_proc AS p WHERE p.oid = a.oid)
        WHEN 'type' THEN (SELECT t.typowner FROM pg_catalog.pg_type AS t WHERE t.oid = a.oid)
        WHEN 'extension' THEN (SELECT e.extowner FROM pg_catalog.pg_extension AS e WHERE e.oid = a.oid)
        WHEN 'database' THEN (SELECT d.datdba FROM pg_catalog.pg_database AS d WHERE d.oid = a.oid) END AS owner
    FROM asked AS a
)
SELECT o.kind, o.name, o."right", o.schema::text, o.bare::text, o.args, CASE
    WHEN o."right" = 'OWNER' THEN pg_catalog.pg_has_role(o.owner, 'USAGE')
    WHEN o."right" = 'DROP' THEN pg_catalog.pg_has_role(o.owner, 'USAGE')
        OR (SELECT pg_catalog.pg_has_role(n.nspowner, 'USAGE') FROM pg_catalog.pg_namespace AS n WHERE n.nspname = o.schema)
    WHEN o."right" = 'NO RLS' THEN NOT pg_catalog.row_security_active(o.oid)
    WHEN o.kind = 'relation' THEN CASE
        -- A right on some of the columns may be all that it takes: which ones are read is not looked at.
        WHEN o."right" IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
            THEN pg_catalog.has_any_column_privilege(o.oid, o."right")
                 OR pg_catalog.has_table_privilege(o.oid, o."right")
        ELSE pg_catalog.has_table_privilege(o.oid, o."right") END
    WHEN o.kind = 'schema' THEN pg_catalog.has_schema_privilege(o.oid, o."right")
    WHEN o.kind = 'database' THEN pg_catalog.has_database_privilege(o.oid, o."right")
    WHEN o.kind = 'routine' THEN pg_catalog.has_function_privilege(o.oid, o."right")
    WHEN o.kind = 'type' THEN pg_catalog.has_type_privilege(o.oid, o."right")
    WHEN o.kind = 'role' THEN pg_catalog.pg_has_role(o.oid, o."right")
    WHEN o.kind = 'language' THEN (SELECT pg_catalog.has_language_privilege(l.oid, 'USAGE') AND (l.lanpltrusted OR r.rolsuper)
                                   FROM pg_catalog.pg_language AS l, pg_catalog.pg_roles AS r
                                   WHERE l.oid = o.oid AND r.rolname = current_user)
    WHEN o.kind = 'setting' THEN (SELECT r.rolsuper OR s.context NOT IN ('superuser', 'superuser-backend')
                                  FROM pg_catalog.pg_settings AS s, pg_catalog.pg_roles AS r
                                  WHERE s.name = o.bare AND r.rolname = current_user)
    END AS held,
    pg_catalog.pg_get_userbyid(o.owner)::text AS owner
FROM owned AS o

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
    SELECT w.schema || '.' || w.bare AS name, c.oid AS part
    FROM ROWS FROM (pg_catalog.unnest($1::name[]), pg_catalog.unnest($2::name[])) AS w (schema, bare)
    JOIN pg_catalog.pg_namespace AS n ON n.nspname = w.schema
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = w.bare
), whole AS (
    SELECT a.name, a.part FROM asked AS a
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
SELECT w.schema || '.' || w.bare AS name, c.relpages::bigint * pg_catalog.current_setting('block_size')::bigint AS bytes,
       CASE WHEN c.reltuples > 0 THEN c.reltuples END::double precision AS rows, '' AS tablespace
FROM ROWS FROM (pg_catalog.unnest($1::name[]), pg_catalog.unnest($2::name[])) AS w (schema, bare)
JOIN pg_catalog.pg_namespace AS n ON n.nspname = w.schema
JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = w.bare

-- name: widths
SELECT w.schema || '.' || w.bare AS name, s.attname::text AS "column", s.avg_width::double precision AS width
FROM ROWS FROM (pg_catalog.unnest($1::name[]), pg_catalog.unnest($2::name[])) AS w (schema, bare)
JOIN pg_catalog.pg_stats AS s ON s.schemaname = w.schema AND s.tablename = w.bare

-- name: holders
WITH asked AS (
    SELECT w.schema || '.' || w.bare AS name, c.oid AS relation
    FROM ROWS FROM (pg_catalog.unnest($1::name[]), pg_catalog.unnest($2::name[])) AS w (schema, bare)
    JOIN pg_catalog.pg_namespace AS n ON n.nspname = w.schema
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = w.bare
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
