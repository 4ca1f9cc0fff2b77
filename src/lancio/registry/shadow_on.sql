-- Policies that let every row pass and note each statement that 007 would keep one from. Runs in one transaction, behind
-- the part of 007 between its two marks; shadow_off.sql takes all of it back.

-- What of schema platform belonged to whom, for the way back.
CREATE TABLE platform_private.shadow_kept (object text PRIMARY KEY, owner text NOT NULL);

-- One row for each statement of a session that met a row it would not see. Not in the write-ahead log, and appended to
-- only: callers never wait for one another here.
CREATE UNLOGGED TABLE platform_private.denials (
    noted_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    role             text NOT NULL,
    application_name text NOT NULL,
    query            text NOT NULL,
    relation         text NOT NULL,
    kind             text NOT NULL,
    context          boolean NOT NULL
);

-- A statement's text without its literals: a connection string may be among them. Where quotes cannot be told apart for
-- sure (comments, quoted names, backslashes, dollar quotes), the text ends at the first one.
CREATE FUNCTION platform_private.shadow_text(query text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT left(btrim(regexp_replace(
        CASE WHEN q.t !~ '''' AND q.t !~ '\$[^0-9]' THEN regexp_replace(q.t, '(?<![$\w.])\d[\d.]*', '?', 'g')
             WHEN q.t ~ '--|/\*|"|\\|\$[^0-9]' OR current_setting('standard_conforming_strings') = 'off'
                  THEN substring(q.t from '^[^''$]*') || '...'
             ELSE regexp_replace(regexp_replace(q.t, '''(?:[^'']|'''')*''', '?', 'g'), '(?<![$\w.])\d[\d.]*', '?', 'g')
        END, '\s+', ' ', 'g'), ' ;'), 2000)
    FROM (SELECT coalesce(shadow_text.query, '') AS t) q
$body$;

