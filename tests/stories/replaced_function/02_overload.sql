CREATE FUNCTION greeting(name text, shout boolean) RETURNS text LANGUAGE sql AS $$ SELECT upper(greeting(name)) $$;
