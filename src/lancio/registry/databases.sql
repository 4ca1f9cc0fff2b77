-- name: ready
SELECT count(*) = 2 AS ready FROM pg_catalog.pg_attribute
WHERE attrelid = 'platform.databases'::regclass AND attname IN ('version', 'name_key') AND NOT attisdropped;

-- name: gone
-- Of removed projects nothing is listed.
SELECT p.id FROM platform.projects p WHERE p.organization_id = %(organization)s AND p.deleted_at IS NOT NULL;

-- name: page
-- What is asked of the name alone is answered from the index. The rows of the page, and no others, are then looked up one
-- by one (OFFSET 0 keeps it so): the planner does not know what a context lets through, and would read all of them.
SELECT d.id, d.project_id, (SELECT p.slug FROM platform.projects p WHERE p.id = d.project_id) AS project,
       d.name, d.type, d.host, d.port, d.database, d.username, d.ssl_enabled,
       d.status, d.health_check_status AS health, d.health_check_error AS health_error,
       d.last_health_check_at AS health_at, d.config, d.metadata, d.connection_string_encrypted IS NOT NULL AS sealed,
       d.version, d.created_at, d.updated_at, d.name_key
FROM (
    SELECT d.id, d.name_key
    FROM platform.databases d
    WHERE d.organization_id = %(organization)s
      AND (%(project)s::uuid IS NULL OR d.project_id = %(project)s::uuid)
      AND (%(projects)s::uuid[] IS NULL OR d.project_id = ANY (%(projects)s::uuid[]))
      AND (%(gone)s::uuid[] IS NULL OR d.project_id <> ALL (%(gone)s::uuid[]))
      AND (%(type)s::text IS NULL OR d.type = %(type)s::text)
      AND (%(status)s::text IS NULL OR d.status = %(status)s::text)
      AND (%(health)s::text IS NULL OR d.health_check_status = %(health)s::text)
      AND (%(host)s::text IS NULL OR lower(d.host) = lower(%(host)s::text))
      AND (%(placeholder)s::boolean IS NULL
           OR coalesce(d.metadata @> '{"placeholder": true}', false) = %(placeholder)s::boolean)
      AND (%(prefix)s::text IS NULL
           OR (d.name_key >= lower(%(prefix)s::text) AND d.name_key < lower(%(prefix)s::text) || %(last)s::text))
      AND (%(text)s::text IS NULL OR strpos(d.name_key, lower(%(text)s::text)) > 0)
      AND (%(after)s::text IS NULL OR (d.name_key, d.id) > (%(after)s::text, %(after_id)s::uuid))
    ORDER BY d.name_key, d.id
    LIMIT %(limit)s
) page
CROSS JOIN LATERAL (SELECT w.* FROM platform.databases w WHERE w.id = page.id OFFSET 0) d
ORDER BY page.name_key, page.id;

-- name: named
SELECT d.id, d.project_id, p.slug AS project, d.name, d.type, d.host, d.port, d.database, d.username, d.ssl_enabled,
       d.status, d.health_check_status AS health, d.health_check_error AS health_error,
       d.last_health_check_at AS health_at, d.config, d.metadata, d.connection_string_encrypted IS NOT NULL AS sealed,
       d.version, d.created_at, d.updated_at, d.name_key
FROM platform.databases d JOIN platform.projects p ON p.id = d.project_id
WHERE d.organization_id = %(organization)s AND d.name_key = lower(%(name)s::text) AND d.name = %(name)s::text
  AND (%(project)s::uuid IS NULL OR d.project_id = %(project)s::uuid)
  AND (%(projects)s::uuid[] IS NULL OR d.project_id = ANY (%(projects)s::uuid[]))
  AND p.deleted_at IS NULL
ORDER BY p.slug
LIMIT 11;

