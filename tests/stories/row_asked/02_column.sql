ALTER TABLE account ADD COLUMN safe boolean DEFAULT false;
