-- lancio: verify-once SELECT count(*) = 2 FROM t
-- lancio: verify SELECT max(a) < 10 FROM t
CREATE TABLE t (a int);
INSERT INTO t VALUES (1), (2);
