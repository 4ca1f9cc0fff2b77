-- What other tools have written down of the migrations that they ran. Each query gives one row a migration, in the order
-- in which they ran: what names it there (entry), when it ended (at), a checksum where the tool keeps one, whether it is
-- done, and whatever else its way of naming files needs (note).

-- name: tables
-- Every table that bears the name of a tool's history, with its columns.
SELECT n.nspname::text AS schema, c.relname::text AS name,
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relname = ANY (%s) AND n.nspname !~ '^pg_(toast_)?temp_'
ORDER BY 1, 2

-- name: flyway
-- An undone or deleted migration has a later row of its own; of a repeatable one the latest row counts.
SELECT script AS entry, installed_on AS at, checksum::text AS checksum, success AS done, type || ' ' || coalesce(version, '')
           AS note
FROM {table} WHERE type <> 'SCHEMA' ORDER BY installed_rank

-- name: alembic
SELECT version_num AS entry, NULL::timestamptz AS at, '' AS checksum, true AS done, '' AS note FROM {table} ORDER BY 1

-- name: sqitch
SELECT change AS entry, committed_at AS at, coalesce(script_hash, '') AS checksum, true AS done, project AS note
FROM {table} ORDER BY committed_at, change

-- name: dbmate
SELECT version::text AS entry, NULL::timestamptz AS at, '' AS checksum, true AS done, '' AS note FROM {table} ORDER BY 1

-- name: golang-migrate
SELECT version::text AS entry, NULL::timestamptz AS at, '' AS checksum, NOT dirty AS done, '' AS note FROM {table}

-- name: goose
SELECT entry, at, '' AS checksum, true AS done, '' AS note
FROM (SELECT DISTINCT ON (version_id) version_id::text AS entry, tstamp::timestamptz AS at, is_applied, id
      FROM {table} ORDER BY version_id, id DESC) AS latest
WHERE is_applied AND entry <> '0' ORDER BY id

-- name: prisma
SELECT migration_name AS entry, finished_at AS at, checksum, finished_at IS NOT NULL AS done, '' AS note
FROM {table} WHERE rolled_back_at IS NULL ORDER BY started_at, migration_name

-- name: django
SELECT app || '/' || name AS entry, applied AS at, '' AS checksum, true AS done, app AS note FROM {table} ORDER BY id

-- name: supabase
SELECT version AS entry, NULL::timestamptz AS at, '' AS checksum, true AS done, '' AS note FROM {table} ORDER BY 1

-- name: liquibase
SELECT id AS entry, dateexecuted::timestamptz AS at, '' AS checksum, exectype <> 'FAILED' AS done,
       filename || E'\n' || author AS note
FROM {table} ORDER BY orderexecuted

-- name: graphile-migrate
SELECT filename AS entry, date AS at, hash AS checksum, true AS done, '' AS note FROM {table} ORDER BY date, filename

-- name: diesel
SELECT version::text AS entry, run_on::timestamptz AS at, '' AS checksum, true AS done, '' AS note FROM {table} ORDER BY 1

-- name: sqlx
SELECT version::text AS entry, installed_on AS at, encode(checksum, 'hex') AS checksum, success AS done, '' AS note
FROM {table} ORDER BY version

-- name: yoyo
SELECT migration_id AS entry, applied_at_utc AT TIME ZONE 'UTC' AS at, '' AS checksum, true AS done, '' AS note
FROM {table} ORDER BY applied_at_utc, migration_id
