CREATE TABLE bucket (id integer);
CREATE TABLE object (id integer);
