--! Previous: -
--! Hash: sha1:4aced46a147cde5961d74d3aa2dc5e66d555e7cf
--! Message: notes

--! split: 1-current.sql
CREATE TABLE notes (id integer PRIMARY KEY, title text NOT NULL);
CREATE INDEX notes_title ON notes (title);
