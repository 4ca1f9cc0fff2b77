-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.at = now();
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
CREATE TRIGGER stamped BEFORE INSERT ON post FOR EACH ROW EXECUTE FUNCTION stamp();

-- +goose Down
DROP TRIGGER stamped ON post;
DROP FUNCTION stamp();
