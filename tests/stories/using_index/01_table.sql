CREATE TABLE big (id integer NOT NULL, tag text);
