CREATE OR REPLACE FUNCTION rank(score integer) RETURNS bigint LANGUAGE sql AS 'SELECT score::bigint + 1';
