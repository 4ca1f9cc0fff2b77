-- requires: users
-- requires: superuser
-- requires: a long sentence is prose
CREATE TABLE login ();
