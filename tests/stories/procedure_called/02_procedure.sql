CREATE PROCEDURE add_job(number integer) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO job (id, state) VALUES (number, 'new');
END
$$;
