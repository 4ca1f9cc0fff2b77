CREATE TABLE event (id integer PRIMARY KEY, note text);
CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO event_log (event_id) VALUES (NEW.id);
    RETURN NEW;
END $$;
CREATE TRIGGER event_seen AFTER INSERT OR UPDATE ON event FOR EACH ROW EXECUTE FUNCTION seen();
