-- name: page
SELECT p.id, p.slug, p.ref, p.name, p.region, p.cloud_provider, p.status, p.is_sensitive, p.deleted_at,
       (SELECT count(*) FROM platform.databases d WHERE d.project_id = p.id) AS databases, p.created_at, p.updated_at
FROM platform.projects p
WHERE p.organization_id = %(organization)s
  AND (%(projects)s::uuid[] IS NULL OR p.id = ANY (%(projects)s::uuid[]))
  AND p.slug > coalesce(%(after)s::text, '')
  AND (%(like)s::text IS NULL OR p.slug LIKE %(like)s OR lower(p.name) LIKE %(like)s)
  AND (%(removed)s OR p.deleted_at IS NULL)
ORDER BY p.slug
LIMIT %(limit)s;

-- name: one
SELECT p.id, p.slug, p.ref, p.name, p.region, p.cloud_provider, p.status, p.is_sensitive, p.deleted_at,
       (SELECT count(*) FROM platform.databases d WHERE d.project_id = p.id) AS databases, p.created_at, p.updated_at
FROM platform.projects p
WHERE p.organization_id = %(organization)s AND (p.slug = %(name)s OR p.ref = %(name)s OR p.id::text = %(name)s)
  AND (%(projects)s::uuid[] IS NULL OR p.id = ANY (%(projects)s::uuid[]))
ORDER BY p.slug = %(name)s DESC
LIMIT 1;

-- name: lock
SELECT p.id FROM platform.projects p
WHERE p.organization_id = %(organization)s AND (p.slug = %(name)s OR p.ref = %(name)s OR p.id::text = %(name)s)
FOR NO KEY UPDATE;

-- name: slugs
SELECT p.slug FROM platform.projects p
WHERE p.organization_id = %(organization)s AND p.deleted_at IS NULL
  AND (%(projects)s::uuid[] IS NULL OR p.id = ANY (%(projects)s::uuid[]))
ORDER BY left(p.slug, 1) = left(%(name)s, 1) DESC, p.slug
LIMIT 2000;

-- name: add
INSERT INTO platform.projects (organization_id, slug, ref, name, region, cloud_provider, is_sensitive)
VALUES (%(organization)s, %(slug)s, %(ref)s, %(name)s, %(region)s, %(cloud_provider)s, coalesce(%(is_sensitive)s, false))
RETURNING id;

-- name: update
UPDATE platform.projects p
SET slug = %(slug)s, name = %(name)s, region = %(region)s, cloud_provider = %(cloud_provider)s,
    is_sensitive = %(is_sensitive)s
WHERE p.id = %(id)s;

-- name: remove
UPDATE platform.projects p SET deleted_at = now() WHERE p.id = %(id)s AND p.deleted_at IS NULL;

-- name: restore
UPDATE platform.projects p SET deleted_at = NULL WHERE p.id = %(id)s AND p.deleted_at IS NOT NULL;
