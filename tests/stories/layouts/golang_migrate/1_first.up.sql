CREATE TABLE first (a int);
