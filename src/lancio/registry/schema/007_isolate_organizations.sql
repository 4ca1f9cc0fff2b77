-- lancio: impact rows of other organizations are hidden; a session without a context sees none
-- lancio: risk high
-- lancio: requires server >= 10
-- lancio: requires policy permissive_all_organizations on platform.organizations
-- lancio: verify SELECT count(*) >= 26 FROM pg_policies WHERE schemaname = 'platform' AND permissive = 'RESTRICTIVE' AND policyname::text = 'organization_' || tablename::text
-- lancio: verify SELECT count(*) >= 26 FROM platform.verify_rls_enabled() WHERE rls_enabled AND policy_count >= 3
--
-- 007: every organization sees its own rows.
--
-- Four roles, none of which may log in: GRANT them to those that do.
--
--     lancio_owner         everything in schema platform belongs to it, and FORCE binds it too
--     lancio_application   reads and writes the rows of the organization in its context
--     lancio_service       the broker: as before, within its context
--     lancio_readonly      reads them, without hashes, envelopes and connection strings
--
-- Three policies on each of the 26 tables:
--
--     permissive_all_<table>   the base that PostgreSQL needs, from PUBLIC narrowed to the three roles that work
--     organization_<table>     RESTRICTIVE, for the same three: the organization in the session's context, nothing else
--     owner_<table>            for lancio_owner, and so for its views and functions: the same organization; every row if
--                              who asks is a superuser or has BYPASSRLS, who would see them anyway
--
-- and on organizations and organization_members two more, changed_<table> and removed_<table>: what a user alone sees, to
-- choose from, is not written.
--
-- The context is one setting, lancio.context, which platform.set_context(user_id, organization_id) fills for the
-- rest of the transaction after it has looked whether the user is a member. It bears a MAC over the transaction's time,
-- the session's process, user and organization, under a key that lancio_owner alone can read: a context that was
-- written by hand, or kept from an earlier transaction, is none.
--
-- Safe to run again: what is there stays as it is, also where a later file has changed it. What this file replaces is
-- kept in platform_private.replaced, and 007_isolate_organizations.rollback.sql puts it back.

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
    IF NOT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'pgcrypto') THEN
        RAISE EXCEPTION 'extension pgcrypto does not exist'
            USING ERRCODE = 'undefined_object', HINT = 'Run 003_user_management_and_permissions.sql first.';
    END IF;
    IF to_regclass('platform.audit_logs') IS NULL THEN
        RAISE EXCEPTION 'table platform.audit_logs does not exist'
            USING ERRCODE = 'undefined_table', HINT = 'Run 005_create_audit_logs.sql first.';
    END IF;
    IF to_regclass('platform.databases') IS NULL THEN
        RAISE EXCEPTION 'relation platform.databases does not exist'
            USING ERRCODE = 'undefined_table', HINT = 'Run 006_add_platform_databases_table.sql first.';
    END IF;
    IF EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND policyname = 'shadow_' || tablename) THEN
        RAISE EXCEPTION 'shadow mode is on'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Read its report, then end it: lancio shadow report; lancio shadow off.';
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
        'users', 'user_sessions', 'api_keys', 'audit_logs', 'feature_flags', 'billing_plans', 'credentials', 'databases'
    ] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = t
                       AND policyname = 'permissive_all_' || t) THEN
            RAISE EXCEPTION 'policy permissive_all_% on table platform.% does not exist', t, t
                USING ERRCODE = 'undefined_object',
                      HINT = 'Run 006_enable_rls_with_permissive_policies.sql first.';
        END IF;
    END LOOP;
EXCEPTION WHEN undefined_object THEN
    -- Where this file ran before, it puts a base that was lost since back itself, and a narrow one.
    IF NOT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = 'platform_private' AND tablename = 'replaced') THEN
        RAISE;
    END IF;
END
$$;

DO $$
BEGIN
    IF to_regprocedure('platform.register_database_from_setting(uuid, text, text, text, text, text, integer)') IS NULL THEN
        RAISE EXCEPTION 'function platform.register_database_from_setting(uuid, text, text, text, text, text, integer) does not exist'
            USING ERRCODE = 'undefined_function', HINT = 'Run 006_register_railway_databases.sql first.';
    END IF;
END
$$;

-- From here to the mark below, shadow mode runs the same statements: they change nothing for anyone. (lancio shadow)
-- [context]

SET LOCAL search_path = pg_catalog, pg_temp;

-- Roles belong to the whole server, so another database may have made them, perhaps in this very moment.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'lancio_owner') THEN
        CREATE ROLE lancio_owner NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;  -- made by another database meanwhile, which is just as good
END
$$;
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'lancio_application') THEN
        CREATE ROLE lancio_application NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'lancio_service') THEN
        CREATE ROLE lancio_service NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'lancio_readonly') THEN
        CREATE ROLE lancio_readonly NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;

-- Isolation is worth what these roles are: whoever made them.
DO $$
DECLARE
    bad text;
BEGIN
    SELECT string_agg(r.rolname::text, ', ' ORDER BY r.rolname) INTO bad
    FROM pg_roles r
    WHERE (r.rolsuper OR r.rolbypassrls)
      AND (pg_has_role('lancio_owner', r.oid, 'MEMBER') OR pg_has_role('lancio_application', r.oid, 'MEMBER')
           OR pg_has_role('lancio_service', r.oid, 'MEMBER') OR pg_has_role('lancio_readonly', r.oid, 'MEMBER'));
    IF bad IS NOT NULL THEN
        RAISE EXCEPTION 'policies do not hold for: %', bad
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Take it from them: ALTER ROLE ... NOSUPERUSER NOBYPASSRLS. If it is none of the four that 007 makes, '
                         'one of these is a member of it: REVOKE ... FROM lancio_owner, lancio_application, lancio_service, lancio_readonly.';
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'lancio_owner' AND rolcanlogin) THEN
        RAISE EXCEPTION 'role lancio_owner may log in'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'ALTER ROLE lancio_owner NOLOGIN.';
    END IF;
    IF pg_has_role('lancio_application', 'lancio_owner', 'MEMBER') OR pg_has_role('lancio_service', 'lancio_owner', 'MEMBER')
       OR pg_has_role('lancio_readonly', 'lancio_owner', 'MEMBER') THEN
        RAISE EXCEPTION 'a role that policies should bind is a member of lancio_owner'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'REVOKE lancio_owner FROM lancio_application, lancio_service, lancio_readonly.';
    END IF;
    -- Who hands things over to the owner role has to be one of its members; a superuser need not.
    IF NOT pg_has_role('lancio_owner', 'USAGE') THEN
        GRANT lancio_owner TO CURRENT_USER;
    END IF;
END
$$;

-- The key of contexts: out of everyone's reach, in a schema of its own.
CREATE SCHEMA IF NOT EXISTS platform_private;

-- Two numbers of 63 bits. Sequences, since their value can be read without a query, which the policies would pay for.
CREATE SEQUENCE IF NOT EXISTS platform_private.context_key_1;
CREATE SEQUENCE IF NOT EXISTS platform_private.context_key_2;

-- What another role made there before is not what this file would make: a key that it knows, a function that says yes.
DO $$
DECLARE
    bad text;
BEGIN
    SELECT string_agg(x.what || ' of ' || r.rolname::text, ', ' ORDER BY x.what) INTO bad
    FROM (SELECT 'schema platform_private'::text AS what, n.nspowner AS owner FROM pg_namespace n WHERE n.nspname = 'platform_private'
          UNION ALL
          SELECT 'relation ' || c.oid::regclass::text, c.relowner FROM pg_class c
          WHERE c.relnamespace = 'platform_private'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
          UNION ALL
          SELECT 'function ' || p.oid::regprocedure::text, p.proowner FROM pg_proc p WHERE p.pronamespace = 'platform_private'::regnamespace
          UNION ALL
          SELECT 'operator ' || o.oid::regoperator::text, o.oprowner FROM pg_operator o WHERE o.oprnamespace = 'platform_private'::regnamespace
          UNION ALL
          SELECT 'type ' || t.oid::regtype::text, t.typowner FROM pg_type t
          WHERE t.typnamespace = 'platform_private'::regnamespace AND t.typtype IN ('b', 'd', 'e', 'r') AND t.typelem = 0) x
    JOIN pg_roles r ON r.oid = x.owner
    WHERE NOT r.rolsuper AND r.rolname NOT IN ('lancio_owner', current_user);
    IF bad IS NOT NULL THEN
        RAISE EXCEPTION 'another role made what belongs to this file: %', bad
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Find out who did, and drop it: DROP SCHEMA platform_private CASCADE. Where 007 was applied before, hand it to '
                         'lancio_owner instead.';
    END IF;
END
$$;

-- pgcrypto is used where it lives. The functions below keep this path as their own (SET search_path FROM CURRENT).
DO $$
BEGIN
    PERFORM set_config('search_path', 'pg_catalog, ' || quote_ident(n.nspname) || ', pg_temp', true)
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'pgcrypto';
END
$$;

SELECT pg_catalog.setval('platform_private.context_key_1'::regclass,
                         greatest(('x'::text || pg_catalog.encode(gen_random_bytes(8), 'hex'::text))::bit(64)::bigint & 9223372036854775807, 1::bigint)),
       pg_catalog.setval('platform_private.context_key_2'::regclass,
                         greatest(('x'::text || pg_catalog.encode(gen_random_bytes(8), 'hex'::text))::bit(64)::bigint & 9223372036854775807, 1::bigint))
