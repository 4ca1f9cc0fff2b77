CREATE FUNCTION balance() RETURNS numeric LANGUAGE sql AS $$ SELECT sum(amount) FROM ledger $$;
