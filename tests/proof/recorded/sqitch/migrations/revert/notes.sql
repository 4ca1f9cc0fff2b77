-- Revert notes:notes from pg

BEGIN;

-- XXX Add DDLs here.

COMMIT;
