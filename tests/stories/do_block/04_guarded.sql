DO $$
BEGIN
    IF to_regclass('loops.blue') IS NULL THEN
        RAISE EXCEPTION 'table loops.blue does not exist';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname = 'loops' AND c.relname = 'white') THEN
        CREATE TABLE loops.white (id integer);
    END IF;
END
$$;
