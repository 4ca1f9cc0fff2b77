-- name: of_organization
SELECT p.code, p.name, p.limits
FROM platform.organizations o JOIN platform.billing_plans p ON p.id = o.plan_id
WHERE o.id = %(organization)s;

-- name: plan_stays
-- Whoever adds something lets nobody change the plan until that transaction has ended.
SELECT pg_catalog.pg_advisory_xact_lock_shared(%(key)s);

-- name: plan_changes
SELECT pg_catalog.pg_advisory_xact_lock(%(key)s);

-- name: one_by_one
-- Whoever adds what a plan limits waits for the other who does so in the same organization, until that one has ended.
SELECT pg_catalog.pg_advisory_xact_lock(%(key)s);

-- name: projects
SELECT count(*) FROM platform.projects t WHERE t.organization_id = %(organization)s AND t.deleted_at IS NULL;

-- name: members
SELECT count(*) FROM platform.organization_members t WHERE t.organization_id = %(organization)s;

-- name: databases
SELECT count(*) FROM platform.databases t WHERE t.organization_id = %(organization)s;
