CREATE TABLE par (id integer PRIMARY KEY, code text);
CREATE TABLE chi (par_id integer, code text);
