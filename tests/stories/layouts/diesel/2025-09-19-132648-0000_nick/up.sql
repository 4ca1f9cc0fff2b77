ALTER TABLE person ADD COLUMN nick text;
