-- lancio: duration 2s
-- lancio: risk low
-- lancio: verify-once SELECT count(*) = 0 FROM platform.databases
--
-- 006, step 1: platform.databases, the registry of every project's databases.
--
-- A connection string is sealed as it is written and never rests in clear. The trigger needs the key in two settings
-- of the session:
--
--     lancio.key_id    a whole number from 1 to 999999999
--     lancio.key       64 bytes as 128 hexadecimal digits: 32 to encrypt with, 32 to authenticate with
--
-- Lancio fills them from LANCIO_KEY_FILE by bound parameter; with psql, PGOPTIONS="-c lancio.key_id=1 -c lancio.key=..."
-- keeps them out of every statement. ALTER ROLE or ALTER DATABASE ... SET would show them to everyone: don't.
--
-- What rests in connection_string is the display form, redis://sealed:<8 hex of the MAC>@host:port. The envelope, in
-- connection_string_encrypted, is
--
--     01 | key id, 4 bytes | IV, 16 bytes | AES-256-CBC ciphertext, PKCS padding | HMAC-SHA-256, 32 bytes
--
-- and the MAC is over 'platform.databases.connection_string', a zero byte, the row's id (16 bytes) and all that stands
-- before the MAC. So an envelope opens in its own row only.
--
-- Safe to run again: what is there stays as it is, also where a later file has changed it.

BEGIN;

-- Nothing is looked for where others may create: a function that fits better than PostgreSQL's own would run with the
-- rights of whoever runs this file.
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
BEGIN
    IF to_regclass('platform.projects') IS NULL THEN
        RAISE EXCEPTION 'table platform.projects does not exist'
            USING ERRCODE = 'undefined_table', HINT = 'Run 001_create_platform_schema.sql first.';
    END IF;
    IF to_regprocedure('platform.update_updated_at_column()') IS NULL THEN
        RAISE EXCEPTION 'function platform.update_updated_at_column() does not exist'
            USING ERRCODE = 'undefined_function', HINT = 'Run 001_create_platform_schema.sql first.';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'pgcrypto') THEN
        RAISE EXCEPTION 'extension pgcrypto does not exist'
            USING ERRCODE = 'undefined_object',
                  HINT = 'Run 003_user_management_and_permissions.sql first (001 to 005 in order).';
    END IF;
END
$$;

-- pgcrypto is used where it lives (managed services have it in "extensions"). The functions below keep this path as
-- their own (SET search_path FROM CURRENT): PostgreSQL's own names first, temporary ones last.
DO $$
BEGIN
    PERFORM set_config('search_path', 'pg_catalog, ' || quote_ident(n.nspname) || ', pg_temp', true)
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'pgcrypto';
END
$$;

CREATE TABLE IF NOT EXISTS platform.databases (
    id                          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id                  uuid NOT NULL REFERENCES platform.projects (id) ON DELETE CASCADE,
    name                        text NOT NULL,
    type                        text NOT NULL CHECK (type IN ('mongodb', 'redis', 'postgresql')),
    host                        text NOT NULL,
    port                        integer NOT NULL CHECK (port > 0 AND port < 65536),
    database                    text,
    username                    text,
    password                    text,
    connection_string           text NOT NULL,
    connection_string_encrypted bytea,
    ssl_enabled                 boolean DEFAULT false,
    config                      jsonb DEFAULT '{}',
    metadata                    jsonb DEFAULT '{}',
    status                      text DEFAULT 'active'
                                CHECK (status IN ('active', 'inactive', 'error', 'maintenance')),
    health_check_status         text DEFAULT 'unknown'
                                CHECK (health_check_status IN ('healthy', 'unhealthy', 'unknown')),
    last_health_check_at        timestamptz,
    health_check_error          text,
    created_at                  timestamptz DEFAULT now(),
    updated_at                  timestamptz DEFAULT now()
);

