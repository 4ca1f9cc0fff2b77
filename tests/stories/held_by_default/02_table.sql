CREATE TABLE thing (name text, depth integer GENERATED ALWAYS AS (level(name)) STORED, size integer DEFAULT fresh(),
    CONSTRAINT thing_fine CHECK (fine(size)));
CREATE INDEX thing_level ON thing (level(name));
