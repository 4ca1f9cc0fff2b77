CREATE TABLE capital (state char(2) NOT NULL) INHERITS (city);
