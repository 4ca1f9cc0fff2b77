CREATE VIEW both_of AS SELECT c.name, b.n, c.extra FROM copied c JOIN bare b USING (id);
