-- Deploy shop:login to pg
BEGIN;
CREATE FUNCTION :schema.login(of int) RETURNS text LANGUAGE sql
    AS $$ SELECT ':schema' || id FROM shop.users WHERE id = of $$;
COMMIT;
