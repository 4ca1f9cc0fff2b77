CREATE TABLE model (id integer PRIMARY KEY, name text NOT NULL, settings text NOT NULL, kind text NOT NULL, price integer);
CREATE TABLE untouched (id integer PRIMARY KEY);
