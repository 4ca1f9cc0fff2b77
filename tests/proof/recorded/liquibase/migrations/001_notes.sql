--liquibase formatted sql

--changeset tester:1.1
CREATE TABLE notes (id integer PRIMARY KEY, title text NOT NULL);
CREATE INDEX notes_title ON notes (title);

