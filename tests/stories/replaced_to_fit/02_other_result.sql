DROP FUNCTION rank(integer);
CREATE FUNCTION rank(score integer) RETURNS bigint LANGUAGE sql AS 'SELECT score::bigint';
DROP VIEW games;
CREATE VIEW games AS SELECT name, score FROM game;
