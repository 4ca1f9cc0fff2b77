-- name: state
SELECT
    to_regclass('platform.databases') IS NOT NULL
        AND EXISTS (SELECT FROM pg_catalog.pg_policies p
                    WHERE p.schemaname = 'platform' AND p.policyname = 'permissive_all_' || p.tablename) AS ready,
    EXISTS (SELECT FROM pg_catalog.pg_policies p
            WHERE p.schemaname = 'platform' AND p.policyname = 'organization_' || p.tablename) AS isolated,
    EXISTS (SELECT FROM pg_catalog.pg_policies p
            WHERE p.schemaname = 'platform' AND p.policyname = 'shadow_' || p.tablename) AS on;

-- name: report
SELECT d.role, d.application_name, d.query, d.relation, d.kind, d.context, count(*) AS sessions,
       min(d.noted_at) AS first_at, max(d.noted_at) AS last_at
FROM platform_private.denials d
GROUP BY d.role, d.application_name, d.query, d.relation, d.kind, d.context
ORDER BY d.role, d.application_name, d.relation, d.kind, d.query, d.context;

-- name: full
SELECT pg_catalog.pg_relation_size('platform_private.denials') >= 67108864 AS full;
