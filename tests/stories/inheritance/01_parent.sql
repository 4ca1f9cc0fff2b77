CREATE TABLE city (name text, population integer CHECK (population > 0));
