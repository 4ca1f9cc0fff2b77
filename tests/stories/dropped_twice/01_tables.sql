CREATE TABLE saved (id integer PRIMARY KEY, note text);
CREATE VIEW saved_view AS SELECT id, note FROM saved;
CREATE VIEW saved_notes AS SELECT note FROM saved_view;
