CREATE VIEW big_sizes AS SELECT size FROM big;
