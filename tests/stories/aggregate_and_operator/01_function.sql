CREATE FUNCTION add_up(integer, integer) RETURNS integer LANGUAGE sql IMMUTABLE RETURN coalesce($1, 0) + coalesce($2, 0);
