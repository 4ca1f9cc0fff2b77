-- lancio: after z.sql
CREATE TABLE a ();
