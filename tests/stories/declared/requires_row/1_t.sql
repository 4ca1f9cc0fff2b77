CREATE TABLE role_of (name text, level int);
