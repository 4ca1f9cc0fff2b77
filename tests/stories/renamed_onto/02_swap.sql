ALTER TABLE person DROP COLUMN inbox;
ALTER TABLE person RENAME COLUMN shared_inbox TO inbox;
