-- Deploy shop:users/mails to pg
-- requires: users
BEGIN;
CREATE TABLE :schema.mails (user_id int REFERENCES :schema.users, parts text[]);
COMMIT;
