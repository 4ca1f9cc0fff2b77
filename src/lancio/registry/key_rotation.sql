-- name: patience
-- A little longer than it takes until an autovacuum that is in the way gives up, and not longer: others queue behind.
SELECT pg_catalog.set_config('lock_timeout', (least(s.setting::integer, 5000) + 500)::text, false)
FROM pg_catalog.pg_settings s WHERE s.name = 'deadlock_timeout';

-- name: no_patience
RESET lock_timeout;

-- name: wrapped_otherwise
SELECT k.key_id, k.organization_id, k.wrapped, k.kek_id, k.check_value, k.state
FROM platform.data_keys k
WHERE k.wrapped IS NOT NULL AND k.kek_id <> %(kek_id)s AND NOT k.key_id = ANY (%(broken)s)
ORDER BY k.key_id
LIMIT %(batch)s
FOR UPDATE SKIP LOCKED;

-- name: wrap
UPDATE platform.data_keys k
SET wrapped = n.wrapped, kek_id = %(kek_id)s
FROM unnest(%(ids)s::integer[], %(new)s::bytea[]) AS n (key_id, wrapped)
WHERE k.key_id = n.key_id;

-- name: left_to_wrap
SELECT count(*)
FROM platform.data_keys k
WHERE k.wrapped IS NOT NULL AND k.kek_id <> %(kek_id)s AND NOT k.key_id = ANY (%(broken)s);

-- name: forget_keks
-- From now on nobody wraps with them. Waits for who does in a transaction that is not over.
DELETE FROM platform_private.key_encryption_keys e WHERE e.kek_id = ANY (%(here)s) AND e.kek_id <> %(kek_id)s;

-- name: foreign_keks
SELECT DISTINCT k.kek_id
FROM platform.data_keys k
WHERE k.wrapped IS NOT NULL AND NOT k.kek_id = ANY (%(here)s)
ORDER BY 1;

-- name: all_wrapped
SELECT k.key_id, k.organization_id, k.wrapped, k.kek_id, k.check_value, k.state
FROM platform.data_keys k
WHERE k.wrapped IS NOT NULL AND k.key_id > %(after)s
ORDER BY k.key_id
LIMIT 1000;

-- name: organization
SELECT o.id, o.slug, o.name FROM platform.organizations o WHERE o.id::text = %(named)s OR o.slug = %(named)s
ORDER BY o.id::text = %(named)s DESC LIMIT 1;

-- name: organizations_without_a_key
SELECT o.id FROM platform.organizations o
WHERE NOT EXISTS (SELECT 1 FROM platform.data_keys k WHERE k.organization_id = o.id AND k.state = 'active')
ORDER BY o.id;

-- name: keys_of
SELECT k.key_id, k.organization_id, k.wrapped, k.kek_id, k.check_value, k.state,
       k.retired_at, extract(epoch FROM clock_timestamp() - k.retired_at)::float AS retired_for
FROM platform.data_keys k
WHERE k.organization_id = %(organization)s
ORDER BY k.key_id;

-- name: key
SELECT k.key_id, k.organization_id, k.wrapped, k.kek_id, k.check_value, k.state,
       k.retired_at, extract(epoch FROM clock_timestamp() - k.retired_at)::float AS retired_for
FROM platform.data_keys k
WHERE k.key_id = %(key_id)s
FOR UPDATE;

-- name: writers_first
-- Who has sealed with the key and not committed yet is waited for, and nobody begins meanwhile.
SELECT pg_catalog.set_config('lock_timeout', %(wait)s, true);

-- name: no_writers
LOCK TABLE platform.databases, platform.credentials IN SHARE MODE;

-- name: destroy_one
UPDATE platform.data_keys SET state = 'destroyed', wrapped = NULL, kek_id = NULL, destroyed_at = clock_timestamp()
WHERE key_id = %(key_id)s AND state = 'retired';

-- name: destroy_all
SELECT platform.destroy_data_keys(%(organization)s);

