CREATE TABLE build (id integer PRIMARY KEY, tracked text, note text, size integer);
CREATE TABLE part (build_id integer CONSTRAINT part_build REFERENCES build (id));
