CREATE TABLE goal (k integer PRIMARY KEY, v text);
CREATE TABLE feed (k integer, v text);
