CREATE VIEW contact AS SELECT c.* FROM customer c;
