-- lancio: duration 3s
-- lancio: impact ZERO BEHAVIOR CHANGE (permissive policies)
-- lancio: risk low
-- lancio: requires server >= 9.5
-- lancio: verify SELECT count(*) >= 24 FROM pg_policies WHERE schemaname = 'platform'
--
-- 006, step 2: row level security on every table of the platform, with policies that let all rows pass.
--
-- The tables are named, not looked up: a loop over the catalog would, run again one day, open tables that a later
-- file has made and closed. platform.databases is among them if step 1 has made it; without it, run this file again
-- after step 1.
--
-- Each table gets "permissive_all_<table>" FOR ALL TO PUBLIC USING (true) WITH CHECK (true). Policies are permissive
-- unless they say otherwise; the words AS PERMISSIVE are left out because PostgreSQL 9.5 does not know them.
--
-- Safe to run again: a table that has policies of any kind keeps just these.

BEGIN;

-- Nothing is looked for where others may create: a function that fits better than PostgreSQL's own would run with the
-- rights of whoever runs this file.
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY[
        'organizations', 'organization_members', 'organization_invitations', 'organization_feature_flags',
        'projects', 'project_members', 'project_addons', 'project_metrics'
    ] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = 'platform' AND tablename = t) THEN
            RAISE EXCEPTION 'table platform.% does not exist', t
                USING ERRCODE = 'undefined_table', HINT = 'Run 001_create_platform_schema.sql first.';
        END IF;
    END LOOP;
    FOREACH t IN ARRAY ARRAY[
        'subscriptions', 'invoices', 'payment_methods', 'tax_ids', 'customer_profiles', 'credits',
        'disk_config', 'compute_config', 'addons', 'usage_metrics', 'billing_plans'
    ] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = 'platform' AND tablename = t) THEN
            RAISE EXCEPTION 'table platform.% does not exist', t
                USING ERRCODE = 'undefined_table', HINT = 'Run 002_platform_billing_schema.sql first.';
        END IF;
    END LOOP;
    FOREACH t IN ARRAY ARRAY['users', 'user_sessions', 'api_keys', 'credentials', 'feature_flags'] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = 'platform' AND tablename = t) THEN
            RAISE EXCEPTION 'table platform.% does not exist', t
                USING ERRCODE = 'undefined_table', HINT = 'Run 003_user_management_and_permissions.sql first.';
        END IF;
    END LOOP;
    IF to_regclass('platform.audit_logs') IS NULL THEN
        RAISE EXCEPTION 'table platform.audit_logs does not exist'
            USING ERRCODE = 'undefined_table', HINT = 'Run 005_create_audit_logs.sql first.';
    END IF;
END
$$;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY[
        'organizations', 'organization_members', 'organization_invitations', 'organization_feature_flags',
        'projects', 'project_members', 'project_addons', 'project_metrics',
        'subscriptions', 'invoices', 'payment_methods', 'tax_ids', 'customer_profiles', 'credits',
        'disk_config', 'compute_config', 'addons', 'usage_metrics',
        'users', 'user_sessions', 'api_keys', 'audit_logs', 'feature_flags', 'billing_plans', 'credentials'
    ] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = t) THEN
            EXECUTE format(
                'CREATE POLICY permissive_all_%s ON platform.%I FOR ALL TO PUBLIC USING (true) WITH CHECK (true)', t, t);
        ELSIF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = t
                          AND policyname = 'permissive_all_' || t) THEN
            RAISE NOTICE 'table platform.% has policies of its own, which are left as they are', t;
        END IF;
        IF NOT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = 'platform' AND tablename = t AND rowsecurity) THEN
            EXECUTE format('ALTER TABLE platform.%I ENABLE ROW LEVEL SECURITY', t);
        END IF;
    END LOOP;
END
$$;

DO $$
BEGIN
    IF to_regclass('platform.databases') IS NOT NULL THEN
        IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'databases') THEN
            CREATE POLICY permissive_all_databases ON platform.databases
                FOR ALL TO PUBLIC USING (true) WITH CHECK (true);
        ELSIF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'databases'
                          AND policyname = 'permissive_all_databases') THEN
            RAISE NOTICE 'table platform.databases has policies of its own, which are left as they are';
        END IF;
        IF NOT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = 'platform' AND tablename = 'databases' AND rowsecurity) THEN
            ALTER TABLE platform.databases ENABLE ROW LEVEL SECURITY;
        END IF;
    ELSE
        RAISE NOTICE 'table platform.databases does not exist yet and is left out'
            USING HINT = 'Run 006_add_platform_databases_table.sql, then this file again.';
    END IF;
END
$$;

DO $$
BEGIN
    IF to_regprocedure('platform.verify_rls_enabled()') IS NULL THEN
        CREATE FUNCTION platform.verify_rls_enabled()
            RETURNS TABLE (table_name text, rls_enabled boolean, policy_count integer)
            LANGUAGE sql STABLE
            SET search_path = pg_catalog, pg_temp
        AS $body$
            SELECT c.relname::text, c.relrowsecurity,
                   (SELECT count(*)::integer FROM pg_policy p WHERE p.polrelid = c.oid)
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = 'platform' AND c.relkind IN ('r', 'p')
            ORDER BY c.relname
        $body$;
        COMMENT ON FUNCTION platform.verify_rls_enabled() IS
            'Every table of the platform, those of later files too: is row level security on, and how many policies has it?';
    ELSE
        RAISE NOTICE 'function platform.verify_rls_enabled() exists and is left as it is';
    END IF;
END
$$;

