CREATE UNIQUE INDEX CONCURRENTLY person_by_nick ON person (nick);
