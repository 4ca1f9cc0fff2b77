CREATE TABLE pair (id integer, old_value integer, new_value bigint);
