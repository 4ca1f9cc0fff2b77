CREATE TYPE point3 AS (x numeric, y numeric, z numeric);
CREATE TYPE span AS RANGE (subtype = numeric);
