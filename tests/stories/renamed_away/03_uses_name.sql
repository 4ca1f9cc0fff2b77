CREATE INDEX item_name ON item (name);
