-- Takes back what shadow_on.sql and the marked part of 007 made; the roles stay, since they belong to the whole server.
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
DECLARE
    t       text;
    v_owner text;
BEGIN
    FOREACH t IN ARRAY ARRAY[
        'organizations', 'organization_members', 'organization_invitations', 'organization_feature_flags',
        'projects', 'project_members', 'project_addons', 'project_metrics',
        'subscriptions', 'invoices', 'payment_methods', 'tax_ids', 'customer_profiles', 'credits',
        'disk_config', 'compute_config', 'addons', 'usage_metrics',
        'users', 'user_sessions', 'api_keys', 'audit_logs', 'feature_flags', 'billing_plans', 'credentials', 'databases'
    ] LOOP
        EXECUTE format('DROP POLICY IF EXISTS shadow_%s ON platform.%I', t, t);
        EXECUTE format('ALTER TABLE platform.%I NO FORCE ROW LEVEL SECURITY', t);
    END LOOP;
    FOR t, v_owner IN SELECT k.object, k.owner FROM platform_private.shadow_kept k LOOP
        EXECUTE format('ALTER %s OWNER TO %I', t, v_owner);
    END LOOP;
    DROP FUNCTION platform.set_context(uuid, uuid), platform.enter_organization(uuid), platform.current_organization_id(),
        platform.current_user_id(), platform_private.caller_bypasses(), platform_private.write_context(uuid, uuid),
        platform_private.shadow_note(text, text, text), platform_private.shadow_text(text), platform_private.shadow_served(),
        platform_private.shadow_projects();
    DROP TABLE platform_private.denials, platform_private.shadow_kept;
    DROP SEQUENCE platform_private.context_key_1, platform_private.context_key_2;
    DROP SCHEMA platform_private;
    REVOKE ALL ON SCHEMA platform FROM lancio_owner;
    REVOKE ALL ON platform.databases FROM lancio_owner;
END
$$;