WHERE NOT (SELECT is_called FROM platform_private.context_key_1);

-- Who asks, behind a definer function: the role that was SET, else that of the session. Neither can be changed to one that
-- the session is no member of. But what a role has put into an index or a materialized view runs with its rights in the
-- session of whoever analyses or refreshes it, autovacuum's among them. PostgreSQL calls that a security-restricted
-- operation and then refuses a cursor WITH HOLD, which is the way to learn of it. (A text of this file knew it not: that one
-- was STABLE.)
DO $$
BEGIN
    IF pg_catalog.to_regprocedure('platform_private.caller_bypasses()') IS NULL OR EXISTS (
        SELECT 1 FROM pg_catalog.pg_proc p
        WHERE p.oid = pg_catalog.to_regprocedure('platform_private.caller_bypasses()')::oid AND p.provolatile = 's'
    ) THEN
        CREATE OR REPLACE FUNCTION platform_private.caller_bypasses() RETURNS boolean
            LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
            SET search_path = pg_catalog, pg_temp
        AS $body$
        BEGIN
            IF NOT coalesce((SELECT r.rolsuper OR r.rolbypassrls FROM pg_roles r
                             WHERE r.rolname = CASE current_setting('role') WHEN 'none' THEN session_user::text
                                                                            ELSE current_setting('role') END), false) THEN
                RETURN false;
            END IF;
            BEGIN
                EXECUTE 'DECLARE "lancio: is it the session that asks" CURSOR WITH HOLD FOR SELECT 1';
                EXECUTE 'CLOSE "lancio: is it the session that asks"';
            EXCEPTION WHEN insufficient_privilege THEN
                RETURN false;
            END;
            RETURN true;
        END
        $body$;
        COMMENT ON FUNCTION platform_private.caller_bypasses() IS
            'Is who asks a superuser, or does BYPASSRLS hold for the role? Policies of lancio_owner let those through.';
    END IF;
END
$$;

-- lancio.context is <user>:<organization>:<MAC>, 16, 16 and 32 bytes in hexadecimal digits; sixteen zero bytes stand for
-- nobody and none. The MAC is SHA-256 over the key and then a text of one length only, which is what makes this plain form
-- a sound one: 16 bytes of key, 4 of the process, 8 of the transaction's time, 65 of user and organization. It is verified
-- before anything else is made of the text, once for each table of a query.
DO $$
BEGIN
    IF pg_catalog.to_regprocedure('platform_private.write_context(uuid, uuid)') IS NULL THEN
        CREATE FUNCTION platform_private.write_context(user_id uuid, organization_id uuid) RETURNS void
            LANGUAGE plpgsql
            SET search_path FROM CURRENT
        AS $body$
        DECLARE
            nobody uuid := '00000000-0000-0000-0000-000000000000';
            named  text := encode(uuid_send(coalesce(write_context.user_id, nobody)), 'hex'::text) || ':'::text
                           || encode(uuid_send(coalesce(write_context.organization_id, nobody)), 'hex'::text);
        BEGIN
            PERFORM set_config('lancio.context', named || ':'::text
                || encode(digest(int8send(pg_sequence_last_value('platform_private.context_key_1'::regclass))
                                 || int8send(pg_sequence_last_value('platform_private.context_key_2'::regclass))
                                 || int4send(pg_backend_pid()) || timestamptz_send(now()) || convert_to(named, 'UTF8'::name),
                                 'sha256'::text), 'hex'::text), true);
        END
        $body$;
        COMMENT ON FUNCTION platform_private.write_context(uuid, uuid) IS
            'Writes a context that holds for the rest of this transaction. Looks at nothing: for functions that have looked.';
    END IF;
END
$$;

-- These two are asked by every query, and to set a search_path costs as much as all that they do. So they have none of
-- their own, and each name, operator and type in them says that it is PostgreSQL's. (Below 11 SHA-256 is pgcrypto's alone,
-- which lives where its schema is: there they have one.)
DO $$
BEGIN
    IF pg_catalog.to_regprocedure('platform.current_organization_id()') IS NULL THEN
        IF pg_catalog.current_setting('server_version_num')::integer >= 110000 THEN
            CREATE FUNCTION platform.current_organization_id() RETURNS uuid
                LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL RESTRICTED
            AS $body$
            DECLARE
                -- Not set it is NULL, and empty once a transaction that had set it is over.
                context pg_catalog.bytea := pg_catalog.textsend(pg_catalog.current_setting('lancio.context'::pg_catalog.text, true));
            BEGIN
                RETURN CASE WHEN pg_catalog.octet_length(context) OPERATOR(pg_catalog.=) 130
                    AND pg_catalog.textsend(pg_catalog.encode(pg_catalog.sha256(
                            pg_catalog.int8send(pg_catalog.pg_sequence_last_value('platform_private.context_key_1'::pg_catalog.regclass))
                            OPERATOR(pg_catalog.||) pg_catalog.int8send(pg_catalog.pg_sequence_last_value('platform_private.context_key_2'::pg_catalog.regclass))
                            OPERATOR(pg_catalog.||) pg_catalog.int4send(pg_catalog.pg_backend_pid())
                            OPERATOR(pg_catalog.||) pg_catalog.timestamptz_send(pg_catalog.now())
                            OPERATOR(pg_catalog.||) pg_catalog.substr(context, 1, 65)), 'hex'::pg_catalog.text))
                        OPERATOR(pg_catalog.=) pg_catalog.substr(context, 67)
                    AND pg_catalog.substr(context, 34, 32) OPERATOR(pg_catalog.<>) '00000000000000000000000000000000'::pg_catalog.bytea
                    THEN pg_catalog.encode(pg_catalog.substr(context, 34, 32), 'escape'::pg_catalog.text)::pg_catalog.uuid END;
            END
            $body$;
        ELSE
            CREATE FUNCTION platform.current_organization_id() RETURNS uuid
                LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL RESTRICTED
                SET search_path FROM CURRENT
            AS $body$
            DECLARE
                context bytea := textsend(current_setting('lancio.context'::text, true));
            BEGIN
                RETURN CASE WHEN octet_length(context) = 130
                    AND textsend(encode(digest(
                            int8send(pg_sequence_last_value('platform_private.context_key_1'::regclass))
                            || int8send(pg_sequence_last_value('platform_private.context_key_2'::regclass))
                            || int4send(pg_backend_pid()) || timestamptz_send(now()) || substr(context, 1, 65),
                            'sha256'::text), 'hex'::text)) = substr(context, 67)
                    AND substr(context, 34, 32) <> '00000000000000000000000000000000'::bytea
                    THEN encode(substr(context, 34, 32), 'escape'::text)::uuid END;
            END
            $body$;
        END IF;
        REVOKE ALL ON FUNCTION platform.current_organization_id() FROM PUBLIC;
        COMMENT ON FUNCTION platform.current_organization_id() IS
            'The organization that set_context() has set in this transaction; NULL if there is none, or if it was not set_context() that wrote it.';
    END IF;
END
$$;

DO $$
BEGIN
    IF pg_catalog.to_regprocedure('platform.current_user_id()') IS NULL THEN
        IF pg_catalog.current_setting('server_version_num')::integer >= 110000 THEN
            CREATE FUNCTION platform.current_user_id() RETURNS uuid
                LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL RESTRICTED
            AS $body$
            DECLARE
                -- Not set it is NULL, and empty once a transaction that had set it is over.
                context pg_catalog.bytea := pg_catalog.textsend(pg_catalog.current_setting('lancio.context'::pg_catalog.text, true));
            BEGIN
                RETURN CASE WHEN pg_catalog.octet_length(context) OPERATOR(pg_catalog.=) 130
                    AND pg_catalog.textsend(pg_catalog.encode(pg_catalog.sha256(
                            pg_catalog.int8send(pg_catalog.pg_sequence_last_value('platform_private.context_key_1'::pg_catalog.regclass))
                            OPERATOR(pg_catalog.||) pg_catalog.int8send(pg_catalog.pg_sequence_last_value('platform_private.context_key_2'::pg_catalog.regclass))
                            OPERATOR(pg_catalog.||) pg_catalog.int4send(pg_catalog.pg_backend_pid())
                            OPERATOR(pg_catalog.||) pg_catalog.timestamptz_send(pg_catalog.now())
                            OPERATOR(pg_catalog.||) pg_catalog.substr(context, 1, 65)), 'hex'::pg_catalog.text))
                        OPERATOR(pg_catalog.=) pg_catalog.substr(context, 67)
                    AND pg_catalog.substr(context, 1, 32) OPERATOR(pg_catalog.<>) '00000000000000000000000000000000'::pg_catalog.bytea
                    THEN pg_catalog.encode(pg_catalog.substr(context, 1, 32), 'escape'::pg_catalog.text)::pg_catalog.uuid END;
            END
            $body$;
        ELSE
            CREATE FUNCTION platform.current_user_id() RETURNS uuid
                LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL RESTRICTED
                SET search_path FROM CURRENT
            AS $body$
            DECLARE
                context bytea := textsend(current_setting('lancio.context'::text, true));
            BEGIN
                RETURN CASE WHEN octet_length(context) = 130
                    AND textsend(encode(digest(
                            int8send(pg_sequence_last_value('platform_private.context_key_1'::regclass))
                            || int8send(pg_sequence_last_value('platform_private.context_key_2'::regclass))
                            || int4send(pg_backend_pid()) || timestamptz_send(now()) || substr(context, 1, 65),
                            'sha256'::text), 'hex'::text)) = substr(context, 67)
                    AND substr(context, 1, 32) <> '00000000000000000000000000000000'::bytea
                    THEN encode(substr(context, 1, 32), 'escape'::text)::uuid END;
            END
            $body$;
        END IF;
        REVOKE ALL ON FUNCTION platform.current_user_id() FROM PUBLIC;
        COMMENT ON FUNCTION platform.current_user_id() IS
            'The user that set_context() has set in this transaction, or NULL.';
    END IF;
