--liquibase formatted sql

--changeset tester:3.1
UPDATE notes SET stars = 0 WHERE stars IS NULL;

