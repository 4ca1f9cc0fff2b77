-- lancio: duration 1s
-- lancio: risk low
-- lancio: after-run Update connection strings with actual Railway values
-- lancio: wants service redis env REDIS_URL
-- lancio: wants service mongodb env MONGO_URL
-- lancio: verify-once SELECT count(*) >= 2 - (CASE WHEN current_setting('lancio.redis_url', true) = 'absent' THEN 1 ELSE 0 END) - (CASE WHEN current_setting('lancio.mongodb_url', true) = 'absent' THEN 1 ELSE 0 END) FROM platform.databases
--
-- 006, step 3: Railway's MongoDB and Redis, registered with the project Lancio Studio.
--
-- What is registered is said by two settings of the session, lancio.mongodb_url and lancio.redis_url:
--
--     not set, or empty    a placeholder, mongodb://mongodb.railway.internal:27017; the credential comes later
--     absent               the service is not deployed: a warning, and no record
--     anything else        the connection string itself; it is sealed, for which the session needs the key
--
-- Lancio fills them from MONGO_URL and REDIS_URL by bound parameter; with psql, PGOPTIONS keeps them out of every
-- statement, and so out of the server's log.
--
-- Safe to run again: a record that is there, by its project and name, is not written.

BEGIN;

-- Nothing is looked for where others may create: a function that fits better than PostgreSQL's own would run with the
-- rights of whoever runs this file.
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
DECLARE
    v_project_id uuid;
BEGIN
    IF to_regclass('platform.databases') IS NULL THEN
        RAISE EXCEPTION 'relation platform.databases does not exist'
            USING ERRCODE = 'undefined_table', HINT = 'Run 006_add_platform_databases_table.sql first.';
    END IF;
    -- Locked, so that two runs at once wait for each other and make each record once.
    SELECT p.id INTO v_project_id FROM platform.projects p WHERE p.slug = 'lancio-studio' FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'Lancio project not found'
            USING ERRCODE = 'no_data_found', HINT = 'Run 004_create_lancio_org.sql first.';
    END IF;
EXCEPTION WHEN no_data_found THEN
    -- After 007 a session that policies bind does not see the project, which is there.
    IF NOT (row_security_active('platform.projects') AND EXISTS (
        SELECT 1 FROM pg_policies
        WHERE schemaname = 'platform' AND tablename = 'projects' AND policyname = 'organization_projects'
    )) THEN
        RAISE;
    END IF;
    RAISE NOTICE 'organizations are isolated, and this session does not see the Lancio project: nothing is done'
        USING HINT = 'A superuser, or a role with BYPASSRLS, sees it.';
END
$$;

