CREATE TABLE IF NOT EXISTS audit (id integer);
CREATE OR REPLACE FUNCTION stamp() RETURNS text LANGUAGE sql AS 'SELECT ''two''::text';
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_type WHERE typname = 'colour') THEN
        CREATE TYPE colour AS ENUM ('red');
    END IF;
END $$;
