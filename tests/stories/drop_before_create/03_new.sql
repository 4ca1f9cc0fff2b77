CREATE TABLE report (id integer, title text);