-- Registers a database, or gives one that is registered its actual connection string, without the string ever standing
-- in a statement: it is read from the setting that is named. With the caller's own rights.
DO $$
BEGIN
    IF to_regprocedure('platform.register_database_from_setting(uuid, text, text, text, text, text, integer)') IS NULL THEN
        CREATE FUNCTION platform.register_database_from_setting(
            project_id uuid, name text, type text, setting text,
            database text DEFAULT NULL, host text DEFAULT NULL, port integer DEFAULT NULL
        ) RETURNS uuid
            LANGUAGE plpgsql
            SET search_path = pg_catalog, pg_temp
        AS $body$
        DECLARE
            url       text;
            scheme    text;
            authority text;
            remainder text;
            v_host    text := register_database_from_setting.host;
            v_port    integer := register_database_from_setting.port;
            v_ssl     boolean;
            v_id      uuid;
        BEGIN
            BEGIN
                url := current_setting(register_database_from_setting.setting);
            EXCEPTION WHEN undefined_object THEN
                url := NULL;  -- not set in this session
            END;
            IF coalesce(url, '') = '' THEN
                RAISE EXCEPTION 'setting % is not set in this session', register_database_from_setting.setting
                    USING ERRCODE = 'object_not_in_prerequisite_state',
                          HINT = 'Set it to the connection string: with psql by PGOPTIONS, from a program by set_config() '
                                 'with bound parameters.';
            END IF;

            scheme := lower(substring(url from '^([A-Za-z][A-Za-z0-9+.-]*)://'));
            IF (CASE register_database_from_setting.type
                    WHEN 'redis' THEN scheme IN ('redis', 'rediss')
                    WHEN 'mongodb' THEN scheme IN ('mongodb', 'mongodb+srv')
                    WHEN 'postgresql' THEN scheme IN ('postgresql', 'postgres')
                END) IS NOT TRUE THEN
                RAISE EXCEPTION 'setting % is not a connection string of the type given', register_database_from_setting.setting
                    USING ERRCODE = 'invalid_parameter_value',
                          HINT = 'It begins with redis:// or rediss://, mongodb:// or mongodb+srv://, postgresql:// or postgres://.';
            END IF;

            IF v_host IS NULL THEN
                -- The address ends at the first / ? or #. An @ behind it means that one of these stands in the
                -- password unencoded: then nobody can tell where the password ends, and a part of it could be shown.
                authority := substring(url from '^[^:]+://([^/?#]*)');
                remainder := substr(url, length(scheme) + 4 + length(authority));
                v_host := coalesce(
                    substring(authority from '^(?:.*@)?\[([0-9A-Fa-f:.]+(?:%[0-9A-Za-z._-]+)?)\](?::[0-9]+)?(?:,[^@]*)?$'),
                    substring(authority from '^(?:.*@)?([A-Za-z0-9._-]+)(?::[0-9]+)?(?:,[^@]*)?$'));
                IF v_host IS NULL OR strpos(remainder, '@') > 0 THEN
                    RAISE EXCEPTION 'setting % has no host that can be told from the password', register_database_from_setting.setting
                        USING ERRCODE = 'invalid_parameter_value',
                              HINT = 'Percent-encode the password (/ is %2F, ? is %3F, # is %23, @ is %40), or give host and port '
                                     'as arguments.';
                END IF;
                IF v_port IS NULL THEN
                    v_port := substring(authority from '^(?:.*@)?(?:\[[^]@]*\]|[A-Za-z0-9._-]+):([0-9]{1,5})(?:,[^@]*)?$')::integer;
                END IF;
            END IF;
            v_port := coalesce(v_port, CASE register_database_from_setting.type
                                           WHEN 'redis' THEN 6379 WHEN 'mongodb' THEN 27017 ELSE 5432 END);
            v_ssl := scheme IN ('rediss', 'mongodb+srv')
                     OR url ~ '[?&](sslmode=(require|verify-ca|verify-full)|tls=true|ssl=true)(&|$)';

            SELECT d.id INTO v_id
            FROM platform.databases d
            WHERE d.project_id = register_database_from_setting.project_id AND d.name = register_database_from_setting.name
            ORDER BY d.created_at, d.id
            LIMIT 1;
            IF FOUND THEN
                UPDATE platform.databases AS d
                SET type = register_database_from_setting.type, host = v_host, port = v_port,
                    database = coalesce(register_database_from_setting.database, d.database),
                    connection_string = url, ssl_enabled = v_ssl,
                    -- A string without a password is a credential as well, so the mark goes here and not in the trigger.
                    metadata = d.metadata - 'placeholder'
                WHERE d.id = v_id;
            ELSE
                INSERT INTO platform.databases AS d (project_id, name, type, connection_string, host, port, database, ssl_enabled, status)
                VALUES (register_database_from_setting.project_id, register_database_from_setting.name,
                        register_database_from_setting.type, url, v_host, v_port,
                        register_database_from_setting.database, v_ssl, 'active')
                RETURNING d.id INTO v_id;
            END IF;
            RETURN v_id;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform.register_database_from_setting(uuid, text, text, text, text, text, integer) FROM PUBLIC;
        IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'lancio_service') THEN
            GRANT EXECUTE ON FUNCTION platform.register_database_from_setting(uuid, text, text, text, text, text, integer)
                TO lancio_service;
        END IF;
        COMMENT ON FUNCTION platform.register_database_from_setting(uuid, text, text, text, text, text, integer) IS
            'Registers a database, or updates the one of this project and name, with the connection string that the named setting holds.';
    ELSE
        RAISE NOTICE 'function platform.register_database_from_setting(...) exists and is left as it is';
    END IF;
