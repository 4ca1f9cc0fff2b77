CREATE TABLE address (id serial PRIMARY KEY, code postcode NOT NULL, codes postcode[]);
