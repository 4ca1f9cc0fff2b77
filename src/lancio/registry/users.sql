-- name: page
SELECT u.id, u.primary_email AS email, u.username, u.first_name, u.last_name, u.auth_provider, u.is_sso_user,
       u.mfa_enabled, u.password_hash IS NOT NULL AS has_password, u.disabled_at, u.last_sign_in_at, u.created_at,
       u.updated_at
FROM platform.users u
WHERE lower(u.primary_email) > coalesce(%(after)s::text, '')
  AND (%(like)s::text IS NULL OR lower(u.primary_email) LIKE %(like)s OR lower(u.username) LIKE %(like)s
       OR lower(concat_ws(' ', u.first_name, u.last_name)) LIKE %(like)s)
  AND (%(disabled)s::boolean IS NULL OR (u.disabled_at IS NOT NULL) = %(disabled)s)
ORDER BY lower(u.primary_email)
LIMIT %(limit)s;

-- name: one
SELECT u.id, u.primary_email AS email, u.username, u.first_name, u.last_name, u.auth_provider, u.is_sso_user,
       u.mfa_enabled, u.password_hash IS NOT NULL AS has_password, u.disabled_at, u.last_sign_in_at, u.created_at,
       u.updated_at
FROM platform.users u
WHERE lower(u.primary_email) = lower(%(email)s) OR u.id = %(id)s;

-- name: lock
SELECT u.id FROM platform.users u
WHERE lower(u.primary_email) = lower(%(email)s) OR u.id = %(id)s
FOR NO KEY UPDATE;

-- name: emails_like
SELECT u.primary_email FROM platform.users u
WHERE left(lower(u.primary_email), 2) = left(lower(%(email)s), 2)
ORDER BY lower(u.primary_email)
LIMIT 2000;

-- name: organizations
SELECT o.slug, o.name, m.role
FROM platform.organization_members m JOIN platform.organizations o ON o.id = m.organization_id
WHERE m.user_id = %(id)s AND o.deleted_at IS NULL
ORDER BY o.slug;

-- name: owned_alone
-- Organizations in which nobody else who can act is an owner.
SELECT o.slug
FROM platform.organization_members m JOIN platform.organizations o ON o.id = m.organization_id
WHERE m.user_id = %(id)s AND m.role = 'owner' AND o.deleted_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM platform.organization_members n JOIN platform.users u ON u.id = n.user_id
                  WHERE n.organization_id = o.id AND n.role = 'owner' AND n.user_id <> m.user_id AND u.disabled_at IS NULL)
ORDER BY o.slug
LIMIT 100;

-- name: add
INSERT INTO platform.users (primary_email, username, first_name, last_name, password_hash)
VALUES (%(email)s, %(username)s, %(first_name)s, %(last_name)s, %(password_hash)s)
RETURNING id;

-- name: update
UPDATE platform.users u
SET primary_email = %(email)s, username = %(username)s, first_name = %(first_name)s, last_name = %(last_name)s
WHERE u.id = %(id)s;

-- name: set_password
UPDATE platform.users u SET password_hash = %(password_hash)s WHERE u.id = %(id)s;

-- name: disable
UPDATE platform.users u SET disabled_at = now() WHERE u.id = %(id)s AND u.disabled_at IS NULL;

-- name: enable
UPDATE platform.users u SET disabled_at = NULL WHERE u.id = %(id)s AND u.disabled_at IS NOT NULL;

-- name: end_sessions
UPDATE platform.user_sessions s SET revoked_at = now(), revoke_reason = %(reason)s
WHERE s.user_id = %(id)s AND s.revoked_at IS NULL;

-- name: password_hash
SELECT u.id, u.primary_email AS email, u.password_hash, u.disabled_at IS NOT NULL AS disabled
FROM platform.users u WHERE lower(u.primary_email) = lower(%(email)s);
