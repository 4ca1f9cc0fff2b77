-- What a run's report tells besides steps and events: the catalog before and behind it, and what was foreseen.
-- Written by `lancio apply --report`; without it these are NULL, for reading a whole catalog twice takes its time.

ALTER TABLE lancio.run ADD COLUMN fingerprint_before text;
ALTER TABLE lancio.run ADD COLUMN fingerprint_after text;
ALTER TABLE lancio.run ADD COLUMN foreseen jsonb;
COMMENT ON COLUMN lancio.run.fingerprint_before IS 'SHA-256 over the catalog''s definitions just before the run; equal catalogs have equal ones';
COMMENT ON COLUMN lancio.run.fingerprint_after IS 'The same at its end, however it ended';
COMMENT ON COLUMN lancio.run.foreseen IS 'Of the plan: findings, and the locks and the risk of each step';