CREATE INDEX IF NOT EXISTS idx_databases_project_id ON platform.databases (project_id);
CREATE INDEX IF NOT EXISTS idx_databases_type ON platform.databases (type);
CREATE INDEX IF NOT EXISTS idx_databases_status ON platform.databases (status);
CREATE INDEX IF NOT EXISTS idx_databases_project_type_status ON platform.databases (project_id, type, status);
CREATE INDEX IF NOT EXISTS idx_databases_health_check
    ON platform.databases (health_check_status, last_health_check_at) WHERE health_check_status IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_databases_created_at ON platform.databases (created_at DESC);
CREATE INDEX IF NOT EXISTS idx_databases_updated_at ON platform.databases (updated_at DESC);

-- In the two functions that run with their owner's rights, literals and operands have their exact types written out:
-- where pgcrypto lives in public and everyone may create there, a better-fitting overload could otherwise be slipped in.

DO $$
BEGIN
    IF pg_catalog.to_regprocedure('platform.encrypt_database_connection_string()') IS NULL THEN
        CREATE FUNCTION platform.encrypt_database_connection_string() RETURNS trigger
            LANGUAGE plpgsql
            SECURITY DEFINER
            SET search_path FROM CURRENT
            SET standard_conforming_strings = on
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
            associated    bytea := convert_to('platform.databases.connection_string'::text, 'UTF8'::name) || '\x00'::bytea
                                   || uuid_send(NEW.id);
        BEGIN
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
            'Trigger: seals connection_string into connection_string_encrypted and leaves its display form. SQLSTATE 55000 without a key.';
    ELSE
        RAISE NOTICE 'function platform.encrypt_database_connection_string() exists and is left as it is';
    END IF;
END
$$;

