CREATE INDEX ON t (b);
CREATE INDEX ON t (b);
CREATE INDEX ON t (b, b);
CREATE INDEX ON t ((b + 1), (c + 1), lower(b::text));
CREATE UNIQUE INDEX ON t (c) INCLUDE (a);
