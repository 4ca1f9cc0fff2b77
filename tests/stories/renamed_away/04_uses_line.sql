CREATE INDEX item_line ON item (line);
