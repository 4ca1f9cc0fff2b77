CREATE TABLE login (email citext PRIMARY KEY, shown text);
