INSERT INTO person (id, name, state) VALUES (1, 'weary', 'glad'), (2, 'Ida', 'weary');
