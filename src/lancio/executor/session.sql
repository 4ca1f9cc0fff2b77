-- name: identity
SELECT pg_catalog.pg_backend_pid() AS backend_pid,
       pg_catalog.current_setting('server_version_num')::integer AS server_version,
       pg_catalog.current_setting('server_version') AS server_version_text,
       pg_catalog.pg_is_in_recovery() AS in_recovery,
       pg_catalog.current_setting('transaction_read_only') = 'on' AS read_only,
       session_user::text AS session_user,
       pg_catalog.current_database()::text AS database_name

-- name: defaults
SELECT pg_catalog.current_setting('search_path'), pg_catalog.current_setting('synchronous_commit')

-- name: guard
-- A division by zero where the step before failed, was rolled back, or left the session as it was.
SELECT 1 / (pg_catalog.current_setting('lancio.stood', true) = $1)::integer

-- name: settings
-- `false`: until RESET ALL ends it behind the next step, and they are set again.
SELECT pg_catalog.set_config('role', $1, false),
       pg_catalog.set_config('application_name', $2, false),
       pg_catalog.set_config('lock_timeout', $3, false),
       pg_catalog.set_config('row_security', 'off', false),
       pg_catalog.set_config('statement_timeout', '0', false),
       pg_catalog.set_config('idle_in_transaction_session_timeout', '60s', false),
       -- A host that is gone without a word would otherwise hold the lock for hours.
       pg_catalog.set_config('tcp_keepalives_idle', '15', false),
       pg_catalog.set_config('tcp_keepalives_interval', '5', false),
       pg_catalog.set_config('tcp_keepalives_count', '3', false),
       pg_catalog.set_config('standard_conforming_strings', 'on', false),
       pg_catalog.set_config('client_encoding', 'UTF8', false),
       -- Which step has ended completely: what was sent ahead of its end asks for it.
       pg_catalog.set_config('lancio.stood', $4, false),
       CASE WHEN pg_catalog.current_setting('server_version_num')::integer >= 140000
            THEN pg_catalog.set_config('client_connection_check_interval', '1s', false)
                 || pg_catalog.set_config('idle_session_timeout', '0', false) END,
       CASE WHEN pg_catalog.current_setting('server_version_num')::integer >= 170000
            THEN pg_catalog.set_config('transaction_timeout', '0', false) END

-- name: unhurried
SELECT CASE WHEN pg_catalog.current_setting('server_version_num')::integer >= 140000
            THEN pg_catalog.set_config('idle_session_timeout', '0', false) END,
       CASE WHEN pg_catalog.current_setting('server_version_num')::integer >= 170000
            THEN pg_catalog.set_config('transaction_timeout', '0', false) END

-- name: setting
SELECT pg_catalog.set_config($1, $2, true)

-- name: session_setting
SELECT pg_catalog.set_config($1, $2, false)

-- name: settle
-- What a file may have set must not reach the verification and the ledger.
SELECT pg_catalog.set_config('session_authorization', $1, true),
       pg_catalog.set_config('role', $2, true),
       pg_catalog.set_config('search_path', $3, true),
       pg_catalog.set_config('row_security', 'off', true),
       pg_catalog.set_config('statement_timeout', '0', true),
       pg_catalog.set_config('synchronous_commit', $4, true),
       -- The ledger's and the checks' statements are the same in every step: planning them each time, which their
       -- arrays otherwise lead to, costs as much again as running them. For the rest of this transaction only. The
       -- plans outlive the catalogs' size: without the index they get slower with each table of a new database.
       pg_catalog.set_config('enable_seqscan', $5, true),
       CASE WHEN pg_catalog.current_setting('server_version_num')::integer >= 120000
            THEN pg_catalog.set_config('plan_cache_mode', 'force_generic_plan', true) END

-- name: lock_timeout
SELECT pg_catalog.current_setting('lock_timeout')

-- name: wait_for_locks
SELECT pg_catalog.set_config('lock_timeout', $1, false)

-- name: spent
SELECT pg_catalog.set_config('lancio.spent', $1, true)

-- name: relations
-- Names for relations that the step drops: afterwards the lock table knows them by number only.
SELECT pg_catalog.set_config('lancio.relations', pg_catalog.json_object_agg(
           c.oid, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname))::text, true) IS NOT NULL
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'i', 'I')
  AND n.nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema', 'lancio')

-- name: relations_of
-- The same for relations of the names in lancio.named, whatever their schema, with their indexes and sequences.
WITH named AS (
    SELECT c.oid FROM pg_catalog.pg_class AS c
    WHERE c.relname = ANY (pg_catalog.current_setting('lancio.named')::name[])
)
SELECT pg_catalog.set_config('lancio.relations', pg_catalog.json_object_agg(
           c.oid, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname))::text, true) IS NOT NULL
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = ANY (ARRAY(SELECT r.oid FROM named AS r
                         UNION ALL SELECT i.indexrelid FROM named AS r JOIN pg_catalog.pg_index AS i ON i.indrelid = r.oid
                         UNION ALL SELECT d.objid FROM named AS r
                         JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                              AND d.refobjid = r.oid AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass))
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'i', 'I')
  AND n.nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema', 'lancio')
