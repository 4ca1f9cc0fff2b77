-- name: sizes
-- Of these relations, which are there, of which kind, and about how many rows they have.
SELECT n.nspname || '.' || c.relname AS full, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS quoted,
       c.relkind::text AS kind, c.relispartition AS partition
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname || '.' || c.relname = ANY ($1::text[]) ORDER BY 1

-- name: keys
-- The foreign keys that lead from or to these tables and are nobody's copy, with what makes each again.
SELECT n.nspname || '.' || c.relname AS full, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS quoted,
       quote_ident(k.conname) AS name, pg_get_constraintdef(k.oid) AS definition,
       (SELECT d.description FROM pg_description AS d
        WHERE d.classoid = 'pg_constraint'::regclass AND d.objoid = k.oid) AS comment
FROM pg_constraint AS k
JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_class AS r ON r.oid = k.confrelid JOIN pg_namespace AS m ON m.oid = r.relnamespace
WHERE k.contype = 'f' AND k.coninhcount = 0
  AND coalesce((to_jsonb(k) ->> 'conparentid')::oid, 0) = 0
  AND (n.nspname || '.' || c.relname = ANY ($1::text[]) OR m.nspname || '.' || r.relname = ANY ($1::text[]))
ORDER BY 1, 3

-- name: triggers
-- The triggers of these tables that are a user's own, with how each is enabled.
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS quoted, quote_ident(t.tgname) AS name,
       t.tgenabled::text AS enabled
FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE NOT t.tgisinternal AND c.relkind = 'r' AND n.nspname || '.' || c.relname = ANY ($1::text[])
ORDER BY 1, 2

-- name: sequences
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS quoted
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND n.nspname || '.' || c.relname = ANY ($1::text[]) ORDER BY 1

-- name: since
-- Files whose row that counts came behind a backup.
SELECT s.migration, s.checksum, s.digest, s.position
FROM (SELECT DISTINCT ON (migration) id, migration, checksum, digest, position, state FROM lancio.step
      ORDER BY migration, id DESC) AS s
WHERE s.id > $1::bigint AND s.state <> 'rolled back' ORDER BY s.id

-- name: undo
INSERT INTO lancio.step (run, backend_pid, migration, checksum, digest, position, state, origin, started_at)
VALUES ($1::bigint, pg_catalog.pg_backend_pid(), $2, $3, $4, $5::integer, 'rolled back', 'lancio', pg_catalog.clock_timestamp())

-- name: empty
-- Whether there is nothing of a user's in this database.
SELECT NOT EXISTS (
    SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_%'
      AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
) AND NOT EXISTS (
    SELECT FROM pg_namespace AS n
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'public') AND n.nspname NOT LIKE 'pg\_%'
) AS empty

-- name: users
-- The tables with a column of one of these types, or of an array of it.
SELECT DISTINCT m.nspname || '.' || c.relname AS full
FROM pg_attribute AS a
JOIN pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_type AS e ON e.oid = t.typelem AND t.typcategory = 'A'
JOIN pg_namespace AS n ON n.oid = coalesce(e.typnamespace, t.typnamespace)
JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p') JOIN pg_namespace AS m ON m.oid = c.relnamespace
WHERE NOT a.attisdropped AND n.nspname || '.' || coalesce(e.typname, t.typname) = ANY ($1::text[])
