ALTER TABLE login_flow RENAME COLUMN id TO login_id;
ALTER TABLE login_flow DROP COLUMN old_note;
