-- The way back from 007: the policies let all rows pass again, as after 006.
--
--     psql "$DATABASE_URL" -f 007_isolate_organizations.rollback.sql
--
-- By a superuser, or by a member of lancio_owner that has BYPASSRLS. No row is lost but platform_private's; the column
-- organization_id of platform.databases goes, which says what the project says too. The roles stay, since they belong to
-- the whole server and other databases may use them: lancio_application and lancio_readonly keep nothing here. Run
-- again it does nothing; 007 may be run again after it.

BEGIN;

-- Nothing is looked for where others may create: a function that fits better than PostgreSQL's own would run with the
-- rights of whoever runs this file.
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
DECLARE
    t       text;
    v_owner text;
    v_body  text;
BEGIN
    IF to_regclass('platform_private.replaced') IS NULL THEN
        RAISE NOTICE 'migration 007 is not applied here, nothing is taken back';
        RETURN;
    END IF;
    IF to_regclass('platform.data_keys') IS NOT NULL THEN
        RAISE EXCEPTION 'migration 008 is applied here'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Run 008_seal_with_organization_keys.rollback.sql first.';
    END IF;
    SELECT r.definition INTO v_owner FROM platform_private.replaced r WHERE r.object = 'owner';
    IF v_owner IS NULL OR v_owner = 'lancio_owner' OR NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = v_owner) THEN
        v_owner := current_user;
    END IF;

    FOREACH t IN ARRAY ARRAY[
        'organizations', 'organization_members', 'organization_invitations', 'organization_feature_flags',
        'projects', 'project_members', 'project_addons', 'project_metrics',
        'subscriptions', 'invoices', 'payment_methods', 'tax_ids', 'customer_profiles', 'credits',
        'disk_config', 'compute_config', 'addons', 'usage_metrics',
        'users', 'user_sessions', 'api_keys', 'audit_logs', 'feature_flags', 'billing_plans', 'credentials', 'databases'
    ] LOOP
        EXECUTE format('DROP POLICY IF EXISTS organization_%s ON platform.%I', t, t);
        EXECUTE format('DROP POLICY IF EXISTS owner_%s ON platform.%I', t, t);
        EXECUTE format('DROP POLICY IF EXISTS changed_%s ON platform.%I', t, t);
        EXECUTE format('DROP POLICY IF EXISTS removed_%s ON platform.%I', t, t);
        IF EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = t AND policyname = 'permissive_all_' || t) THEN
            EXECUTE format('ALTER POLICY permissive_all_%s ON platform.%I TO PUBLIC', t, t);
        ELSE
            EXECUTE format('CREATE POLICY permissive_all_%s ON platform.%I FOR ALL TO PUBLIC USING (true) WITH CHECK (true)', t, t);
        END IF;
        EXECUTE format('ALTER TABLE platform.%I NO FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('REVOKE ALL ON platform.%I FROM lancio_application, lancio_readonly', t);
        IF t IN ('organizations', 'projects', 'organization_members', 'credentials', 'audit_logs', 'addons', 'feature_flags', 'billing_plans') THEN
            EXECUTE format('REVOKE ALL ON platform.%I FROM lancio_service', t);
        END IF;
    END LOOP;
    -- Rights on single columns go with those on the whole table.
    REVOKE ALL ON platform.databases_safe FROM lancio_application, lancio_service, lancio_readonly;
    REVOKE ALL ON SCHEMA platform FROM lancio_application, lancio_readonly;

    FOR t, v_body IN SELECT r.object, r.definition FROM platform_private.replaced r WHERE r.object <> 'owner' LOOP
        EXECUTE v_body;
    END LOOP;
    COMMENT ON FUNCTION platform.encrypt_database_connection_string() IS
        'Trigger: seals connection_string into connection_string_encrypted and leaves its display form. SQLSTATE 55000 without a key.';
    COMMENT ON FUNCTION platform.verify_rls_enabled() IS
        'Every table of the platform, those of later files too: is row level security on, and how many policies has it?';
    COMMENT ON FUNCTION platform.test_rls_policies() IS
        'Five tests that the policies of 006 are there and change nothing, asked as the calling role.';

    IF to_regprocedure('platform.decrypt_database_connection_string(uuid)') IS NOT NULL THEN
        ALTER FUNCTION platform.decrypt_database_connection_string(uuid) RESET row_security;
    END IF;
    DROP INDEX IF EXISTS platform.idx_databases_organization_id, platform.idx_databases_type_organization_id, platform.idx_databases_project_id_organization_id,
        platform.idx_databases_project_type_status_organization_id,
        platform.idx_databases_health_check_organization_id, platform.idx_organization_invitations_organization_id;
    ALTER TABLE platform.databases DROP COLUMN IF EXISTS organization_id;
    ALTER TABLE platform.audit_logs DROP CONSTRAINT IF EXISTS audit_logs_project_has_organization;
    DROP TRIGGER IF EXISTS look_for_project ON platform.audit_logs;
    DROP FUNCTION IF EXISTS platform_private.look_for_project();
    IF current_setting('server_version_num')::integer >= 150000 THEN
        ALTER VIEW platform.databases_safe RESET (security_invoker);
        ALTER VIEW platform.databases_with_connection_strings RESET (security_invoker);
    END IF;

    DROP FUNCTION IF EXISTS platform.set_context(uuid, uuid), platform.enter_organization(uuid),
        platform_private.first_organization_id(), platform_private.last_organization_id(),
        platform_private.first_organization_id(name), platform_private.last_organization_id(name),
        platform.current_organization_id(), platform.current_user_id(),
        platform_private.write_context(uuid, uuid), platform_private.caller_bypasses();

    FOREACH t IN ARRAY ARRAY[
        'organizations', 'organization_members', 'organization_invitations', 'organization_feature_flags',
        'projects', 'project_members', 'project_addons', 'project_metrics',
        'subscriptions', 'invoices', 'payment_methods', 'tax_ids', 'customer_profiles', 'credits',
        'disk_config', 'compute_config', 'addons', 'usage_metrics',
        'users', 'user_sessions', 'api_keys', 'audit_logs', 'feature_flags', 'billing_plans', 'credentials', 'databases'
    ] LOOP
        EXECUTE format('ALTER TABLE platform.%I OWNER TO %I', t, v_owner);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['databases_safe', 'databases_with_connection_strings'] LOOP
        EXECUTE format('ALTER VIEW platform.%I OWNER TO %I', t, v_owner);
    END LOOP;
    FOREACH t IN ARRAY ARRAY[
        'platform.update_updated_at_column()', 'platform.encrypt_database_connection_string()',
        'platform.decrypt_database_connection_string(uuid)', 'platform.get_project_databases(uuid, text)',
        'platform.update_database_health(uuid, text, text)', 'platform.verify_rls_enabled()', 'platform.test_rls_policies()',
        'platform.register_database_from_setting(uuid, text, text, text, text, text, integer)'
    ] LOOP
        IF to_regprocedure(t) IS NOT NULL THEN
            EXECUTE format('ALTER FUNCTION %s OWNER TO %I', t, v_owner);
        END IF;
    END LOOP;
    EXECUTE format('ALTER SCHEMA platform OWNER TO %I', v_owner);
    DROP TABLE platform_private.replaced;
    DROP SEQUENCE platform_private.context_key_1, platform_private.context_key_2;
    DROP SCHEMA platform_private CASCADE;
    RAISE NOTICE 'migration 007 is taken back: the policies let all rows pass';
END
$$;

COMMIT;