-- It asks as whoever calls it (SECURITY INVOKER): a function with its owner's rights would see what the owner sees.
DO $$
BEGIN
    IF to_regprocedure('platform.test_rls_policies()') IS NULL THEN
        CREATE FUNCTION platform.test_rls_policies()
            RETURNS TABLE (test_name text, test_result text, description text)
            LANGUAGE plpgsql
            SET search_path = pg_catalog, pg_temp
        AS $body$
        DECLARE
            tables   text[] := ARRAY[
                'organizations', 'organization_members', 'organization_invitations', 'organization_feature_flags',
                'projects', 'project_members', 'project_addons', 'project_metrics',
                'subscriptions', 'invoices', 'payment_methods', 'tax_ids', 'customer_profiles', 'credits',
                'disk_config', 'compute_config', 'addons', 'usage_metrics',
                'users', 'user_sessions', 'api_keys', 'audit_logs', 'feature_flags', 'billing_plans', 'credentials'];
            t        text;
            bad      text;
            readable integer := 0;
        BEGIN
            IF EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = 'platform' AND tablename = 'databases') THEN
                tables := tables || 'databases'::text;
            END IF;

            test_name := 'rls_enabled';
            SELECT string_agg(x.name, ', ' ORDER BY x.name) INTO bad
            FROM unnest(tables) AS x (name)
            WHERE NOT EXISTS (SELECT 1 FROM pg_tables p
                              WHERE p.schemaname = 'platform' AND p.tablename = x.name AND p.rowsecurity);
            test_result := CASE WHEN bad IS NULL THEN 'PASS' ELSE 'FAIL' END;
            description := CASE WHEN bad IS NULL THEN 'Row level security is on for ' || cardinality(tables) || ' tables.'
                                ELSE 'Row level security is off for: ' || bad END;
            RETURN NEXT;

            test_name := 'policies_exist';
            SELECT string_agg(x.name, ', ' ORDER BY x.name) INTO bad
            FROM unnest(tables) AS x (name)
            WHERE NOT EXISTS (SELECT 1 FROM pg_policies p WHERE p.schemaname = 'platform' AND p.tablename = x.name
                              AND p.policyname = 'permissive_all_' || x.name);
            test_result := CASE WHEN bad IS NULL THEN 'PASS' ELSE 'FAIL' END;
            description := CASE WHEN bad IS NULL THEN 'Every table has its policy permissive_all_<table>.'
                                ELSE 'The policy permissive_all_<table> is missing for: ' || bad END;
            RETURN NEXT;

            test_name := 'policies_apply_to_everyone';
            SELECT string_agg(p.tablename::text, ', ' ORDER BY p.tablename) INTO bad
            FROM pg_policies p
            WHERE p.schemaname = 'platform' AND p.tablename = ANY (tables)
              AND p.policyname = 'permissive_all_' || p.tablename
              AND NOT (p.cmd = 'ALL' AND p.roles = ARRAY['public']::name[]);
            test_result := CASE WHEN bad IS NULL THEN 'PASS' ELSE 'FAIL' END;
            description := CASE WHEN bad IS NULL THEN 'The policies hold FOR ALL TO PUBLIC.'
                                ELSE 'The policy is not FOR ALL TO PUBLIC for: ' || bad END;
            RETURN NEXT;

            test_name := 'policies_let_all_rows_pass';
            SELECT string_agg(p.tablename::text, ', ' ORDER BY p.tablename) INTO bad
            FROM pg_policies p
            WHERE p.schemaname = 'platform' AND p.tablename = ANY (tables)
              AND p.policyname = 'permissive_all_' || p.tablename
              AND NOT (coalesce(p.qual, '') = 'true' AND coalesce(p.with_check, '') = 'true');
            test_result := CASE WHEN bad IS NULL THEN 'PASS' ELSE 'FAIL' END;
            description := CASE WHEN bad IS NULL THEN 'The policies are USING (true) WITH CHECK (true).'
                                ELSE 'The policy is not USING (true) WITH CHECK (true) for: ' || bad END;
            RETURN NEXT;

            -- A restrictive policy takes rows away whatever the others allow; a policy that fails, fails the query.
            test_name := 'queries_still_work';
            -- The column "permissive" of pg_policies is not there in 9.5, where all policies are.
            SELECT string_agg(DISTINCT p.tablename::text, ', ') INTO bad
            FROM pg_policies p
            WHERE p.schemaname = 'platform' AND p.tablename = ANY (tables)
              AND to_jsonb(p) ->> 'permissive' = 'RESTRICTIVE';
            IF bad IS NOT NULL THEN
                test_result := 'FAIL';
                description := 'A restrictive policy hides rows of: ' || bad;
            ELSE
                FOREACH t IN ARRAY tables LOOP
                    CONTINUE WHEN NOT EXISTS (SELECT 1 FROM pg_tables p WHERE p.schemaname = 'platform' AND p.tablename = t);
                    CONTINUE WHEN NOT has_table_privilege('platform.' || quote_ident(t), 'SELECT');
                    BEGIN
                        EXECUTE format('SELECT 1 FROM platform.%I LIMIT 1', t);
                        readable := readable + 1;
                    EXCEPTION WHEN OTHERS THEN
                        bad := coalesce(bad || ', ', '') || t || ' (' || SQLSTATE || ')';
                    END;
                END LOOP;
                test_result := CASE WHEN bad IS NULL THEN 'PASS' ELSE 'FAIL' END;
                description := CASE WHEN bad IS NULL
                    THEN 'No policy restricts, and the ' || readable || ' tables that ' || current_user || ' may read were read.'
                    ELSE 'Reading failed for: ' || bad END;
            END IF;
            RETURN NEXT;
        END
        $body$;
        COMMENT ON FUNCTION platform.test_rls_policies() IS
            'Five tests that the policies of 006 are there and change nothing, asked as the calling role.';
    ELSE
        RAISE NOTICE 'function platform.test_rls_policies() exists and is left as it is';
    END IF;
END
$$;

COMMIT;
