DROP VIEW big;
CREATE VIEW big AS SELECT id, size FROM thing WHERE size > 10;
