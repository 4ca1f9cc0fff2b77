-- lancio: impact secrets are sealed with their organization's key; opening one leaves an entry in platform.audit_logs, so not in a read-only transaction
-- lancio: risk high
-- lancio: requires server >= 10
-- lancio: requires policy organization_databases on platform.databases
-- lancio: verify SELECT count(*) = 1 FROM pg_policies WHERE schemaname = 'platform' AND permissive = 'RESTRICTIVE' AND policyname = 'organization_data_keys'
-- lancio: verify SELECT count(*) = 1 FROM platform.verify_rls_enabled() WHERE table_name = 'data_keys' AND rls_enabled AND policy_count >= 3
--
-- 008: every organization has its own keys, and opening a secret is written down.
--
-- platform.data_keys has the data keys, wrapped by a key-encryption key that never comes here: only programs that have
-- that one open them, and hand the organization's data keys to the session for one transaction,
--
--     lancio.key_id    1004          or 1004,1003: the active key and one that older rows are sealed with
--     lancio.key       128 hexadecimal digits each, in the same order
--
-- An envelope of an organization's key is
--
--     02 | key id, 4 bytes | IV, 16 bytes | AES-256-CBC ciphertext, PKCS padding | HMAC-SHA-256, 32 bytes
--
-- and its MAC is over the column's name, a zero byte, the row's id, the organization's id (16 bytes each) and all that
-- stands before the MAC: it opens in its own column, row and organization only. Envelopes of 006 begin with 01 and know no
-- organization; they open with the key they were sealed with until they are sealed anew (lancio keys).
--
-- A key is known by its check value, the HMAC-SHA-256 under all its 64 bytes of 'platform.data_keys.check_value', a zero
-- byte, the key's id (4 bytes) and the organization's (16 bytes, zero for the single key of 006). What does not give it
-- never seals a row.
--
-- Run with that single key in the session, this file writes down its check value, and organizations without a key of
-- their own go on with it.
--
-- Safe to run again: what is there stays as it is, also where a later file has changed it; a function that an earlier text of
-- this file has made is made anew, which is told by a word of its body. What this file replaces is
-- kept in platform_private.replaced_by_008, and 008_seal_with_organization_keys.rollback.sql puts it back as long as nothing
-- is sealed with an organization's key.

BEGIN;

-- Nothing is looked for where others may create: a function that fits better than PostgreSQL's own would run with the
-- rights of whoever runs this file.
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
BEGIN
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
    IF to_regclass('platform_private.replaced') IS NULL THEN
        RAISE EXCEPTION 'organizations are not isolated'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Run 007_isolate_organizations.sql first.';
    END IF;
    IF to_regprocedure('platform.encrypt_database_connection_string()') IS NULL
       OR to_regprocedure('platform.decrypt_database_connection_string(uuid)') IS NULL THEN
        RAISE EXCEPTION 'function platform.decrypt_database_connection_string(uuid) does not exist'
            USING ERRCODE = 'undefined_function', HINT = 'Run 006_add_platform_databases_table.sql first.';
    END IF;
    IF NOT pg_has_role('lancio_owner', 'USAGE') THEN
        GRANT lancio_owner TO CURRENT_USER;
    END IF;
END
$$;

-- Above what a key file is usually numbered with; an id that is taken is passed over.
CREATE SEQUENCE IF NOT EXISTS platform_private.data_key_ids AS integer START WITH 1000 MAXVALUE 999999999;

CREATE TABLE IF NOT EXISTS platform.data_keys (
    key_id          integer PRIMARY KEY CHECK (key_id BETWEEN 1 AND 999999999),
    organization_id uuid REFERENCES platform.organizations (id) ON DELETE CASCADE,
    wrapped         bytea,
    kek_id          text,
    check_value     bytea CHECK (octet_length(check_value) = 32),
    state           text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'retired', 'destroyed')),
    created_at      timestamptz NOT NULL DEFAULT now(),
    retired_at      timestamptz,
    destroyed_at    timestamptz,
    CONSTRAINT data_keys_wrapped_kek_id_check CHECK ((wrapped IS NULL) = (kek_id IS NULL)),
    CONSTRAINT data_keys_wrapped_state_check
        CHECK (CASE WHEN state = 'destroyed' THEN wrapped IS NULL ELSE wrapped IS NOT NULL OR organization_id IS NULL END),
    CONSTRAINT data_keys_check_value_state_check
        CHECK (check_value IS NOT NULL OR (organization_id IS NULL AND state <> 'active')),
    CONSTRAINT data_keys_retired_at_check CHECK (state <> 'active' OR retired_at IS NULL),
    CONSTRAINT data_keys_destroyed_at_check CHECK ((state = 'destroyed') = (destroyed_at IS NOT NULL))
);

ALTER TABLE platform.data_keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE INDEX IF NOT EXISTS idx_data_keys_organization_id ON platform.data_keys (organization_id, key_id);
CREATE UNIQUE INDEX IF NOT EXISTS idx_data_keys_active ON platform.data_keys (organization_id) WHERE state = 'active';
CREATE UNIQUE INDEX IF NOT EXISTS idx_data_keys_first_active
    ON platform.data_keys (state) WHERE state = 'active' AND organization_id IS NULL;

CREATE TABLE IF NOT EXISTS platform_private.replaced_by_008 (
    object     text PRIMARY KEY,
    definition text NOT NULL
);

-- That rows in clear were sealed and the table's file is to be written anew (lancio keys take-over): since when.
CREATE TABLE IF NOT EXISTS platform_private.rewrites_due (
    table_name text PRIMARY KEY,
    since      timestamptz NOT NULL
);

-- The key-encryption keys that data keys may be wrapped with, by their public check values: the operator's to say.
CREATE TABLE IF NOT EXISTS platform_private.key_encryption_keys (
    kek_id text PRIMARY KEY
);

-- Ids that no new key is given but the one that they were drawn for; without an organization: of keys that are gone.
CREATE TABLE IF NOT EXISTS platform_private.data_key_ids_taken (
    key_id          integer PRIMARY KEY,
    organization_id uuid
);

DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = 'platform_private' AND tablename = 'rewrites_due' AND tableowner = 'lancio_owner') THEN
        ALTER TABLE platform_private.rewrites_due OWNER TO lancio_owner;
        -- This file was run here before there was this table. Once too often does no harm.
        IF EXISTS (SELECT 1 FROM platform_private.replaced_by_008 WHERE object = 'first keys') THEN
            INSERT INTO platform_private.rewrites_due (table_name, since) VALUES ('platform.databases', now());
        END IF;
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = 'platform_private' AND tablename = 'key_encryption_keys' AND tableowner = 'lancio_owner') THEN
        ALTER TABLE platform_private.key_encryption_keys OWNER TO lancio_owner;
        ALTER TABLE platform_private.data_key_ids_taken OWNER TO lancio_owner;
        IF EXISTS (SELECT 1 FROM platform_private.replaced_by_008 WHERE object = 'first keys') THEN
            INSERT INTO platform_private.key_encryption_keys (kek_id)
            SELECT DISTINCT k.kek_id FROM platform.data_keys k WHERE k.kek_id IS NOT NULL;
        END IF;
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = 'platform' AND tablename = 'data_keys' AND tableowner = 'lancio_owner') THEN
        ALTER TABLE platform.data_keys OWNER TO lancio_owner;
        ALTER TABLE platform_private.replaced_by_008 OWNER TO lancio_owner;
        ALTER SEQUENCE platform_private.data_key_ids OWNER TO lancio_owner;
        GRANT SELECT ON platform.data_keys TO lancio_service;
        GRANT SELECT (key_id, organization_id, kek_id, check_value, state, created_at, retired_at, destroyed_at)
            ON platform.data_keys TO lancio_application, lancio_readonly;
        COMMENT ON TABLE platform.data_keys IS 'The keys that secrets are sealed with, wrapped by a key-encryption key that is not here.';
        COMMENT ON COLUMN platform.data_keys.key_id IS 'Stands in each envelope. Never used again.';
        COMMENT ON COLUMN platform.data_keys.organization_id IS 'Whose key it is; NULL for a single key that rows were sealed with before 008.';
        COMMENT ON COLUMN platform.data_keys.wrapped IS 'The key, encrypted by the key-encryption key; NULL once it is destroyed, and for a single key that lives in a file.';
        COMMENT ON COLUMN platform.data_keys.kek_id IS 'Which key-encryption key wrapped it.';
        COMMENT ON COLUMN platform.data_keys.check_value IS 'Public; tells the key from every other. NULL for a single key that was not seen yet.';
        COMMENT ON COLUMN platform.data_keys.state IS 'active: seals and opens, one an organization; retired: opens; destroyed: what it sealed is unreadable for ever.';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'data_keys' AND policyname = 'permissive_all_data_keys') THEN
        CREATE POLICY permissive_all_data_keys ON platform.data_keys FOR ALL
            TO lancio_application, lancio_service, lancio_readonly USING (true) WITH CHECK (true);
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'data_keys' AND policyname = 'organization_data_keys') THEN
        CREATE POLICY organization_data_keys ON platform.data_keys AS RESTRICTIVE
            FOR ALL TO lancio_application, lancio_service, lancio_readonly
            USING (organization_id = (SELECT platform.current_organization_id()))
            WITH CHECK (organization_id = (SELECT platform.current_organization_id()));
    END IF;
    -- Every row of it, so that looking for a key costs no look at the context: the functions below, which alone work in
    -- its name here, ask for the organization of a row that the policies have shown them.
    IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'data_keys' AND policyname = 'owner_data_keys') THEN
        CREATE POLICY owner_data_keys ON platform.data_keys FOR ALL TO lancio_owner USING (true);
    END IF;
END
$$;

