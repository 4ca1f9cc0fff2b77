CREATE OR REPLACE VIEW games AS SELECT name, score, id FROM game;
