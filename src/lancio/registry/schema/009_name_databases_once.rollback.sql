-- The way back from 009: names and changes of databases are as after 008.
--
--     psql "$DATABASE_URL" -f 009_name_databases_once.rollback.sql
--
-- By a superuser, or by a member of lancio_owner. No row changes but for the two columns that go, and the table of grams goes.
-- Run again it does nothing; 009 may be run again after it.

BEGIN;

-- Nothing is looked for where others may create: a function that fits better than PostgreSQL's own would run with the
-- rights of whoever runs this file.
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
BEGIN
    IF to_regclass('platform.databases') IS NULL OR NOT EXISTS (
        SELECT 1 FROM pg_attribute WHERE attrelid = 'platform.databases'::regclass AND attname = 'name_key' AND NOT attisdropped
    ) THEN
        RAISE NOTICE 'migration 009 is not applied here, nothing is taken back';
        RETURN;
    END IF;
    DROP TRIGGER IF EXISTS keep_database_grams ON platform.databases;
    DROP TRIGGER IF EXISTS keep_database_grams_update ON platform.databases;
    DROP TRIGGER IF EXISTS keep_database_grams_delete ON platform.databases;
    DROP TRIGGER IF EXISTS keep_database_grams_truncate ON platform.databases;
    DROP TABLE IF EXISTS platform.database_grams;
    DROP FUNCTION IF EXISTS platform_private.keep_database_grams(), platform_private.leave_out(), platform_private.name_grams(bytea);
    DROP TRIGGER IF EXISTS version_databases ON platform.databases;
    DROP FUNCTION IF EXISTS platform.raise_database_version();
    DROP INDEX IF EXISTS platform.idx_databases_organization_id_name_key, platform.idx_databases_project_id_name_key;
    ALTER TABLE platform.databases DROP CONSTRAINT IF EXISTS databases_project_id_name_key;
    ALTER TABLE platform.databases DROP COLUMN name_key, DROP COLUMN version;
    RAISE NOTICE 'migration 009 is taken back';
END
$$;

COMMIT;
