CREATE OR REPLACE VIEW "${schema}".all_people AS SELECT name FROM ${schema}.all_names;