-- name: surviving
-- Secrets of an organization that its own keys have not sealed.
SELECT (SELECT count(*) FROM platform.databases d
        WHERE d.organization_id = %(organization)s
          AND (coalesce(d.password, '') <> ''
               OR (d.connection_string_encrypted IS NULL AND d.connection_string <> d.type || '://'
                   || CASE WHEN d.host ~ ':' AND d.host !~ '^\[' THEN '[' || d.host || ']' ELSE d.host END
                   || ':' || d.port::text)
               OR (d.connection_string_encrypted IS NOT NULL
                   AND (d.connection_string !~ '://sealed:[0-9a-f]{8}@'
                        OR get_byte(d.connection_string_encrypted, 0) <> 2))))
       + (SELECT count(*) FROM platform.credentials c
          WHERE c.organization_id = %(organization)s AND get_byte(c.secret_encrypted, 0) <> 2);

-- name: retire_single
UPDATE platform.data_keys SET state = 'retired', retired_at = clock_timestamp()
WHERE organization_id IS NULL AND state = 'active'
  AND NOT EXISTS (SELECT 1 FROM platform.organizations o
                  WHERE NOT EXISTS (SELECT 1 FROM platform.data_keys k WHERE k.organization_id = o.id));

-- name: databases_sealed_with
SELECT d.id FROM platform.databases d
WHERE (%(organization)s::uuid IS NULL OR d.organization_id = %(organization)s)
  AND platform.envelope_key_id(d.connection_string_encrypted) = ANY (%(keys)s);

-- name: credentials_sealed_with
SELECT c.id FROM platform.credentials c
WHERE (%(organization)s::uuid IS NULL OR c.organization_id = %(organization)s)
  AND platform.envelope_key_id(c.secret_encrypted) = ANY (%(keys)s);

-- name: databases_lock
SELECT d.id, d.organization_id, d.connection_string_encrypted AS envelope, d.type, d.host, d.port
FROM platform.databases d
WHERE d.id = ANY (%(ids)s) AND platform.envelope_key_id(d.connection_string_encrypted) = ANY (%(keys)s)
ORDER BY d.id
FOR NO KEY UPDATE SKIP LOCKED;

-- name: databases_write
UPDATE platform.databases d
SET connection_string_encrypted = n.envelope, connection_string = n.shown
FROM unnest(%(ids)s::uuid[], %(envelopes)s::bytea[], %(shown)s::text[]) AS n (id, envelope, shown)
WHERE d.id = n.id;

-- name: credentials_lock
SELECT c.id, c.organization_id, c.secret_encrypted AS envelope, NULL::text AS type, NULL::text AS host, NULL::integer AS port
FROM platform.credentials c
WHERE c.id = ANY (%(ids)s) AND platform.envelope_key_id(c.secret_encrypted) = ANY (%(keys)s)
ORDER BY c.id
FOR NO KEY UPDATE SKIP LOCKED;

-- name: credentials_write
UPDATE platform.credentials c
SET secret_encrypted = n.envelope
FROM unnest(%(ids)s::uuid[], %(envelopes)s::bytea[]) AS n (id, envelope)
WHERE c.id = n.id;

-- name: sealed_count
SELECT (SELECT count(*) FROM platform.databases d
        WHERE (%(organization)s::uuid IS NULL OR d.organization_id = %(organization)s)
          AND platform.envelope_key_id(d.connection_string_encrypted) = ANY (%(keys)s)),
       (SELECT count(*) FROM platform.credentials c
        WHERE (%(organization)s::uuid IS NULL OR c.organization_id = %(organization)s)
          AND platform.envelope_key_id(c.secret_encrypted) = ANY (%(keys)s));

-- name: audit
INSERT INTO platform.audit_logs (organization_id, actor_type, action, target_type, target_id, after)
VALUES (%(organization)s, 'system', %(action)s, 'data_key', %(target)s,
        %(after)s::jsonb || jsonb_build_object('login', session_user));
