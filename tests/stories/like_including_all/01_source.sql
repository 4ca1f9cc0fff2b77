CREATE TABLE source (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE, n integer DEFAULT 3 CHECK (n > 0));
CREATE INDEX source_n ON source (n);
