CREATE VIEW living AS SELECT v.id, v.size FROM note_view AS v WHERE NOT v.deleted;
CREATE INDEX note_deleted ON note (deleted);
