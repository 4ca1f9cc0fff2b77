DO $$
DECLARE
    keeper text = coalesce(nullif(current_setting('app.keeper', true), ''), current_user);
BEGIN
    EXECUTE 'GRANT SELECT ON bucket, object TO ' || quote_ident(keeper);
    EXECUTE format('COMMENT ON TABLE bucket IS %L', keeper);
END $$;
