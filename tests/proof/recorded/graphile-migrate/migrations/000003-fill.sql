--! Previous: sha1:edc7196efa367238ba1b1bf5f4afdcf9e278e858
--! Hash: sha1:fc17d2b367aec8f8cab71af6a4ff4db229c94ad8
--! Message: fill

--! split: 1-current.sql
UPDATE notes SET stars = 0 WHERE stars IS NULL;
