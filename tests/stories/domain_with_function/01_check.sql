CREATE FUNCTION is_postcode(value text) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN value ~ '^[0-9]{5}$';
