-- migrate:up
CREATE TABLE tags (id integer PRIMARY KEY, note integer REFERENCES notes (id));
ALTER TABLE notes ADD COLUMN stars integer;

-- migrate:down
