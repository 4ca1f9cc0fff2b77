CREATE VIEW price_list AS SELECT p.name, p.price FROM product p WHERE p.price IS NOT NULL;