-- Called once for a statement and a table, when the first row is met that would be hidden or refused: it is the value of
-- a subquery that does not depend on the row. Always true, whatever happens in it.
CREATE FUNCTION platform_private.shadow_note(relation text, kind text, role text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_role  text := CASE WHEN shadow_note.role = 'lancio_owner' THEN session_user::text ELSE shadow_note.role END;
    v_query text := platform_private.shadow_text(current_query());
    v_seen  text := coalesce(current_setting('lancio.shadow_seen', true), '');
    v_mark  text;
BEGIN
    v_mark := left(md5(concat_ws(E'\x01', v_role, current_setting('application_name'), v_query, shadow_note.relation,
                                 platform.current_organization_id() IS NOT NULL)), 12);
    -- An UPDATE of a row that would be hidden never comes to be refused: of the two, that is the one to note.
    IF strpos(v_seen, 'h' || v_mark) > 0 OR strpos(v_seen, left(shadow_note.kind, 1) || v_mark) > 0 THEN
        RETURN true;
    END IF;
    v_mark := left(shadow_note.kind, 1) || v_mark;
    IF current_setting('transaction_read_only') = 'on' THEN
        -- Nothing can be written: the server's log has it.
        RAISE LOG 'lancio shadow: % of platform.% by % (%): %', shadow_note.kind, shadow_note.relation, v_role,
            current_setting('application_name'), v_query;
    ELSIF pg_relation_size('platform_private.denials') < 67108864 THEN
        INSERT INTO platform_private.denials (role, application_name, query, relation, kind, context)
        VALUES (v_role, current_setting('application_name'), v_query, shadow_note.relation, shadow_note.kind,
                platform.current_organization_id() IS NOT NULL);
    END IF;
    -- Kept for the session, and taken back with the note when the transaction is.
    PERFORM set_config('lancio.shadow_seen', right(v_seen || v_mark, 6000), false);
    RETURN true;
EXCEPTION WHEN OTHERS THEN
    RAISE LOG 'lancio shadow: no note (%): %', SQLSTATE, SQLERRM;
    RETURN true;
END
$body$;

-- Whether 007 has anything for this role: it is one of the platform's, or a member.
CREATE FUNCTION platform_private.shadow_served() RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT pg_has_role('lancio_application', 'USAGE') OR pg_has_role('lancio_service', 'USAGE')
        OR pg_has_role('lancio_readonly', 'USAGE') OR pg_has_role('lancio_owner', 'USAGE')
$body$;

-- Until 007 a database does not name its organization: its projects stand for it.
CREATE FUNCTION platform_private.shadow_projects() RETURNS uuid[]
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT ARRAY(SELECT p.id FROM platform.projects p WHERE p.organization_id = platform.current_organization_id())
$body$;

-- A policy calls these for whoever reads.
GRANT EXECUTE ON FUNCTION platform.current_organization_id(), platform.current_user_id() TO PUBLIC;
GRANT EXECUTE ON FUNCTION platform.set_context(uuid, uuid) TO lancio_application, lancio_service, lancio_readonly;

-- A superuser's views and definer functions pass by every policy; those of 007 will not.
INSERT INTO platform_private.shadow_kept
SELECT 'VIEW platform.' || viewname, viewowner FROM pg_views WHERE schemaname = 'platform'
    AND viewname IN ('databases_safe', 'databases_with_connection_strings')
UNION ALL
SELECT 'FUNCTION ' || p.oid::regprocedure, pg_get_userbyid(p.proowner) FROM pg_proc p
WHERE p.oid = to_regprocedure('platform.decrypt_database_connection_string(uuid)');
GRANT USAGE, CREATE ON SCHEMA platform TO lancio_owner;
GRANT SELECT ON platform.databases TO lancio_owner;

DO $$
DECLARE
    t text;
    p text;
    c text;
BEGIN
    IF EXISTS (SELECT 1 FROM pg_extension e WHERE e.extname = 'pgcrypto' AND NOT has_schema_privilege('lancio_owner', e.extnamespace, 'USAGE')) THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO lancio_owner',
                       (SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pgcrypto'));
    END IF;
    FOR t IN SELECT object FROM platform_private.shadow_kept LOOP
        EXECUTE 'ALTER ' || t || ' OWNER TO lancio_owner';
    END LOOP;
    FOREACH t IN ARRAY ARRAY[
        'organizations', 'organization_members', 'organization_invitations', 'organization_feature_flags',
        'projects', 'project_members', 'project_addons', 'project_metrics',
        'subscriptions', 'invoices', 'payment_methods', 'tax_ids', 'customer_profiles', 'credits',
        'disk_config', 'compute_config', 'addons', 'usage_metrics',
        'users', 'user_sessions', 'api_keys', 'audit_logs', 'feature_flags', 'billing_plans', 'credentials', 'databases'
    ] LOOP
        -- The predicates of 007. What compares a row's id with itself costs nothing to speak of and is there for the
        -- planner: a statement's own conditions, being the cheaper, are asked first, and only rows they keep count.
        p := CASE t
            WHEN 'organizations' THEN
                'id = (SELECT platform.current_organization_id()) OR ((SELECT platform.current_organization_id()) IS NULL AND id = ANY (ARRAY('
                'SELECT m.organization_id FROM platform.organization_members m WHERE m.user_id = (SELECT platform.current_user_id()))))'
            WHEN 'organization_members' THEN
                'organization_id = (SELECT platform.current_organization_id()) '
                'OR ((SELECT platform.current_organization_id()) IS NULL AND user_id = (SELECT platform.current_user_id()))'
            WHEN 'databases' THEN 'project_id = ANY ((SELECT platform_private.shadow_projects())::uuid[])'
            WHEN 'users' THEN 'id = (SELECT platform.current_user_id())'
            WHEN 'user_sessions' THEN 'user_id = (SELECT platform.current_user_id())'
            WHEN 'addons' THEN 'true' WHEN 'feature_flags' THEN 'true' WHEN 'billing_plans' THEN 'true'
            ELSE 'organization_id = (SELECT platform.current_organization_id())' END;
        c := CASE WHEN t IN ('addons', 'feature_flags', 'billing_plans') THEN '(SELECT pg_has_role(''lancio_owner'', ''USAGE''))'
                  WHEN t = 'organizations' THEN 'id = (SELECT platform.current_organization_id())'
                  WHEN t = 'organization_members' THEN 'organization_id = (SELECT platform.current_organization_id())'
                  ELSE p END;
        EXECUTE format(
            'CREATE POLICY shadow_%1$s ON platform.%1$I AS RESTRICTIVE FOR ALL TO PUBLIC '
            'USING ((SELECT platform_private.caller_bypasses()) OR ((SELECT platform_private.shadow_served()) AND (%2$s) '
            'AND id = id AND id >= id AND id <= id AND NOT id < id AND NOT id > id) '
            'OR (SELECT platform_private.shadow_note(%1$L, ''hidden'', current_user::text))) '
            'WITH CHECK ((SELECT platform_private.caller_bypasses()) OR ((SELECT platform_private.shadow_served()) AND (%3$s)) '
            'OR (SELECT platform_private.shadow_note(%1$L, ''refused'', current_user::text)))', t, p, c);
        EXECUTE format('ALTER TABLE platform.%I FORCE ROW LEVEL SECURITY', t);
    END LOOP;
END
$$;
