INSERT INTO space VALUES (gen_random_uuid());
