CREATE TABLE src (a integer, b text);
