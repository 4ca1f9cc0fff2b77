SELECT setval('plain_id_seq', 100);
