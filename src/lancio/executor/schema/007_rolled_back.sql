-- A step can be taken back: its latest row then says so, and the migration is as if it had not run.

ALTER TABLE lancio.step DROP CONSTRAINT step_state_check;
ALTER TABLE lancio.step ADD CONSTRAINT step_state_check CHECK (state IN ('applied', 'adopted', 'edited', 'rolled back'));
COMMENT ON COLUMN lancio.step.state IS 'applied: it ran here; adopted: found to be here; edited: the file changed later and that was accepted; rolled back: it was taken back';
COMMENT ON TABLE lancio.step IS 'What became of a migration in this database; the row with the largest id of a name counts';
