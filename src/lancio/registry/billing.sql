-- name: plans
SELECT p.id, p.code, p.name, p.price_minor, p.currency, p.billing_interval AS interval, p.limits, p.features, p.is_public,
       p.valid_from, p.valid_to, p.valid_to IS NOT NULL AND p.valid_to <= now() AS archived, p.created_at, p.updated_at
FROM platform.billing_plans p
WHERE %(all)s OR p.valid_to IS NULL OR p.valid_to > now()
ORDER BY p.currency, p.price_minor, p.code
LIMIT 1000;

-- name: plan
SELECT p.id, p.code, p.name, p.price_minor, p.currency, p.billing_interval AS interval, p.limits, p.features, p.is_public,
       p.valid_from, p.valid_to, p.valid_to IS NOT NULL AND p.valid_to <= now() AS archived, p.created_at, p.updated_at
FROM platform.billing_plans p
WHERE p.code = %(code)s;

-- name: codes
SELECT p.code FROM platform.billing_plans p WHERE p.valid_to IS NULL OR p.valid_to > now() LIMIT 1000;

-- name: add
INSERT INTO platform.billing_plans
    (code, name, price_minor, currency, billing_interval, limits, features, is_public, valid_from)
VALUES (%(code)s, %(name)s, %(price_minor)s, %(currency)s, %(interval)s, %(limits)s, %(features)s, %(is_public)s, now())
RETURNING id;

-- name: archive
UPDATE platform.billing_plans p SET valid_to = now() WHERE p.id = %(id)s;

-- name: subscription
-- The one that holds; of several, which only other programs can have made, the newest.
SELECT s.id, p.code AS plan, s.status, s.current_period_start, s.current_period_end, s.next_invoice_at, s.cancel_at,
       s.created_at, s.updated_at
FROM platform.subscriptions s JOIN platform.billing_plans p ON p.id = s.plan_id
WHERE s.organization_id = %(organization)s AND s.status <> 'canceled'
ORDER BY s.created_at DESC, s.id
LIMIT 1;

-- name: subscribe
INSERT INTO platform.subscriptions
    (organization_id, plan_id, status, billing_cycle_anchor, current_period_start, current_period_end, next_invoice_at)
VALUES (%(organization)s, %(plan)s, 'active', now(), now(), now() + %(period)s::interval, now() + %(period)s::interval);

-- name: end_subscriptions
UPDATE platform.subscriptions s SET status = 'canceled', cancel_at = now(), next_invoice_at = NULL
WHERE s.organization_id = %(organization)s AND s.status <> 'canceled';

-- name: put_plan
UPDATE platform.organizations o SET plan_id = %(plan)s WHERE o.id = %(organization)s;
