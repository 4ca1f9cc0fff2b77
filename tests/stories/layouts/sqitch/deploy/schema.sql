-- Deploy shop:schema to pg
BEGIN;
CREATE SCHEMA :"schema";
COMMIT;
