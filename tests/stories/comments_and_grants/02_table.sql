CREATE TABLE secret (id integer, word text);
COMMENT ON TABLE secret IS 'who reads it';
