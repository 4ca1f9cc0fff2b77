CREATE VIEW shown AS SELECT id, v FROM real_one;
