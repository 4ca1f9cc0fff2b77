-- Verify notes:links on pg

BEGIN;

-- XXX Add verifications here.

ROLLBACK;
