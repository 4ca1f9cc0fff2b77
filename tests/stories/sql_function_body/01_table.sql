CREATE TABLE ledger (id integer PRIMARY KEY, amount numeric);
