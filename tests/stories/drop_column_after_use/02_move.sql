UPDATE stock SET count = old_count WHERE count IS NULL;
