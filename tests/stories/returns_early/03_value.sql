CREATE TYPE store.kind AS ENUM ('plain');
