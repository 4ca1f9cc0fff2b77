-- Verify notes:fill on pg

BEGIN;

-- XXX Add verifications here.

ROLLBACK;
