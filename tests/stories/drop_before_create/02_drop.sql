DROP VIEW report;
