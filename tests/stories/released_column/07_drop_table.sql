DROP TABLE build;
