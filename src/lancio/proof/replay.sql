-- name: reset
-- What a file may have left in its session: DISCARD ALL but for the prepared statements, which are ours, and fit for a
-- transaction.
SET SESSION AUTHORIZATION DEFAULT; RESET ALL; CLOSE ALL; UNLISTEN *; SELECT pg_advisory_unlock_all(); DISCARD TEMP;
DISCARD SEQUENCES

-- name: settle
-- The same between two files of one transaction. What was deferred to its end is checked now.
SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; DISCARD TEMP

-- name: held
-- Every named thing outside of the server's own schemas and the ledger's; what belongs to an extension stays away.
WITH own AS (
    SELECT n.oid, n.nspname
    FROM pg_namespace AS n
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'lancio') AND n.nspname !~ '^pg_(toast_)?temp_'
), member AS (
    SELECT d.classid, d.objid FROM pg_depend AS d WHERE d.deptype = 'e'
), relation AS (
    SELECT c.oid, c.relkind, o.nspname || '.' || c.relname AS name
    FROM pg_class AS c JOIN own AS o ON o.oid = c.relnamespace
    WHERE c.oid NOT IN (SELECT m.objid FROM member AS m WHERE m.classid = 'pg_class'::regclass)
), type AS (
    SELECT t.oid, o.nspname || '.' || t.typname AS name
    FROM pg_type AS t JOIN own AS o ON o.oid = t.typnamespace
    WHERE t.typtype IN ('d', 'e', 'r')
      AND t.oid NOT IN (SELECT m.objid FROM member AS m WHERE m.classid = 'pg_type'::regclass)
)
SELECT 'schema' AS kind, o.nspname::text AS name FROM own AS o
UNION ALL SELECT 'extension', e.extname FROM pg_extension AS e WHERE e.extname <> 'plpgsql'
UNION ALL SELECT 'relation', r.name FROM relation AS r
UNION ALL
SELECT 'column', r.name || '.' || a.attname
FROM relation AS r JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
UNION ALL SELECT 'type', t.name FROM type AS t
UNION ALL SELECT 'label', t.name || ' ''' || e.enumlabel || '''' FROM type AS t JOIN pg_enum AS e ON e.enumtypid = t.oid
UNION ALL
SELECT 'routine', o.nspname || '.' || p.proname || '(' || coalesce((
           SELECT string_agg(format_type(a.type, NULL), ', ' ORDER BY a.place)
           FROM unnest(p.proargtypes) WITH ORDINALITY AS a (type, place)), '') || ')'
FROM pg_proc AS p JOIN own AS o ON o.oid = p.pronamespace
-- Neither an extension's nor what CREATE TYPE … AS RANGE makes by itself.
WHERE NOT EXISTS (SELECT FROM pg_depend AS d
                  WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                    AND (d.deptype = 'e' OR d.deptype = 'i' AND d.refclassid = 'pg_type'::regclass))
UNION ALL
SELECT 'constraint', k.conname || ' on ' || r.name
FROM pg_constraint AS k JOIN relation AS r ON r.oid = k.conrelid WHERE k.contype IN ('p', 'u', 'f', 'c', 'x')
UNION ALL
SELECT 'trigger', t.tgname || ' on ' || r.name
FROM pg_trigger AS t JOIN relation AS r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal
UNION ALL SELECT 'policy', p.polname || ' on ' || r.name FROM pg_policy AS p JOIN relation AS r ON r.oid = p.polrelid
UNION ALL
SELECT 'rule', w.rulename || ' on ' || r.name
FROM pg_rewrite AS w JOIN relation AS r ON r.oid = w.ev_class WHERE NOT (w.rulename = '_RETURN' AND r.relkind IN ('v', 'm'))
