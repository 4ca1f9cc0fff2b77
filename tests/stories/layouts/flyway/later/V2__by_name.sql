CREATE INDEX CONCURRENTLY people_by_name ON ${schema}.people (name);
