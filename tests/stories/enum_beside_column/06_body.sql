CREATE FUNCTION rank(state mood) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE state WHEN 'glad' THEN 2 WHEN 'weary' THEN 0 ELSE 1 END
$$;
