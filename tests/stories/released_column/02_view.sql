CREATE VIEW tracked_builds AS SELECT id, tracked FROM build;
CREATE MATERIALIZED VIEW sizes AS SELECT size FROM build;
