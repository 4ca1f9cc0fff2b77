-- lancio: duration 1s
-- lancio: risk low
--
-- 004: Lancio's own organization and its first project, Lancio Studio, to which 006 registers databases.
--
-- Safe to run again: rows that are there are not written. After 007, in a session that policies bind, nothing is done.

BEGIN;

-- Nothing is looked for where others may create: a function that fits better than PostgreSQL's own would run with the
-- rights of whoever runs this file.
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
BEGIN
    IF to_regclass('platform.organizations') IS NULL THEN
        RAISE EXCEPTION 'table platform.organizations does not exist'
            USING ERRCODE = 'undefined_table', HINT = 'Run 001_create_platform_schema.sql first.';
    END IF;
    IF to_regclass('platform.projects') IS NULL THEN
        RAISE EXCEPTION 'table platform.projects does not exist'
            USING ERRCODE = 'undefined_table', HINT = 'Run 001_create_platform_schema.sql first.';
    END IF;
    -- 003 gives the keys their default, and below PostgreSQL 13 that is pgcrypto's function.
    IF NOT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'pgcrypto') THEN
        RAISE EXCEPTION 'extension pgcrypto does not exist'
            USING ERRCODE = 'undefined_object', HINT = 'Run 003_user_management_and_permissions.sql first.';
    END IF;
    IF to_regclass('platform.users') IS NULL THEN
        RAISE EXCEPTION 'table platform.users does not exist'
            USING ERRCODE = 'undefined_table', HINT = 'Run 003_user_management_and_permissions.sql first.';
    END IF;
END
$$;

DO $$
BEGIN
    INSERT INTO platform.organizations (slug, name, kind)
    VALUES ('lancio', 'Lancio', 'company')
    ON CONFLICT DO NOTHING;
EXCEPTION WHEN insufficient_privilege THEN
    IF NOT (has_table_privilege('platform.organizations', 'INSERT') AND row_security_active('platform.organizations') AND EXISTS (
        SELECT 1 FROM pg_policies
        WHERE schemaname = 'platform' AND tablename = 'organizations' AND policyname = 'organization_organizations'
    )) THEN
        RAISE;
    END IF;
    RAISE NOTICE 'organizations are isolated, and this session may not make one: nothing is done'
        USING HINT = 'A superuser, or a role with BYPASSRLS, may.';
END
$$;

INSERT INTO platform.projects (organization_id, slug, name, cloud_provider, status)
SELECT o.id, 'lancio-studio', 'Lancio Studio', 'railway', 'ACTIVE_HEALTHY'
FROM platform.organizations o
WHERE o.slug = 'lancio'
ON CONFLICT DO NOTHING;

COMMIT;
