-- Verify notes:notes on pg

BEGIN;

-- XXX Add verifications here.

ROLLBACK;
