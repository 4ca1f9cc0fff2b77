-- name: page
SELECT k.id, k.name, k.prefix, k.last4, k.scopes, p.slug AS project, k.project_id, k.user_id, k.expires_at,
       k.expires_at <= now() AS expired, k.last_used_at, k.revoked_at, k.created_by, k.created_at
FROM platform.api_keys k LEFT JOIN platform.projects p ON p.id = k.project_id
WHERE k.organization_id = %(organization)s
  AND (%(projects)s::uuid[] IS NULL OR k.project_id = ANY (%(projects)s::uuid[]))
  AND (%(project)s::uuid IS NULL OR k.project_id = %(project)s)
  AND (%(all)s OR (k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())))
  AND (%(after_name)s::text IS NULL OR (k.name, k.id) > (%(after_name)s::text, %(after_id)s::uuid))
ORDER BY k.name, k.id
LIMIT %(limit)s;

-- name: named
-- By name, id, or the prefix that is kept in clear; of those that have one name, the one in use first.
SELECT k.id, k.name, k.prefix, k.last4, k.scopes, p.slug AS project, k.project_id, k.user_id, k.expires_at,
       k.expires_at <= now() AS expired, k.last_used_at, k.revoked_at, k.created_by, k.created_at
FROM platform.api_keys k LEFT JOIN platform.projects p ON p.id = k.project_id
WHERE k.organization_id = %(organization)s
  AND (%(projects)s::uuid[] IS NULL OR k.project_id = ANY (%(projects)s::uuid[]))
  AND (lower(k.name) = lower(%(name)s) OR k.prefix = %(name)s OR k.id::text = %(name)s)
ORDER BY k.revoked_at IS NULL DESC, k.created_at DESC
LIMIT 1;

-- name: names
SELECT k.name FROM platform.api_keys k
WHERE k.organization_id = %(organization)s AND k.revoked_at IS NULL
  AND (%(projects)s::uuid[] IS NULL OR k.project_id = ANY (%(projects)s::uuid[]))
LIMIT 2000;

-- name: name_in_use
SELECT EXISTS (SELECT 1 FROM platform.api_keys k
               WHERE k.organization_id = %(organization)s AND lower(k.name) = lower(%(name)s) AND k.revoked_at IS NULL);

-- name: add
INSERT INTO platform.api_keys
    (organization_id, project_id, user_id, name, prefix, token_hash, last4, scopes, expires_at, created_by)
VALUES (%(organization)s, %(project)s, %(user)s, %(name)s, %(prefix)s, %(token_hash)s, %(last4)s, %(scopes)s,
        now() + make_interval(secs => %(seconds)s), %(user)s)
RETURNING id;

-- name: lock
SELECT k.revoked_at FROM platform.api_keys k WHERE k.id = %(id)s FOR NO KEY UPDATE;

-- name: revoke
UPDATE platform.api_keys k SET revoked_at = now() WHERE k.id = %(id)s AND k.revoked_at IS NULL;

-- name: of_token
SELECT k.id, k.organization_id, k.project_id, k.user_id, k.token_hash, k.name, k.scopes,
       k.revoked_at IS NOT NULL OR coalesce(k.expires_at <= now(), false) OR o.deleted_at IS NOT NULL
           OR u.disabled_at IS NOT NULL
           OR (k.user_id IS NOT NULL AND NOT EXISTS (
                   SELECT 1 FROM platform.organization_members m
                   WHERE m.organization_id = k.organization_id AND m.user_id = k.user_id)) AS shut
FROM platform.api_keys k
JOIN platform.organizations o ON o.id = k.organization_id
LEFT JOIN platform.users u ON u.id = k.user_id
WHERE k.token_hash = %(token_hash)s;

-- name: used
-- To the minute: a key that is used all the time is written once a minute, and whoever is about it is not waited for.
UPDATE platform.api_keys k SET last_used_at = now()
WHERE k.id IN (SELECT t.id FROM platform.api_keys t
               WHERE t.id = %(id)s AND (t.last_used_at IS NULL OR t.last_used_at < now() - interval '1 minute')
               FOR NO KEY UPDATE SKIP LOCKED);
