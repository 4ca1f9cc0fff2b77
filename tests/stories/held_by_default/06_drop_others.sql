DROP FUNCTION fresh();
DROP FUNCTION fine(integer);
