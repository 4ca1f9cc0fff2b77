CREATE FUNCTION "Count Items"() RETURNS bigint LANGUAGE sql AS $$ SELECT count("Id") FROM "All ""items""" $$;
