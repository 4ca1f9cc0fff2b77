DROP VIEW saved_notes;
