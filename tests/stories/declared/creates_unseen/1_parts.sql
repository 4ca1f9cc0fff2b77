-- lancio: creates table orders_2026
DO $$
BEGIN
    EXECUTE 'CREATE TABLE orders_' || (SELECT max(y) FROM (VALUES (2026)) AS v (y)) || ' (id int, total int)';
END $$;
