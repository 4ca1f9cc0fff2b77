CREATE SCHEMA store;
CREATE TABLE store.bucket (id integer, max_size integer);
