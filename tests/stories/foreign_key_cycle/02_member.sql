CREATE TABLE member (id integer PRIMARY KEY, team_id integer NOT NULL REFERENCES team);
