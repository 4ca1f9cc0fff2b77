-- name: who
SELECT current_user::text AS "user", session_user::text AS login, pg_catalog.current_database()::text AS database,
       pg_catalog.current_setting('server_version_num')::integer AS version

-- name: relations
SELECT n.nspname || '.' || c.relname AS name
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname !~ '^pg_|^information_schema$' AND n.nspname <> 'lancio'
ORDER BY 1 LIMIT 20000

-- name: columns
SELECT DISTINCT a.attname::text AS name
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relname = $1 AND ($2 = '' OR n.nspname = $2)
  AND n.nspname !~ '^pg_|^information_schema$'
ORDER BY 1 LIMIT 2000

-- name: schemas
SELECT nspname::text AS name FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_|^information_schema$' ORDER BY 1

-- name: types
SELECT n.nspname || '.' || t.typname AS name
FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
WHERE t.typtype IN ('e', 'd', 'c', 'r') AND n.nspname !~ '^pg_|^information_schema$'
ORDER BY 1 LIMIT 20000

-- name: roles
SELECT rolname::text AS name FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_' ORDER BY 1 LIMIT 5000

-- name: functions
SELECT n.nspname || '.' || p.proname || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')' AS name
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname !~ '^information_schema$' AND (n.nspname <> 'pg_catalog' OR p.proname = $1)
ORDER BY p.proname = $1 DESC, 1 LIMIT 5000

-- name: relation
SELECT c.oid::bigint AS oid, c.relkind::text AS kind, pg_catalog.quote_ident(n.nspname) || '.' ||
       pg_catalog.quote_ident(c.relname) AS name, pg_catalog.pg_get_userbyid(c.relowner)::text AS owner
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = pg_catalog.to_regclass($1)

-- name: relations_called
-- Relations of a bare name, those on the path first.
SELECT c.oid::bigint AS oid, c.relkind::text AS kind, pg_catalog.quote_ident(n.nspname) || '.' ||
       pg_catalog.quote_ident(c.relname) AS name, pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
       pg_catalog.pg_table_is_visible(c.oid) AS visible,
       pg_catalog.pg_has_role(session_user, c.relowner, 'USAGE') AS grantable
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = $1 AND n.nspname !~ '^pg_|^information_schema$'
ORDER BY 5 DESC, 3 LIMIT 20

-- name: lacks
SELECT NOT pg_catalog.has_table_privilege($1::bigint::oid, $2) AS lacks

-- name: lacks_sequence
SELECT NOT pg_catalog.has_sequence_privilege($1::bigint::oid, $2) AS lacks

-- name: schema_rights
SELECT pg_catalog.quote_ident(n.nspname) AS name, pg_catalog.pg_get_userbyid(n.nspowner)::text AS owner,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS usage, pg_catalog.has_schema_privilege(n.oid, 'CREATE') AS make,
       pg_catalog.pg_has_role(session_user, n.nspowner, 'USAGE') AS grantable
FROM pg_catalog.pg_namespace AS n WHERE n.nspname = $1

-- name: database_rights
SELECT pg_catalog.quote_ident(d.datname) AS name, pg_catalog.pg_get_userbyid(d.datdba)::text AS owner,
       pg_catalog.pg_has_role(session_user, d.datdba, 'USAGE') AS grantable
FROM pg_catalog.pg_database AS d WHERE d.datname = $1

-- name: routine_rights
SELECT p.oid::pg_catalog.regprocedure::text AS name, pg_catalog.pg_get_userbyid(p.proowner)::text AS owner,
       pg_catalog.pg_has_role(session_user, p.proowner, 'USAGE') AS grantable,
       pg_catalog.has_function_privilege(p.oid, 'EXECUTE') AS may
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE p.proname = $1 AND n.nspname <> 'information_schema' ORDER BY 1 LIMIT 20

-- name: type_owner
SELECT pg_catalog.pg_get_userbyid(t.typowner)::text AS owner
FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
WHERE t.typname = $1 AND n.nspname !~ '^pg_' ORDER BY 1 LIMIT 2

-- name: key
-- The primary key's columns, and whether each is of a type whose values say nothing about people.
SELECT pg_catalog.quote_ident(a.attname) AS name,
       a.atttypid = ANY (ARRAY['int2', 'int4', 'int8', 'numeric', 'uuid', 'date', 'timestamp', 'timestamptz',
                               'oid']::pg_catalog.regtype[]::oid[]) AS plain
FROM pg_catalog.pg_index AS i
CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY AS k(attnum, position)
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = $1::bigint::oid AND i.indisprimary
ORDER BY k.position

-- name: names_of
-- The columns of a table as SQL, and whether each has a default that is more than NULL.
SELECT a.attname::text AS name, pg_catalog.quote_ident(a.attname) AS quoted,
       coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid) !~* '^NULL\M', false) AS filled
