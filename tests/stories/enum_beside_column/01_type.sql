CREATE TYPE mood AS ENUM ('calm', 'glad');
CREATE TABLE person (id bigint PRIMARY KEY, name text, state mood NOT NULL DEFAULT 'calm');
