--! Previous: sha1:fc17d2b367aec8f8cab71af6a4ff4db229c94ad8
--! Hash: sha1:c21d1c16e8897b32d23f858c01cf799830b3ac4f
--! Message: links

--! split: 1-current.sql
CREATE TABLE links (id integer PRIMARY KEY, note integer REFERENCES notes (id));
