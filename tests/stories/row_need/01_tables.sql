CREATE TABLE org (id integer PRIMARY KEY, slug text UNIQUE NOT NULL);
CREATE TABLE project (id integer PRIMARY KEY, org_id integer NOT NULL REFERENCES org, name text);
