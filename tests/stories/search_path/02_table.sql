SET search_path TO app, public;
CREATE TABLE thing (id integer PRIMARY KEY);
CREATE FUNCTION count_things() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM thing';
