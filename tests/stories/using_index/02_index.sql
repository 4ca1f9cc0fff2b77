CREATE UNIQUE INDEX big_id ON big (id);
