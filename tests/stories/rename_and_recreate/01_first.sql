CREATE TABLE account (id integer PRIMARY KEY, owner text);
CREATE INDEX account_owner ON account (owner);
