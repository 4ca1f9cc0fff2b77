CREATE VIEW cheapest AS SELECT name FROM price_list ORDER BY price LIMIT 1;
