GRANT SELECT (id) ON secret TO story_reader;
COMMENT ON COLUMN secret.word IS 'hidden';
