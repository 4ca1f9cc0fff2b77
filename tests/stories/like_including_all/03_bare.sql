CREATE TABLE bare (LIKE source);
