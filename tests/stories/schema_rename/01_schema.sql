CREATE SCHEMA staging;
CREATE TABLE staging.raw (id integer PRIMARY KEY, line text);
