CREATE TABLE owner (id integer PRIMARY KEY, name text);
CREATE TABLE thing (id integer PRIMARY KEY, owner_id integer CONSTRAINT thing_owner REFERENCES owner (id), size integer,
    CONSTRAINT thing_size CHECK (size > 0));
CREATE VIEW big AS SELECT id FROM thing WHERE size > 9;
