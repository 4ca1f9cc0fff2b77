ALTER TABLE thing ADD COLUMN weight integer;
ALTER TABLE thing DROP CONSTRAINT thing_owner;
ALTER TABLE thing ADD CONSTRAINT thing_owner FOREIGN KEY (owner_id) REFERENCES owner (id) ON DELETE CASCADE;
ALTER TABLE thing DROP CONSTRAINT thing_size;
ALTER TABLE thing ADD CONSTRAINT thing_size CHECK (size > 0 AND weight > 0);
