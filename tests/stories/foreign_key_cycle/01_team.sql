CREATE TABLE team (id integer PRIMARY KEY, lead_id integer);