-- The key that an envelope says it was sealed with; NULL for what is no envelope.
DO $$
BEGIN
    IF to_regprocedure('platform.envelope_key_id(bytea)') IS NULL THEN
        CREATE FUNCTION platform.envelope_key_id(envelope bytea) RETURNS integer
            LANGUAGE sql IMMUTABLE PARALLEL SAFE
        AS $body$
            SELECT CASE WHEN pg_catalog.octet_length(envelope) >= 69 AND pg_catalog.mod(pg_catalog.octet_length(envelope) - 53, 16) = 0
                        THEN CASE WHEN pg_catalog.get_byte(envelope, 0) IN (1, 2) AND pg_catalog.get_byte(envelope, 1) < 128
                                  THEN (pg_catalog.get_byte(envelope, 1) << 24) | (pg_catalog.get_byte(envelope, 2) << 16)
                                     | (pg_catalog.get_byte(envelope, 3) << 8) | pg_catalog.get_byte(envelope, 4) END END
        $body$;
        ALTER FUNCTION platform.envelope_key_id(bytea) OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform.envelope_key_id(bytea) IS 'The id of the key that an envelope names, unverified; NULL for what is no envelope.';
    END IF;
END
$$;

-- Who may change a key, and how: forwards only.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_proc WHERE oid = to_regprocedure('platform_private.guard_data_keys()') AND strpos(prosrc, 'pg_trigger_depth') > 0) THEN
        CREATE OR REPLACE FUNCTION platform_private.guard_data_keys() RETURNS trigger
            LANGUAGE plpgsql SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp
            SET row_security = on
        AS $body$
        BEGIN
            IF TG_OP = 'DELETE' THEN
                -- With its organization it goes: then the foreign key's trigger is around this one.
                IF OLD.organization_id IS NULL OR pg_trigger_depth() < 2 THEN
                    RAISE EXCEPTION 'data key % is not deleted', OLD.key_id
                        USING ERRCODE = 'restrict_violation',
                              HINT = 'What is sealed with it would be unreadable for ever. If that is what you want: '
                                     'SELECT platform.destroy_data_keys(organization_id), which is written down.';
                END IF;
                INSERT INTO platform_private.data_key_ids_taken (key_id) VALUES (OLD.key_id) ON CONFLICT DO NOTHING;
                RETURN OLD;
            END IF;
            IF NEW.key_id <> OLD.key_id OR NEW.organization_id IS DISTINCT FROM OLD.organization_id OR NEW.created_at <> OLD.created_at
               OR (OLD.check_value IS NOT NULL AND NEW.check_value IS DISTINCT FROM OLD.check_value) THEN
                RAISE EXCEPTION 'id, organization and check value of data key % do not change', OLD.key_id
                    USING ERRCODE = 'invalid_parameter_value', HINT = 'Another key is another row.';
            END IF;
            IF OLD.state = 'destroyed' THEN
                RAISE EXCEPTION 'data key % was destroyed', OLD.key_id
                    USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'It does not come back: make a new one.';
            END IF;
            -- A single key that is seen for the first time becomes the active one.
            IF OLD.state = 'retired' AND NEW.state = 'active' AND OLD.check_value IS NOT NULL THEN
                RAISE EXCEPTION 'data key % is retired and stays so', OLD.key_id
                    USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Make a new one.';
            END IF;
            RETURN NEW;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform_private.guard_data_keys() FROM PUBLIC;
        ALTER FUNCTION platform_private.guard_data_keys() OWNER TO lancio_owner;
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'guard_data_keys_trigger' AND tgrelid = 'platform.data_keys'::regclass) THEN
        CREATE TRIGGER guard_data_keys_trigger BEFORE UPDATE OR DELETE ON platform.data_keys
            FOR EACH ROW EXECUTE PROCEDURE platform_private.guard_data_keys();
    END IF;
END
$$;

-- Whatever the operator wraps a key with is a key-encryption key of this platform; what wraps a key now cannot be taken
-- off the list before the transaction that wraps it is over.
DO $$
BEGIN
    IF to_regprocedure('platform_private.note_key_encryption_key()') IS NULL THEN
        CREATE FUNCTION platform_private.note_key_encryption_key() RETURNS trigger
            LANGUAGE plpgsql SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp
            SET row_security = on
        AS $body$
        BEGIN
            PERFORM 1 FROM platform_private.key_encryption_keys e WHERE e.kek_id = NEW.kek_id FOR KEY SHARE;
            IF NOT FOUND THEN
                INSERT INTO platform_private.key_encryption_keys (kek_id) VALUES (NEW.kek_id) ON CONFLICT DO NOTHING;
            END IF;
            RETURN NULL;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform_private.note_key_encryption_key() FROM PUBLIC;
        ALTER FUNCTION platform_private.note_key_encryption_key() OWNER TO lancio_owner;
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'note_key_encryption_key_trigger' AND tgrelid = 'platform.data_keys'::regclass) THEN
        CREATE TRIGGER note_key_encryption_key_trigger AFTER INSERT OR UPDATE OF kek_id ON platform.data_keys
            FOR EACH ROW WHEN (NEW.kek_id IS NOT NULL) EXECUTE PROCEDURE platform_private.note_key_encryption_key();
    END IF;
    -- Rows that are restored find what the trigger above has noted from the keys before them.
    IF to_regprocedure('platform_private.pass_over_noted()') IS NULL THEN
        CREATE FUNCTION platform_private.pass_over_noted() RETURNS trigger
            LANGUAGE plpgsql
            SET search_path = pg_catalog, pg_temp
        AS $body$
        BEGIN
            IF EXISTS (SELECT 1 FROM platform_private.key_encryption_keys e WHERE e.kek_id = NEW.kek_id) THEN
                RETURN NULL;
            END IF;
            RETURN NEW;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform_private.pass_over_noted() FROM PUBLIC;
        ALTER FUNCTION platform_private.pass_over_noted() OWNER TO lancio_owner;
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'pass_over_noted' AND tgrelid = 'platform_private.key_encryption_keys'::regclass) THEN
        CREATE TRIGGER pass_over_noted BEFORE INSERT ON platform_private.key_encryption_keys
            FOR EACH ROW EXECUTE PROCEDURE platform_private.pass_over_noted();
    END IF;
    IF to_regprocedure('platform_private.login_operates()') IS NULL THEN
        CREATE FUNCTION platform_private.login_operates() RETURNS boolean
            LANGUAGE sql STABLE PARALLEL RESTRICTED
            SET search_path = pg_catalog, pg_temp
        AS $body$
            SELECT coalesce((SELECT r.rolsuper OR r.rolbypassrls OR pg_has_role(r.oid, 'lancio_owner'::name, 'MEMBER'::text)
                             FROM pg_roles r WHERE r.rolname = session_user), false)
        $body$;
        REVOKE ALL ON FUNCTION platform_private.login_operates() FROM PUBLIC;
        ALTER FUNCTION platform_private.login_operates() OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform_private.login_operates() IS
            'Is the login itself, whatever role it has taken, one that policies do not hold or that could take them away?';
    END IF;
END
$$;

-- The envelope: what it is made of and what it opens to. Nobody is granted these; they run in the name of lancio_owner.

