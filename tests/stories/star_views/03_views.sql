CREATE VIEW note_view AS WITH every AS (SELECT n.*, length(n.body) AS size FROM note AS n) SELECT e.* FROM every AS e;
CREATE VIEW note_copy AS SELECT * FROM (SELECT * FROM note) AS inner_note;
