CREATE TABLE dup AS SELECT *, a + 1 AS next, b::varchar(5) AS short, upper(b) FROM src;
