-- name: page
SELECT o.id, o.slug, o.name, o.kind, o.size, o.billing_email, p.code AS plan, o.requires_mfa, o.deleted_at,
       o.created_at, o.updated_at
FROM platform.organizations o LEFT JOIN platform.billing_plans p ON p.id = o.plan_id
WHERE o.slug > coalesce(%(after)s::text, '')
  AND (%(like)s::text IS NULL OR o.slug LIKE %(like)s OR lower(o.name) LIKE %(like)s)
  AND (%(removed)s OR o.deleted_at IS NULL)
ORDER BY o.slug
LIMIT %(limit)s;

-- name: one
SELECT o.id, o.slug, o.name, o.kind, o.size, o.billing_email, p.code AS plan, o.requires_mfa, o.deleted_at,
       o.created_at, o.updated_at
FROM platform.organizations o LEFT JOIN platform.billing_plans p ON p.id = o.plan_id
WHERE o.id = %(id)s;

-- name: lock
SELECT o.id FROM platform.organizations o WHERE o.id = %(id)s FOR NO KEY UPDATE;

-- name: add
INSERT INTO platform.organizations (slug, name, kind, size, billing_email, requires_mfa)
VALUES (%(slug)s, %(name)s, %(kind)s, %(size)s, %(billing_email)s, coalesce(%(requires_mfa)s, false))
ON CONFLICT (slug) DO NOTHING
RETURNING id;

-- name: add_owner
INSERT INTO platform.organization_members (organization_id, user_id, role)
VALUES (%(organization)s, %(user)s, 'owner')
RETURNING id;

-- name: update
UPDATE platform.organizations o
SET slug = %(slug)s, name = %(name)s, kind = %(kind)s, size = %(size)s, billing_email = %(billing_email)s,
    requires_mfa = %(requires_mfa)s
WHERE o.id = %(id)s;

-- name: remove
UPDATE platform.organizations o SET deleted_at = now() WHERE o.id = %(id)s AND o.deleted_at IS NULL;

-- name: restore
UPDATE platform.organizations o SET deleted_at = NULL WHERE o.id = %(id)s AND o.deleted_at IS NOT NULL;

-- name: what_it_has
-- All that goes with it.
SELECT (SELECT count(*) FROM platform.projects t WHERE t.organization_id = %(id)s) AS projects,
       (SELECT count(*) FROM platform.databases t WHERE t.organization_id = %(id)s) AS databases,
       (SELECT count(*) FROM platform.credentials t WHERE t.organization_id = %(id)s) AS credentials,
       (SELECT count(*) FROM platform.organization_members t WHERE t.organization_id = %(id)s) AS members,
       (SELECT count(*) FROM platform.organization_invitations t WHERE t.organization_id = %(id)s) AS invitations,
       (SELECT count(*) FROM platform.api_keys t WHERE t.organization_id = %(id)s) AS api_keys,
       (SELECT count(*) FROM platform.subscriptions t WHERE t.organization_id = %(id)s) AS subscriptions,
       (SELECT count(*) FROM platform.invoices t WHERE t.organization_id = %(id)s) AS invoices;

-- name: purge
DELETE FROM platform.organizations o WHERE o.id = %(id)s AND o.deleted_at IS NOT NULL;