END
$$;

-- It reads users and memberships as lancio_owner, whom the policies bind: with a context of the user alone, which shows
-- the user's own row and memberships, and no other's.
DO $$
BEGIN
    IF pg_catalog.to_regprocedure('platform.set_context(uuid, uuid)') IS NULL THEN
        CREATE FUNCTION platform.set_context(user_id uuid, organization_id uuid DEFAULT NULL) RETURNS text
            LANGUAGE plpgsql SECURITY DEFINER
            SET search_path FROM CURRENT
            SET row_security = on
        AS $body$
        DECLARE
            v_role text;
        BEGIN
            PERFORM set_config('lancio.context', '', true);
            IF set_context.user_id IS NULL THEN
                RAISE EXCEPTION 'a context has a user' USING ERRCODE = 'invalid_parameter_value';
            END IF;
            PERFORM platform_private.write_context(set_context.user_id, NULL);
            IF NOT EXISTS (SELECT 1 FROM platform.users u WHERE u.id = set_context.user_id AND u.disabled_at IS NULL) THEN
                PERFORM set_config('lancio.context', '', true);
                RAISE EXCEPTION 'user % is not there or is disabled', set_context.user_id
                    USING ERRCODE = 'insufficient_privilege';
            END IF;
            IF set_context.organization_id IS NULL THEN
                RETURN NULL;
            END IF;
            SELECT m.role INTO v_role FROM platform.organization_members m
            WHERE m.organization_id = set_context.organization_id AND m.user_id = set_context.user_id;
            IF NOT FOUND THEN
                PERFORM set_config('lancio.context', '', true);
                RAISE EXCEPTION 'user % is not a member of organization %', set_context.user_id, set_context.organization_id
                    USING ERRCODE = 'insufficient_privilege',
                          HINT = 'The same is said of an organization that is not there.';
            END IF;
            PERFORM platform_private.write_context(set_context.user_id, set_context.organization_id);
            RETURN v_role;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform.set_context(uuid, uuid) FROM PUBLIC;
        COMMENT ON FUNCTION platform.set_context(uuid, uuid) IS
            'Sets user and organization for the rest of this transaction and returns the user''s role there. 42501 for who is no member. Without an organization: the user''s own row, sessions, memberships and organizations.';
    END IF;
END
$$;

-- For jobs that work for an organization without one of its users. Granted to nobody here.
DO $$
BEGIN
    IF pg_catalog.to_regprocedure('platform.enter_organization(uuid)') IS NULL THEN
        CREATE FUNCTION platform.enter_organization(organization_id uuid) RETURNS void
            LANGUAGE plpgsql SECURITY DEFINER
            SET search_path FROM CURRENT
            SET row_security = on
        AS $body$
        BEGIN
            PERFORM platform_private.write_context(NULL, enter_organization.organization_id);
            IF NOT EXISTS (SELECT 1 FROM platform.organizations o WHERE o.id = enter_organization.organization_id) THEN
                PERFORM set_config('lancio.context', '', true);
                RAISE EXCEPTION 'organization % is not there', enter_organization.organization_id
                    USING ERRCODE = 'no_data_found';
            END IF;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform.enter_organization(uuid) FROM PUBLIC;
        COMMENT ON FUNCTION platform.enter_organization(uuid) IS
            'Sets an organization, and no user, for the rest of this transaction. For lancio_owner, and for jobs it is granted to.';
    END IF;
END
$$;

SET LOCAL search_path = pg_catalog, pg_temp;

-- [/context]

-- What this file replaces, for the way back.
CREATE TABLE IF NOT EXISTS platform_private.replaced (
    object     text PRIMARY KEY,
    definition text NOT NULL
);

INSERT INTO platform_private.replaced (object, definition)
SELECT 'owner', tableowner FROM pg_tables WHERE schemaname = 'platform' AND tablename = 'organizations'
ON CONFLICT DO NOTHING;

-- The bounds of the organizations that lancio_owner sees: one, or all of them for who would see them anyway. A range is
-- something an index can answer, which "this one, or all" is not.
DO $$
BEGIN
    IF to_regprocedure('platform_private.first_organization_id()') IS NULL THEN
        CREATE FUNCTION platform_private.first_organization_id() RETURNS uuid
            LANGUAGE sql STABLE SECURITY DEFINER PARALLEL UNSAFE
            SET search_path = pg_catalog, pg_temp
        AS $body$
            SELECT CASE WHEN platform_private.caller_bypasses() THEN '00000000-0000-0000-0000-000000000000'::uuid
                        ELSE platform.current_organization_id() END
        $body$;
    END IF;
    IF to_regprocedure('platform_private.last_organization_id()') IS NULL THEN
        CREATE FUNCTION platform_private.last_organization_id() RETURNS uuid
            LANGUAGE sql STABLE SECURITY DEFINER PARALLEL UNSAFE
            SET search_path = pg_catalog, pg_temp
        AS $body$
            SELECT CASE WHEN platform_private.caller_bypasses() THEN 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid
                        ELSE platform.current_organization_id() END
        $body$;
    END IF;
    -- The same for who reads a view: `who` is current_user, as the policy finds it. The session alone does not tell: what a
    -- role has put into an index or a materialized view runs with its rights in the session of a superuser, or of autovacuum.
    IF to_regprocedure('platform_private.first_organization_id(name)') IS NULL THEN
        CREATE FUNCTION platform_private.first_organization_id(who name) RETURNS uuid
            LANGUAGE sql STABLE SECURITY DEFINER PARALLEL UNSAFE
            SET search_path = pg_catalog, pg_temp
        AS $body$
            SELECT CASE WHEN CASE first_organization_id.who WHEN 'lancio_owner' THEN platform_private.caller_bypasses()
                             ELSE coalesce((SELECT r.rolsuper OR r.rolbypassrls FROM pg_roles r
                                            WHERE r.rolname = first_organization_id.who), false) END
                        THEN '00000000-0000-0000-0000-000000000000'::uuid ELSE platform.current_organization_id() END
        $body$;
    END IF;
    IF to_regprocedure('platform_private.last_organization_id(name)') IS NULL THEN
        CREATE FUNCTION platform_private.last_organization_id(who name) RETURNS uuid
            LANGUAGE sql STABLE SECURITY DEFINER PARALLEL UNSAFE
            SET search_path = pg_catalog, pg_temp
        AS $body$
            SELECT CASE WHEN CASE last_organization_id.who WHEN 'lancio_owner' THEN platform_private.caller_bypasses()
                             ELSE coalesce((SELECT r.rolsuper OR r.rolbypassrls FROM pg_roles r
                                            WHERE r.rolname = last_organization_id.who), false) END
                        THEN 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid ELSE platform.current_organization_id() END
        $body$;
    END IF;
END
$$;

-- platform.databases gets its organization. The rows that are there are filled in without a trigger that would call them
-- updated; what is sealed in them is not touched.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = 'platform.databases'::regclass AND attname = 'organization_id' AND NOT attisdropped) THEN
        ALTER TABLE platform.databases ADD COLUMN organization_id uuid;
        ALTER TABLE platform.databases DISABLE TRIGGER USER;
        UPDATE platform.databases AS d SET organization_id = p.organization_id FROM platform.projects p WHERE p.id = d.project_id;
        ALTER TABLE platform.databases ENABLE TRIGGER USER;
        ALTER TABLE platform.databases ALTER COLUMN organization_id SET NOT NULL;
        ALTER TABLE platform.databases ADD CONSTRAINT databases_project_id_organization_id_fkey
            FOREIGN KEY (project_id, organization_id) REFERENCES platform.projects (id, organization_id) ON DELETE CASCADE;
        COMMENT ON COLUMN platform.databases.organization_id IS
            'The organization of its project; filled in by the sealing trigger, and never changed.';
    END IF;
END
$$;

-- An audit entry that names its project names the organization, too. NOT VALID: entries from before stay.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = 'audit_logs_project_has_organization'
                   AND conrelid = 'platform.audit_logs'::regclass) THEN
        ALTER TABLE platform.audit_logs ADD CONSTRAINT audit_logs_project_has_organization
            CHECK (project_id IS NULL OR organization_id IS NOT NULL) NOT VALID;
    END IF;
END
$$;

-- Who writes an entry does not learn from it whether a project that is not seen exists: of two foreign keys, which one is
-- violated would tell.
DO $$
BEGIN
    IF to_regprocedure('platform_private.look_for_project()') IS NULL THEN
        CREATE FUNCTION platform_private.look_for_project() RETURNS trigger
            LANGUAGE plpgsql SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp
            SET row_security = on
        AS $body$
        BEGIN
            IF NEW.project_id IS NOT NULL AND NEW.organization_id IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM platform.projects p WHERE p.id = NEW.project_id AND p.organization_id = NEW.organization_id
            ) THEN
                RAISE EXCEPTION 'project % is not there', NEW.project_id
                    USING ERRCODE = 'foreign_key_violation',
                          HINT = 'Or it belongs to another organization than the one in the context.';
            END IF;
            RETURN NEW;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform_private.look_for_project() FROM PUBLIC;
        COMMENT ON FUNCTION platform_private.look_for_project() IS
            'Trigger: refuses a row whose project is not one of its organization that is seen, with one answer for all of these.';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'look_for_project' AND tgrelid = 'platform.audit_logs'::regclass) THEN
        CREATE TRIGGER look_for_project BEFORE INSERT OR UPDATE OF project_id, organization_id ON platform.audit_logs
            FOR EACH ROW EXECUTE PROCEDURE platform_private.look_for_project();
    END IF;
