CREATE SCHEMA staging;
CREATE TABLE staging.raw (id bigint);