-- pgcrypto is used where it lives. The functions below keep this path as their own (SET search_path FROM CURRENT).
DO $$
BEGIN
    PERFORM set_config('search_path', 'pg_catalog, ' || quote_ident(n.nspname) || ', pg_temp', true)
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'pgcrypto';
END
$$;
DO $$
BEGIN
    IF pg_catalog.to_regprocedure('platform_private.seal(text, text, uuid, uuid, integer, bytea)') IS NULL THEN
        CREATE FUNCTION platform_private.seal(
            plain text, column_name text, row_id uuid, organization_id uuid, key_id integer, key bytea
        ) RETURNS bytea
            LANGUAGE plpgsql
            SET search_path FROM CURRENT
            SET standard_conforming_strings = on
        AS $body$
        DECLARE
            iv   bytea := gen_random_bytes(16);
            body bytea := CASE WHEN organization_id IS NULL THEN '\x01'::bytea ELSE '\x02'::bytea END || int4send(key_id) || iv
                          || encrypt_iv(convert_to(plain, 'UTF8'::name), substring(key, 1, 32), iv, 'aes-cbc/pad:pkcs'::text);
        BEGIN
            RETURN body || hmac(convert_to(column_name, 'UTF8'::name) || '\x00'::bytea || uuid_send(row_id)
                                || coalesce(uuid_send(organization_id), ''::bytea) || body,
                                substring(key, 33, 32), 'sha256'::text);
        END
        $body$;
        REVOKE ALL ON FUNCTION platform_private.seal(text, text, uuid, uuid, integer, bytea) FROM PUBLIC;
        ALTER FUNCTION platform_private.seal(text, text, uuid, uuid, integer, bytea) OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform_private.seal(text, text, uuid, uuid, integer, bytea) IS
            'Makes an envelope; without an organization, the one of 006. Looks at nothing: for functions that have looked.';
    END IF;
    IF pg_catalog.to_regprocedure('platform_private.verifies(bytea, text, uuid, uuid, bytea)') IS NULL THEN
        -- Both sides are hashed with the key, so that the time the comparison takes says nothing.
        CREATE FUNCTION platform_private.verifies(
            envelope bytea, column_name text, row_id uuid, organization_id uuid, key bytea
        ) RETURNS boolean
            LANGUAGE plpgsql
            SET search_path FROM CURRENT
            SET standard_conforming_strings = on
        AS $body$
        BEGIN
            RETURN platform.envelope_key_id(envelope) IS NOT NULL
               AND get_byte(envelope, 0) = CASE WHEN organization_id IS NULL THEN 1 ELSE 2 END
               AND (digest(hmac(convert_to(column_name, 'UTF8'::name) || '\x00'::bytea || uuid_send(row_id)
                                || coalesce(uuid_send(organization_id), ''::bytea)
                                || substring(envelope, 1, octet_length(envelope) - 32),
                                substring(key, 33, 32), 'sha256'::text) || key, 'sha256'::text)
                    = digest(substring(envelope, octet_length(envelope) - 31, 32) || key, 'sha256'::text)) IS TRUE;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform_private.verifies(bytea, text, uuid, uuid, bytea) FROM PUBLIC;
        ALTER FUNCTION platform_private.verifies(bytea, text, uuid, uuid, bytea) OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform_private.verifies(bytea, text, uuid, uuid, bytea) IS
            'Was this envelope made with this key for this column, row and organization?';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_proc WHERE oid = to_regprocedure('platform_private.unseal(bytea, text, uuid, uuid, bytea)') AND strpos(prosrc, 'untranslatable_character') > 0) THEN
        CREATE OR REPLACE FUNCTION platform_private.unseal(
            envelope bytea, column_name text, row_id uuid, organization_id uuid, key bytea
        ) RETURNS text
            LANGUAGE plpgsql
            SET search_path FROM CURRENT
            SET standard_conforming_strings = on
        AS $body$
        BEGIN
            -- Verified before anything is decrypted: platform_private.verifies(), written out.
            IF platform.envelope_key_id(envelope) IS NULL
               OR get_byte(envelope, 0) <> (CASE WHEN organization_id IS NULL THEN 1 ELSE 2 END)
               OR (digest(hmac(convert_to(column_name, 'UTF8'::name) || '\x00'::bytea || uuid_send(row_id)
                               || coalesce(uuid_send(organization_id), ''::bytea)
                               || substring(envelope, 1, octet_length(envelope) - 32),
                               substring(key, 33, 32), 'sha256'::text) || key, 'sha256'::text)
                   = digest(substring(envelope, octet_length(envelope) - 31, 32) || key, 'sha256'::text)) IS NOT TRUE THEN
                RETURN NULL;
            END IF;
            IF current_setting('server_encoding'::text) <> 'UTF8'::text THEN
                BEGIN
                    RETURN convert_from(
                        decrypt_iv(substring(envelope, 22, octet_length(envelope) - 53), substring(key, 1, 32),
                                   substring(envelope, 6, 16), 'aes-cbc/pad:pkcs'::text), 'UTF8'::name);
                EXCEPTION WHEN untranslatable_character OR character_not_in_repertoire THEN
                    -- PostgreSQL's own message shows the character.
                    RAISE EXCEPTION 'the secret has a character that this database''s encoding has not'
                        USING ERRCODE = 'untranslatable_character', HINT = 'Open it in a program instead: lancio.connect().';
                END;
            END IF;
            RETURN convert_from(
                decrypt_iv(substring(envelope, 22, octet_length(envelope) - 53), substring(key, 1, 32), substring(envelope, 6, 16),
                           'aes-cbc/pad:pkcs'::text), 'UTF8'::name);
        END
        $body$;
        REVOKE ALL ON FUNCTION platform_private.unseal(bytea, text, uuid, uuid, bytea) FROM PUBLIC;
        ALTER FUNCTION platform_private.unseal(bytea, text, uuid, uuid, bytea) OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform_private.unseal(bytea, text, uuid, uuid, bytea) IS
            'What is in an envelope; NULL if it does not verify.';
    END IF;
    IF pg_catalog.to_regprocedure('platform_private.check_value(integer, uuid, bytea)') IS NULL THEN
        CREATE FUNCTION platform_private.check_value(key_id integer, organization_id uuid, key bytea) RETURNS bytea
            LANGUAGE plpgsql
            SET search_path FROM CURRENT
            SET standard_conforming_strings = on
        AS $body$
        BEGIN
            RETURN hmac(convert_to('platform.data_keys.check_value'::text, 'UTF8'::name) || '\x00'::bytea || int4send(key_id)
                        || uuid_send(coalesce(organization_id, '00000000-0000-0000-0000-000000000000'::uuid)), key, 'sha256'::text);
        END
        $body$;
        REVOKE ALL ON FUNCTION platform_private.check_value(integer, uuid, bytea) FROM PUBLIC;
        ALTER FUNCTION platform_private.check_value(integer, uuid, bytea) OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform_private.check_value(integer, uuid, bytea) IS 'What tells a key from every other, without telling the key.';
    END IF;
    IF pg_catalog.to_regprocedure('platform_private.session_key(integer)') IS NULL THEN
        CREATE FUNCTION platform_private.session_key(key_id integer) RETURNS bytea
            LANGUAGE plpgsql
            SET search_path = pg_catalog, pg_temp
        AS $body$
        DECLARE
            -- Not set they are NULL, and the empty string once a transaction that had set them is over.
            setting_id  text := current_setting('lancio.key_id'::text, true);
            setting_key text := current_setting('lancio.key'::text, true);
            ids         text[];
            part        text;
        BEGIN
            IF coalesce(setting_key, ''::text) = ''::text OR coalesce(setting_id, ''::text) = ''::text THEN
                RETURN NULL;
            END IF;
            -- The one key that is asked for, as in most sessions.
            IF setting_id = session_key.key_id::text AND length(setting_key) = 128 AND setting_key !~ '[^0-9A-Fa-f]'::text THEN
                RETURN decode(setting_key, 'hex'::text);
            END IF;
            ids := string_to_array(setting_id, ','::text);
            part := split_part(setting_key, ','::text, coalesce(array_position(ids, session_key.key_id::text), 1));
            -- (A pattern that counts to 128 would take ten times as long as all the rest.)
            IF length(part) <> 128 OR length(setting_key) <> 129 * cardinality(ids) - 1 OR setting_key ~ '[^0-9A-Fa-f,]'::text
               OR cardinality(string_to_array(setting_key, ','::text)) <> cardinality(ids)
               OR setting_id !~ '^[1-9][0-9]{0,8}(,[1-9][0-9]{0,8})*$'::text THEN
                RAISE EXCEPTION 'lancio.key or lancio.key_id is not what it should be'
                    USING ERRCODE = 'object_not_in_prerequisite_state',
                          HINT = 'lancio.key is 64 bytes as 128 hexadecimal digits, lancio.key_id a whole number from '
                                 '1 to 999999999; several of each are parted by commas, in the same order.';
            END IF;
            RETURN CASE WHEN session_key.key_id::text = ANY (ids) THEN decode(part, 'hex'::text) END;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform_private.session_key(integer) FROM PUBLIC;
        ALTER FUNCTION platform_private.session_key(integer) OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform_private.session_key(integer) IS 'The key of this id in the session''s settings; NULL if it is not there.';
    END IF;
END
$$;
SET LOCAL search_path = pg_catalog, pg_temp;

-- With which key, and whether the session has it.

