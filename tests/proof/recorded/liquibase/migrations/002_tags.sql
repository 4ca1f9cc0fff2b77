--liquibase formatted sql

--changeset tester:2.1
CREATE TABLE tags (id integer PRIMARY KEY, note integer REFERENCES notes (id));
--changeset tester:2.2
ALTER TABLE notes ADD COLUMN stars integer;
