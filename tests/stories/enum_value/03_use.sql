CREATE TABLE person (name text, feels mood DEFAULT 'so-so');
