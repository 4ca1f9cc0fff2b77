CREATE INDEX bucket_size ON store.bucket (size_limit);
CREATE TABLE store.other (id integer, kind store.kind DEFAULT 'vector');
