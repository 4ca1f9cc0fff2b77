BEGIN;
--
-- Raw SQL operation
--
UPDATE notes SET stars = 0 WHERE stars IS NULL;

COMMIT;
