DROP VIEW tracked_builds;
