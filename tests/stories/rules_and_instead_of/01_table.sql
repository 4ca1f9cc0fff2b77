CREATE TABLE real_one (id integer PRIMARY KEY, v text);