END
$$;

-- What policies ask for first. Those of the specification stay; each gets a sister with the organization in it, since
-- PostgreSQL would otherwise look into two indexes for one row.
CREATE INDEX IF NOT EXISTS idx_databases_organization_id ON platform.databases (organization_id, created_at DESC, id);
CREATE INDEX IF NOT EXISTS idx_databases_project_id_organization_id ON platform.databases (project_id, organization_id, name);
CREATE INDEX IF NOT EXISTS idx_databases_project_type_status_organization_id
    ON platform.databases (project_id, type, status, organization_id);
CREATE INDEX IF NOT EXISTS idx_databases_type_organization_id ON platform.databases (type, organization_id);
CREATE INDEX IF NOT EXISTS idx_databases_health_check_organization_id
    ON platform.databases (health_check_status, organization_id, last_health_check_at) WHERE health_check_status IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_organization_invitations_organization_id ON platform.organization_invitations (organization_id);

-- The sealing trigger fills in the organization; the rest of it is as in 006.
DO $$
BEGIN
    PERFORM set_config('search_path', 'pg_catalog, ' || quote_ident(n.nspname) || ', pg_temp', true)
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'pgcrypto';
END
$$;
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM platform_private.replaced WHERE object = 'platform.encrypt_database_connection_string()') THEN
        INSERT INTO platform_private.replaced (object, definition)
        SELECT 'platform.encrypt_database_connection_string()',
               pg_catalog.pg_get_functiondef(pg_catalog.to_regprocedure('platform.encrypt_database_connection_string()'))
        WHERE pg_catalog.to_regprocedure('platform.encrypt_database_connection_string()') IS NOT NULL;
        CREATE OR REPLACE FUNCTION platform.encrypt_database_connection_string() RETURNS trigger
            LANGUAGE plpgsql
            SECURITY DEFINER
            SET search_path FROM CURRENT
            SET standard_conforming_strings = on
            SET row_security = on
        AS $body$
        DECLARE
            envelope      bytea := NEW.connection_string_encrypted;
            old_envelope  bytea;
            old_string    text;
            old_bare      text;
            old_id        uuid;
            is_new        boolean := true;   -- an envelope that was not in this row before
            place         text;
            bare          text;
            tag           text;              -- the first 4 bytes of the envelope's MAC, in hex
            setting_id    text;
            setting_key   text;
            key           bytea;
            iv            bytea;
            body          bytea;             -- all of the envelope but its MAC
            mac           bytea;
            nonce         bytea;
            v_organization_id uuid;
            associated    bytea := convert_to('platform.databases.connection_string'::text, 'UTF8'::name) || '\x00'::bytea
                                   || uuid_send(NEW.id);
        BEGIN
            -- The organization is that of the project, and stays. Who asks does not learn whether a project that is not
            -- seen exists.
            IF TG_OP = 'UPDATE' THEN
                IF NEW.organization_id IS DISTINCT FROM OLD.organization_id THEN
                    RAISE EXCEPTION 'the organization of a database does not change'
                        USING ERRCODE = 'invalid_parameter_value',
                              HINT = 'Register the database with a project of the other organization, and remove it here.';
                END IF;
                IF NEW.project_id IS NOT DISTINCT FROM OLD.project_id THEN
                    v_organization_id := NEW.organization_id;
                END IF;
            END IF;
            IF v_organization_id IS NULL AND NEW.project_id IS NOT NULL THEN
                SELECT p.organization_id INTO v_organization_id FROM platform.projects p WHERE p.id = NEW.project_id;
                IF NOT FOUND THEN
                    RAISE EXCEPTION 'project % is not there', NEW.project_id
                        USING ERRCODE = 'foreign_key_violation',
                              HINT = 'Or it belongs to another organization than the one in the context.';
                END IF;
                NEW.organization_id := coalesce(NEW.organization_id, v_organization_id);
            END IF;

            -- An address that holds more than an address could carry a password into the display form.
            IF NEW.host ~ '[@/?#[:space:][:cntrl:]]'::text
               OR (NEW.host ~ ':'::text AND NEW.host !~ '^(\[[0-9A-Fa-f:.]+(%[0-9A-Za-z._-]+)?\]|[0-9A-Fa-f:.]+(%[0-9A-Za-z._-]+)?)$'::text) THEN
                RAISE EXCEPTION 'host is not the name or the address of a host alone'
                    USING ERRCODE = 'invalid_parameter_value',
                          HINT = 'Write user, password, port and path into connection_string only.';
            END IF;
            place := CASE WHEN NEW.host ~ ':'::text AND NEW.host !~ '^\['::text
                          THEN '['::text || NEW.host || ']'::text ELSE NEW.host END || ':'::text || NEW.port::text;
            bare := NEW.type || '://'::text || place;

            IF TG_OP = 'UPDATE' THEN
                old_envelope := OLD.connection_string_encrypted;
                old_string := OLD.connection_string;
                old_id := OLD.id;
                old_bare := OLD.type || '://'::text
                    || CASE WHEN OLD.host ~ ':'::text AND OLD.host !~ '^\['::text
                            THEN '['::text || OLD.host || ']'::text ELSE OLD.host END || ':'::text || OLD.port::text;
                is_new := envelope IS DISTINCT FROM old_envelope;
                -- The row has no secret and its address changes: what is shown follows.
                IF envelope IS NULL AND old_envelope IS NULL
                   AND NEW.connection_string = old_string AND old_string = old_bare THEN
                    NEW.connection_string := bare;
                END IF;
            END IF;

            -- A password beside a connection string that has it too is said twice and can go. Any other would be lost.
            IF NEW.password IS NOT NULL THEN
                IF NEW.password <> ''::text
                   AND (NEW.connection_string IS NULL
                        OR NEW.connection_string ~ '^[A-Za-z][A-Za-z0-9+.-]*://sealed:'::text
                        OR strpos(NEW.connection_string, ':'::text || NEW.password || '@'::text) = 0) THEN
                    NEW.password := NULL;
                    RAISE EXCEPTION 'a password that is not in the connection string is not kept'
                        USING ERRCODE = 'invalid_parameter_value',
                              HINT = 'Write the whole connection_string, with the password in it: it is sealed. '
                                     'The column password stays empty.';
                END IF;
                NEW.password := NULL;
            END IF;

            IF NEW.connection_string IS NULL THEN
                RETURN NEW;  -- refused by NOT NULL, with nothing in the row that it could show
            END IF;
            IF NEW.connection_string = ''::text THEN
                RAISE EXCEPTION 'connection_string is empty'
                    USING ERRCODE = 'invalid_parameter_value',
                          HINT = 'Write the connection string, or type://host:port for a database without a password.';
            END IF;

            -- The address alone: no secret, no envelope.
            IF NEW.connection_string = bare THEN
                IF envelope IS NOT NULL AND is_new THEN
                    RAISE EXCEPTION 'an envelope was given for a connection string without a secret'
                        USING ERRCODE = 'invalid_parameter_value',
                              HINT = 'Write connection_string with its password, or in the sealed form that belongs to '
                                     'the envelope.';
                END IF;
                NEW.connection_string_encrypted := NULL;
                RETURN NEW;
            END IF;

            -- The display form: left as it is if it belongs to the envelope (a health update, a restored row, a row
            -- that the client sealed), refused otherwise, since what it stood for is not here.
            IF NEW.connection_string ~ '^[A-Za-z][A-Za-z0-9+.-]*://sealed:'::text THEN
                IF octet_length(envelope) >= 69 AND get_byte(envelope, 0) = 1 THEN
                    tag := encode(substring(envelope, octet_length(envelope) - 31, 4), 'hex'::text);
                END IF;
                IF (substring(NEW.connection_string, '^[A-Za-z][A-Za-z0-9+.-]*://sealed:([0-9a-f]{8})@'::text) = tag) IS NOT TRUE THEN
                    RAISE EXCEPTION 'connection_string is the display form of another envelope'
                        USING ERRCODE = 'invalid_parameter_value',
                              HINT = 'Write the connection string itself. In INSERT ... ON CONFLICT DO UPDATE, set '
                                     'connection_string_encrypted = EXCLUDED.connection_string_encrypted with '
                                     'connection_string = EXCLUDED.connection_string.';
                END IF;
                IF old_id IS NOT NULL AND old_id IS DISTINCT FROM NEW.id AND NOT is_new THEN
                    RAISE EXCEPTION 'the id of a row with a sealed credential does not change'
                        USING ERRCODE = 'invalid_parameter_value',
                              HINT = 'The envelope opens under the old id only. Write connection_string anew with the id.';
                END IF;
                IF is_new THEN
                    BEGIN
                        setting_id := current_setting('lancio.key_id'::text);
                        setting_key := current_setting('lancio.key'::text);
                    EXCEPTION WHEN undefined_object THEN
                        setting_key := NULL;  -- not set in this session
                    END;
                    -- Who has the key is told at once when an envelope was made for another row.
                    IF setting_key ~ '^[0-9A-Fa-f]{128}$'::text AND setting_id ~ '^[1-9][0-9]{0,8}$'::text THEN
                        IF substring(envelope, 2, 4) = int4send(setting_id::integer) THEN
                            nonce := gen_random_bytes(32);
                            body := substring(envelope, 1, octet_length(envelope) - 32);
                            mac := hmac(associated || body, substring(decode(setting_key, 'hex'::text), 33, 32), 'sha256'::text);
                            IF (hmac(mac, nonce, 'sha256'::text)
                                = hmac(substring(envelope, octet_length(envelope) - 31, 32), nonce, 'sha256'::text)) IS NOT TRUE THEN
                                RAISE EXCEPTION 'the sealed connection string does not belong to this row'
                                    USING ERRCODE = 'data_exception',
                                          HINT = 'It was sealed for another row or with another key, or it was changed.';
                            END IF;
                        END IF;
                    END IF;
                END IF;
                NEW.connection_string := coalesce(NEW.type || '://sealed:'::text || tag || '@'::text || place, NEW.connection_string);

            -- Anything else is sealed.
            ELSE
                IF envelope IS NOT NULL AND is_new THEN
                    RAISE EXCEPTION 'connection_string and connection_string_encrypted were both given'
                        USING ERRCODE = 'invalid_parameter_value',
                              HINT = 'Write connection_string alone: it is sealed here. With an envelope of your own, '
                                     'write its display form.';
                END IF;
                BEGIN
                    setting_id := current_setting('lancio.key_id'::text);
                    setting_key := current_setting('lancio.key'::text);
                EXCEPTION WHEN undefined_object THEN
                    setting_key := NULL;  -- not set in this session
                END;
                -- A local setting whose transaction has ended reads as the empty string.
                IF coalesce(setting_key, ''::text) = ''::text OR coalesce(setting_id, ''::text) = ''::text THEN
                    RAISE EXCEPTION 'no key to seal the connection string with'
                        USING ERRCODE = 'object_not_in_prerequisite_state',
                              HINT = 'Set lancio.key_id and lancio.key in this session: with psql by PGOPTIONS, from a '
                                     'program by set_config() with bound parameters; Lancio does it from LANCIO_KEY_FILE. '
                                     'Without a secret, type://host:port needs no key.';
                END IF;
                IF setting_key !~ '^[0-9A-Fa-f]{128}$'::text OR setting_id !~ '^[1-9][0-9]{0,8}$'::text THEN
                    RAISE EXCEPTION 'lancio.key or lancio.key_id is not what it should be'
                        USING ERRCODE = 'object_not_in_prerequisite_state',
                              HINT = 'lancio.key is 64 bytes as 128 hexadecimal digits, lancio.key_id a whole number from '
                                     '1 to 999999999.';
                END IF;
                key := decode(setting_key, 'hex'::text);
                iv := gen_random_bytes(16);
                body := '\x01'::bytea || int4send(setting_id::integer) || iv
                        || encrypt_iv(convert_to(NEW.connection_string, 'UTF8'::name), substring(key, 1, 32), iv,
                                      'aes-cbc/pad:pkcs'::text);
                mac := hmac(associated || body, substring(key, 33, 32), 'sha256'::text);
                NEW.connection_string_encrypted := body || mac;
                -- Whatever is missing in the row, what a constraint then prints has no secret in it.
                NEW.connection_string := coalesce(
                    NEW.type || '://sealed:'::text || encode(substring(mac, 1, 4), 'hex'::text) || '@'::text || place,
                    'sealed'::text);
            END IF;

            -- What has a credential is a placeholder no longer.
            IF NEW.metadata @> '{"placeholder": true}'::jsonb THEN
                NEW.metadata := NEW.metadata - 'placeholder'::text;
            END IF;
            RETURN NEW;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform.encrypt_database_connection_string() FROM PUBLIC;
        COMMENT ON FUNCTION platform.encrypt_database_connection_string() IS
            'Trigger: seals connection_string into connection_string_encrypted, leaves its display form, and fills in the organization. SQLSTATE 55000 without a key.';
    ELSE
        RAISE NOTICE 'function platform.encrypt_database_connection_string() is left as it is';
    END IF;
