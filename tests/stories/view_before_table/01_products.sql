CREATE TABLE product (id integer PRIMARY KEY, name text NOT NULL, price numeric(10, 2) CHECK (price >= 0));
