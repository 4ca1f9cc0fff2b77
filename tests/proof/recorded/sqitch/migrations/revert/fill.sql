-- Revert notes:fill from pg

BEGIN;

-- XXX Add DDLs here.

COMMIT;
