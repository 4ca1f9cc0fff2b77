CREATE TABLE ${schema}.people (id int);
COMMENT ON TABLE ${schema}.people IS '${greeting}';
