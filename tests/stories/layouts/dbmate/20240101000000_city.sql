-- Städte
-- migrate:up
CREATE TABLE city (name text);

-- migrate:down
DROP TABLE city;
