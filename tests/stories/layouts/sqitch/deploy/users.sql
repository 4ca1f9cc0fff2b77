-- Deploy shop:users to pg
BEGIN;
ALTER TABLE :schema.users ADD COLUMN IF NOT EXISTS name text;
COMMIT;
