CALL add_job(7);
