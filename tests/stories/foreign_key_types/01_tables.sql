CREATE TABLE hook (id integer PRIMARY KEY, code integer UNIQUE);
CREATE TABLE call (id integer PRIMARY KEY, hook_id text, code bigint);
