CREATE VIEW w (x, y) AS WITH q AS (SELECT one, count FROM counted) SELECT one, count FROM q;
