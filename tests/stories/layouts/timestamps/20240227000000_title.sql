ALTER TABLE space ADD COLUMN title text DEFAULT '${not a place}';
