-- name: statements
CREATE EXTENSION pg_stat_statements;

-- name: shown
SELECT current_setting(%(name)s);

-- name: settle
ANALYZE;

-- name: written
CHECKPOINT;

-- name: there
SELECT pg_catalog.to_regclass('platform.databases') IS NOT NULL;
