INSERT INTO role_of (name, level) VALUES ('it''s', 2);
