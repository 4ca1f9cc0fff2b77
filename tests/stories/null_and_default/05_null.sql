INSERT INTO model (id, name, settings, kind) VALUES (2, 'second', NULL, 'other');
