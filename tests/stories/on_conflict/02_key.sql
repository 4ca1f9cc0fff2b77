CREATE UNIQUE INDEX setting_key ON setting (place, name) INCLUDE (value);
