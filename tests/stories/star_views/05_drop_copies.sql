DROP VIEW living, note_copy, note_view;
