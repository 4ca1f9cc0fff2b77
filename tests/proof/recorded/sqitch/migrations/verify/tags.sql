-- Verify notes:tags on pg

BEGIN;

-- XXX Add verifications here.

ROLLBACK;
