INSERT INTO shown VALUES (1, 'x');
