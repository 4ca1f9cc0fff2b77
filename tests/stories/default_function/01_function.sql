CREATE SEQUENCE ticket;
CREATE FUNCTION next_code() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN 'T' || nextval('ticket');
END
$$;
