-- migrate:up
CREATE TABLE links (id integer PRIMARY KEY, note integer REFERENCES notes (id));

-- migrate:down
