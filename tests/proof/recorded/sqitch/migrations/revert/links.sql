-- Revert notes:links from pg

BEGIN;

-- XXX Add DDLs here.

COMMIT;
