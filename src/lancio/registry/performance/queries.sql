-- What the platform asks all day, for `lancio baseline … --platform`: each query can be asked before migration 006 and
-- after it. Values are looked up, so that they fit whatever rows are there.

-- organization by slug
SELECT * FROM platform.organizations
WHERE slug = (SELECT max(slug) FROM platform.organizations) AND deleted_at IS NULL;

-- projects of an organization
SELECT p.id, p.slug, p.name, p.status, p.region
FROM platform.projects AS p
WHERE p.organization_id = (SELECT organization_id FROM platform.projects ORDER BY slug LIMIT 1) AND p.deleted_at IS NULL
ORDER BY p.created_at DESC;

-- members of an organization with their users
SELECT m.role, u.primary_email, u.username, u.last_sign_in_at
FROM platform.organization_members AS m JOIN platform.users AS u ON u.id = m.user_id
WHERE m.organization_id = (SELECT max(organization_id::text)::uuid FROM platform.organization_members)
ORDER BY u.primary_email;

-- session by its token
SELECT s.user_id, s.aal, u.disabled_at
FROM platform.user_sessions AS s JOIN platform.users AS u ON u.id = s.user_id
WHERE s.token_hash = decode(md5('session-17'), 'hex') AND s.revoked_at IS NULL AND s.expires_at > now();

-- API key by its token
SELECT k.organization_id, k.project_id, k.scopes
FROM platform.api_keys AS k
WHERE k.token_hash = decode(md5('key-17'), 'hex') AND k.revoked_at IS NULL;

-- what a user may see
SELECT o.slug, count(p.id)
FROM platform.organization_members AS m
JOIN platform.organizations AS o ON o.id = m.organization_id
LEFT JOIN platform.projects AS p ON p.organization_id = o.id AND p.deleted_at IS NULL
WHERE m.user_id = (SELECT min(user_id::text)::uuid FROM platform.organization_members)
GROUP BY o.slug ORDER BY o.slug;

-- subscription and plan of an organization
SELECT s.status, s.current_period_end, b.code, b.price_minor
FROM platform.subscriptions AS s JOIN platform.billing_plans AS b ON b.id = s.plan_id
WHERE s.organization_id = (SELECT min(organization_id::text)::uuid FROM platform.subscriptions);

-- open invoices by currency
SELECT currency, count(*), sum(amount_due_minor) FROM platform.invoices WHERE status = 'open' GROUP BY currency;

-- usage of all projects this month
SELECT project_id, metric, sum(value)
FROM platform.project_metrics
WHERE period_start >= (SELECT max(period_start) - interval '30 days' FROM platform.project_metrics)
GROUP BY project_id, metric;

-- latest of the audit log
SELECT occurred_at, actor_email, action, target_type, target_id
FROM platform.audit_logs
WHERE organization_id = (SELECT organization_id FROM platform.projects ORDER BY slug LIMIT 1)
ORDER BY occurred_at DESC LIMIT 50;

-- audit log by action
SELECT action, count(*) FROM platform.audit_logs GROUP BY action ORDER BY 2 DESC;
