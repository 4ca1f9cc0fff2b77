CREATE FUNCTION level(name text) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT length(name)';
CREATE FUNCTION fresh() RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION fine(size integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT size > 0';