END
$$;

DO $$
DECLARE
    v_project_id  uuid;
    v_mongodb_url text;
    v_redis_url   text;
BEGIN
    SELECT p.id INTO v_project_id FROM platform.projects p WHERE p.slug = 'lancio-studio';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'Lancio project not found'
            USING ERRCODE = 'no_data_found', HINT = 'Run 004_create_lancio_org.sql first.';
    END IF;

    BEGIN
        v_mongodb_url := current_setting('lancio.mongodb_url');
    EXCEPTION WHEN undefined_object THEN
        v_mongodb_url := '';
    END;
    BEGIN
        v_redis_url := current_setting('lancio.redis_url');
    EXCEPTION WHEN undefined_object THEN
        v_redis_url := '';
    END;

    IF EXISTS (SELECT 1 FROM platform.databases d WHERE d.project_id = v_project_id AND d.name = 'Railway MongoDB') THEN
        RAISE NOTICE 'Railway MongoDB is registered and is left as it is'
            USING HINT = 'platform.register_database_from_setting() gives it another connection string.';
    ELSIF v_mongodb_url = 'absent' THEN
        RAISE WARNING 'Railway MongoDB not found'
            USING DETAIL = 'Railway MongoDB service not deployed: its registration is skipped, which is safe.',
                  HINT = 'Deploy MongoDB on Railway, then manually register it: INSERT INTO platform.databases, or '
                         'SELECT platform.register_database_from_setting(...).';
    ELSIF v_mongodb_url = '' THEN
        INSERT INTO platform.databases
            (project_id, name, type, connection_string, host, port, database, ssl_enabled, status, metadata)
        VALUES
            (v_project_id, 'Railway MongoDB', 'mongodb', 'mongodb://mongodb.railway.internal:27017',
             'mongodb.railway.internal', 27017, 'lancio', false, 'active', '{"placeholder": true}');
    ELSE
        PERFORM platform.register_database_from_setting(
            v_project_id, 'Railway MongoDB', 'mongodb', 'lancio.mongodb_url', 'lancio');
    END IF;

    IF EXISTS (SELECT 1 FROM platform.databases d WHERE d.project_id = v_project_id AND d.name = 'Railway Redis') THEN
        RAISE NOTICE 'Railway Redis is registered and is left as it is'
            USING HINT = 'platform.register_database_from_setting() gives it another connection string.';
    ELSIF v_redis_url = 'absent' THEN
        RAISE WARNING 'Railway Redis not found'
            USING DETAIL = 'Its registration is skipped.',
                  HINT = 'Deploy Redis on Railway, then run this file again or register it by hand.';
    ELSIF v_redis_url = '' THEN
        INSERT INTO platform.databases
            (project_id, name, type, connection_string, host, port, ssl_enabled, status, metadata)
        VALUES
            (v_project_id, 'Railway Redis', 'redis', 'redis://redis.railway.internal:6379',
             'redis.railway.internal', 6379, false, 'active', '{"placeholder": true}');
    ELSE
        PERFORM platform.register_database_from_setting(
            v_project_id, 'Railway Redis', 'redis', 'lancio.redis_url');
    END IF;
EXCEPTION WHEN no_data_found THEN
    IF NOT (row_security_active('platform.projects') AND EXISTS (
        SELECT 1 FROM pg_policies
        WHERE schemaname = 'platform' AND tablename = 'projects' AND policyname = 'organization_projects'
    )) THEN
        RAISE;
    END IF;  -- else it was said above
END
$$;

COMMIT;
