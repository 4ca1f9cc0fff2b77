INSERT INTO setting (name, value) VALUES ('a', 'd') ON CONFLICT (value) WHERE name IS NOT NULL DO NOTHING;
