CREATE OR REPLACE VIEW ${schema}.all_names AS SELECT name FROM ${schema}.people;
