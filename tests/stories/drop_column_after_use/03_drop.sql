ALTER TABLE stock DROP COLUMN old_count;
