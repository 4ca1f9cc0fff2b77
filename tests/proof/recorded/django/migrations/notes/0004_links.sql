BEGIN;
--
-- Raw SQL operation
--
CREATE TABLE links (id integer PRIMARY KEY, note integer REFERENCES notes (id));

COMMIT;
