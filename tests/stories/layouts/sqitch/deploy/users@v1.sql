-- Deploy shop:users to pg
-- requires: schema
BEGIN;
CREATE TABLE :schema.users (id int PRIMARY KEY);
COMMENT ON TABLE :schema.users IS :'schema';
COMMIT;