DO $$
BEGIN
    IF pg_catalog.to_regprocedure('platform.decrypt_database_connection_string(uuid)') IS NULL THEN
        CREATE FUNCTION platform.decrypt_database_connection_string(database_id uuid) RETURNS text
            LANGUAGE plpgsql
            SECURITY DEFINER
            SET search_path FROM CURRENT
            SET standard_conforming_strings = on
        AS $body$
        DECLARE
            shown         text;
            bare          text;
            envelope      bytea;
            is_placeholder boolean;
            setting_id    text;
            setting_key   text;
            key           bytea;
            body          bytea;
            mac           bytea;
            sealed_mac    bytea;
            nonce         bytea;
        BEGIN
            SELECT d.connection_string, d.connection_string_encrypted,
                   coalesce(d.metadata @> '{"placeholder": true}'::jsonb, false),
                   d.type || '://'::text
                       || CASE WHEN d.host ~ ':'::text AND d.host !~ '^\['::text
                               THEN '['::text || d.host || ']'::text ELSE d.host END || ':'::text || d.port::text
            INTO shown, envelope, is_placeholder, bare
            FROM platform.databases d
            WHERE d.id = decrypt_database_connection_string.database_id;
            IF NOT FOUND THEN
                RETURN NULL;
            END IF;

            IF envelope IS NULL AND shown = bare THEN
                RETURN CASE WHEN is_placeholder THEN NULL ELSE bare END;
            END IF;

            IF octet_length(envelope) >= 69 AND get_byte(envelope, 0) = 1 THEN
                sealed_mac := substring(envelope, octet_length(envelope) - 31, 32);
                body := substring(envelope, 1, octet_length(envelope) - 32);
            END IF;
            IF (substring(shown, '://sealed:([0-9a-f]{8})@'::text) = encode(substring(sealed_mac, 1, 4), 'hex'::text)) IS NOT TRUE THEN
                RAISE EXCEPTION 'the sealed connection string of database % was tampered with', decrypt_database_connection_string.database_id
                    USING ERRCODE = 'data_exception',
                          HINT = 'Its display form and its envelope do not belong together. Write the connection string anew.';
            END IF;

            BEGIN
                setting_id := current_setting('lancio.key_id'::text);
                setting_key := current_setting('lancio.key'::text);
            EXCEPTION WHEN undefined_object THEN
                setting_key := NULL;  -- not set in this session
            END;
            IF coalesce(setting_key, ''::text) = ''::text OR coalesce(setting_id, ''::text) = ''::text THEN
                RAISE EXCEPTION 'no key to open the connection string with'
                    USING ERRCODE = 'object_not_in_prerequisite_state',
                          HINT = 'Set lancio.key_id and lancio.key in this session: with psql by PGOPTIONS, from a '
                                 'program by set_config() with bound parameters; Lancio does it from LANCIO_KEY_FILE.';
            END IF;
            IF setting_key !~ '^[0-9A-Fa-f]{128}$'::text OR setting_id !~ '^[1-9][0-9]{0,8}$'::text THEN
                RAISE EXCEPTION 'lancio.key or lancio.key_id is not what it should be'
                    USING ERRCODE = 'object_not_in_prerequisite_state',
                          HINT = 'lancio.key is 64 bytes as 128 hexadecimal digits, lancio.key_id a whole number from '
                                 '1 to 999999999.';
            END IF;

            -- Verified before anything is decrypted. Both sides are hashed with a nonce, so that the time the
            -- comparison takes says nothing; and what is not true, NULL among it, is refused.
            key := decode(setting_key, 'hex'::text);
            nonce := gen_random_bytes(32);
            mac := hmac(convert_to('platform.databases.connection_string'::text, 'UTF8'::name) || '\x00'::bytea
                        || uuid_send(decrypt_database_connection_string.database_id) || body,
                        substring(key, 33, 32), 'sha256'::text);
            IF (hmac(mac, nonce, 'sha256'::text) = hmac(sealed_mac, nonce, 'sha256'::text)) IS NOT TRUE THEN
                IF (substring(body, 2, 4) = int4send(setting_id::integer)) IS NOT TRUE THEN
                    RAISE EXCEPTION 'the connection string of database % was sealed with another key', decrypt_database_connection_string.database_id
                        USING ERRCODE = 'data_exception',
                              HINT = 'Its envelope does not name the key in lancio.key_id. Set the key it was sealed with; '
                                     'if there is none, the envelope was tampered with: write the connection string anew.';
                END IF;
                RAISE EXCEPTION 'the sealed connection string of database % was tampered with', decrypt_database_connection_string.database_id
                    USING ERRCODE = 'data_exception',
                          HINT = 'It was sealed for another row or with another key, or it was changed. Write the connection string anew.';
            END IF;
            RETURN convert_from(
                decrypt_iv(substring(body, 22), substring(key, 1, 32), substring(body, 6, 16), 'aes-cbc/pad:pkcs'::text),
                'UTF8'::name);
        END
        $body$;
        REVOKE ALL ON FUNCTION platform.decrypt_database_connection_string(uuid) FROM PUBLIC;
        COMMENT ON FUNCTION platform.decrypt_database_connection_string(uuid) IS
            'Opens a connection string. NULL for a placeholder and for an id that is not there; SQLSTATE 55000 without a key, 22000 when it does not verify.';
    ELSE
        RAISE NOTICE 'function platform.decrypt_database_connection_string(uuid) exists and is left as it is';
    END IF;
END
$$;

SET LOCAL search_path = pg_catalog, pg_temp;

-- For everyone: what a console or an API may show. The masked string is built from the row's own type, host and port,
-- never cut out of the secret. config is left out: drivers' options can hold passwords and keys.
DO $$
BEGIN
    IF to_regclass('platform.databases_safe') IS NULL THEN
        CREATE VIEW platform.databases_safe AS
        SELECT d.id, d.project_id, d.name, d.type, d.host, d.port, d.database,
               d.type || '://' || CASE WHEN d.host LIKE '%:%' AND d.host NOT LIKE '[%'
                                       THEN '[' || d.host || ']' ELSE d.host END
                      || ':' || d.port::text AS connection_string_masked,
               d.ssl_enabled, d.metadata, d.status,
               d.health_check_status, d.last_health_check_at, d.health_check_error,
               d.created_at, d.updated_at
        FROM platform.databases d;
        COMMENT ON VIEW platform.databases_safe IS 'The registry without credentials, readable by everyone.';
        GRANT USAGE ON SCHEMA platform TO PUBLIC;
        GRANT SELECT ON platform.databases_safe TO PUBLIC;
    ELSE
        RAISE NOTICE 'view platform.databases_safe exists and is left as it is';
    END IF;
