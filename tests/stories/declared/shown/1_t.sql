-- lancio: duration 2s
-- lancio: impact none at all
-- lancio: after-run Restart the worker
-- lancio: risk HIGH
CREATE TABLE t ();
