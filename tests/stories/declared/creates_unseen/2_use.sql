CREATE VIEW totals AS SELECT total FROM orders_2026;
