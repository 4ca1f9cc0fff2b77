-- The way back from 011: what is written down of rotations goes, as after 010.
--
--     psql "$DATABASE_URL" -f 011_rotate_credentials.rollback.sql
--
-- By a superuser, or by a member of lancio_owner that has BYPASSRLS. Refused while a rotation is unfinished: nobody would
-- know of the login that it made. Entries in platform.audit_logs stay. Run again it does nothing; 011 may be run again
-- after it.

BEGIN;

-- Nothing is looked for where others may create: a function that fits better than PostgreSQL's own would run with the
-- rights of whoever runs this file.
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
DECLARE
    v_count bigint;
BEGIN
    IF to_regclass('platform.credential_rotations') IS NULL THEN
        RAISE NOTICE 'migration 011 is not applied here, nothing is taken back';
        RETURN;
    END IF;
    PERFORM set_config('row_security', 'off', true);  -- an error rather than a part of the rows
    LOCK TABLE platform.credential_rotations IN SHARE ROW EXCLUSIVE MODE;
    SELECT count(*) INTO v_count FROM platform.credential_rotations r WHERE r.state NOT IN ('done', 'abandoned');
    IF v_count > 0 THEN
        RAISE EXCEPTION '% rotations of credentials are unfinished', v_count
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Finish them (lancio db rotate NAME --resume) or take them back (--abandon) first.';
    END IF;
    DROP TABLE platform.credential_rotations;
    REVOKE INSERT, DELETE ON platform.credentials FROM lancio_service;
    RAISE NOTICE 'migration 011 is taken back';
END
$$;

COMMIT;
