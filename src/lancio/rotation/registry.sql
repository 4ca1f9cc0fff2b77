-- name: there
SELECT to_regclass('platform.credential_rotations') IS NOT NULL;

-- name: limits
SELECT pg_catalog.set_config(s.name, CASE s.name WHEN 'lock_timeout' THEN %s ELSE '0' END, true)
FROM pg_catalog.pg_settings s
WHERE s.name IN ('lock_timeout', 'statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout');

-- name: lock
SELECT pg_catalog.pg_advisory_xact_lock(%s);

-- name: database
SELECT d.id, d.organization_id, d.project_id, d.name, d.type, d.host, d.port, d.username
FROM platform.databases d
WHERE d.id = %s
FOR UPDATE;

-- name: sharing
SELECT d.name
FROM platform.databases d
WHERE d.organization_id = %(organization)s AND d.id <> %(database)s
  AND d.type = %(type)s AND d.host = %(host)s AND d.port = %(port)s
  AND (d.username IS NULL OR d.username = %(login)s)
  AND d.connection_string_encrypted IS NOT NULL
ORDER BY d.name
LIMIT 20;

-- name: sharing_elsewhere
SELECT d.name || ' (organization ' || o.slug || ')'
FROM platform.databases d
JOIN platform.organizations o ON o.id = d.organization_id
WHERE d.organization_id <> %(organization)s
  AND d.type = %(type)s AND d.host = %(host)s AND d.port = %(port)s
  AND (d.username IS NULL OR d.username = %(login)s)
  AND d.connection_string_encrypted IS NOT NULL
ORDER BY o.slug, d.name
LIMIT 20;

-- name: add_secret
INSERT INTO platform.credentials (id, organization_id, project_id, kind, name, secret_encrypted)
VALUES (%(id)s, %(organization)s, %(project)s, 'password', %(name)s, %(envelope)s);

-- name: remove_secrets
DELETE FROM platform.credentials WHERE id = ANY (%s);

-- name: add
INSERT INTO platform.credential_rotations
    (id, organization_id, project_id, database_id, database_name, kind, way, old_login, new_login, old_id, candidate_id,
     keep_seconds, notes)
VALUES (%(id)s, %(organization)s, %(project)s, %(database)s, %(name)s, %(kind)s, %(way)s, %(old_login)s, %(new_login)s,
        %(old_id)s, %(candidate_id)s, %(keep_seconds)s, %(notes)s);

-- name: by_id
SELECT r.id, r.organization_id, r.project_id, r.database_id, r.database_name, r.kind, r.way, r.state, r.old_login,
       r.new_login, r.old_id, r.candidate_id, r.keep_seconds,
       CASE r.keep_until WHEN 'infinity' THEN 'infinity'::float
                         ELSE extract(epoch FROM r.keep_until - clock_timestamp())::float END AS kept,
       r.failure, r.notes, r.created_at, r.updated_at
FROM platform.credential_rotations r
WHERE r.id = %s;

-- name: unfinished_of
SELECT r.id
FROM platform.credential_rotations r
WHERE r.database_id = %s AND r.state NOT IN ('done', 'abandoned');

-- name: unfinished
SELECT r.id, r.organization_id, r.project_id, r.database_id, r.database_name, r.kind, r.way, r.state, r.old_login,
       r.new_login, r.old_id, r.candidate_id, r.keep_seconds,
       CASE r.keep_until WHEN 'infinity' THEN 'infinity'::float
                         ELSE extract(epoch FROM r.keep_until - clock_timestamp())::float END AS kept,
       r.failure, r.notes, r.created_at, r.updated_at
FROM platform.credential_rotations r
WHERE r.state NOT IN ('done', 'abandoned') AND (%(project)s::uuid IS NULL OR r.project_id = %(project)s::uuid)
ORDER BY r.created_at, r.id;

-- name: advance
UPDATE platform.credential_rotations
SET state = %(to)s, failure = NULL, failed_at = NULL, notes = notes || %(notes)s::jsonb,
    keep_until = CASE WHEN %(to)s = 'registered'
                      THEN coalesce(clock_timestamp() + keep_seconds * interval '1 second', 'infinity'::timestamptz)
                      ELSE keep_until END,
    finished_at = CASE WHEN %(to)s IN ('done', 'abandoned') THEN clock_timestamp() END,
    old_id = CASE WHEN %(to)s IN ('done', 'abandoned') THEN NULL ELSE old_id END,
    candidate_id = CASE WHEN %(to)s IN ('done', 'abandoned') THEN NULL ELSE candidate_id END
WHERE id = %(id)s AND state = %(from)s
RETURNING id;

-- name: fail
UPDATE platform.credential_rotations SET failure = %(failure)s, failed_at = clock_timestamp()
WHERE id = %(id)s AND state NOT IN ('done', 'abandoned');

-- name: write_string
UPDATE platform.databases
SET connection_string = %(shown)s, connection_string_encrypted = %(envelope)s,
    username = CASE WHEN username = %(old_login)s THEN %(new_login)s ELSE username END
WHERE id = %(id)s;
