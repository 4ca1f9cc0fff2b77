CREATE SCHEMA {{ index .Options "Namespace" }};
CREATE TABLE {{index .Options "Namespace" }}.users (id uuid PRIMARY KEY);
