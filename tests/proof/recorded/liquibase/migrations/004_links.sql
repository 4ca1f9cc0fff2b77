--liquibase formatted sql

--changeset tester:4.1
CREATE TABLE links (id integer PRIMARY KEY, note integer REFERENCES notes (id));

