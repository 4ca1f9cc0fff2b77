INSERT INTO model (id, name) VALUES (1, 'first');
