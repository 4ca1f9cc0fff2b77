DO $$
DECLARE
    found_id integer;
BEGIN
    SELECT id INTO found_id FROM org WHERE slug = 'lancio';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'organization lancio not found';
    END IF;
    INSERT INTO project (id, org_id, name) VALUES (1, found_id, 'studio');
END
$$;
