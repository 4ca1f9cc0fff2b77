CREATE TABLE person (id integer PRIMARY KEY, inbox text, shared_inbox text);
