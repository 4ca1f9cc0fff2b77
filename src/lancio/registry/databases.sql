-- name: ready
SELECT count(*) = 2 AS ready FROM pg_catalog.pg_attribute
WHERE attrelid = 'platform.databases'::regclass AND attname IN ('version', 'name_key') AND NOT attisdropped;

-- name: asked
-- What a page has to know: of removed projects nothing is listed; the text as it would stand in a name_key; and whether
-- there are so many names that its grams find it sooner than going through them.
SELECT ARRAY(SELECT p.id FROM platform.projects p
             WHERE p.organization_id = %(organization)s AND p.deleted_at IS NOT NULL) AS gone,
       convert_to(lower(%(text)s::text), getdatabaseencoding()::name) AS key,
       %(text)s::text IS NOT NULL AND EXISTS (
           SELECT 1 FROM platform.databases d WHERE d.organization_id = %(organization)s OFFSET %(few)s) AS many;

-- name: of_gram
-- Instead of all databases those whose names have the rarest of some grams, in the order of the list.
SELECT n.database_id AS id, n.name_key, w.organization_id, w.project_id, w.type, w.status, w.health_check_status, w.host,
       w.metadata
FROM platform.database_grams n
CROSS JOIN LATERAL (SELECT w.* FROM platform.databases w WHERE w.id = n.database_id AND w.name_key = n.name_key OFFSET 0) w
WHERE n.organization_id = %(organization)s
  AND n.gram = (
      SELECT g.gram
      FROM unnest(%(grams)s::integer[]) g (gram)
      CROSS JOIN LATERAL (
          SELECT count(*) AS many
          FROM (SELECT 1 FROM platform.database_grams r
                WHERE r.organization_id = %(organization)s AND r.gram = g.gram LIMIT 200) r) r
      ORDER BY r.many, g.gram
      LIMIT 1);

-- name: page
-- What is asked of the name alone is answered from the index. The rows of the page, and no others, are then looked up one
-- by one (OFFSET 0 keeps it so): the planner does not know what a context lets through, and would read all of them.
SELECT d.id, d.project_id, (SELECT p.slug FROM platform.projects p WHERE p.id = d.project_id) AS project,
       d.name, d.type, d.host, d.port, d.database, d.username, d.ssl_enabled,
       d.status, d.health_check_status AS health, d.health_check_error AS health_error,
       d.last_health_check_at AS health_at, d.config, d.metadata, d.connection_string_encrypted IS NOT NULL AS sealed,
       d.version, d.created_at, d.updated_at, convert_from(d.name_key, getdatabaseencoding()::name) AS name_key
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
           OR (d.name_key >= convert_to(lower(%(prefix)s::text), getdatabaseencoding()::name)
               AND d.name_key < convert_to(lower(%(prefix)s::text), getdatabaseencoding()::name) || '\xffffffff'::bytea))
      AND (%(key)s::bytea IS NULL OR position(%(key)s::bytea IN d.name_key) > 0)
      AND (%(after)s::text IS NULL
           OR (d.name_key, d.id) > (convert_to(%(after)s::text, getdatabaseencoding()::name), %(after_id)s::uuid))
    ORDER BY d.name_key, d.id
    LIMIT %(limit)s
) page
CROSS JOIN LATERAL (SELECT w.* FROM platform.databases w WHERE w.id = page.id OFFSET 0) d
ORDER BY page.name_key, page.id;

-- name: named
SELECT d.id, d.project_id, p.slug AS project, d.name, d.type, d.host, d.port, d.database, d.username, d.ssl_enabled,
       d.status, d.health_check_status AS health, d.health_check_error AS health_error,
       d.last_health_check_at AS health_at, d.config, d.metadata, d.connection_string_encrypted IS NOT NULL AS sealed,
       d.version, d.created_at, d.updated_at, convert_from(d.name_key, getdatabaseencoding()::name) AS name_key
FROM platform.databases d JOIN platform.projects p ON p.id = d.project_id
WHERE d.organization_id = %(organization)s AND d.name_key = convert_to(lower(%(name)s::text), getdatabaseencoding()::name)
  AND d.name = %(name)s::text
  AND (%(project)s::uuid IS NULL OR d.project_id = %(project)s::uuid)
  AND (%(projects)s::uuid[] IS NULL OR d.project_id = ANY (%(projects)s::uuid[]))
  AND p.deleted_at IS NULL
