SELECT next AS one, count(*) INTO counted FROM dup GROUP BY next;
