-- name: has_backups
SELECT pg_catalog.to_regclass('lancio.backups') IS NOT NULL AS found

-- name: backups
-- Asked only where the table is.
SELECT at, where_ FROM lancio.backups ORDER BY at DESC LIMIT 1
