-- name: identity
SELECT d.datname::text AS name, d.oid::bigint AS oid, pg_catalog.current_setting('server_version') AS version,
       pg_catalog.current_setting('server_version_num')::integer AS number
FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()

-- name: system
SELECT s.system_identifier::text FROM pg_catalog.pg_control_system() AS s
