CREATE TABLE log (id serial PRIMARY KEY, line text UNIQUE);
CREATE INDEX ON log (line);