FROM pg_catalog.pg_attribute AS a
LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = $1::bigint::oid AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum

-- name: referenced
SELECT EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE contype = 'f' AND confrelid = $1::bigint::oid) AS yes

-- name: constraint
SELECT pg_catalog.pg_get_constraintdef(oid) AS definition FROM pg_catalog.pg_constraint
WHERE conrelid = $1::bigint::oid AND conname = $2

-- name: primary_key
-- Of a table by its bare name: its primary key, and the foreign keys that stand on it.
SELECT pg_catalog.quote_ident(k.conname) AS name, k.conrelid::pg_catalog.regclass::text AS "table",
       ARRAY(SELECT f.conname || ' of ' || f.conrelid::pg_catalog.regclass::text FROM pg_catalog.pg_constraint AS f
             WHERE f.contype = 'f' AND f.confrelid = k.conrelid AND f.conindid = k.conindid) AS stands
FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
WHERE k.contype = 'p' AND c.relname = $1
ORDER BY pg_catalog.pg_table_is_visible(c.oid) DESC LIMIT 2

-- name: views_on
-- The plain views that stand on these relations, and on those views, those that nothing stands on first.
WITH RECURSIVE found(oid, depth) AS (
    SELECT c.oid, 0 FROM unnest($1::text[]) AS w(name) JOIN pg_catalog.pg_class AS c ON c.oid = pg_catalog.to_regclass(w.name)
    UNION
    SELECT r.ev_class, f.depth + 1
    FROM found AS f
    JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = f.oid
         AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
    JOIN pg_catalog.pg_rewrite AS r ON r.oid = d.objid
    WHERE r.ev_class <> f.oid AND f.depth < 20
)
SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'relation' END AS kind,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS name,
       CASE WHEN c.relkind = 'v' AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid = c.oid) THEN
            'CREATE VIEW ' || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) ||
            coalesce(' WITH (' || pg_catalog.array_to_string(c.reloptions, ', ') || ')', '') || ' AS' ||
            pg_catalog.chr(10) || pg_catalog.pg_get_viewdef(c.oid) END AS definition
FROM (SELECT oid, max(depth) AS depth FROM found GROUP BY oid) AS f
JOIN pg_catalog.pg_class AS c ON c.oid = f.oid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY f.depth DESC, 2 LIMIT 50

-- name: stands_on
-- What depends on an object, as PostgreSQL describes it; its own parts are none.
SELECT DISTINCT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) AS said
FROM pg_catalog.pg_depend AS d
WHERE d.refclassid = $1::text::pg_catalog.regclass AND d.refobjid = $2::bigint::oid AND d.deptype = 'n'
  AND ($3::integer < 0 OR d.refobjsubid = $3::integer)
  AND NOT (d.classid = $1::text::pg_catalog.regclass AND d.objid = $2::bigint::oid)
ORDER BY 1 LIMIT 20

-- name: object
-- An object that is there by its kind and bare name (and its table): catalog, number, name as SQL, and what drops it.
SELECT 'pg_type' AS catalog, t.oid::bigint AS oid, pg_catalog.format_type(t.oid, NULL) AS name,
       CASE t.typtype WHEN 'd' THEN 'domain' ELSE 'type' END AS kind, 'DROP TYPE %s' AS drop
FROM pg_catalog.pg_type AS t WHERE $1 IN ('type', 'domain') AND t.typname = $2 AND t.typrelid = 0
UNION ALL
SELECT 'pg_proc', p.oid::bigint, p.oid::pg_catalog.regprocedure::text, 'function', 'DROP FUNCTION %s'
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE $1 IN ('function', 'procedure', 'aggregate') AND p.proname = $2 AND n.nspname !~ '^pg_|^information_schema$'
UNION ALL
SELECT 'pg_namespace', n.oid::bigint, pg_catalog.quote_ident(n.nspname), 'schema', 'DROP SCHEMA %s'
FROM pg_catalog.pg_namespace AS n WHERE $1 = 'schema' AND n.nspname = $2
UNION ALL
SELECT 'pg_constraint', k.oid::bigint, pg_catalog.quote_ident(k.conname) || ' on ' || k.conrelid::pg_catalog.regclass::text,
       'constraint', 'ALTER TABLE ' || k.conrelid::pg_catalog.regclass::text || ' DROP CONSTRAINT ' ||
       pg_catalog.quote_ident(k.conname)
FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
WHERE $1 = 'constraint' AND k.conname = $2 AND k.contype IN ('c', 'f') AND ($3 = '' OR c.relname = $3)
UNION ALL
SELECT 'pg_extension', e.oid::bigint, pg_catalog.quote_ident(e.extname), 'extension', ''
FROM pg_catalog.pg_extension AS e WHERE $1 = 'extension' AND e.extname = $2
UNION ALL
SELECT 'pg_trigger', g.oid::bigint, pg_catalog.quote_ident(g.tgname) || ' on ' || g.tgrelid::pg_catalog.regclass::text,
       'trigger', ''
