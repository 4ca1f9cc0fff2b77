-- Backups that Lancio made itself: what they are of, and whether restoring them was tried.

ALTER TABLE lancio.backups
    ADD COLUMN scope text NOT NULL DEFAULT 'whole' CHECK (scope IN ('whole', 'plan')),
    ADD COLUMN files jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN checked boolean NOT NULL DEFAULT false,
    ADD COLUMN size bigint,
    ADD COLUMN sha256 text,
    ADD COLUMN tables jsonb NOT NULL DEFAULT '[]';
COMMENT ON COLUMN lancio.backups.scope IS 'whole: of all of the database; plan: of what some files touch';
COMMENT ON COLUMN lancio.backups.files IS 'The files that a backup of scope plan was made for';
COMMENT ON COLUMN lancio.backups.checked IS 'Whether it was restored into a scratch database and found equal';
COMMENT ON COLUMN lancio.backups.size IS 'Bytes of the archive';
COMMENT ON COLUMN lancio.backups.sha256 IS 'Of the archive';
COMMENT ON COLUMN lancio.backups.tables IS 'The tables whose rows are in it, with how many each had';
