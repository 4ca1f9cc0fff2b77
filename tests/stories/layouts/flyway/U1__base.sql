DROP SCHEMA ${schema};
