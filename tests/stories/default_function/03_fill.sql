INSERT INTO coupon (note) VALUES ('a'), ('b');
