DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['red', 'green', 'blue'] LOOP
        EXECUTE format('CREATE TABLE loops.%I (id integer PRIMARY KEY, %s text)', name, name || '_note');
    END LOOP;
END
$$;
