ALTER TABLE pair RENAME COLUMN new_value TO old_value;