FROM pg_catalog.pg_trigger AS g JOIN pg_catalog.pg_class AS c ON c.oid = g.tgrelid
WHERE $1 = 'trigger' AND g.tgname = $2 AND ($3 = '' OR c.relname = $3)
UNION ALL
SELECT 'pg_policy', p.oid::bigint, pg_catalog.quote_ident(p.polname) || ' on ' || p.polrelid::pg_catalog.regclass::text,
       'policy', ''
FROM pg_catalog.pg_policy AS p JOIN pg_catalog.pg_class AS c ON c.oid = p.polrelid
WHERE $1 = 'policy' AND p.polname = $2 AND ($3 = '' OR c.relname = $3)
LIMIT 3

-- name: column
SELECT a.attnum::integer AS number, pg_catalog.quote_ident(a.attname) AS name
FROM pg_catalog.pg_attribute AS a
WHERE a.attrelid = $1::bigint::oid AND a.attname = $2 AND NOT a.attisdropped

-- name: in_schema
SELECT (SELECT count(*) FROM pg_catalog.pg_class WHERE relnamespace = $1::bigint::oid)
     + (SELECT count(*) FROM pg_catalog.pg_proc WHERE pronamespace = $1::bigint::oid)
     + (SELECT count(*) FROM pg_catalog.pg_type WHERE typnamespace = $1::bigint::oid) AS number

-- name: index
SELECT i.indisvalid AS valid, i.indrelid::pg_catalog.regclass::text AS "table",
       EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
           AS constrains
FROM pg_catalog.pg_index AS i WHERE i.indexrelid = $1::bigint::oid

-- name: invalid
SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS name
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname !~ '^pg_'
ORDER BY 1 LIMIT 20

-- name: holders
-- Sessions that hold one of these lock modes on one of these relations; their queries are not asked for.
SELECT DISTINCT ON (l.pid) l.pid, coalesce(a.usename::text, '') AS "user", coalesce(a.application_name, '') AS application,
       coalesce(a.state, '') AS state,
       coalesce(greatest(0, extract(epoch FROM pg_catalog.now() - a.xact_start)), 0)::bigint AS seconds,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS relation, l.mode
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.granted AND l.pid <> pg_catalog.pg_backend_pid()
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
  AND l.mode = ANY ($2::text[])
  AND l.relation IN (SELECT pg_catalog.to_regclass(w.name)::oid FROM unnest($1::text[]) AS w(name))
ORDER BY l.pid, pg_catalog.array_position($2::text[], l.mode) DESC
LIMIT 20

-- name: processes
SELECT a.pid, coalesce(a.usename::text, '') AS "user", coalesce(a.application_name, '') AS application,
       coalesce(a.state, '') AS state,
       coalesce(greatest(0, extract(epoch FROM pg_catalog.now() - a.xact_start)), 0)::bigint AS seconds,
       '' AS relation, '' AS mode
FROM pg_catalog.pg_stat_activity AS a
WHERE a.pid = ANY ($1::integer[]) AND a.pid <> pg_catalog.pg_backend_pid()
ORDER BY a.pid

-- name: blocking
-- Who keeps anybody in this database waiting for a lock now.
SELECT DISTINCT ON (h.pid) h.pid, coalesce(h.usename::text, '') AS "user", coalesce(h.application_name, '') AS application,
       coalesce(h.state, '') AS state,
       coalesce(greatest(0, extract(epoch FROM pg_catalog.now() - h.xact_start)), 0)::bigint AS seconds,
       '' AS relation, '' AS mode
FROM pg_catalog.pg_stat_activity AS w
CROSS JOIN LATERAL unnest(pg_catalog.pg_blocking_pids(w.pid)) AS b(pid)
JOIN pg_catalog.pg_stat_activity AS h ON h.pid = b.pid
WHERE w.datname = pg_catalog.current_database() AND w.wait_event_type = 'Lock'
ORDER BY h.pid LIMIT 20

-- name: setting
SELECT name, setting || coalesce(unit, '') AS value, source FROM pg_catalog.pg_settings WHERE name = $1

-- name: recovery
SELECT pg_catalog.pg_is_in_recovery() AS yes

-- name: slots
SELECT (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE $1 = '' OR datname = $1)::integer AS used,
       coalesce((SELECT nullif(datconnlimit, -1) FROM pg_catalog.pg_database WHERE datname = $1),
                pg_catalog.current_setting('max_connections')::integer) AS "limit",
       (SELECT count(*) FROM pg_catalog.pg_stat_activity
        WHERE state = 'idle' AND pid <> pg_catalog.pg_backend_pid() AND ($1 = '' OR datname = $1))::integer AS idle
