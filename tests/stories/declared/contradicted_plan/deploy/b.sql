-- Deploy x:b to pg
-- requires: a
CREATE TABLE b ();
