-- Backups that are known: noted by a person, or made by Lancio. The preflight asks for one before rows are put at risk.

CREATE TABLE lancio.backups (
    id bigserial PRIMARY KEY,
    taken_at timestamptz NOT NULL,
    place text NOT NULL CHECK (place <> ''),
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    who text NOT NULL,
    operator text NOT NULL,
    host text NOT NULL,
    origin text NOT NULL CHECK (origin IN ('noted', 'made'))
);
CREATE INDEX backups_taken_at_idx ON lancio.backups (taken_at DESC);
COMMENT ON TABLE lancio.backups IS 'Backups of this database that are known';
COMMENT ON COLUMN lancio.backups.taken_at IS 'The moment whose state the backup holds';
COMMENT ON COLUMN lancio.backups.place IS 'Where it is, in words for people; never a credential';
COMMENT ON COLUMN lancio.backups.who IS 'The role that was logged in';
COMMENT ON COLUMN lancio.backups.operator IS 'The account of the operating system that noted it';
COMMENT ON COLUMN lancio.backups.origin IS 'noted: a person says so; made: Lancio made it';
