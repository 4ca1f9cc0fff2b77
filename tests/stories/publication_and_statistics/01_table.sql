CREATE TABLE pub (id integer PRIMARY KEY, a integer, b integer);
