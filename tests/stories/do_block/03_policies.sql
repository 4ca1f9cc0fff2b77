DO $$
DECLARE
    names CONSTANT text[] := '{red,green}';
    each text;
BEGIN
    FOR each IN SELECT unnest(names) LOOP
        EXECUTE 'ALTER TABLE loops.' || quote_ident(each) || ' ENABLE ROW LEVEL SECURITY';
        EXECUTE format('CREATE POLICY %I ON loops.%I USING (true)', 'all_' || each, each);
    END LOOP;
END
$$;
