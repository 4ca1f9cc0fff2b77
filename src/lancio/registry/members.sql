-- name: page
SELECT m.id, m.user_id, m.role, m.project_ids, m.created_at, m.updated_at
FROM platform.organization_members m
WHERE m.organization_id = %(organization)s
  AND (%(role)s::text IS NULL OR m.role = %(role)s)
  AND (%(after_time)s::timestamptz IS NULL OR (m.created_at, m.id) > (%(after_time)s::timestamptz, %(after_id)s::uuid))
ORDER BY m.created_at, m.id
LIMIT %(limit)s;

-- name: one
SELECT m.id, m.user_id, m.role, m.project_ids, m.created_at, m.updated_at
FROM platform.organization_members m
WHERE m.organization_id = %(organization)s AND m.user_id = %(user)s;

-- name: user
SELECT u.id, u.primary_email AS email, u.disabled_at IS NOT NULL AS disabled
FROM platform.users u
WHERE lower(u.primary_email) = lower(%(email)s) OR u.id = %(id)s;

-- name: emails
SELECT u.primary_email FROM platform.organization_members m JOIN platform.users u ON u.id = m.user_id
WHERE m.organization_id = %(organization)s
LIMIT 2000;

-- name: slugs
SELECT p.id, p.slug FROM platform.projects p
WHERE p.organization_id = %(organization)s AND p.id = ANY (%(ids)s);

-- name: add
INSERT INTO platform.organization_members (organization_id, user_id, role, project_ids, invited_by)
VALUES (%(organization)s, %(user)s, %(role)s, %(projects)s, %(invited_by)s)
ON CONFLICT (organization_id, user_id) DO NOTHING
RETURNING id;

-- name: change
UPDATE platform.organization_members m SET role = %(role)s, project_ids = %(projects)s WHERE m.id = %(id)s;

-- name: remove
DELETE FROM platform.organization_members m WHERE m.id = %(id)s;

-- name: remove_from_projects
DELETE FROM platform.project_members m WHERE m.organization_id = %(organization)s AND m.user_id = %(user)s;

-- name: revoke_keys
-- Those that have the rights of a member who is none any more.
UPDATE platform.api_keys k SET revoked_at = now()
WHERE k.organization_id = %(organization)s AND k.user_id = %(user)s AND k.revoked_at IS NULL
RETURNING k.id;

-- name: other_owners
SELECT count(*) FROM platform.organization_members m
WHERE m.organization_id = %(organization)s AND m.role = 'owner' AND m.id <> %(id)s;

-- name: invitations
SELECT i.id, i.email, i.role, i.project_ids, i.invited_at, i.expires_at, i.accepted_at, i.revoked_at
FROM platform.organization_invitations i
WHERE i.organization_id = %(organization)s
  AND (%(all)s OR (i.accepted_at IS NULL AND i.revoked_at IS NULL))
ORDER BY i.invited_at DESC, i.id
LIMIT 1000;

-- name: open_invitation
SELECT i.id, i.email, i.role, i.project_ids, i.invited_at, i.expires_at, i.accepted_at, i.revoked_at
FROM platform.organization_invitations i
WHERE i.organization_id = %(organization)s AND lower(i.email) = lower(%(email)s)
  AND i.accepted_at IS NULL AND i.revoked_at IS NULL
FOR UPDATE;

-- name: invite
INSERT INTO platform.organization_invitations (organization_id, email, role, project_ids, token_hash, invited_by, expires_at)
VALUES (%(organization)s, %(email)s, %(role)s, %(projects)s, %(token_hash)s, %(invited_by)s,
        now() + make_interval(secs => %(seconds)s))
RETURNING id;

-- name: revoke
UPDATE platform.organization_invitations i SET revoked_at = now() WHERE i.id = %(id)s;

-- name: invitation_of_token
-- Of two that accept one invitation at once, one waits here for the other, and then finds it accepted.
SELECT i.id, i.organization_id, i.email, i.role, i.project_ids, i.invited_by, i.token_hash, i.accepted_at, i.revoked_at,
       i.expires_at, i.expires_at <= now() AS expired, o.slug, o.deleted_at IS NOT NULL AS removed
FROM platform.organization_invitations i JOIN platform.organizations o ON o.id = i.organization_id
WHERE i.token_hash = %(token_hash)s
FOR UPDATE OF i;

-- name: accepted
UPDATE platform.organization_invitations i SET accepted_at = now() WHERE i.id = %(id)s;
