CREATE TABLE document (id integer PRIMARY KEY, org integer NOT NULL, body text);
