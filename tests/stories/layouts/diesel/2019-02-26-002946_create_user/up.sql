CREATE TABLE person (id serial PRIMARY KEY, at timestamptz);
CREATE TRIGGER touched BEFORE UPDATE ON person FOR EACH ROW EXECUTE FUNCTION touch();
