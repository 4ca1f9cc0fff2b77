CREATE TABLE base (id integer PRIMARY KEY, note text);
CREATE TABLE other (id integer PRIMARY KEY, base_id integer CONSTRAINT to_base REFERENCES base);
