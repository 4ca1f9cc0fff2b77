CREATE TYPE sort AS ENUM ('new', 'old');
CREATE TABLE account (id integer, sorted sort);