DO $$
BEGIN
    PERFORM set_config('search_path', 'pg_catalog, ' || quote_ident(n.nspname) || ', pg_temp', true)
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'pgcrypto';
END
$$;
DO $$
BEGIN
    IF pg_catalog.to_regprocedure('platform_private.refuse_without_key(text, text)') IS NULL THEN
        CREATE FUNCTION platform_private.refuse_without_key(verb text, what text) RETURNS void
            LANGUAGE plpgsql
            SET search_path = pg_catalog, pg_temp
        AS $body$
        BEGIN
            IF coalesce(current_setting('lancio.key', true), '') = '' OR coalesce(current_setting('lancio.key_id', true), '') = '' THEN
                RAISE EXCEPTION 'no key to % the % with', verb, what
                    USING ERRCODE = 'object_not_in_prerequisite_state',
                          HINT = 'Set lancio.key_id and lancio.key in this session: with psql by PGOPTIONS, from a '
                                 'program by set_config() with bound parameters, local to the transaction.'
                                 || CASE verb WHEN 'seal' THEN ' Without a secret, type://host:port needs no key.' ELSE '' END;
            END IF;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform_private.refuse_without_key(text, text) FROM PUBLIC;
        ALTER FUNCTION platform_private.refuse_without_key(text, text) OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform_private.refuse_without_key(text, text) IS 'SQLSTATE 55000 if the session has no key at all.';
    END IF;
    IF pg_catalog.to_regprocedure('platform_private.seal_for(uuid, text, uuid, text, text)') IS NULL THEN
        CREATE FUNCTION platform_private.seal_for(
            organization_id uuid, column_name text, row_id uuid, plain text, what text
        ) RETURNS bytea
            LANGUAGE plpgsql
            SET search_path FROM CURRENT
            SET standard_conforming_strings = on
        AS $body$
        DECLARE
            v_key_id  integer;
            v_check   bytea;
            v_of      uuid;
            v_key     bytea;
        BEGIN
            SELECT k.key_id, k.check_value, k.organization_id INTO v_key_id, v_check, v_of
            FROM platform.data_keys k WHERE k.organization_id = seal_for.organization_id AND k.state = 'active';
            IF NOT FOUND THEN
                PERFORM platform_private.refuse_without_key('seal', what);
                IF EXISTS (SELECT 1 FROM platform.data_keys k WHERE k.organization_id = seal_for.organization_id) THEN
                    RAISE EXCEPTION 'organization % has no active key to seal the % with', seal_for.organization_id, what
                        USING ERRCODE = 'object_not_in_prerequisite_state',
                              HINT = 'Its keys were destroyed. Make a new one: lancio keys.';
                END IF;
                -- Until it has a key of its own, the single key that is known here.
                SELECT k.key_id, k.check_value INTO v_key_id, v_check
                FROM platform.data_keys k WHERE k.organization_id IS NULL AND k.state = 'active';
                IF NOT FOUND THEN
                    RAISE EXCEPTION 'organization % has no key to seal the % with', seal_for.organization_id, what
                        USING ERRCODE = 'object_not_in_prerequisite_state',
                              HINT = 'Make one: lancio keys. To go on with the single key of 006 until then: '
                                     'SELECT platform.register_first_key(), in a session that has it.';
                END IF;
            END IF;
            v_key := platform_private.session_key(v_key_id);
            IF v_key IS NULL THEN
                PERFORM platform_private.refuse_without_key('seal', what);
                RAISE EXCEPTION 'the session does not have the active key of organization %', seal_for.organization_id
                    USING ERRCODE = 'object_not_in_prerequisite_state',
                          HINT = 'It is key ' || v_key_id::text || '. A retired or another organization''s key seals nothing.';
            END IF;
            -- platform_private.check_value(), written out: it is asked for each secret.
            IF hmac('platform.data_keys.check_value\000'::bytea || int4send(v_key_id)
                    || uuid_send(coalesce(v_of, '00000000-0000-0000-0000-000000000000'::uuid)), v_key, 'sha256'::text)
               IS DISTINCT FROM v_check THEN
                RAISE EXCEPTION 'lancio.key is not key %', v_key_id
                    USING ERRCODE = 'object_not_in_prerequisite_state',
                          HINT = 'Its check value in platform.data_keys is another. Nothing was sealed.';
            END IF;
            RETURN platform_private.seal(plain, column_name, row_id, v_of, v_key_id, v_key);
        END
        $body$;
        REVOKE ALL ON FUNCTION platform_private.seal_for(uuid, text, uuid, text, text) FROM PUBLIC;
        ALTER FUNCTION platform_private.seal_for(uuid, text, uuid, text, text) OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform_private.seal_for(uuid, text, uuid, text, text) IS
            'Seals with the active key of an organization, which the session must have. SQLSTATE 55000 without it.';
    END IF;

    IF pg_catalog.to_regprocedure('platform_private.key_of(uuid, bytea)') IS NULL THEN
        CREATE FUNCTION platform_private.key_of(
            INOUT organization_id uuid, envelope bytea, OUT key_id integer, OUT check_value bytea, OUT state text
        )
            LANGUAGE plpgsql
            SET search_path = pg_catalog, pg_temp
        AS $body$
        DECLARE
            v_of uuid;
        BEGIN
            key_id := platform.envelope_key_id(envelope);
            SELECT k.organization_id, k.check_value, k.state INTO v_of, key_of.check_value, key_of.state
            FROM platform.data_keys k WHERE k.key_id = key_of.key_id;
            -- One of 006 names a key of no organization, which may not be known here.
            IF (CASE get_byte(envelope, 0) WHEN 1 THEN v_of IS NULL ELSE v_of = key_of.organization_id END) IS NOT TRUE THEN
                RAISE EXCEPTION 'key % is not a key of this organization', key_id
                    USING ERRCODE = 'data_exception',
                          HINT = 'The envelope was made for another organization, or it was changed. Write the secret anew.';
            END IF;
            organization_id := v_of;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform_private.key_of(uuid, bytea) FROM PUBLIC;
        ALTER FUNCTION platform_private.key_of(uuid, bytea) OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform_private.key_of(uuid, bytea) IS
            'The key that an envelope of this organization names, and whose it is; 22000 if it is another organization''s.';
    END IF;

    IF NOT EXISTS (SELECT 1 FROM pg_proc WHERE oid = to_regprocedure('platform_private.accept_envelope(bytea, text, uuid, uuid, text)') AND strpos(prosrc, 'caller_bypasses') > 0) THEN
        CREATE OR REPLACE FUNCTION platform_private.accept_envelope(
            envelope bytea, column_name text, row_id uuid, organization_id uuid, what text
        ) RETURNS void
            LANGUAGE plpgsql
            SET search_path = pg_catalog, pg_temp
        AS $body$
        DECLARE
            v_named record;
            v_key   bytea;
        BEGIN
            SELECT * INTO v_named FROM platform_private.key_of(accept_envelope.organization_id, envelope);
            -- An envelope of 006 knows no organization: an old one of another could come back by it. Where there is a key of
            -- the organization, or the single key seals no more, only who restores a dump writes one.
            IF v_named.organization_id IS NULL AND NOT platform_private.caller_bypasses()
               AND ((v_named.state <> 'active' AND v_named.check_value IS NOT NULL)
                    OR EXISTS (SELECT 1 FROM platform.data_keys k WHERE k.organization_id = accept_envelope.organization_id)) THEN
                RAISE EXCEPTION 'key % is not a key of this organization', v_named.key_id
                    USING ERRCODE = 'data_exception', HINT = 'Seal with the organization''s active key.';
            END IF;
            IF v_named.state = 'destroyed' THEN
                RAISE EXCEPTION 'key % was destroyed', v_named.key_id
                    USING ERRCODE = 'object_not_in_prerequisite_state',
                          HINT = 'What is sealed with it is unreadable for ever. Seal with the organization''s active key.';
            END IF;
            v_key := platform_private.session_key(v_named.key_id);
            -- Who has the key is told at once when an envelope was made for another row.
            IF v_key IS NULL THEN
                RETURN;
            END IF;
            IF NOT platform_private.verifies(envelope, column_name, row_id, v_named.organization_id, v_key) THEN
                RAISE EXCEPTION 'the sealed % does not belong to this row', what
                    USING ERRCODE = 'data_exception',
                          HINT = 'It was sealed for another row or with another key, or it was changed.';
            END IF;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform_private.accept_envelope(bytea, text, uuid, uuid, text) FROM PUBLIC;
        ALTER FUNCTION platform_private.accept_envelope(bytea, text, uuid, uuid, text) OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform_private.accept_envelope(bytea, text, uuid, uuid, text) IS
            'May an envelope that was sealed elsewhere be written to this row? Its key is one of the organization and is not destroyed; with the key in the session it is verified.';
    END IF;

    IF pg_catalog.to_regprocedure('platform_private.open_for(uuid, text, uuid, bytea, text)') IS NULL THEN
        CREATE FUNCTION platform_private.open_for(
            organization_id uuid, column_name text, row_id uuid, envelope bytea, what text
        ) RETURNS text
            LANGUAGE plpgsql
            SET search_path = pg_catalog, pg_temp
        AS $body$
        DECLARE
            v_key_id integer := platform.envelope_key_id(envelope);
            v_check  bytea;
            v_of     uuid;
            v_state  text;
            v_key    bytea;
            opened   text;
        BEGIN
            SELECT k.organization_id, k.check_value, k.state INTO v_of, v_check, v_state
            FROM platform.data_keys k WHERE k.key_id = v_key_id;
            -- An envelope of 006 names a key of no organization, which may not be known here.
            IF (CASE get_byte(envelope, 0) WHEN 1 THEN v_of IS NULL ELSE v_of = open_for.organization_id END) IS NOT TRUE THEN
                PERFORM platform_private.key_of(open_for.organization_id, envelope);  -- which says so
            END IF;
            IF v_state = 'destroyed' THEN
                RAISE EXCEPTION 'the % is unreadable for ever: key % was destroyed', what, v_key_id
                    USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Write a new secret.';
            END IF;
            v_key := platform_private.session_key(v_key_id);
            IF v_key IS NULL THEN
                PERFORM platform_private.refuse_without_key('open', what);
                RAISE EXCEPTION 'the % was sealed with another key', what
                    USING ERRCODE = 'data_exception',
                          HINT = 'Its envelope names key ' || v_key_id::text || ', which is not in lancio.key_id. Set the key '
                                 'it was sealed with; if there is none, the envelope was tampered with: write the secret anew.';
            END IF;
            opened := platform_private.unseal(envelope, column_name, row_id, v_of, v_key);
            IF opened IS NULL THEN
                IF platform_private.check_value(v_key_id, v_of, v_key) <> v_check THEN
                    RAISE EXCEPTION 'lancio.key is not key %', v_key_id
                        USING ERRCODE = 'object_not_in_prerequisite_state',
                              HINT = 'Its check value in platform.data_keys is another.';
                END IF;
                RAISE EXCEPTION 'the sealed % was tampered with', what
                    USING ERRCODE = 'data_exception',
                          HINT = 'It was sealed for another row or with another key, or it was changed. Write the secret anew.';
            END IF;
            RETURN opened;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform_private.open_for(uuid, text, uuid, bytea, text) FROM PUBLIC;
        ALTER FUNCTION platform_private.open_for(uuid, text, uuid, bytea, text) OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform_private.open_for(uuid, text, uuid, bytea, text) IS
            'Opens an envelope of an organization with the key that the session has. SQLSTATE 55000 without it, 22000 when it does not verify.';
    END IF;

    IF pg_catalog.to_regprocedure('platform_private.write_opening(uuid, uuid, text, uuid, integer, text)') IS NULL THEN
        CREATE FUNCTION platform_private.write_opening(
            organization_id uuid, project_id uuid, target_type text, target_id uuid, key_id integer, opened_by text
        ) RETURNS void
            LANGUAGE plpgsql
            SET search_path = pg_catalog, pg_temp
        AS $body$
        DECLARE
            v_user uuid := platform.current_user_id();
        BEGIN
            IF current_setting('transaction_read_only'::text) = 'on'::text THEN
                RAISE EXCEPTION 'no secret is opened in a read-only transaction'
                    USING ERRCODE = 'read_only_sql_transaction',
                          HINT = 'Opening one leaves an entry in platform.audit_logs: begin a transaction that may write.';
            END IF;
            INSERT INTO platform.audit_logs (organization_id, project_id, actor_type, actor_id, action, target_type, target_id, after)
            VALUES (write_opening.organization_id, write_opening.project_id,
                    CASE WHEN v_user IS NOT NULL THEN 'user' WHEN platform_private.caller_bypasses() THEN 'system' ELSE 'service' END,
                    v_user, 'secret.open', write_opening.target_type, write_opening.target_id::text,
                    jsonb_build_object('key_id', write_opening.key_id, 'opened_by', opened_by, 'login', session_user,
                                       'role', CASE current_setting('role') WHEN 'none' THEN session_user::text
                                                                            ELSE current_setting('role') END));
        END
        $body$;
        REVOKE ALL ON FUNCTION platform_private.write_opening(uuid, uuid, text, uuid, integer, text) FROM PUBLIC;
        ALTER FUNCTION platform_private.write_opening(uuid, uuid, text, uuid, integer, text) OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform_private.write_opening(uuid, uuid, text, uuid, integer, text) IS
            'The entry that the opening of a secret leaves in platform.audit_logs, in the same transaction.';
    END IF;
