INSERT INTO event (id, note) VALUES (1, 'first');
