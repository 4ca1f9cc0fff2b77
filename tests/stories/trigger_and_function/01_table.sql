CREATE SCHEMA shop;
CREATE TABLE shop.item (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, changed_at timestamptz);
