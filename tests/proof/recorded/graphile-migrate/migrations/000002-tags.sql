--! Previous: sha1:4aced46a147cde5961d74d3aa2dc5e66d555e7cf
--! Hash: sha1:edc7196efa367238ba1b1bf5f4afdcf9e278e858
--! Message: tags

--! split: 1-current.sql
CREATE TABLE tags (id integer PRIMARY KEY, note integer REFERENCES notes (id));
ALTER TABLE notes ADD COLUMN stars integer;
