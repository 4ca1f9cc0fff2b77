this line is passed over by sql-migrate;
-- +migrate Up
CREATE TABLE tag (id int);
-- +migrate Down
DROP TABLE tag;
