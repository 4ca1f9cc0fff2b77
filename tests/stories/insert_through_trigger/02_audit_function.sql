CREATE FUNCTION note_item() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO item_log (item_id, what) VALUES (NEW.id, TG_OP);
    RETURN NULL;
END
$$;
