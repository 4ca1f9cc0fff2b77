CREATE TABLE n (v integer);
CREATE VIEW totals AS SELECT total(v) AS t, max(v @+@ 1) AS m FROM n;
