SET search_path = one;
CREATE TABLE t (a integer PRIMARY KEY);
RESET search_path;
CREATE TABLE two.t (b integer PRIMARY KEY);
