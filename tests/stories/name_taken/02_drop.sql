ALTER TABLE pair DROP COLUMN old_value;
