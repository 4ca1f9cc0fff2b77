-- name: catalog
-- Only pg_catalog is read, so that this answers on a database that has nothing of the platform.
SELECT
    EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'platform') AS schema,
    (SELECT e.extversion FROM pg_catalog.pg_extension e WHERE e.extname = 'pgcrypto') AS pgcrypto,
    ARRAY(
        SELECT c.relname::text
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'platform' AND c.relkind IN ('r', 'p') AND c.relname = ANY (%(tables)s)
        ORDER BY 1
    ) AS tables,
    ARRAY(
        SELECT c.relname::text
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'platform' AND c.relkind = 'v'
        ORDER BY 1
    ) AS views,
    ARRAY(
        SELECT DISTINCT p.proname::text
        FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = 'platform'
        ORDER BY 1
    ) AS functions,
    ARRAY(
        SELECT t.tgname::text
        FROM pg_catalog.pg_trigger t
        WHERE t.tgrelid = (
            SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = 'platform' AND c.relname = 'databases'
        ) AND NOT t.tgisinternal AND t.tgenabled <> 'D'
        ORDER BY 1
    ) AS triggers,
    EXISTS (
        SELECT FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = (
            SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = 'platform' AND c.relname = 'databases'
        )
          AND a.attname = 'connection_string_encrypted' AND NOT a.attisdropped
    ) AS sealed_column,
    ARRAY(
        SELECT c.relname::text
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'platform' AND c.relkind IN ('r', 'p') AND c.relrowsecurity
        ORDER BY 1
    ) AS secured,
    ARRAY(
        SELECT c.relname::text
        FROM pg_catalog.pg_policy p
        JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'platform' AND p.polname = 'permissive_all_' || c.relname
        ORDER BY 1
    ) AS permitted,
    ARRAY(
        SELECT p.polname || ' on ' || c.relname
        FROM pg_catalog.pg_policy p
        JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'platform'
          AND NOT (
              p.polcmd = '*' AND 0 = ANY (p.polroles)
              AND pg_catalog.pg_get_expr(p.polqual, p.polrelid) = 'true'
              AND pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) = 'true'
          )
        ORDER BY 1
    ) AS narrowing;

-- name: databases
SELECT d.name, d.type, COALESCE(d.metadata ->> 'placeholder', 'false') = 'true' AS placeholder,
       COALESCE(d.health_check_status, 'unknown') AS health
FROM platform.databases d
ORDER BY d.name, d.type;
