ALTER TABLE ${schema}.people ADD COLUMN name text;