END
$$;
SET LOCAL search_path = pg_catalog, pg_temp;

-- The sealing trigger of 007, with the organization's key.
DO $$
BEGIN
    PERFORM set_config('search_path', 'pg_catalog, ' || quote_ident(n.nspname) || ', pg_temp', true)
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'pgcrypto';
END
$$;
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM platform_private.replaced_by_008 WHERE object = 'platform.encrypt_database_connection_string()') THEN
        INSERT INTO platform_private.replaced_by_008 (object, definition)
        VALUES ('platform.encrypt_database_connection_string()',
                pg_catalog.pg_get_functiondef(pg_catalog.to_regprocedure('platform.encrypt_database_connection_string()')));
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
            v_organization_id uuid;
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
                IF platform.envelope_key_id(envelope) IS NOT NULL THEN
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
                    PERFORM platform_private.accept_envelope(envelope, 'platform.databases.connection_string'::text, NEW.id,
                                                             v_organization_id, 'connection string'::text);
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
                -- Without a project there is no organization and no key: refused by NOT NULL, and it prints what is here.
                IF v_organization_id IS NULL OR NEW.id IS NULL THEN
                    NEW.connection_string := 'sealed'::text;
                    RETURN NEW;
                END IF;
                envelope := platform_private.seal_for(v_organization_id, 'platform.databases.connection_string'::text, NEW.id,
                                                      NEW.connection_string, 'connection string'::text);
                NEW.connection_string_encrypted := envelope;
                -- Whatever is missing in the row, what a constraint then prints has no secret in it.
                NEW.connection_string := coalesce(
                    NEW.type || '://sealed:'::text || encode(substring(envelope, octet_length(envelope) - 31, 4), 'hex'::text) || '@'::text || place,
                    'sealed'::text);
            END IF;

            -- What has a credential is a placeholder no longer.
            IF NEW.metadata @> '{"placeholder": true}'::jsonb THEN
                NEW.metadata := NEW.metadata - 'placeholder'::text;
            END IF;
            RETURN NEW;
        END
        $body$;
        ALTER FUNCTION platform.encrypt_database_connection_string() OWNER TO lancio_owner;
        REVOKE ALL ON FUNCTION platform.encrypt_database_connection_string() FROM PUBLIC;
        COMMENT ON FUNCTION platform.encrypt_database_connection_string() IS
            'Trigger: seals connection_string with the key of the organization into connection_string_encrypted, leaves its display form, and fills in the organization. SQLSTATE 55000 without the key.';
    ELSE
        RAISE NOTICE 'function platform.encrypt_database_connection_string() is left as it is';
    END IF;
END
$$;
SET LOCAL search_path = pg_catalog, pg_temp;

-- Opening, which is written down.
DO $$
BEGIN
    PERFORM set_config('search_path', 'pg_catalog, ' || quote_ident(n.nspname) || ', pg_temp', true)
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'pgcrypto';
END
$$;
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM platform_private.replaced_by_008 WHERE object = 'platform.decrypt_database_connection_string(uuid)') THEN
        INSERT INTO platform_private.replaced_by_008 (object, definition)
        VALUES ('platform.decrypt_database_connection_string(uuid)',
                pg_catalog.pg_get_functiondef(pg_catalog.to_regprocedure('platform.decrypt_database_connection_string(uuid)')));
        CREATE OR REPLACE FUNCTION platform.decrypt_database_connection_string(database_id uuid) RETURNS text
            LANGUAGE plpgsql
            SECURITY DEFINER
            SET search_path FROM CURRENT
            SET standard_conforming_strings = on
            SET row_security = on
        AS $body$
        DECLARE
            shown             text;
            bare              text;
            envelope          bytea;
            is_placeholder    boolean;
            opened            text;
            v_organization_id uuid;
            v_project_id      uuid;
        BEGIN
            SELECT d.connection_string, d.connection_string_encrypted, d.organization_id, d.project_id,
                   coalesce(d.metadata @> '{"placeholder": true}'::jsonb, false),
                   d.type || '://'::text
                       || CASE WHEN d.host ~ ':'::text AND d.host !~ '^\['::text
                               THEN '['::text || d.host || ']'::text ELSE d.host END || ':'::text || d.port::text
            INTO shown, envelope, v_organization_id, v_project_id, is_placeholder, bare
            FROM platform.databases d
            WHERE d.id = decrypt_database_connection_string.database_id;
            IF NOT FOUND THEN
                RETURN NULL;
            END IF;

            -- No secret, nothing to write down.
            IF envelope IS NULL AND shown = bare THEN
                RETURN CASE WHEN is_placeholder THEN NULL ELSE bare END;
            END IF;

            IF platform.envelope_key_id(envelope) IS NULL
               OR (substring(shown, '://sealed:([0-9a-f]{8})@'::text)
                   = encode(substring(envelope, octet_length(envelope) - 31, 4), 'hex'::text)) IS NOT TRUE THEN
                RAISE EXCEPTION 'the sealed connection string of database % was tampered with', decrypt_database_connection_string.database_id
                    USING ERRCODE = 'data_exception',
                          HINT = 'Its display form and its envelope do not belong together. Write the connection string anew.';
            END IF;
            opened := platform_private.open_for(v_organization_id, 'platform.databases.connection_string'::text,
                                                decrypt_database_connection_string.database_id, envelope,
                                                'connection string of database '::text
                                                || decrypt_database_connection_string.database_id::text);
            PERFORM platform_private.write_opening(v_organization_id, v_project_id, 'database'::text,
                                                   decrypt_database_connection_string.database_id,
                                                   platform.envelope_key_id(envelope), 'server'::text);
            RETURN opened;
        END
        $body$;
        ALTER FUNCTION platform.decrypt_database_connection_string(uuid) OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform.decrypt_database_connection_string(uuid) IS
            'Opens a connection string and leaves an entry in platform.audit_logs. NULL for a placeholder and for an id that is not seen; SQLSTATE 55000 without the key, 22000 when it does not verify, 25006 in a read-only transaction.';
    ELSE
        RAISE NOTICE 'function platform.decrypt_database_connection_string(uuid) is left as it is';
    END IF;
END
$$;
SET LOCAL search_path = pg_catalog, pg_temp;

