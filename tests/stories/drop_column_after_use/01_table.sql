CREATE TABLE stock (id integer PRIMARY KEY, old_count integer, count integer);
