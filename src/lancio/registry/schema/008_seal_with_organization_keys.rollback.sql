-- The way back from 008: one key for all organizations, and nothing is written down, as after 007.
--
--     psql "$DATABASE_URL" -f 008_seal_with_organization_keys.rollback.sql
--
-- By a superuser, or by a member of lancio_owner that has BYPASSRLS. Refused as long as something is sealed with an
-- organization's key, which 007 cannot open. Entries in platform.audit_logs stay. Run again it does nothing; 008 may be run
-- again after it.

BEGIN;

-- Nothing is looked for where others may create: a function that fits better than PostgreSQL's own would run with the
-- rights of whoever runs this file.
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
DECLARE
    v_body  text;
    v_count bigint;
BEGIN
    IF to_regclass('platform_private.replaced_by_008') IS NULL THEN
        RAISE NOTICE 'migration 008 is not applied here, nothing is taken back';
        RETURN;
    END IF;
    IF to_regclass('platform.credential_rotations') IS NOT NULL THEN
        RAISE EXCEPTION 'migration 011 is applied here'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Run 011_rotate_credentials.rollback.sql first.';
    END IF;
    PERFORM set_config('row_security', 'off', true);  -- an error rather than a part of the rows
    LOCK TABLE platform.databases, platform.credentials, platform.data_keys IN SHARE ROW EXCLUSIVE MODE;
    SELECT (SELECT count(*) FROM platform.databases d WHERE get_byte(d.connection_string_encrypted, 0) = 2)
           + (SELECT count(*) FROM platform.credentials c WHERE get_byte(c.secret_encrypted, 0) = 2) INTO v_count;
    IF v_count > 0 THEN
        RAISE EXCEPTION '% secrets are sealed with an organization''s key', v_count
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Migration 007 cannot open them. Remove them first (connection_string = type://host:port, '
                         'secret_encrypted = NULL), and write them anew after it.';
    END IF;

    FOR v_body IN SELECT r.definition FROM platform_private.replaced_by_008 r WHERE r.object <> 'first keys' LOOP
        EXECUTE v_body;
    END LOOP;
    COMMENT ON FUNCTION platform.encrypt_database_connection_string() IS
        'Trigger: seals connection_string into connection_string_encrypted, leaves its display form, and fills in the organization. SQLSTATE 55000 without a key.';
    COMMENT ON FUNCTION platform.decrypt_database_connection_string(uuid) IS
        'Opens a connection string. NULL for a placeholder and for an id that is not there; SQLSTATE 55000 without a key, 22000 when it does not verify.';

    ALTER TABLE platform.user_sessions DROP CONSTRAINT IF EXISTS user_sessions_token_hash_check;
    ALTER TABLE platform.api_keys DROP CONSTRAINT IF EXISTS api_keys_token_hash_check, DROP CONSTRAINT IF EXISTS api_keys_prefix_check;
    ALTER TABLE platform.organization_invitations DROP CONSTRAINT IF EXISTS organization_invitations_token_hash_check;
    ALTER TABLE platform.users DROP CONSTRAINT IF EXISTS users_password_hash_check;
    ALTER TABLE platform.credentials DROP CONSTRAINT IF EXISTS credentials_secret_encrypted_check;
    DROP TRIGGER IF EXISTS guard_credential_trigger ON platform.credentials;
    DROP TRIGGER IF EXISTS guard_project_trigger ON platform.projects;
    DROP TRIGGER IF EXISTS guard_token_trigger ON platform.user_sessions;
    DROP TRIGGER IF EXISTS guard_token_trigger ON platform.api_keys;
    DROP TRIGGER IF EXISTS guard_token_trigger ON platform.organization_invitations;
    DROP TRIGGER IF EXISTS guard_password_trigger ON platform.users;
    DROP FUNCTION IF EXISTS platform.guard_token(), platform.guard_password(), platform.guard_credential(), platform.guard_project(), platform.seal_credential(uuid, text),
        platform.open_credential(uuid), platform.read_sealed_credential(uuid), platform.read_sealed_connection_string(uuid),
        platform.next_data_key_id(), platform.add_data_key(integer, uuid, bytea, text, bytea, integer),
        platform.destroy_data_keys(uuid), platform.register_first_key(), platform_private.write_key_event(text, integer, uuid, jsonb),
        platform_private.write_opening(uuid, uuid, text, uuid, integer, text),
        platform_private.open_for(uuid, text, uuid, bytea, text), platform_private.seal_for(uuid, text, uuid, text, text),
        platform_private.accept_envelope(bytea, text, uuid, uuid, text), platform_private.key_of(uuid, bytea),
        platform_private.session_key(integer),
        platform_private.refuse_without_key(text, text), platform_private.check_value(integer, uuid, bytea),
        platform_private.unseal(bytea, text, uuid, uuid, bytea), platform_private.verifies(bytea, text, uuid, uuid, bytea),
        platform_private.seal(text, text, uuid, uuid, integer, bytea);
    DROP FUNCTION platform.kek_ids();
    DROP TABLE platform.data_keys;
    DROP FUNCTION IF EXISTS platform_private.note_key_encryption_key(), platform_private.login_operates();
    DROP FUNCTION platform_private.guard_data_keys(), platform.envelope_key_id(bytea);
    DROP SEQUENCE platform_private.data_key_ids;
    DROP TABLE IF EXISTS platform_private.rewrites_due, platform_private.key_encryption_keys, platform_private.data_key_ids_taken;
    DROP FUNCTION IF EXISTS platform_private.pass_over_noted();
    DROP TABLE platform_private.replaced_by_008;
    RAISE NOTICE 'migration 008 is taken back';
END
$$;

COMMIT;
