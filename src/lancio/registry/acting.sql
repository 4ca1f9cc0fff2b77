-- name: ready
-- Is there a platform, is it isolated, and which role is to be come back to? Only pg_catalog is read.
SELECT pg_catalog.to_regclass('platform.organizations') IS NOT NULL AS there,
       pg_catalog.to_regprocedure('platform.enter_organization(uuid)') IS NOT NULL AS isolated,
       pg_catalog.current_setting('role') AS role,
       session_user::text AS login,
       (SELECT r.rolsuper OR r.rolbypassrls FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) AS bypasses;

-- name: user
SELECT u.id, u.primary_email AS email, u.disabled_at IS NOT NULL AS disabled
FROM platform.users u
WHERE lower(u.primary_email) = lower(%(email)s);

-- name: emails
SELECT u.id, u.primary_email AS email FROM platform.users u WHERE u.id = ANY (%(ids)s);

-- name: set_context
SELECT platform.set_context(%(user)s, %(organization)s) AS role;

-- name: enter_organization
SELECT platform.enter_organization(%(organization)s);

-- name: organization
SELECT o.id, o.slug, o.name, o.deleted_at IS NOT NULL AS deleted
FROM platform.organizations o
WHERE o.slug = %(slug)s OR o.id = %(id)s;

-- name: organization_by_id
SELECT o.id, o.slug, o.name, o.deleted_at IS NOT NULL AS deleted
FROM platform.organizations o
WHERE o.id = %(id)s;

-- name: slugs_like
-- Those that a mistyped one can have meant.
SELECT o.slug FROM platform.organizations o
WHERE o.deleted_at IS NULL AND length(o.slug) BETWEEN length(%(slug)s) - 2 AND length(%(slug)s) + 2
ORDER BY left(o.slug, 1) = left(%(slug)s, 1) DESC, o.slug
LIMIT 2000;

-- name: membership
SELECT m.role, m.project_ids FROM platform.organization_members m
WHERE m.organization_id = %(organization)s AND m.user_id = %(user)s;

-- name: members_of_roles
SELECT m.user_id, m.role FROM platform.organization_members m
WHERE m.organization_id = %(organization)s AND m.role = ANY (%(roles)s)
ORDER BY array_position(%(roles)s, m.role), m.created_at, m.id
LIMIT 3;