-- For programs that open by themselves: envelope and wrapped key, and the same entry.
DO $$
BEGIN
    IF to_regprocedure('platform.read_sealed_connection_string(uuid)') IS NULL THEN
        CREATE FUNCTION platform.read_sealed_connection_string(database_id uuid)
            RETURNS TABLE (envelope bytea, shown text, organization_id uuid, key_id integer, key_organization_id uuid,
                           wrapped bytea, kek_id text, check_value bytea, key_state text)
            LANGUAGE plpgsql
            SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp
            SET row_security = on
        AS $body$
        DECLARE
            v_project_id uuid;
            v_named      record;
        BEGIN
            SELECT d.connection_string_encrypted,
                   CASE WHEN d.connection_string_encrypted IS NULL AND d.metadata @> '{"placeholder": true}'::jsonb THEN NULL
                        ELSE d.connection_string END, d.organization_id, d.project_id
            INTO envelope, shown, read_sealed_connection_string.organization_id, v_project_id
            FROM platform.databases d WHERE d.id = read_sealed_connection_string.database_id;
            IF NOT FOUND THEN
                RETURN;
            END IF;
            IF envelope IS NOT NULL THEN
                IF platform.envelope_key_id(envelope) IS NULL THEN
                    RAISE EXCEPTION 'the sealed connection string of database % was tampered with', read_sealed_connection_string.database_id
                        USING ERRCODE = 'data_exception', HINT = 'Write the connection string anew.';
                END IF;
                SELECT * INTO v_named FROM platform_private.key_of(read_sealed_connection_string.organization_id, envelope);
                key_id := v_named.key_id;
                SELECT k.organization_id, k.wrapped, k.kek_id, k.check_value, k.state
                INTO key_organization_id, wrapped, read_sealed_connection_string.kek_id,
                     read_sealed_connection_string.check_value, key_state
                FROM platform.data_keys k WHERE k.key_id = v_named.key_id;
                IF key_state IS DISTINCT FROM 'destroyed' THEN
                    PERFORM platform_private.write_opening(read_sealed_connection_string.organization_id, v_project_id, 'database'::text,
                                                           read_sealed_connection_string.database_id, key_id, 'client'::text);
                END IF;
            END IF;
            RETURN NEXT;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform.read_sealed_connection_string(uuid) FROM PUBLIC;
        ALTER FUNCTION platform.read_sealed_connection_string(uuid) OWNER TO lancio_owner;
        GRANT EXECUTE ON FUNCTION platform.read_sealed_connection_string(uuid) TO lancio_service;
        COMMENT ON FUNCTION platform.read_sealed_connection_string(uuid) IS
            'For who opens by itself: the envelope, its key as it is wrapped, and an entry in platform.audit_logs. No row for an id that is not seen; no envelope and no entry where there is no secret.';
    END IF;

    IF to_regprocedure('platform.read_sealed_credential(uuid)') IS NULL THEN
        CREATE FUNCTION platform.read_sealed_credential(credential_id uuid)
            RETURNS TABLE (envelope bytea, organization_id uuid, key_id integer, key_organization_id uuid,
                           wrapped bytea, kek_id text, check_value bytea, key_state text)
            LANGUAGE plpgsql
            SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp
            SET row_security = on
        AS $body$
        DECLARE
            v_project_id uuid;
            v_named      record;
        BEGIN
            SELECT c.secret_encrypted, c.organization_id, c.project_id
            INTO envelope, read_sealed_credential.organization_id, v_project_id
            FROM platform.credentials c WHERE c.id = read_sealed_credential.credential_id;
            IF NOT FOUND THEN
                RETURN;
            END IF;
            IF envelope IS NOT NULL THEN
                IF platform.envelope_key_id(envelope) IS NULL THEN
                    RAISE EXCEPTION 'the sealed secret of credential % was tampered with', read_sealed_credential.credential_id
                        USING ERRCODE = 'data_exception', HINT = 'Write the secret anew.';
                END IF;
                SELECT * INTO v_named FROM platform_private.key_of(read_sealed_credential.organization_id, envelope);
                key_id := v_named.key_id;
                SELECT k.organization_id, k.wrapped, k.kek_id, k.check_value, k.state
                INTO key_organization_id, wrapped, read_sealed_credential.kek_id,
                     read_sealed_credential.check_value, key_state
                FROM platform.data_keys k WHERE k.key_id = v_named.key_id;
                IF key_state IS DISTINCT FROM 'destroyed' THEN
                    PERFORM platform_private.write_opening(read_sealed_credential.organization_id, v_project_id, 'credential'::text,
                                                           read_sealed_credential.credential_id, key_id, 'client'::text);
                END IF;
            END IF;
            RETURN NEXT;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform.read_sealed_credential(uuid) FROM PUBLIC;
        ALTER FUNCTION platform.read_sealed_credential(uuid) OWNER TO lancio_owner;
        GRANT EXECUTE ON FUNCTION platform.read_sealed_credential(uuid) TO lancio_service;
        COMMENT ON FUNCTION platform.read_sealed_credential(uuid) IS
            'For who opens by itself: the envelope, its key as it is wrapped, and an entry in platform.audit_logs. No row for an id that is not seen.';
    END IF;
END
$$;

-- platform.credentials: nothing but envelopes.
DO $$
BEGIN
    IF to_regprocedure('platform.guard_credential()') IS NULL THEN
        CREATE FUNCTION platform.guard_credential() RETURNS trigger
            LANGUAGE plpgsql
            SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp
            SET row_security = on
        AS $body$
        BEGIN
            IF TG_OP = 'UPDATE' THEN
                IF NEW.organization_id IS DISTINCT FROM OLD.organization_id THEN
                    RAISE EXCEPTION 'the organization of a credential does not change'
                        USING ERRCODE = 'invalid_parameter_value',
                              HINT = 'Make it with a project of the other organization, and remove it here.';
                END IF;
                IF NEW.secret_encrypted IS NOT DISTINCT FROM OLD.secret_encrypted THEN
                    IF NEW.id IS DISTINCT FROM OLD.id AND NEW.secret_encrypted IS NOT NULL THEN
                        RAISE EXCEPTION 'the id of a row with a sealed credential does not change'
                            USING ERRCODE = 'invalid_parameter_value', HINT = 'The envelope opens under the old id only.';
                    END IF;
                    NEW.key_id := OLD.key_id;
                    RETURN NEW;
                END IF;
            END IF;
            NEW.key_id := platform.envelope_key_id(NEW.secret_encrypted);
            IF NEW.secret_encrypted IS NOT NULL THEN
                IF NEW.key_id IS NULL THEN
                    RAISE EXCEPTION 'secret_encrypted is not an envelope'
                        USING ERRCODE = 'invalid_parameter_value',
                              HINT = 'Leave it out, then: SELECT platform.seal_credential(id, secret), with bound parameters.';
                END IF;
                IF NEW.id IS NOT NULL AND NEW.organization_id IS NOT NULL THEN
                    PERFORM platform_private.accept_envelope(NEW.secret_encrypted, 'platform.credentials.secret_encrypted'::text, NEW.id,
                                                             NEW.organization_id, 'credential'::text);
                END IF;
            END IF;
            RETURN NEW;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform.guard_credential() FROM PUBLIC;
        ALTER FUNCTION platform.guard_credential() OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform.guard_credential() IS 'Trigger: secret_encrypted holds an envelope of the row''s organization or nothing.';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'guard_credential_trigger' AND tgrelid = 'platform.credentials'::regclass) THEN
        CREATE TRIGGER guard_credential_trigger BEFORE INSERT OR UPDATE ON platform.credentials
            FOR EACH ROW EXECUTE PROCEDURE platform.guard_credential();
    END IF;

    IF to_regprocedure('platform.seal_credential(uuid, text)') IS NULL THEN
        CREATE FUNCTION platform.seal_credential(credential_id uuid, secret text) RETURNS void
            LANGUAGE plpgsql
            SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp
            SET row_security = on
        AS $body$
        DECLARE
            v_organization_id uuid;
        BEGIN
            IF coalesce(seal_credential.secret, ''::text) = ''::text THEN
                RAISE EXCEPTION 'a credential is not empty' USING ERRCODE = 'invalid_parameter_value';
            END IF;
            SELECT c.organization_id INTO v_organization_id
            FROM platform.credentials c WHERE c.id = seal_credential.credential_id FOR NO KEY UPDATE;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'credential % is not there', seal_credential.credential_id
                    USING ERRCODE = 'no_data_found', HINT = 'Or it belongs to another organization than the one in the context.';
            END IF;
            UPDATE platform.credentials AS c
            SET secret_encrypted = platform_private.seal_for(v_organization_id, 'platform.credentials.secret_encrypted'::text,
                                                             seal_credential.credential_id, seal_credential.secret, 'credential'::text),
                rotated_at = CASE WHEN c.secret_encrypted IS NULL THEN c.rotated_at ELSE now() END
            WHERE c.id = seal_credential.credential_id;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform.seal_credential(uuid, text) FROM PUBLIC;
        ALTER FUNCTION platform.seal_credential(uuid, text) OWNER TO lancio_owner;
        GRANT EXECUTE ON FUNCTION platform.seal_credential(uuid, text) TO lancio_application, lancio_service;
        COMMENT ON FUNCTION platform.seal_credential(uuid, text) IS
            'Seals the secret of a credential with the key of its organization. SQLSTATE 55000 without the key, P0002 for an id that is not seen.';
    END IF;

    IF to_regprocedure('platform.open_credential(uuid)') IS NULL THEN
        CREATE FUNCTION platform.open_credential(credential_id uuid) RETURNS text
            LANGUAGE plpgsql
            SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp
            SET row_security = on
        AS $body$
        DECLARE
            envelope          bytea;
            opened            text;
            v_organization_id uuid;
            v_project_id      uuid;
        BEGIN
            SELECT c.secret_encrypted, c.organization_id, c.project_id INTO envelope, v_organization_id, v_project_id
            FROM platform.credentials c WHERE c.id = open_credential.credential_id;
            IF envelope IS NULL THEN
                RETURN NULL;
            END IF;
            IF platform.envelope_key_id(envelope) IS NULL THEN
                RAISE EXCEPTION 'the sealed secret of credential % was tampered with', open_credential.credential_id
                    USING ERRCODE = 'data_exception', HINT = 'Write the secret anew.';
            END IF;
            opened := platform_private.open_for(v_organization_id, 'platform.credentials.secret_encrypted'::text,
                                                open_credential.credential_id, envelope,
                                                'secret of credential '::text || open_credential.credential_id::text);
            PERFORM platform_private.write_opening(v_organization_id, v_project_id, 'credential'::text, open_credential.credential_id,
                                                   platform.envelope_key_id(envelope), 'server'::text);
            RETURN opened;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform.open_credential(uuid) FROM PUBLIC;
        ALTER FUNCTION platform.open_credential(uuid) OWNER TO lancio_owner;
        GRANT EXECUTE ON FUNCTION platform.open_credential(uuid) TO lancio_service;
        COMMENT ON FUNCTION platform.open_credential(uuid) IS
            'Opens the secret of a credential and leaves an entry in platform.audit_logs. NULL where there is none and for an id that is not seen.';
    END IF;
END
$$;

-- A project stays where it is: what is sealed in it is bound to the organization.
DO $$
BEGIN
    IF to_regprocedure('platform.guard_project()') IS NULL THEN
        CREATE FUNCTION platform.guard_project() RETURNS trigger
            LANGUAGE plpgsql
            SET search_path = pg_catalog, pg_temp
        AS $body$
        BEGIN
            RAISE EXCEPTION 'the organization of a project does not change'
                USING ERRCODE = 'invalid_parameter_value',
                      HINT = 'Its secrets are sealed with the organization''s key. Make a project in the other organization, '
                             'register its databases and credentials there anew, and remove this one.';
        END
        $body$;
        REVOKE ALL ON FUNCTION platform.guard_project() FROM PUBLIC;
        ALTER FUNCTION platform.guard_project() OWNER TO lancio_owner;
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'guard_project_trigger' AND tgrelid = 'platform.projects'::regclass) THEN
        CREATE TRIGGER guard_project_trigger BEFORE UPDATE OF organization_id ON platform.projects
            FOR EACH ROW WHEN (NEW.organization_id IS DISTINCT FROM OLD.organization_id)
            EXECUTE PROCEDURE platform.guard_project();
    END IF;