END
$$;
SET LOCAL search_path = pg_catalog, pg_temp;

-- What is read is read from the catalog as before; a table whose owner row level security does not bind counts as open.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM platform_private.replaced WHERE object = 'platform.verify_rls_enabled()') THEN
        INSERT INTO platform_private.replaced (object, definition)
        SELECT 'platform.verify_rls_enabled()', pg_get_functiondef(to_regprocedure('platform.verify_rls_enabled()'))
        WHERE to_regprocedure('platform.verify_rls_enabled()') IS NOT NULL;
        CREATE OR REPLACE FUNCTION platform.verify_rls_enabled()
            RETURNS TABLE (table_name text, rls_enabled boolean, policy_count integer)
            LANGUAGE sql STABLE
            SET search_path = pg_catalog, pg_temp
        AS $body$
            SELECT c.relname::text, c.relrowsecurity AND c.relforcerowsecurity,
                   (SELECT count(*)::integer FROM pg_policy p WHERE p.polrelid = c.oid)
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = 'platform' AND c.relkind IN ('r', 'p')
            ORDER BY c.relname
        $body$;
        COMMENT ON FUNCTION platform.verify_rls_enabled() IS
            'Every table of the platform, those of later files too: is row level security on, for its owner as well, and how many policies has it?';
    ELSE
        RAISE NOTICE 'function platform.verify_rls_enabled() is left as it is';
    END IF;
END
$$;