ORDER BY p.slug
LIMIT 11;

-- name: by_id
SELECT d.id, d.project_id, p.slug AS project, d.name, d.type, d.host, d.port, d.database, d.username, d.ssl_enabled,
       d.status, d.health_check_status AS health, d.health_check_error AS health_error,
       d.last_health_check_at AS health_at, d.config, d.metadata, d.connection_string_encrypted IS NOT NULL AS sealed,
       d.version, d.created_at, d.updated_at, convert_from(d.name_key, getdatabaseencoding()::name) AS name_key
FROM platform.databases d JOIN platform.projects p ON p.id = d.project_id
WHERE d.organization_id = %(organization)s AND d.id = %(id)s
  AND (%(projects)s::uuid[] IS NULL OR d.project_id = ANY (%(projects)s::uuid[]))
  AND p.deleted_at IS NULL;

-- name: lock
SELECT d.id FROM platform.databases d WHERE d.organization_id = %(organization)s AND d.id = %(id)s FOR NO KEY UPDATE;

-- name: key
SELECT convert_to(lower(%(text)s::text), getdatabaseencoding()::name) AS key;

-- name: near
-- Those that a mistyped name can have meant: its neighbours in the list, and of those that have one of its rarest grams
-- the ones that have most of them.
SELECT d.name
FROM (
    (SELECT d.id FROM platform.databases d
     WHERE d.organization_id = %(organization)s AND d.name_key >= %(key)s::bytea
       AND (%(project)s::uuid IS NULL OR d.project_id = %(project)s::uuid)
       AND (%(projects)s::uuid[] IS NULL OR d.project_id = ANY (%(projects)s::uuid[]))
     ORDER BY d.name_key, d.id LIMIT 30)
    UNION
    (SELECT d.id FROM platform.databases d
     WHERE d.organization_id = %(organization)s AND d.name_key < %(key)s::bytea
       AND (%(project)s::uuid IS NULL OR d.project_id = %(project)s::uuid)
       AND (%(projects)s::uuid[] IS NULL OR d.project_id = ANY (%(projects)s::uuid[]))
     ORDER BY d.name_key DESC, d.id DESC LIMIT 30)
    UNION
    (SELECT n.database_id
     FROM (SELECT DISTINCT n.database_id, n.name_key
           FROM (SELECT g.gram
                 FROM unnest(%(grams)s::integer[]) g (gram)
                 CROSS JOIN LATERAL (
                     SELECT count(*) AS many
                     FROM (SELECT 1 FROM platform.database_grams r
                           WHERE r.organization_id = %(organization)s AND r.gram = g.gram LIMIT 200) r) r
                 WHERE r.many > 0
                 ORDER BY r.many, g.gram
                 LIMIT 5) g
           CROSS JOIN LATERAL (
               SELECT n.database_id, n.name_key FROM platform.database_grams n
               WHERE n.organization_id = %(organization)s AND n.gram = g.gram
               ORDER BY n.name_key, n.database_id
               LIMIT 100) n) n
     ORDER BY (SELECT count(*) FROM unnest(%(parts)s::bytea[]) p (part) WHERE position(p.part IN n.name_key) > 0) DESC,
              abs(length(n.name_key) - length(%(key)s::bytea)), n.name_key
     LIMIT 60)
) near
CROSS JOIN LATERAL (SELECT w.* FROM platform.databases w WHERE w.id = near.id OFFSET 0) d
WHERE (%(project)s::uuid IS NULL OR d.project_id = %(project)s::uuid)
  AND (%(projects)s::uuid[] IS NULL OR d.project_id = ANY (%(projects)s::uuid[]));

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
-- What a probe found says nothing of a string that was registered meanwhile.
SELECT platform.update_database_health(d.id, %(health)s, %(error)s) AS written
FROM (SELECT d.id FROM platform.databases d WHERE d.id = %(id)s AND d.version = %(version)s FOR UPDATE) d;

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
