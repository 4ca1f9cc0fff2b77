-- depends: 0003_fill

CREATE TABLE links (id integer PRIMARY KEY, note integer REFERENCES notes (id));
