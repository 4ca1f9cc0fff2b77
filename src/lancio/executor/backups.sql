-- name: exists
SELECT pg_catalog.to_regclass('lancio.backups') IS NOT NULL AS found

-- name: latest
SELECT id, taken_at, place, noted_at, who, operator, host, origin,
       extract(epoch FROM pg_catalog.clock_timestamp() - taken_at)::double precision AS age_s
FROM lancio.backups ORDER BY taken_at DESC, id DESC LIMIT $1::integer

-- name: note
INSERT INTO lancio.backups (taken_at, place, who, operator, host, origin)
SELECT $1::timestamptz, $2, session_user, $3, $4, $5 WHERE $1::timestamptz <= pg_catalog.clock_timestamp() + interval '1 minute'
RETURNING id
