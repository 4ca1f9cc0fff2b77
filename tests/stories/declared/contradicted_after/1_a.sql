-- lancio: after 2_b.sql
-- lancio: after 3_c.sql
-- lancio: after 1_a
CREATE TABLE a ();
