-- Which server process a run works with: so that who waits for it can say which run that is, and on which host.

ALTER TABLE lancio.run ADD COLUMN backend_pid integer;
COMMENT ON COLUMN lancio.run.backend_pid IS 'The server process that took the runner''s lock for it';
COMMENT ON COLUMN lancio.run.outcome IS 'NULL while it runs; of a killed runner until the next one finds it, and writes lost';
