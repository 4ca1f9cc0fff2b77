CREATE TABLE space (id uuid PRIMARY KEY);
