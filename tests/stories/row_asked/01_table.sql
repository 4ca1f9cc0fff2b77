CREATE TABLE account (id serial PRIMARY KEY, email text NOT NULL);
