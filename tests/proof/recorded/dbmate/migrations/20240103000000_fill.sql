-- migrate:up
UPDATE notes SET stars = 0 WHERE stars IS NULL;

-- migrate:down
