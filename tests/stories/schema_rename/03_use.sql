CREATE VIEW live.lines AS SELECT line FROM live.raw;
