-- lancio: requires table app.t
DO $$ BEGIN EXECUTE 'INSERT INTO ' || current_setting('lancio.target', true); END $$;
