CREATE FUNCTION rank(score integer) RETURNS integer LANGUAGE sql AS 'SELECT score';
CREATE TABLE game (id integer, name text, score integer);
CREATE VIEW games AS SELECT id, score FROM game;
