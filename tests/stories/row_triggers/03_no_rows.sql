UPDATE event SET note = 'none' WHERE note IS NULL;
