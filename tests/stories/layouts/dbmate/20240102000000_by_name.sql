-- migrate:up transaction:false
CREATE INDEX CONCURRENTLY city_by_name ON city (name);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY city_by_name;
