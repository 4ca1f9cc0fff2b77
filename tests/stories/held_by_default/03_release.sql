ALTER TABLE thing DROP COLUMN depth;
DROP INDEX thing_level;