-- name: by_id
SELECT d.id, d.project_id, p.slug AS project, d.name, d.type, d.host, d.port, d.database, d.username, d.ssl_enabled,
       d.status, d.health_check_status AS health, d.health_check_error AS health_error,
       d.last_health_check_at AS health_at, d.config, d.metadata, d.connection_string_encrypted IS NOT NULL AS sealed,
       d.version, d.created_at, d.updated_at, d.name_key
FROM platform.databases d JOIN platform.projects p ON p.id = d.project_id
WHERE d.organization_id = %(organization)s AND d.id = %(id)s
  AND (%(projects)s::uuid[] IS NULL OR d.project_id = ANY (%(projects)s::uuid[]))
  AND p.deleted_at IS NULL;

-- name: lock
SELECT d.id FROM platform.databases d WHERE d.organization_id = %(organization)s AND d.id = %(id)s FOR NO KEY UPDATE;

-- name: near
-- Those that a mistyped name can have meant: they begin as it does, or they are the first of all.
(SELECT d.name FROM platform.databases d
 WHERE d.organization_id = %(organization)s
   AND (%(project)s::uuid IS NULL OR d.project_id = %(project)s::uuid)
   AND (%(projects)s::uuid[] IS NULL OR d.project_id = ANY (%(projects)s::uuid[]))
   AND d.name_key >= left(lower(%(name)s::text), 1)
 ORDER BY d.name_key
 LIMIT 300)
UNION
(SELECT d.name FROM platform.databases d
 WHERE d.organization_id = %(organization)s
   AND (%(project)s::uuid IS NULL OR d.project_id = %(project)s::uuid)
   AND (%(projects)s::uuid[] IS NULL OR d.project_id = ANY (%(projects)s::uuid[]))
 ORDER BY d.name_key
 LIMIT 300);

-- name: only_project
SELECT p.slug FROM platform.projects p
WHERE p.organization_id = %(organization)s AND p.deleted_at IS NULL
  AND (%(projects)s::uuid[] IS NULL OR p.id = ANY (%(projects)s::uuid[]))
ORDER BY p.slug
LIMIT 11;

-- name: add
INSERT INTO platform.databases
    (id, project_id, organization_id, name, type, host, port, database, username, connection_string,
     connection_string_encrypted, ssl_enabled, config, metadata, status)
VALUES (%(id)s, %(project)s, %(organization)s, %(name)s, %(type)s, %(host)s, %(port)s, %(database)s, %(username)s,
        %(shown)s, %(envelope)s, %(ssl_enabled)s, %(config)s, %(metadata)s, %(status)s);

-- name: update
UPDATE platform.databases d SET name = %(name)s, metadata = %(metadata)s, status = %(status)s WHERE d.id = %(id)s;

-- name: update_string
-- What is known of the address' health is of the address before.
UPDATE platform.databases d
SET name = %(name)s, metadata = %(metadata)s, status = %(status)s, host = %(host)s, port = %(port)s,
    database = %(database)s, username = %(username)s, connection_string = %(shown)s,
    connection_string_encrypted = %(envelope)s, ssl_enabled = %(ssl_enabled)s, config = %(config)s,
    health_check_status = 'unknown', health_check_error = NULL
WHERE d.id = %(id)s;

-- name: remove
DELETE FROM platform.databases d WHERE d.id = %(id)s;

-- name: health
SELECT platform.update_database_health(%(id)s, %(health)s, %(error)s);

-- name: since
-- Who changed it after a version: the entries of this database whose version is a later one, the newest first.
SELECT l.actor_email, l.actor_type, l.actor_id, l.action, l.occurred_at, l.before, l.after
FROM platform.audit_logs l
WHERE l.organization_id = %(organization)s AND l.target_type = 'database' AND l.target_id = %(id)s::text
  AND l.occurred_at >= now() - interval '30 days'
  AND (CASE WHEN l.after ->> 'version' ~ '^[0-9]{1,18}$' THEN (l.after ->> 'version')::bigint END > %(version)s
       OR l.action = 'database.remove')
ORDER BY l.occurred_at DESC, l.id
LIMIT 5;
