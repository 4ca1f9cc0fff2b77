REVOKE ALL ON secret FROM story_reader;
DROP OWNED BY story_reader;
DROP ROLE story_reader;
