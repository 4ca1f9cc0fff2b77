INSERT INTO org (id, slug) VALUES (1, 'lancio'), (2, 'other');
