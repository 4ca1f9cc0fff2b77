CREATE TABLE note (line text);
CREATE FUNCTION helper_note(line text) RETURNS void LANGUAGE sql AS $$ INSERT INTO note VALUES ($1) $$;
