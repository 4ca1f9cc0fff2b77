CREATE ROLE story_reader NOLOGIN;
