CREATE TABLE setting (name text, place text, value text);
