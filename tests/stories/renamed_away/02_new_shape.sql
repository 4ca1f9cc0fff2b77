ALTER TABLE item RENAME TO item_old;
CREATE TABLE item (id bigint, line text, name text);
INSERT INTO item (id, line, name) SELECT id, 'main', name FROM item_old;
DROP TABLE item_old;
