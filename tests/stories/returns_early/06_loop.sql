DO $$
DECLARE
    found integer;
BEGIN
    LOOP
        SELECT count(*) INTO found FROM store.other;
        EXIT WHEN found = 0;
        DELETE FROM store.other;
    END LOOP;
END $$;
