-- lancio: requires tabel t
-- lancio: requires row t (a > 1)
-- lancio: requires table a.b.c.d
-- lancio: wants table t
-- lancio: creates something
-- lancio: verify DROP TABLE t
-- lancio: duration soon
-- lancio: risk unknown
-- lancio: requries table t
SELECT 1;
