-- A platform of middling size, for `lancio baseline rehearse --platform`: 200 organizations, 2,000 projects, 4,000 users
-- and what belongs to them. The same rows each time; nobody's data. Runs behind 005, on a scratch database only.

INSERT INTO platform.organizations (id, slug, name, created_at)
SELECT md5('org-' || i)::uuid, 'org-' || i, 'Organization ' || i, timestamptz '2026-01-01 00:00+00' + i * interval '1 hour'
FROM generate_series(1, 200) AS i;

INSERT INTO platform.users (id, primary_email, username, created_at)
SELECT md5('user-' || i)::uuid, 'user-' || i || '@example.org', 'user-' || i, timestamptz '2026-01-01 00:00+00' + i * interval '1 minute'
FROM generate_series(1, 4000) AS i;

INSERT INTO platform.projects (id, organization_id, slug, name, status, region, created_at)
SELECT md5('project-' || i)::uuid, md5('org-' || 1 + i % 200)::uuid, 'project-' || i, 'Project ' || i, 'ACTIVE_HEALTHY',
       'eu-' || 1 + i % 4, timestamptz '2026-01-01 00:00+00' + i * interval '1 hour'
FROM generate_series(1, 2000) AS i;

INSERT INTO platform.organization_members (id, organization_id, user_id, role)
SELECT md5('member-' || i)::uuid, md5('org-' || 1 + i % 200)::uuid, md5('user-' || 1 + i % 4000)::uuid, 'developer'
FROM generate_series(1, 4000) AS i;

INSERT INTO platform.user_sessions (id, user_id, token_hash, expires_at)
SELECT md5('session-id-' || i)::uuid, md5('user-' || 1 + i % 4000)::uuid, decode(md5('session-' || i), 'hex'),
       timestamptz '2126-01-01 00:00+00'
FROM generate_series(1, 8000) AS i;

INSERT INTO platform.api_keys (id, organization_id, project_id, name, prefix, token_hash, last4)
SELECT md5('key-id-' || i)::uuid, md5('org-' || 1 + i % 200)::uuid, md5('project-' || i)::uuid, 'Key ' || i, 'lan_',
       decode(md5('key-' || i), 'hex'), right(md5('key-' || i), 4)
FROM generate_series(1, 2000) AS i;

INSERT INTO platform.billing_plans (id, code, name, price_minor)
SELECT md5('plan-' || i)::uuid, 'baseline-' || i, 'Plan ' || i, i * 2500 FROM generate_series(1, 4) AS i;

INSERT INTO platform.subscriptions (id, organization_id, plan_id, status, current_period_end)
SELECT md5('subscription-' || i)::uuid, md5('org-' || i)::uuid, md5('plan-' || 1 + i % 4)::uuid, 'active',
       timestamptz '2026-12-01 00:00+00'
FROM generate_series(1, 200) AS i;

INSERT INTO platform.invoices (id, organization_id, subscription_id, number, status, amount_due_minor, currency)
SELECT md5('invoice-' || i)::uuid, md5('org-' || 1 + i % 200)::uuid, md5('subscription-' || 1 + i % 200)::uuid,
       'B-' || i, CASE WHEN i % 5 = 0 THEN 'open' ELSE 'paid' END, i * 100, CASE WHEN i % 3 = 0 THEN 'EUR' ELSE 'USD' END
FROM generate_series(1, 2400) AS i;

INSERT INTO platform.project_metrics (id, organization_id, project_id, metric, period_start, period, value, unit)
SELECT md5('metric-' || p || '-' || d)::uuid, md5('org-' || 1 + p % 200)::uuid, md5('project-' || p)::uuid, 'egress',
       timestamptz '2026-01-01 00:00+00' + d * interval '1 day', interval '1 day', p + d, 'byte'
FROM generate_series(1, 500) AS p, generate_series(1, 40) AS d;

INSERT INTO platform.audit_logs (organization_id, project_id, occurred_at, actor_type, actor_email, action, target_type)
SELECT md5('org-' || 1 + i % 200)::uuid, md5('project-' || 1 + i % 2000)::uuid,
       timestamptz '2026-01-01 00:00+00' + i * interval '1 minute', 'user', 'user-' || 1 + i % 4000 || '@example.org',
       'action.' || i % 12, 'project'
FROM generate_series(1, 20000) AS i;
