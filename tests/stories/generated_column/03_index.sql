CREATE INDEX ON person (shown);
CREATE INDEX ON person (lower(shown));
CREATE UNIQUE INDEX ON person (shown, (first || last)) WHERE last IS NOT NULL;
