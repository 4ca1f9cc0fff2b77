CREATE UNIQUE INDEX setting_value ON setting (value) WHERE name IS NOT NULL;
