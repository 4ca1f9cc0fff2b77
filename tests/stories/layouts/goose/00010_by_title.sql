-- +goose no transaction
-- +goose up
CREATE INDEX CONCURRENTLY post_by_title ON post (title);
-- +goose ENVSUB ON
ALTER TABLE post ADD COLUMN author text DEFAULT '${AUTHOR}';
-- +goose ENVSUB OFF
INSERT INTO post DEFAULT VALUES;
