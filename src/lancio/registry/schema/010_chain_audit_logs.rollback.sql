-- The way back from 010: entries stay, unsealed and without a guard, as after 008; the seals are lost.
--
--     psql "$DATABASE_URL" -f 010_chain_audit_logs.rollback.sql
--
-- By a superuser, or by a member of lancio_owner that has BYPASSRLS. Entries of organizations and projects that are gone lose
-- their names again. Run again it does nothing; 010 may be run again after it, and begins with the first seal.

BEGIN;

-- Nothing is looked for where others may create: a function that fits better than PostgreSQL's own would run with the
-- rights of whoever runs this file.
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
DECLARE
    t text;
BEGIN
    IF to_regclass('platform.audit_rounds') IS NULL THEN
        RAISE NOTICE 'migration 010 is not applied here, nothing is taken back';
        RETURN;
    END IF;
    PERFORM set_config('row_security', 'off', true);  -- an error rather than a part of the rows
    SET CONSTRAINTS ALL IMMEDIATE;
    FOR t IN SELECT tgrelid::regclass::text FROM pg_trigger
             WHERE tgname = 'write_change_trigger' AND tgfoid = to_regprocedure('platform_private.write_change()') LOOP
        EXECUTE format('DROP TRIGGER write_change_trigger ON %s', t);
        EXECUTE format('DROP TRIGGER IF EXISTS write_change_update_trigger ON %s', t);
        EXECUTE format('DROP TRIGGER IF EXISTS write_change_truncate_trigger ON %s', t);
    END LOOP;
    DROP TRIGGER IF EXISTS guard_audit_trigger ON platform.audit_logs;
    DROP TRIGGER IF EXISTS guard_audit_truncate_trigger ON platform.audit_logs;
    DROP TRIGGER IF EXISTS refuse_forged_entry_trigger ON platform.audit_logs;
    DROP TRIGGER IF EXISTS number_entry_trigger ON platform.audit_logs;
    DROP TRIGGER IF EXISTS look_for_project ON platform.audit_logs;
    DROP POLICY IF EXISTS owner_writes_audit_logs ON platform.audit_logs;
    DROP POLICY IF EXISTS owner_looks_audit_logs ON platform.audit_logs;

    CREATE TRIGGER look_for_project BEFORE INSERT OR UPDATE OF project_id, organization_id ON platform.audit_logs
        FOR EACH ROW EXECUTE PROCEDURE platform_private.look_for_project();

    DROP INDEX IF EXISTS platform.idx_audit_logs_target, platform.idx_audit_logs_organization_seq, platform.idx_audit_logs_occurred_at,
        platform.idx_audit_logs_actor_email;
    FOREACH t IN ARRAY ARRAY['organization_id', 'project_id', 'actor_id', 'action'] LOOP
        EXECUTE format('DROP INDEX IF EXISTS platform.idx_audit_logs_%s', t);
        EXECUTE format('CREATE INDEX idx_audit_logs_%s ON platform.audit_logs (%I, occurred_at DESC)', t, t);
    END LOOP;
    ALTER TABLE platform.audit_logs DROP COLUMN IF EXISTS seq, ALTER COLUMN organization_id RESET (n_distinct);
    COMMENT ON COLUMN platform.audit_logs.project_id IS NULL;
    COMMENT ON COLUMN platform.audit_logs.method IS NULL;
    COMMENT ON COLUMN platform.audit_logs.prev_hash IS NULL;
    COMMENT ON COLUMN platform.audit_logs.row_hash IS NULL;
    DROP FUNCTION IF EXISTS platform.prune_audit_round(bigint), platform.audit_horizon();
    DROP TABLE platform.audit_seals, platform.audit_rounds, platform_private.audit_mark;
    DROP FUNCTION IF EXISTS platform_private.write_change(), platform_private.guard_audit(), platform_private.number_entry(), platform_private.refuse_forged_entry();
    DROP SEQUENCE platform_private.audit_numbers;
    RAISE NOTICE 'migration 010 is taken back';
END
$$;

COMMIT;
