CREATE TABLE shape (id integer, at point3, length span);
