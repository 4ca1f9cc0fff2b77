-- Revert notes:tags from pg

BEGIN;

-- XXX Add DDLs here.

COMMIT;