END
$$;

-- For services that connect: every row opened. One row that does not verify is an error, not a gap.
DO $$
BEGIN
    IF to_regclass('platform.databases_with_connection_strings') IS NULL THEN
        CREATE VIEW platform.databases_with_connection_strings AS
        SELECT d.id, d.project_id, d.name, d.type, d.host, d.port, d.database, d.username,
               platform.decrypt_database_connection_string(d.id) AS connection_string,
               d.ssl_enabled, d.config, d.metadata, d.status,
               d.health_check_status, d.last_health_check_at, d.health_check_error,
               d.created_at, d.updated_at
        FROM platform.databases d;
        REVOKE ALL ON platform.databases_with_connection_strings FROM PUBLIC;
        -- Made again after it was dropped: the role that was served then is served now.
        IF EXISTS (SELECT 1 FROM pg_namespace n, aclexplode(n.nspacl) a JOIN pg_roles r ON r.oid = a.grantee
                   WHERE n.nspname = 'platform' AND r.rolname = 'lancio_service') THEN
            GRANT SELECT ON platform.databases_with_connection_strings TO lancio_service;
        END IF;
        COMMENT ON VIEW platform.databases_with_connection_strings IS
            'The registry with opened connection strings, for role lancio_service in a session that has the key.';
    ELSE
        RAISE NOTICE 'view platform.databases_with_connection_strings exists and is left as it is';
    END IF;
END
$$;

DO $$
BEGIN
    IF to_regprocedure('platform.get_project_databases(uuid, text)') IS NULL THEN
        CREATE FUNCTION platform.get_project_databases(project_id uuid, type text DEFAULT NULL)
            RETURNS SETOF platform.databases_safe
            LANGUAGE sql STABLE
            SET search_path = pg_catalog, pg_temp
        AS $body$
            -- The arguments bear names of columns: unqualified they would mean the columns, and every row would match.
            SELECT d.*
            FROM platform.databases_safe d
            WHERE d.project_id = get_project_databases.project_id
              AND (get_project_databases.type IS NULL OR d.type = get_project_databases.type)
              AND d.status IS DISTINCT FROM 'inactive'
            ORDER BY d.name, d.id
        $body$;
        COMMENT ON FUNCTION platform.get_project_databases(uuid, text) IS
            'The databases of one project, of one type if it is given, but for the inactive ones; without credentials.';
    ELSE
        RAISE NOTICE 'function platform.get_project_databases(uuid, text) exists and is left as it is';
    END IF;
END
$$;

DO $$
BEGIN
    IF to_regprocedure('platform.update_database_health(uuid, text, text)') IS NULL THEN
        CREATE FUNCTION platform.update_database_health(database_id uuid, status text, error text) RETURNS boolean
            LANGUAGE plpgsql
            SET search_path = pg_catalog, pg_temp
        AS $body$
        BEGIN
            IF (update_database_health.status IN ('healthy', 'unhealthy', 'unknown')) IS NOT TRUE THEN
                RAISE EXCEPTION 'a health status is healthy, unhealthy or unknown'
                    USING ERRCODE = 'invalid_parameter_value';
            END IF;
            UPDATE platform.databases AS d
            SET health_check_status = update_database_health.status,
                last_health_check_at = now(),
                health_check_error = update_database_health.error
            WHERE d.id = update_database_health.database_id;
            RETURN FOUND;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform.update_database_health(uuid, text, text) FROM PUBLIC;
        COMMENT ON FUNCTION platform.update_database_health(uuid, text, text) IS
            'Writes the outcome of a health check; true if the database is there. The credential is not touched.';
    ELSE
        RAISE NOTICE 'function platform.update_database_health(uuid, text, text) exists and is left as it is';
    END IF;
