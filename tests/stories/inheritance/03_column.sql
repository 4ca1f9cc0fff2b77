ALTER TABLE city ADD COLUMN altitude integer;