-- It asks as the application's role: SET ROLE, which a function with its owner's rights could not do. What it needs to
-- look at (two organizations, a user of one of them, a row of each in every table) it makes and takes back.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM platform_private.replaced WHERE object = 'platform.test_rls_policies()') THEN
        INSERT INTO platform_private.replaced (object, definition)
        SELECT 'platform.test_rls_policies()', pg_get_functiondef(to_regprocedure('platform.test_rls_policies()'))
        WHERE to_regprocedure('platform.test_rls_policies()') IS NOT NULL;
        CREATE OR REPLACE FUNCTION platform.test_rls_policies()
            RETURNS TABLE (test_name text, test_result text, description text)
            LANGUAGE plpgsql
            SET search_path = pg_catalog, pg_temp
        AS $body$
        DECLARE
            tables    text[] := ARRAY[
                'organizations', 'organization_members', 'organization_invitations', 'organization_feature_flags',
                'projects', 'project_members', 'project_addons', 'project_metrics',
                'subscriptions', 'invoices', 'payment_methods', 'tax_ids', 'customer_profiles', 'credits',
                'disk_config', 'compute_config', 'addons', 'usage_metrics',
                'users', 'user_sessions', 'api_keys', 'audit_logs', 'feature_flags', 'billing_plans', 'credentials', 'databases'];
            tenants   text[] := ARRAY[
                'organization_members', 'organization_invitations', 'organization_feature_flags',
                'projects', 'project_members', 'project_addons', 'project_metrics',
                'subscriptions', 'invoices', 'payment_methods', 'tax_ids', 'customer_profiles', 'credits',
                'disk_config', 'compute_config', 'usage_metrics', 'api_keys', 'audit_logs', 'credentials', 'databases'];
            t         text;
            bad       text;
            found     bigint;
            home      uuid := md5(random()::text || clock_timestamp()::text)::uuid;
            other     uuid := md5(random()::text || clock_timestamp()::text)::uuid;
            who       uuid := md5(random()::text || clock_timestamp()::text)::uuid;
            o         uuid;
            tag       text;
            unseen    text;   -- rows of tables that were to be hidden and were not
            missing   text;   -- own rows that were to be seen and were not
            passed    text;   -- writes that were to be refused and were not
        BEGIN
            test_name := 'rls_enabled';
            SELECT string_agg(x.name, ', ' ORDER BY x.name) INTO bad
            FROM unnest(tables) AS x (name)
            WHERE NOT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                              WHERE n.nspname = 'platform' AND c.relname = x.name AND c.relrowsecurity AND c.relforcerowsecurity);
            test_result := CASE WHEN bad IS NULL THEN 'PASS' ELSE 'FAIL' END;
            description := CASE WHEN bad IS NULL THEN 'Row level security is on and forced for ' || cardinality(tables) || ' tables.'
                                ELSE 'Row level security is not on, or does not bind the owner, for: ' || bad END;
            RETURN NEXT;

            test_name := 'policies_exist';
            SELECT string_agg(x.name, ', ' ORDER BY x.name) INTO bad
            FROM unnest(tables) AS x (name)
            WHERE NOT EXISTS (SELECT 1 FROM pg_policies p WHERE p.schemaname = 'platform' AND p.tablename = x.name
                              AND p.policyname = 'permissive_all_' || x.name)
               OR NOT EXISTS (SELECT 1 FROM pg_policies p WHERE p.schemaname = 'platform' AND p.tablename = x.name
                              AND p.policyname = 'organization_' || x.name AND p.permissive = 'RESTRICTIVE' AND p.cmd = 'ALL'
                              AND p.roles @> ARRAY['lancio_application', 'lancio_service', 'lancio_readonly']::name[]);
            test_result := CASE WHEN bad IS NULL THEN 'PASS' ELSE 'FAIL' END;
            description := CASE WHEN bad IS NULL THEN 'Every table has its policies permissive_all_<table> and organization_<table>.'
                                ELSE 'A policy permissive_all_<table> or a restrictive organization_<table> is missing for: ' || bad END;
            RETURN NEXT;

            -- A permissive policy lets its roles in. Those of the platform are bound by the restrictive ones beside it.
            test_name := 'base_is_narrow';
            SELECT string_agg(p.policyname || ' on ' || p.tablename, ', ' ORDER BY p.tablename, p.policyname) INTO bad
            FROM pg_policies p
            WHERE p.schemaname = 'platform' AND p.tablename = ANY (tables) AND p.permissive = 'PERMISSIVE'
              AND NOT (p.policyname = 'owner_' || p.tablename AND p.roles = ARRAY['lancio_owner']::name[])
              AND NOT p.roles <@ ARRAY['lancio_application', 'lancio_service', 'lancio_readonly']::name[];
            test_result := CASE WHEN bad IS NULL THEN 'PASS' ELSE 'FAIL' END;
            description := CASE WHEN bad IS NULL THEN 'No policy lets another role in than those of the platform.'
                                ELSE 'These policies let other roles in: ' || bad END;
            RETURN NEXT;

            test_name := 'nothing_without_a_context';
            bad := NULL;
            BEGIN
                PERFORM set_config('lancio.context', '', true);
                IF NOT pg_has_role('lancio_application', 'MEMBER') THEN
                    bad := current_user || ' is no member of lancio_application';
                ELSE
                    EXECUTE 'SET LOCAL ROLE lancio_application';
                    FOREACH t IN ARRAY tenants || ARRAY['organizations', 'users', 'user_sessions'] LOOP
                        EXECUTE format('SELECT count(*) FROM (SELECT 1 FROM platform.%I LIMIT 1) x', t) INTO found;
                        IF found > 0 THEN
                            bad := coalesce(bad || ', ', 'rows are seen of: ') || t;
                        END IF;
                    END LOOP;
                END IF;
                RAISE EXCEPTION USING ERRCODE = 'LNC07';  -- takes the role and the setting back
            EXCEPTION
                WHEN SQLSTATE 'LNC07' THEN NULL;
                WHEN OTHERS THEN bad := 'asking failed (' || SQLSTATE || ')';
            END;
            test_result := CASE WHEN bad IS NULL THEN 'PASS' ELSE 'FAIL' END;
            description := CASE WHEN bad IS NULL THEN 'Without a context lancio_application sees no row of any organization.'
                                ELSE 'Without a context: ' || bad END;
            RETURN NEXT;

            test_name := 'other_organizations_are_hidden';
            bad := NULL;
            BEGIN
                IF NOT EXISTS (SELECT 1 FROM pg_roles r WHERE r.rolname = current_user AND (r.rolsuper OR r.rolbypassrls)) THEN
                    bad := 'not asked: it takes a superuser or a role with BYPASSRLS to make two organizations to look at';
                ELSE
                    INSERT INTO platform.users (id, primary_email) VALUES (who, who || '@test.invalid');
                    INSERT INTO platform.billing_plans (id, code, name) VALUES (who, who, 'test');
                    INSERT INTO platform.addons (id, type, variant, name) VALUES (who, who, 'test', 'test');
                    INSERT INTO platform.feature_flags (id, key) VALUES (who, who);
                    FOREACH o IN ARRAY ARRAY[home, other] LOOP
                        tag := left(o::text, 8);
                        INSERT INTO platform.organizations (id, slug, name) VALUES (o, 'test-' || o, 'test');
                        INSERT INTO platform.projects (id, organization_id, slug, name) VALUES (o, o, 'test-' || o, 'test');
                        INSERT INTO platform.organization_members (organization_id, user_id)
                            SELECT o, who WHERE o = home;
                        INSERT INTO platform.organization_members (organization_id, user_id)
                            SELECT o, u.id FROM platform.users u WHERE o = other AND u.id <> who LIMIT 1;
                        INSERT INTO platform.organization_invitations (organization_id, email, token_hash, expires_at)
                            VALUES (o, 'test@test.invalid', decode('ff' || substr(repeat(md5(o::text), 2), 3), 'hex'), now());
                        INSERT INTO platform.organization_feature_flags (organization_id, flag_id) VALUES (o, who);
                        INSERT INTO platform.project_members (organization_id, project_id, user_id) VALUES (o, o, who);
                        INSERT INTO platform.project_addons (organization_id, project_id, addon_id) VALUES (o, o, who);
                        INSERT INTO platform.project_metrics (organization_id, project_id, metric, period_start, period, value, unit)
                            VALUES (o, o, 'test', now(), '1 hour', 1, 'test');
                        INSERT INTO platform.subscriptions (organization_id, plan_id) VALUES (o, who);
                        INSERT INTO platform.invoices (organization_id, number) VALUES (o, 'test-' || o);
                        INSERT INTO platform.payment_methods (organization_id, provider_id, type) VALUES (o, 'test-' || o, 'test');
                        INSERT INTO platform.tax_ids (organization_id, country, type, value) VALUES (o, 'XX', 'test', tag);
                        INSERT INTO platform.customer_profiles (organization_id) VALUES (o);
                        INSERT INTO platform.credits (organization_id, amount_minor, remaining_minor, source) VALUES (o, 1, 1, 'promo');
                        INSERT INTO platform.disk_config (organization_id, project_id, size_gb) VALUES (o, o, 1);
                        INSERT INTO platform.compute_config (organization_id, project_id, instance_size) VALUES (o, o, 'test');
                        INSERT INTO platform.usage_metrics (organization_id, project_id, metric, period_start) VALUES (o, o, 'test', now());
                        INSERT INTO platform.api_keys (organization_id, name, prefix, token_hash, last4)
                            VALUES (o, 'test', 'test', decode('ff' || substr(repeat(md5(o::text), 2), 3), 'hex'), 'test');
                        INSERT INTO platform.audit_logs (organization_id, project_id, actor_type, action) VALUES (o, o, 'system', 'test');
                        INSERT INTO platform.credentials (organization_id, project_id, kind, name) VALUES (o, o, 'token', 'test');
                        INSERT INTO platform.databases (project_id, name, type, connection_string, host, port)
                            VALUES (o, 'test', 'redis', 'redis://test.invalid:1', 'test.invalid', 1);
                    END LOOP;
                    EXECUTE 'SET LOCAL ROLE lancio_application';
                    PERFORM platform.set_context(who, home);
                    FOREACH t IN ARRAY tenants LOOP
                        EXECUTE format('SELECT count(*) FROM platform.%I WHERE organization_id = $1', t) INTO found USING home;
                        IF found <> 1 THEN
                            missing := coalesce(missing || ', ', '') || t;
                        END IF;
                        EXECUTE format('SELECT count(*) FROM platform.%I WHERE organization_id IS DISTINCT FROM $1', t) INTO found USING home;
                        IF found > 0 THEN
                            unseen := coalesce(unseen || ', ', '') || t;
                        END IF;
                    END LOOP;
                    SELECT count(*) INTO found FROM platform.organizations;
                    IF found <> 1 THEN
                        unseen := coalesce(unseen || ', ', '') || 'organizations';
                    END IF;
                    SELECT count(*) INTO found FROM platform.databases_safe;
                    IF found <> 1 THEN
                        unseen := coalesce(unseen || ', ', '') || 'databases_safe';
                    END IF;
                    BEGIN
                        INSERT INTO platform.tax_ids (organization_id, country, type, value) VALUES (other, 'XX', 'test', 'test');
                        passed := coalesce(passed || ', ', '') || 'a row inserted there';
                    EXCEPTION WHEN insufficient_privilege THEN NULL;
                    END;
                    BEGIN
                        INSERT INTO platform.databases (project_id, organization_id, name, type, connection_string, host, port)
                            VALUES (other, home, 'test', 'redis', 'redis://test.invalid:1', 'test.invalid', 1);
                        passed := coalesce(passed || ', ', '') || 'a row that points there';
                    EXCEPTION WHEN insufficient_privilege OR foreign_key_violation THEN NULL;
                    END;
                    BEGIN
                        PERFORM platform.set_context(who, other);
                        passed := coalesce(passed || ', ', '') || 'a context without a membership';
                    EXCEPTION WHEN insufficient_privilege THEN NULL;
                    END;
                    PERFORM set_config('lancio.context', replace(who::text, '-', '') || ':' || replace(other::text, '-', '') || ':'
                                       || repeat('0', 64), true);
                    SELECT count(*) INTO found FROM platform.projects;
                    IF found > 0 THEN
                        passed := coalesce(passed || ', ', '') || 'a context written by hand';
                    END IF;
                    bad := nullif(concat_ws('; ', 'rows of another are seen of: ' || unseen, 'own rows are missing of: ' || missing,
                                            'not refused: ' || passed), '');
                END IF;
                RAISE EXCEPTION USING ERRCODE = 'LNC07';  -- takes rows, role and context back
            EXCEPTION
                WHEN SQLSTATE 'LNC07' THEN NULL;
                WHEN OTHERS THEN bad := 'asking failed (' || SQLSTATE || '): ' || SQLERRM;
            END;
            test_result := CASE WHEN bad IS NULL THEN 'PASS' WHEN bad LIKE 'not asked: %' THEN 'SKIP' ELSE 'FAIL' END;
            description := CASE WHEN bad IS NULL
                THEN 'As lancio_application, a user sees the rows of the organization in the context and can write no other''s.'
                ELSE upper(left(bad, 1)) || substr(bad, 2) END;
            RETURN NEXT;
        END
        $body$;
        COMMENT ON FUNCTION platform.test_rls_policies() IS
            'Five tests of isolation, asked as lancio_application. What they make to look at is taken back.';
    ELSE
        RAISE NOTICE 'function platform.test_rls_policies() is left as it is';
    END IF;