END
$$;

-- Keys: made, replaced and destroyed, each written down.
DO $$
BEGIN
    IF to_regprocedure('platform_private.write_key_event(text, integer, uuid, jsonb)') IS NULL THEN
        CREATE FUNCTION platform_private.write_key_event(action text, key_id integer, organization_id uuid, after jsonb) RETURNS void
            LANGUAGE plpgsql
            SET search_path = pg_catalog, pg_temp
        AS $body$
        DECLARE
            v_user uuid := platform.current_user_id();
        BEGIN
            INSERT INTO platform.audit_logs (organization_id, actor_type, actor_id, action, target_type, target_id, after)
            SELECT write_key_event.organization_id,
                   CASE WHEN v_user IS NOT NULL THEN 'user' WHEN platform_private.caller_bypasses() THEN 'system' ELSE 'service' END,
                   v_user, write_key_event.action, 'data_key', write_key_event.key_id::text,
                   write_key_event.after || jsonb_build_object('login', session_user);
        END
        $body$;
        REVOKE ALL ON FUNCTION platform_private.write_key_event(text, integer, uuid, jsonb) FROM PUBLIC;
        ALTER FUNCTION platform_private.write_key_event(text, integer, uuid, jsonb) OWNER TO lancio_owner;
    END IF;

    IF NOT EXISTS (SELECT 1 FROM pg_proc WHERE oid = to_regprocedure('platform.next_data_key_id()') AND strpos(prosrc, 'data_key_ids_taken') > 0) THEN
        CREATE OR REPLACE FUNCTION platform.next_data_key_id() RETURNS integer
            LANGUAGE plpgsql
            SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp
            SET row_security = on
        AS $body$
        DECLARE
            v_id integer;
        BEGIN
            LOOP
                v_id := nextval('platform_private.data_key_ids'::regclass);
                EXIT WHEN NOT EXISTS (SELECT 1 FROM platform.data_keys k WHERE k.key_id = v_id)
                      AND NOT EXISTS (SELECT 1 FROM platform_private.data_key_ids_taken t WHERE t.key_id = v_id);
            END LOOP;
            IF platform.current_organization_id() IS NOT NULL THEN
                INSERT INTO platform_private.data_key_ids_taken (key_id, organization_id)
                VALUES (v_id, platform.current_organization_id());
            END IF;
            RETURN v_id;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform.next_data_key_id() FROM PUBLIC;
        ALTER FUNCTION platform.next_data_key_id() OWNER TO lancio_owner;
        GRANT EXECUTE ON FUNCTION platform.next_data_key_id() TO lancio_service;
        COMMENT ON FUNCTION platform.next_data_key_id() IS
            'The id for a new data key of the organization in the context, to be wrapped with it and then added. Never given twice.';
    END IF;

    IF NOT EXISTS (SELECT 1 FROM pg_proc WHERE oid = to_regprocedure('platform.add_data_key(integer, uuid, bytea, text, bytea, integer)') AND strpos(prosrc, 'data_key_ids_taken') > 0) THEN
        CREATE OR REPLACE FUNCTION platform.add_data_key(
            key_id integer, organization_id uuid, wrapped bytea, kek_id text, check_value bytea, replaces integer DEFAULT NULL
        ) RETURNS boolean
            LANGUAGE plpgsql
            SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp
            SET row_security = on
        AS $body$
        DECLARE
            v_active integer;
        BEGIN
            -- One at a time for an organization.
            PERFORM 1 FROM platform.organizations o WHERE o.id = add_data_key.organization_id FOR NO KEY UPDATE;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'organization % is not there', add_data_key.organization_id
                    USING ERRCODE = 'no_data_found', HINT = 'Or it is another than the one in the context.';
            END IF;
            SELECT k.key_id INTO v_active
            FROM platform.data_keys k WHERE k.organization_id = add_data_key.organization_id AND k.state = 'active';
            IF v_active IS DISTINCT FROM add_data_key.replaces THEN
                RETURN false;
            END IF;
            -- Neither the number nor the key-encryption key is chosen by who adds a key for one organization: every other
            -- organization's programs go by them.
            IF NOT platform_private.login_operates() THEN
                PERFORM 1 FROM platform_private.key_encryption_keys e WHERE e.kek_id = add_data_key.kek_id FOR KEY SHARE;
                IF NOT FOUND THEN
                    RAISE EXCEPTION 'this is no key-encryption key of this platform'
                        USING ERRCODE = 'invalid_parameter_value',
                              HINT = 'The operator gives one by making a key with it: lancio keys init, or lancio keys rotate-kek.';
                END IF;
                DELETE FROM platform_private.data_key_ids_taken t
                WHERE t.key_id = add_data_key.key_id AND t.organization_id = add_data_key.organization_id;
                IF NOT FOUND THEN
                    RAISE EXCEPTION 'data key % was not drawn for this organization', add_data_key.key_id
                        USING ERRCODE = 'invalid_parameter_value',
                              HINT = 'Draw a number: SELECT platform.next_data_key_id(), in the context of the organization.';
                END IF;
            END IF;
            UPDATE platform.data_keys AS k SET state = 'retired', retired_at = now() WHERE k.key_id = v_active;
            INSERT INTO platform.data_keys (key_id, organization_id, wrapped, kek_id, check_value)
            VALUES (add_data_key.key_id, add_data_key.organization_id, add_data_key.wrapped, add_data_key.kek_id,
                    add_data_key.check_value);
            PERFORM platform_private.write_key_event('data_key.add', add_data_key.key_id, add_data_key.organization_id,
                                                     jsonb_build_object('kek_id', add_data_key.kek_id, 'replaces', add_data_key.replaces));
            RETURN true;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform.add_data_key(integer, uuid, bytea, text, bytea, integer) FROM PUBLIC;
        ALTER FUNCTION platform.add_data_key(integer, uuid, bytea, text, bytea, integer) OWNER TO lancio_owner;
        GRANT EXECUTE ON FUNCTION platform.add_data_key(integer, uuid, bytea, text, bytea, integer) TO lancio_service;
        COMMENT ON FUNCTION platform.add_data_key(integer, uuid, bytea, text, bytea, integer) IS
            'Adds the active key of an organization, under a number that was drawn for it and wrapped with a key-encryption key of this platform, and retires the one it replaces. False, and nothing done, if the active key is another than replaces says (NULL: there is none).';
    END IF;

    IF to_regprocedure('platform.destroy_data_keys(uuid)') IS NULL THEN
        CREATE FUNCTION platform.destroy_data_keys(organization_id uuid) RETURNS integer
            LANGUAGE plpgsql
            SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp
            SET row_security = on
        AS $body$
        DECLARE
            v_key   integer;
            v_count integer := 0;
        BEGIN
            PERFORM 1 FROM platform.organizations o WHERE o.id = destroy_data_keys.organization_id FOR NO KEY UPDATE;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'organization % is not there', destroy_data_keys.organization_id
                    USING ERRCODE = 'no_data_found', HINT = 'Or it is another than the one in the context.';
            END IF;
            FOR v_key IN
                UPDATE platform.data_keys AS k
                SET state = 'destroyed', wrapped = NULL, kek_id = NULL, destroyed_at = now()
                WHERE k.organization_id = destroy_data_keys.organization_id AND k.state <> 'destroyed'
                RETURNING k.key_id
            LOOP
                PERFORM platform_private.write_key_event('data_key.destroy', v_key, destroy_data_keys.organization_id, '{}'::jsonb);
                v_count := v_count + 1;
            END LOOP;
            RETURN v_count;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform.destroy_data_keys(uuid) FROM PUBLIC;
        ALTER FUNCTION platform.destroy_data_keys(uuid) OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform.destroy_data_keys(uuid) IS
            'Forgets every key of an organization: what they sealed is unreadable for ever. Granted to nobody. Returns how many there were.';
    END IF;

    IF to_regprocedure('platform.register_first_key()') IS NULL THEN
        CREATE FUNCTION platform.register_first_key() RETURNS integer
            LANGUAGE plpgsql
            SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp
            SET row_security = on
        AS $body$
        DECLARE
            v_id    integer;
            v_key   bytea;
            v_check bytea;
            v_known record;
            v_row   record;
        BEGIN
            IF coalesce(current_setting('lancio.key_id', true), '') = '' OR coalesce(current_setting('lancio.key', true), '') = '' THEN
                RAISE EXCEPTION 'the session has no key'
                    USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Set lancio.key_id and lancio.key in this session.';
            END IF;
            PERFORM platform_private.session_key(0);  -- whether the settings are what they should be
            v_id := split_part(current_setting('lancio.key_id'), ',', 1)::integer;
            v_key := platform_private.session_key(v_id);
            v_check := platform_private.check_value(v_id, NULL, v_key);
            SELECT k.organization_id, k.check_value, k.state INTO v_known FROM platform.data_keys k WHERE k.key_id = v_id FOR NO KEY UPDATE;
            IF FOUND AND (v_known.organization_id IS NOT NULL OR v_known.check_value <> v_check) THEN
                RAISE EXCEPTION 'lancio.key is not key %', v_id
                    USING ERRCODE = 'object_not_in_prerequisite_state',
                          HINT = 'platform.data_keys has another key of this id. Take the key that the rows were sealed with, or give '
                                 'this one another id.';
            END IF;
            IF FOUND AND v_known.check_value IS NOT NULL THEN
                RETURN v_id;
            END IF;
            -- It has to open what it is said to have sealed.
            FOR v_row IN
                (SELECT d.connection_string_encrypted AS envelope, d.id, 'platform.databases.connection_string'::text AS column_name
                 FROM platform.databases d
                 WHERE get_byte(d.connection_string_encrypted, 0) = 1 AND platform.envelope_key_id(d.connection_string_encrypted) = v_id LIMIT 1)
                UNION ALL
                (SELECT c.secret_encrypted, c.id, 'platform.credentials.secret_encrypted'
                 FROM platform.credentials c
                 WHERE get_byte(c.secret_encrypted, 0) = 1 AND platform.envelope_key_id(c.secret_encrypted) = v_id LIMIT 1)
            LOOP
                IF NOT platform_private.verifies(v_row.envelope, v_row.column_name, v_row.id, NULL, v_key) THEN
                    RAISE EXCEPTION 'lancio.key is not the key % that rows are sealed with', v_id
                        USING ERRCODE = 'object_not_in_prerequisite_state',
                              HINT = 'Row ' || v_row.id::text || ' does not open with it.';
                END IF;
            END LOOP;
            UPDATE platform.data_keys AS k SET state = 'retired', retired_at = now()
            WHERE k.organization_id IS NULL AND k.state = 'active';
            INSERT INTO platform.data_keys AS k (key_id, check_value) VALUES (v_id, v_check)
            ON CONFLICT ON CONSTRAINT data_keys_pkey DO UPDATE SET check_value = EXCLUDED.check_value, state = 'active', retired_at = NULL;
            RETURN v_id;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform.register_first_key() FROM PUBLIC;
        ALTER FUNCTION platform.register_first_key() OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform.register_first_key() IS
            'Writes down the check value of the single key that the session has, after it has opened a row with it: organizations without a key of their own seal with it. Granted to nobody. Returns its id.';
    END IF;
