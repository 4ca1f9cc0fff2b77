ALTER TABLE space ADD COLUMN icon text;
