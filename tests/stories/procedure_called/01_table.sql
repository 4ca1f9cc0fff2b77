CREATE TABLE job (id integer PRIMARY KEY, state text);
