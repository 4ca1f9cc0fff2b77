CREATE VIEW heights AS SELECT name, altitude FROM capital;