END
$$;

-- Which key-encryption keys wrap any data key: a program that sees no organization yet has to know whether it has them.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_proc WHERE oid = to_regprocedure('platform.kek_ids()') AND strpos(prosrc, 'key_encryption_keys') > 0) THEN
        CREATE OR REPLACE FUNCTION platform.kek_ids() RETURNS SETOF text
            LANGUAGE sql STABLE SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp
            SET row_security = on
        AS $body$
            SELECT e.kek_id FROM platform_private.key_encryption_keys e
            WHERE EXISTS (SELECT 1 FROM platform.data_keys k WHERE k.kek_id = e.kek_id) ORDER BY 1
        $body$;
        REVOKE ALL ON FUNCTION platform.kek_ids() FROM PUBLIC;
        ALTER FUNCTION platform.kek_ids() OWNER TO lancio_owner;
        GRANT EXECUTE ON FUNCTION platform.kek_ids() TO lancio_application, lancio_service, lancio_readonly;
        COMMENT ON FUNCTION platform.kek_ids() IS
            'The key-encryption keys that wrap any data key, by their public check values: what a program asks as it starts.';
    END IF;
END
$$;

-- Tokens are kept as SHA-256, and passwords as what a password hash begins with. What is text is no hash: one hash in
-- forty million millions would look like text. The triggers refuse without showing what was given, which PostgreSQL does
-- when a constraint refuses; the constraints hold where triggers are off.
DO $$
DECLARE
    t text;
BEGIN
    IF to_regprocedure('platform.guard_token()') IS NULL THEN
        CREATE FUNCTION platform.guard_token() RETURNS trigger
            LANGUAGE plpgsql
            SET search_path = pg_catalog, pg_temp
        AS $body$
        BEGIN
            IF octet_length(NEW.token_hash) <> 32 OR encode(NEW.token_hash, 'hex') ~ '^([2-7][0-9a-f])*$' THEN
                RAISE EXCEPTION 'token_hash is not the SHA-256 of a token'
                    USING ERRCODE = 'invalid_parameter_value', HINT = 'The token itself is shown once and not kept.';
            END IF;
            IF TG_TABLE_NAME = 'api_keys' THEN
                IF length(NEW.prefix) > 16 THEN
                    RAISE EXCEPTION 'prefix is longer than 16 characters'
                        USING ERRCODE = 'invalid_parameter_value', HINT = 'It tells keys apart; the key itself is not kept.';
                END IF;
            END IF;
            RETURN NEW;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform.guard_token() FROM PUBLIC;
        ALTER FUNCTION platform.guard_token() OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform.guard_token() IS 'Trigger: token_hash is a hash.';
    END IF;
    IF to_regprocedure('platform.guard_password()') IS NULL THEN
        CREATE FUNCTION platform.guard_password() RETURNS trigger
            LANGUAGE plpgsql
            SET search_path = pg_catalog, pg_temp
        AS $body$
        BEGIN
            IF NEW.password_hash !~ '^\$[a-z0-9-]+\$' THEN
                RAISE EXCEPTION 'password_hash is not the hash of a password'
                    USING ERRCODE = 'invalid_parameter_value', HINT = 'Hash it first, with argon2id: $argon2id$...';
            END IF;
            RETURN NEW;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform.guard_password() FROM PUBLIC;
        ALTER FUNCTION platform.guard_password() OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform.guard_password() IS 'Trigger: password_hash is a hash.';
    END IF;
    FOREACH t IN ARRAY ARRAY['user_sessions', 'api_keys', 'organization_invitations'] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'guard_token_trigger' AND tgrelid = ('platform.' || t)::regclass) THEN
            EXECUTE format('CREATE TRIGGER guard_token_trigger BEFORE INSERT OR UPDATE ON platform.%I '
                           'FOR EACH ROW EXECUTE PROCEDURE platform.guard_token()', t);
        END IF;
    END LOOP;
    IF NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'guard_password_trigger' AND tgrelid = 'platform.users'::regclass) THEN
        CREATE TRIGGER guard_password_trigger BEFORE INSERT OR UPDATE ON platform.users
            FOR EACH ROW EXECUTE PROCEDURE platform.guard_password();
    END IF;
END
$$;

DO $$
DECLARE
    t   text;
    bad bigint;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = 'user_sessions_token_hash_check' AND conrelid = 'platform.user_sessions'::regclass) THEN
        PERFORM set_config('row_security', 'off', true);  -- an error rather than a part of the rows
    END IF;
    FOREACH t IN ARRAY ARRAY['user_sessions', 'api_keys', 'organization_invitations'] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = t || '_token_hash_check' AND conrelid = ('platform.' || t)::regclass) THEN
            EXECUTE format('ALTER TABLE platform.%I ADD CONSTRAINT %I CHECK (octet_length(token_hash) = 32 '
                           'AND encode(token_hash, ''hex'') !~ ''^([2-7][0-9a-f])*$'') NOT VALID', t, t || '_token_hash_check');
            EXECUTE format('SELECT count(*) FROM platform.%I WHERE octet_length(token_hash) <> 32 '
                           'OR encode(token_hash, ''hex'') ~ ''^([2-7][0-9a-f])*$''', t) INTO bad;
            IF bad = 0 THEN
                EXECUTE format('ALTER TABLE platform.%I VALIDATE CONSTRAINT %I', t, t || '_token_hash_check');
            ELSE
                RAISE WARNING '% rows of platform.% have a token_hash that is not a SHA-256', bad, t
                    USING HINT = 'If they are the tokens themselves: they stand in every backup. Revoke and delete them.';
            END IF;
        END IF;
    END LOOP;
    IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = 'api_keys_prefix_check' AND conrelid = 'platform.api_keys'::regclass) THEN
        ALTER TABLE platform.api_keys ADD CONSTRAINT api_keys_prefix_check CHECK (length(prefix) <= 16) NOT VALID;
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = 'users_password_hash_check' AND conrelid = 'platform.users'::regclass) THEN
        ALTER TABLE platform.users ADD CONSTRAINT users_password_hash_check
            CHECK (password_hash ~ '^\$[a-z0-9-]+\$') NOT VALID;
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = 'credentials_secret_encrypted_check' AND conrelid = 'platform.credentials'::regclass) THEN
        ALTER TABLE platform.credentials ADD CONSTRAINT credentials_secret_encrypted_check
            CHECK (secret_encrypted IS NULL OR platform.envelope_key_id(secret_encrypted) IS NOT NULL) NOT VALID;
        SELECT count(*) INTO bad FROM platform.credentials
        WHERE secret_encrypted IS NOT NULL AND platform.envelope_key_id(secret_encrypted) IS NULL;
        IF bad = 0 THEN
            ALTER TABLE platform.credentials VALIDATE CONSTRAINT credentials_secret_encrypted_check;
        ELSE
            RAISE WARNING '% rows of platform.credentials hold something that is no envelope', bad
                USING HINT = 'If they are the secrets themselves: they stand in every backup. Change and write them anew.';
        END IF;
    END IF;
END
$$;

-- The single keys that rows are sealed with, known by their ids alone; and the one that this session has.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM platform_private.replaced_by_008 WHERE object = 'first keys') THEN
        PERFORM set_config('row_security', 'off', true);  -- an error rather than a part of the rows
        INSERT INTO platform.data_keys (key_id, state, retired_at)
        SELECT DISTINCT x.key_id, 'retired', now()
        FROM (SELECT platform.envelope_key_id(d.connection_string_encrypted) AS key_id FROM platform.databases d
              UNION SELECT platform.envelope_key_id(c.secret_encrypted) FROM platform.credentials c) x
        WHERE x.key_id BETWEEN 1 AND 999999999
        ON CONFLICT DO NOTHING;
        IF coalesce(current_setting('lancio.key_id', true), '') <> '' AND coalesce(current_setting('lancio.key', true), '') <> '' THEN
            PERFORM platform.register_first_key();
        END IF;
        INSERT INTO platform_private.replaced_by_008 (object, definition) VALUES ('first keys', '');
    END IF;
END
$$;

COMMIT;
