-- name: may
-- Whether this role may copy this database on its own server, and how large that is.
SELECT (r.rolsuper OR r.rolcreatedb) AND (r.rolsuper OR d.datistemplate OR pg_catalog.pg_has_role(d.datdba, 'USAGE')) AS may,
       pg_catalog.pg_database_size(d.oid) AS size
FROM pg_catalog.pg_database AS d, pg_catalog.pg_roles AS r
WHERE d.datname = pg_catalog.current_database() AND r.rolname = session_user

-- name: others
SELECT pid, coalesce(usename::text, '') AS who, coalesce(application_name, '') AS application
FROM pg_catalog.pg_stat_activity
WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid()
  AND coalesce(pg_catalog.to_jsonb(pg_stat_activity) ->> 'backend_type', '') <> 'autovacuum worker'
ORDER BY pid

-- name: settings
SELECT s.setting, pg_catalog.pg_get_userbyid(d.setrole)::text AS role, d.setrole <> 0 AS of_role
FROM pg_catalog.pg_db_role_setting AS d, pg_catalog.unnest(d.setconfig) AS s (setting)
WHERE d.setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())

-- name: mappings
SELECT pg_catalog.quote_ident(srvname) AS server,
       CASE WHEN umuser = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(usename) END AS who
FROM pg_catalog.pg_user_mappings ORDER BY 1, 2

-- name: reaching
-- Extensions and languages by which a statement can reach out of the database.
SELECT e.extname::text FROM pg_catalog.pg_extension AS e
WHERE e.extname IN ('dblink', 'http', 'pg_net', 'plpython3u', 'plperlu', 'plsh', 'aws_lambda', 'aws_s3', 'pg_cron',
                    'postgres_fdw', 'file_fdw', 'oracle_fdw', 'mysql_fdw', 'tds_fdw', 'pgagent')
ORDER BY 1

-- name: subscriptions
SELECT pg_catalog.count(*) FROM pg_catalog.pg_subscription
WHERE subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