END
$$;

-- Triggers of one kind fire in the order of their names: sealing first.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'encrypt_database_connection_string_trigger'
                   AND tgrelid = 'platform.databases'::regclass) THEN
        CREATE TRIGGER encrypt_database_connection_string_trigger
            BEFORE INSERT OR UPDATE ON platform.databases
            FOR EACH ROW EXECUTE PROCEDURE platform.encrypt_database_connection_string();
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'update_databases_updated_at'
                   AND tgrelid = 'platform.databases'::regclass) THEN
        CREATE TRIGGER update_databases_updated_at
            BEFORE UPDATE ON platform.databases
            FOR EACH ROW EXECUTE PROCEDURE platform.update_updated_at_column();
    END IF;
END
$$;

-- Roles belong to the whole server, so another database may have made this one, perhaps in this very moment.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'lancio_service') THEN
        CREATE ROLE lancio_service NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN
        NULL;  -- made by another database meanwhile, which is just as good
    WHEN insufficient_privilege THEN
        RAISE WARNING 'role lancio_service does not exist and may not be created here'
            USING HINT = 'Have a role with CREATEROLE run: CREATE ROLE lancio_service NOLOGIN. Then run this file again: '
                         'it grants what the role needs. Until then only the owner opens connection strings.';
END
$$;

-- Granted once, all together; a role that has its USAGE was served before, and what a later file took back stays so.
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'lancio_service') AND NOT EXISTS (
        SELECT 1 FROM pg_namespace n, aclexplode(n.nspacl) a JOIN pg_roles r ON r.oid = a.grantee
        WHERE n.nspname = 'platform' AND r.rolname = 'lancio_service'
    ) THEN
        GRANT USAGE ON SCHEMA platform TO lancio_service;
        GRANT SELECT, INSERT, UPDATE, DELETE ON platform.databases TO lancio_service;
        GRANT SELECT ON platform.databases_with_connection_strings TO lancio_service;
        GRANT EXECUTE ON FUNCTION platform.decrypt_database_connection_string(uuid) TO lancio_service;
        GRANT EXECUTE ON FUNCTION platform.update_database_health(uuid, text, text) TO lancio_service;
        -- Step 3 may have made this one while the role was not there.
        IF to_regprocedure('platform.register_database_from_setting(uuid, text, text, text, text, text, integer)') IS NOT NULL THEN
            GRANT EXECUTE ON FUNCTION platform.register_database_from_setting(uuid, text, text, text, text, text, integer)
                TO lancio_service;
        END IF;
    END IF;
END
$$;

DO $$
BEGIN
    IF obj_description('platform.databases'::regclass, 'pg_class') IS NULL THEN
        COMMENT ON TABLE platform.databases IS 'Every project''s databases, with sealed credentials and their health.';
        COMMENT ON COLUMN platform.databases.password IS 'Always NULL: a password belongs into connection_string, which is sealed.';
        COMMENT ON COLUMN platform.databases.connection_string IS
            'Written in clear, kept as type://sealed:<8 hex of the MAC>@host:port; type://host:port where there is no password.';
        COMMENT ON COLUMN platform.databases.connection_string_encrypted IS 'The sealed envelope, bound to this column and this row.';
        COMMENT ON COLUMN platform.databases.metadata IS '{"placeholder": true} marks a row whose credential is still to come.';
        COMMENT ON COLUMN platform.databases.health_check_error IS 'Readable by everyone: a code or a redacted sentence, never a driver''s own text.';
    END IF;
END
$$;

COMMIT;