END
$$;

-- Everything belongs to the owner role: a superuser's views and definer functions would pass by every policy.
DO $$
DECLARE
    t text;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'platform_private' AND nspowner = 'lancio_owner'::regrole) THEN
        ALTER SCHEMA platform_private OWNER TO lancio_owner;
        ALTER SEQUENCE platform_private.context_key_1 OWNER TO lancio_owner;
        ALTER SEQUENCE platform_private.context_key_2 OWNER TO lancio_owner;
        ALTER TABLE platform_private.replaced OWNER TO lancio_owner;
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'platform' AND nspowner = 'lancio_owner'::regrole) THEN
        ALTER SCHEMA platform OWNER TO lancio_owner;
    END IF;
    FOREACH t IN ARRAY ARRAY[
        'organizations', 'organization_members', 'organization_invitations', 'organization_feature_flags',
        'projects', 'project_members', 'project_addons', 'project_metrics',
        'subscriptions', 'invoices', 'payment_methods', 'tax_ids', 'customer_profiles', 'credits',
        'disk_config', 'compute_config', 'addons', 'usage_metrics',
        'users', 'user_sessions', 'api_keys', 'audit_logs', 'feature_flags', 'billing_plans', 'credentials', 'databases'
    ] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = 'platform' AND tablename = t AND tableowner = 'lancio_owner') THEN
            EXECUTE format('ALTER TABLE platform.%I OWNER TO lancio_owner', t);
        END IF;
    END LOOP;
    FOREACH t IN ARRAY ARRAY['databases_safe', 'databases_with_connection_strings'] LOOP
        IF EXISTS (SELECT 1 FROM pg_views WHERE schemaname = 'platform' AND viewname = t AND viewowner <> 'lancio_owner') THEN
            EXECUTE format('ALTER VIEW platform.%I OWNER TO lancio_owner', t);
        END IF;
    END LOOP;
    FOREACH t IN ARRAY ARRAY[
        'platform.update_updated_at_column()', 'platform.encrypt_database_connection_string()',
        'platform.decrypt_database_connection_string(uuid)', 'platform.get_project_databases(uuid, text)',
        'platform.update_database_health(uuid, text, text)', 'platform.verify_rls_enabled()', 'platform.test_rls_policies()',
        'platform.register_database_from_setting(uuid, text, text, text, text, text, integer)',
        'platform.current_organization_id()', 'platform.current_user_id()', 'platform.set_context(uuid, uuid)',
        'platform.enter_organization(uuid)', 'platform_private.caller_bypasses()', 'platform_private.write_context(uuid, uuid)',
        'platform_private.first_organization_id()', 'platform_private.last_organization_id()', 'platform_private.look_for_project()',
        'platform_private.first_organization_id(name)', 'platform_private.last_organization_id(name)'
    ] LOOP
        IF EXISTS (SELECT 1 FROM pg_proc WHERE oid = to_regprocedure(t) AND proowner <> 'lancio_owner'::regrole) THEN
            EXECUTE 'ALTER FUNCTION ' || t || ' OWNER TO lancio_owner';
        END IF;
    END LOOP;
END
$$;

-- It is bound by policies, and a session of pg_restore or of Lancio says row_security = off, which makes an error of that:
-- in the functions that run in its name it is on. (The three that 007 writes say so themselves.)
DO $$
BEGIN
    IF to_regprocedure('platform.decrypt_database_connection_string(uuid)') IS NOT NULL THEN
        ALTER FUNCTION platform.decrypt_database_connection_string(uuid) SET row_security = on;
    END IF;
END
$$;

-- Its functions use pgcrypto, wherever that lives.
DO $$
DECLARE
    v_schema text;
BEGIN
    SELECT n.nspname INTO v_schema FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'pgcrypto' AND NOT has_schema_privilege('lancio_owner', n.oid, 'USAGE');
    IF FOUND THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO lancio_owner', v_schema);
    END IF;
END
$$;

-- From 15 on a view can ask with the rights of who reads it; below, these two ask as lancio_owner, whom the policies bind
-- to the same context.
DO $$
BEGIN
    IF current_setting('server_version_num')::integer >= 150000 THEN
        ALTER VIEW platform.databases_safe SET (security_invoker = true);
        ALTER VIEW platform.databases_with_connection_strings SET (security_invoker = true);
    END IF;
END
$$;

-- Granted once, all together; what is taken back later stays so.
DO $$
DECLARE
    t text;
BEGIN
    IF has_function_privilege('lancio_application', 'platform.set_context(uuid, uuid)', 'EXECUTE') THEN
        RETURN;
    END IF;
    GRANT USAGE ON SCHEMA platform TO lancio_application, lancio_service, lancio_readonly;
    GRANT EXECUTE ON FUNCTION platform.set_context(uuid, uuid) TO lancio_application, lancio_service, lancio_readonly;
    GRANT EXECUTE ON FUNCTION platform.current_organization_id() TO lancio_application, lancio_service, lancio_readonly;
    GRANT EXECUTE ON FUNCTION platform.current_user_id() TO lancio_application, lancio_service, lancio_readonly;
    FOREACH t IN ARRAY ARRAY[
        'organizations', 'organization_members', 'organization_invitations', 'organization_feature_flags',
        'projects', 'project_members', 'project_addons', 'project_metrics',
        'subscriptions', 'invoices', 'payment_methods', 'tax_ids', 'customer_profiles', 'credits',
        'disk_config', 'compute_config', 'usage_metrics', 'users', 'user_sessions', 'api_keys', 'credentials', 'databases'
    ] LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON platform.%I TO lancio_application', t);
        -- With an organization its keys and its trail would go, with a user what it has in other organizations.
        IF t NOT IN ('organizations', 'users') THEN
            EXECUTE format('GRANT DELETE ON platform.%I TO lancio_application', t);
        END IF;
    END LOOP;
    GRANT SELECT, INSERT ON platform.audit_logs TO lancio_application, lancio_service;
    FOREACH t IN ARRAY ARRAY['addons', 'feature_flags', 'billing_plans'] LOOP
        EXECUTE format('GRANT SELECT ON platform.%I TO lancio_application, lancio_service, lancio_readonly', t);
    END LOOP;
    GRANT SELECT ON platform.databases_safe TO lancio_application, lancio_service, lancio_readonly;

    -- The broker keeps what 006 gave it, and sees what its rows hang on.
    GRANT SELECT ON platform.organizations, platform.projects, platform.organization_members TO lancio_service;
    GRANT SELECT, UPDATE ON platform.credentials TO lancio_service;
    GRANT SELECT, INSERT, UPDATE, DELETE ON platform.databases TO lancio_service;
    GRANT SELECT ON platform.databases_with_connection_strings TO lancio_service;
    GRANT EXECUTE ON FUNCTION platform.decrypt_database_connection_string(uuid) TO lancio_service;
    GRANT EXECUTE ON FUNCTION platform.update_database_health(uuid, text, text) TO lancio_service;

    FOREACH t IN ARRAY ARRAY[
        'organizations', 'organization_members', 'organization_feature_flags',
        'projects', 'project_members', 'project_addons', 'project_metrics',
        'subscriptions', 'invoices', 'payment_methods', 'tax_ids', 'customer_profiles', 'credits',
        'disk_config', 'compute_config', 'usage_metrics', 'audit_logs'
    ] LOOP
        EXECUTE format('GRANT SELECT ON platform.%I TO lancio_readonly', t);
    END LOOP;
    GRANT SELECT (id, organization_id, email, role, project_ids, invited_by, invited_at, expires_at, accepted_at, revoked_at,
                  created_at, updated_at) ON platform.organization_invitations TO lancio_readonly;
    GRANT SELECT (id, organization_id, project_id, user_id, name, prefix, last4, scopes, expires_at, last_used_at, revoked_at,
                  created_by, created_at, updated_at) ON platform.api_keys TO lancio_readonly;
    GRANT SELECT (id, organization_id, project_id, kind, name, key_id, version, state, expires_at, rotated_at, last_opened_at,
                  created_at, updated_at) ON platform.credentials TO lancio_readonly;
    GRANT SELECT (id, primary_email, username, first_name, last_name, is_sso_user, mfa_enabled, disabled_at, last_sign_in_at,
                  created_at, updated_at) ON platform.users TO lancio_readonly;
    GRANT SELECT (id, user_id, ip, user_agent, device, aal, last_seen_at, expires_at, revoked_at, revoke_reason, created_at)
        ON platform.user_sessions TO lancio_readonly;
    GRANT SELECT (id, organization_id, project_id, name, type, host, port, database, ssl_enabled, metadata, status,
                  health_check_status, last_health_check_at, health_check_error, created_at, updated_at)
        ON platform.databases TO lancio_readonly;
END
$$;

