INSERT INTO setting (name, place, value) VALUES ('a', 'b', 'c') ON CONFLICT (name, place) DO UPDATE SET value = excluded.value;
