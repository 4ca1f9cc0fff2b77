CREATE TABLE IF NOT EXISTS audit (id integer);
CREATE OR REPLACE FUNCTION stamp() RETURNS text LANGUAGE sql AS 'SELECT ''one''::text';
CREATE TYPE colour AS ENUM ('red');