-- The policies. Each asks for the context once a query, not once a row.
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY[
        'organization_invitations', 'organization_feature_flags',
        'projects', 'project_members', 'project_addons', 'project_metrics',
        'subscriptions', 'invoices', 'payment_methods', 'tax_ids', 'customer_profiles', 'credits',
        'disk_config', 'compute_config', 'usage_metrics', 'api_keys', 'audit_logs', 'credentials', 'databases'
    ] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = t AND policyname = 'organization_' || t) THEN
            EXECUTE format(
                'CREATE POLICY organization_%s ON platform.%I AS RESTRICTIVE FOR ALL TO lancio_application, lancio_service, lancio_readonly '
                'USING (organization_id = (SELECT platform.current_organization_id())) '
                'WITH CHECK (organization_id = (SELECT platform.current_organization_id()))', t, t);
        END IF;
        IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = t AND policyname = 'owner_' || t) THEN
            EXECUTE format(
                'CREATE POLICY owner_%s ON platform.%I FOR ALL TO lancio_owner '
                'USING (organization_id >= (SELECT platform_private.first_organization_id()) '
                'AND organization_id <= (SELECT platform_private.last_organization_id()))', t, t);
        END IF;
    END LOOP;
END
$$;

-- Views are over databases alone, and below 15 ask as their owner: there it counts who reads.
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_proc WHERE oid = to_regprocedure('platform_private.first_organization_id()')::oid AND proparallel = 'r') THEN
        ALTER FUNCTION platform_private.first_organization_id() PARALLEL UNSAFE;
        ALTER FUNCTION platform_private.last_organization_id() PARALLEL UNSAFE;
    END IF;
    IF EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'databases' AND policyname = 'owner_databases'
               AND strpos(qual, 'first_organization_id()') > 0) THEN
        ALTER POLICY owner_databases ON platform.databases
            USING (organization_id >= (SELECT platform_private.first_organization_id(current_user))
                   AND organization_id <= (SELECT platform_private.last_organization_id(current_user)));
    END IF;
END
$$;

-- A user who has not chosen an organization yet sees the own memberships and their organizations, to choose from.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'organization_members' AND policyname = 'organization_organization_members') THEN
        CREATE POLICY organization_organization_members ON platform.organization_members AS RESTRICTIVE
            FOR ALL TO lancio_application, lancio_service, lancio_readonly
            USING (organization_id = (SELECT platform.current_organization_id())
                   OR (user_id = (SELECT platform.current_user_id()) AND (SELECT platform.current_organization_id()) IS NULL))
            WITH CHECK (organization_id = (SELECT platform.current_organization_id()));
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'organization_members' AND policyname = 'owner_organization_members') THEN
        CREATE POLICY owner_organization_members ON platform.organization_members FOR ALL TO lancio_owner
            USING ((organization_id >= (SELECT platform_private.first_organization_id())
                    AND organization_id <= (SELECT platform_private.last_organization_id()))
                   OR (user_id = (SELECT platform.current_user_id()) AND (SELECT platform.current_organization_id()) IS NULL))
            WITH CHECK (organization_id >= (SELECT platform_private.first_organization_id())
                        AND organization_id <= (SELECT platform_private.last_organization_id()));
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'organizations' AND policyname = 'organization_organizations') THEN
        CREATE POLICY organization_organizations ON platform.organizations AS RESTRICTIVE
            FOR ALL TO lancio_application, lancio_service, lancio_readonly
            USING (id = (SELECT platform.current_organization_id())
                   OR (id = ANY (ARRAY(SELECT m.organization_id FROM platform.organization_members m
                                       WHERE m.user_id = (SELECT platform.current_user_id())))
                       AND (SELECT platform.current_organization_id()) IS NULL))
            WITH CHECK (id = (SELECT platform.current_organization_id()));
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'organizations' AND policyname = 'owner_organizations') THEN
        CREATE POLICY owner_organizations ON platform.organizations FOR ALL TO lancio_owner
            USING (id >= (SELECT platform_private.first_organization_id()) AND id <= (SELECT platform_private.last_organization_id()));
    END IF;
END
$$;

-- Seen to choose from is not written: what a user alone sees, nobody changes, removes or locks.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'organization_members' AND policyname = 'changed_organization_members') THEN
        CREATE POLICY changed_organization_members ON platform.organization_members AS RESTRICTIVE
            FOR UPDATE TO lancio_application, lancio_service, lancio_readonly
            USING (organization_id = (SELECT platform.current_organization_id()));
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'organization_members' AND policyname = 'removed_organization_members') THEN
        CREATE POLICY removed_organization_members ON platform.organization_members AS RESTRICTIVE
            FOR DELETE TO lancio_application, lancio_service, lancio_readonly
            USING (organization_id = (SELECT platform.current_organization_id()));
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'organizations' AND policyname = 'changed_organizations') THEN
        CREATE POLICY changed_organizations ON platform.organizations AS RESTRICTIVE
            FOR UPDATE TO lancio_application, lancio_service, lancio_readonly
            USING (id = (SELECT platform.current_organization_id()));
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'organizations' AND policyname = 'removed_organizations') THEN
        CREATE POLICY removed_organizations ON platform.organizations AS RESTRICTIVE
            FOR DELETE TO lancio_application, lancio_service, lancio_readonly
            USING (id = (SELECT platform.current_organization_id()));
        -- Of a text of this file that knew no such policy.
        REVOKE DELETE ON platform.organizations, platform.users FROM lancio_application;
    END IF;
END
$$;

DO $$
BEGIN
    -- What belongs to a user.
    IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'users' AND policyname = 'organization_users') THEN
        CREATE POLICY organization_users ON platform.users AS RESTRICTIVE
            FOR ALL TO lancio_application, lancio_service, lancio_readonly
            USING (id = (SELECT platform.current_user_id())) WITH CHECK (id = (SELECT platform.current_user_id()));
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'users' AND policyname = 'owner_users') THEN
        CREATE POLICY owner_users ON platform.users FOR ALL TO lancio_owner
            USING (id = (SELECT platform.current_user_id()) OR (SELECT platform_private.caller_bypasses()));
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'user_sessions' AND policyname = 'organization_user_sessions') THEN
        CREATE POLICY organization_user_sessions ON platform.user_sessions AS RESTRICTIVE
            FOR ALL TO lancio_application, lancio_service, lancio_readonly
            USING (user_id = (SELECT platform.current_user_id())) WITH CHECK (user_id = (SELECT platform.current_user_id()));
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'user_sessions' AND policyname = 'owner_user_sessions') THEN
        CREATE POLICY owner_user_sessions ON platform.user_sessions FOR ALL TO lancio_owner
            USING (user_id = (SELECT platform.current_user_id()) OR (SELECT platform_private.caller_bypasses()));
    END IF;
END
$$;

-- What belongs to nobody is read by all that work, and written by its owner.
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['addons', 'feature_flags', 'billing_plans'] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = t AND policyname = 'organization_' || t) THEN
            EXECUTE format(
                'CREATE POLICY organization_%s ON platform.%I AS RESTRICTIVE FOR ALL TO lancio_application, lancio_service, lancio_readonly '
                'USING (true) WITH CHECK (false)', t, t);
        END IF;
        IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = t AND policyname = 'owner_' || t) THEN
            EXECUTE format('CREATE POLICY owner_%s ON platform.%I FOR ALL TO lancio_owner USING (true)', t, t);
        END IF;
    END LOOP;
END
$$;

DO $$
DECLARE
    t           text;
    v_statement text;
BEGIN
    FOREACH t IN ARRAY ARRAY[
        'organizations', 'organization_members', 'organization_invitations', 'organization_feature_flags',
        'projects', 'project_members', 'project_addons', 'project_metrics',
        'subscriptions', 'invoices', 'payment_methods', 'tax_ids', 'customer_profiles', 'credits',
        'disk_config', 'compute_config', 'addons', 'usage_metrics',
        'users', 'user_sessions', 'api_keys', 'audit_logs', 'feature_flags', 'billing_plans', 'credentials', 'databases'
    ] LOOP
        -- Of what 006 made, and put together from it: this file makes no base where none was.
        IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = t AND policyname = 'permissive_all_' || t) THEN
            SELECT format('CREATE POLICY permissive_all_%s ON %s FOR ALL TO lancio_application, lancio_service, lancio_readonly '
                          'USING (true) WITH CHECK (true)', c.relname, c.oid::regclass) INTO v_statement
            FROM pg_class c WHERE c.oid = ('platform.' || t)::regclass;
            EXECUTE v_statement;
        END IF;
        -- Narrowed once: a base to which a role was added by hand keeps it.
        IF EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = t
                   AND policyname = 'permissive_all_' || t AND roles = ARRAY['public']::name[]) THEN
            EXECUTE format('ALTER POLICY permissive_all_%s ON platform.%I TO lancio_application, lancio_service, lancio_readonly', t, t);
        END IF;
        IF NOT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = 'platform' AND tablename = t AND rowsecurity) THEN
            EXECUTE format('ALTER TABLE platform.%I ENABLE ROW LEVEL SECURITY', t);
        END IF;
        IF NOT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                       WHERE n.nspname = 'platform' AND c.relname = t AND c.relforcerowsecurity) THEN
            EXECUTE format('ALTER TABLE platform.%I FORCE ROW LEVEL SECURITY', t);
        END IF;
    END LOOP;
END
$$;

DO $$
BEGIN
    IF obj_description('platform_private.context_key_1'::regclass, 'pg_class') IS NULL THEN
        COMMENT ON SCHEMA platform_private IS 'What nobody but lancio_owner sees.';
        COMMENT ON SEQUENCE platform_private.context_key_1 IS 'Half of what contexts are signed with, as its last value; another may be set at any time.';
        COMMENT ON SEQUENCE platform_private.context_key_2 IS 'The other half.';
        COMMENT ON TABLE platform_private.replaced IS 'What 007 replaced, as it was, for the way back.';
    END IF;
END
$$;

COMMIT;
