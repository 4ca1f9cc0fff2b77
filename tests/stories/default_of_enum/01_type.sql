CREATE TYPE source AS ENUM ('API', 'REVIEW');
CREATE TABLE score (id integer, source source DEFAULT 'REVIEW');
