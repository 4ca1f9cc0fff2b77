-- name: exists
SELECT pg_catalog.to_regclass('lancio.backups') IS NOT NULL AS found

-- name: recordable
-- Whether a row can be added, or what it would stand in be made.
SELECT CASE WHEN pg_catalog.to_regclass('lancio.backups') IS NOT NULL
            THEN pg_catalog.has_table_privilege('lancio.backups', 'INSERT')
            WHEN pg_catalog.to_regnamespace('lancio') IS NOT NULL
            THEN pg_catalog.has_schema_privilege('lancio', 'CREATE')
            ELSE pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') END AS held

-- name: latest
-- The row as JSON, because an older ledger lacks what came later.
SELECT b.id, b.taken_at, b.place, b.noted_at, b.who, b.operator, b.host, b.origin,
       extract(epoch FROM pg_catalog.clock_timestamp() - b.taken_at)::double precision AS age_s,
       coalesce(pg_catalog.to_jsonb(b) ->> 'scope', 'whole') AS scope,
       coalesce(pg_catalog.to_jsonb(b) -> 'files', '[]') AS files,
       coalesce((pg_catalog.to_jsonb(b) ->> 'checked')::boolean, false) AS checked,
       (pg_catalog.to_jsonb(b) ->> 'size')::bigint AS size, pg_catalog.to_jsonb(b) ->> 'sha256' AS sha256
FROM lancio.backups AS b ORDER BY b.taken_at DESC, b.id DESC LIMIT $1::integer

-- name: made
INSERT INTO lancio.backups (taken_at, place, who, operator, host, origin, scope, files, checked, size, sha256, tables)
VALUES ($1::timestamptz, $2, session_user, $3, $4, 'made', $5, $6::jsonb, $7::boolean, $8::bigint, $9, $10::jsonb)
RETURNING id

-- name: note
INSERT INTO lancio.backups (taken_at, place, who, operator, host, origin)
SELECT $1::timestamptz, $2, session_user, $3, $4, $5 WHERE $1::timestamptz <= pg_catalog.clock_timestamp() + interval '1 minute'
RETURNING id
