SET search_path = two, one;
CREATE VIEW v AS SELECT b FROM t;
SET search_path = one, two;
CREATE VIEW v AS SELECT a FROM t;
