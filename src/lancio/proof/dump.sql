-- name: tables
-- What holds rows: tables and partitions; not those of an extension, whose rows pg_dump leaves out by itself.
SELECT n.nspname::text AS schema, c.relname::text AS name, n.nspname || '.' || c.relname AS full,
       quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS quoted, c.relkind::text AS kind
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_%'
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1, 2

-- name: schemas
SELECT nspname::text FROM pg_namespace
WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND nspname NOT LIKE 'pg\_%' ORDER BY 1

-- name: scope
-- The relations at risk with what hangs on them: partitions and children, their parents, tables that a foreign key
-- changes along with them, sequences that their columns use, tables with a column of a type at risk.
WITH RECURSIVE link (a, b) AS (
    SELECT inhparent, inhrelid FROM pg_inherits
    UNION SELECT inhrelid, inhparent FROM pg_inherits
    UNION SELECT confrelid, conrelid FROM pg_constraint
          WHERE contype = 'f' AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd'))
    UNION SELECT d.refobjid, d.objid FROM pg_depend AS d JOIN pg_class AS s ON s.oid = d.objid AND s.relkind = 'S'
          WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
    UNION SELECT a.adrelid, d.refobjid FROM pg_attrdef AS a
          JOIN pg_depend AS d ON d.classid = 'pg_attrdef'::regclass AND d.objid = a.oid AND d.refclassid = 'pg_class'::regclass
          JOIN pg_class AS s ON s.oid = d.refobjid AND s.relkind = 'S'
    UNION SELECT i.indexrelid, i.indrelid FROM pg_index AS i
), found (oid) AS (
    SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname || '.' || c.relname = ANY ($1::text[])
    UNION
    SELECT a.attrelid FROM pg_attribute AS a
    JOIN pg_type AS t ON t.oid = a.atttypid
    LEFT JOIN pg_type AS e ON e.oid = t.typelem AND t.typcategory = 'A'
    JOIN pg_namespace AS n ON n.oid = coalesce(e.typnamespace, t.typnamespace)
    JOIN pg_class AS r ON r.oid = a.attrelid AND r.relkind IN ('r', 'p')
    WHERE NOT a.attisdropped AND n.nspname || '.' || coalesce(e.typname, t.typname) = ANY ($2::text[])
    UNION
    SELECT l.b FROM found AS f JOIN link AS l ON l.a = f.oid
)
SELECT n.nspname || '.' || c.relname AS full
FROM found AS f JOIN pg_class AS c ON c.oid = f.oid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'lancio') AND n.nspname NOT LIKE 'pg\_%'
ORDER BY 1

-- name: dependents
-- What stands on these relations and would go with them: views and what stands on those, tables with a foreign key to
-- them, tables with a trigger or policy that names them.
WITH RECURSIVE uses (a, b) AS (
    SELECT d.refobjid, r.ev_class FROM pg_depend AS d
    JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class
    UNION SELECT confrelid, conrelid FROM pg_constraint WHERE contype = 'f' AND confrelid <> conrelid
    UNION SELECT d.refobjid, p.polrelid FROM pg_depend AS d
          JOIN pg_policy AS p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid
          WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid <> p.polrelid
), found (oid, deep) AS (
    SELECT c.oid, true FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname || '.' || c.relname = ANY ($1::text[])
    UNION
    SELECT u.b, c.relkind IN ('v', 'm') FROM found AS f JOIN uses AS u ON u.a = f.oid JOIN pg_class AS c ON c.oid = u.b
    WHERE f.deep
)
SELECT DISTINCT n.nspname || '.' || c.relname AS full
FROM found AS f JOIN pg_class AS c ON c.oid = f.oid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'lancio') AND n.nspname NOT LIKE 'pg\_%'
ORDER BY 1

-- name: pinned
-- Values print alike on every server with these. From 12 on a float prints as the shortest text that is exact, before
-- with all of its digits: what such a server holds is compared to 15 digits, as both print them.
SELECT pg_catalog.set_config('DateStyle', 'ISO, YMD', true), pg_catalog.set_config('IntervalStyle', 'postgres', true),
       pg_catalog.set_config('TimeZone', 'UTC', true), pg_catalog.set_config('extra_float_digits', $1, true),
       pg_catalog.set_config('bytea_output', 'hex', true), pg_catalog.set_config('row_security', 'off', true),
       pg_catalog.set_config('statement_timeout', '0', true),
       pg_catalog.set_config('idle_in_transaction_session_timeout', '0', true), pg_catalog.set_config('search_path', 'pg_catalog', true),
       pg_catalog.set_config('xmloption', 'content', true), pg_catalog.set_config('lc_monetary', 'C', true)

-- name: position
-- The last row of lancio.step: what comes behind it ran after the backup.
SELECT coalesce(max(id), 0) AS last FROM lancio.step

-- name: sum
-- Its rows, and a sum of 64 bits of the MD5 of each; the table's name is put in, quoted by the server.
SELECT pg_catalog.count(*),
       coalesce(pg_catalog.sum(('x' || pg_catalog.substr(pg_catalog.md5((lancio_row.*)::text), 1, 16))::bit(64)::bigint), 0)::text
FROM ONLY {table} AS lancio_row

-- name: parts
-- What belongs to a table under a name of its own: indexes, sequences of its columns, extended statistics.
SELECT n.nspname || '.' || i.relname AS part, m.nspname || '.' || c.relname AS owner
FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid JOIN pg_namespace AS n ON n.oid = i.relnamespace
JOIN pg_class AS c ON c.oid = x.indrelid JOIN pg_namespace AS m ON m.oid = c.relnamespace
WHERE m.nspname NOT IN ('pg_catalog', 'information_schema', 'lancio') AND m.nspname NOT LIKE 'pg\_%'
UNION ALL
SELECT n.nspname || '.' || s.relname, m.nspname || '.' || c.relname
FROM pg_depend AS d JOIN pg_class AS s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_namespace AS n ON n.oid = s.relnamespace
JOIN pg_class AS c ON c.oid = d.refobjid JOIN pg_namespace AS m ON m.oid = c.relnamespace
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
  AND m.nspname NOT IN ('pg_catalog', 'information_schema', 'lancio') AND m.nspname NOT LIKE 'pg\_%'
UNION ALL
SELECT 'statistics ' || t.stxname, m.nspname || '.' || c.relname
FROM pg_statistic_ext AS t JOIN pg_class AS c ON c.oid = t.stxrelid JOIN pg_namespace AS m ON m.oid = c.relnamespace
WHERE m.nspname NOT IN ('pg_catalog', 'information_schema', 'lancio') AND m.nspname NOT LIKE 'pg\_%'
ORDER BY 1

-- name: outward
-- Foreign keys of these tables to others, whose rows are not there.
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) || ' ' || quote_ident(k.conname)
FROM pg_constraint AS k
JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_class AS r ON r.oid = k.confrelid JOIN pg_namespace AS m ON m.oid = r.relnamespace
WHERE k.contype = 'f' AND n.nspname || '.' || c.relname = ANY ($1::text[])
  AND NOT m.nspname || '.' || r.relname = ANY ($1::text[])
ORDER BY 1
