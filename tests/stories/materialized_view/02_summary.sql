CREATE MATERIALIZED VIEW daily AS SELECT day, sum(amount) AS total FROM sale GROUP BY day;
