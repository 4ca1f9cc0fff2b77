-- name: plain
-- What an older 006 left in clear: a connection string that is neither its address alone nor a sealed form, or a password.
SELECT d.id
FROM platform.databases d
WHERE coalesce(d.password, '') <> ''
   OR (d.connection_string !~ '^[A-Za-z][A-Za-z0-9+.-]*://sealed:[0-9a-f]{8}@'
       AND d.connection_string <> d.type || '://'
           || CASE WHEN d.host ~ ':' AND d.host !~ '^\[' THEN '[' || d.host || ']' ELSE d.host END || ':' || d.port::text
       AND d.connection_string <> '');

-- name: plain_lock
SELECT d.id, d.organization_id, d.project_id, d.type, d.host, d.port, d.database, d.username, d.password,
       d.connection_string, d.connection_string_encrypted AS envelope
FROM platform.databases d
WHERE d.id = ANY (%(ids)s)
ORDER BY d.id
FOR NO KEY UPDATE SKIP LOCKED;

-- name: plain_write
UPDATE platform.databases d
SET connection_string_encrypted = n.envelope, connection_string = n.shown, password = NULL
FROM unnest(%(ids)s::uuid[], %(envelopes)s::bytea[], %(shown)s::text[]) AS n (id, envelope, shown)
WHERE d.id = n.id;

-- name: keep
-- A second secret of a row, sealed into a place of its own.
INSERT INTO platform.credentials (id, organization_id, project_id, kind, name, secret_encrypted)
VALUES (%(id)s, %(organization)s, %(project)s, 'password', %(name)s, %(envelope)s);

-- name: kept_before
SELECT count(*) FROM platform.credentials c WHERE c.project_id = %(project)s AND c.name LIKE %(name)s || '%%';

-- name: rewrite_due
-- Plain rows were sealed, and their table was not written anew since. Who may write entries does not decide this.
SELECT d.since FROM platform_private.rewrites_due d WHERE d.table_name = 'platform.databases';

-- name: make_due
INSERT INTO platform_private.rewrites_due (table_name, since) VALUES ('platform.databases', clock_timestamp())
ON CONFLICT (table_name) DO UPDATE SET since = EXCLUDED.since;

-- name: rewritten
-- What was sealed while the table was being written anew, or after it, is due still.
DELETE FROM platform_private.rewrites_due d WHERE d.table_name = 'platform.databases' AND d.since = %(since)s;

-- name: note
INSERT INTO platform.audit_logs (organization_id, actor_type, action, target_type, target_id, after, occurred_at)
VALUES (NULL, 'system', %(action)s, 'table', 'platform.databases', %(after)s::jsonb, clock_timestamp());

-- name: register
-- Reads the key that the session has; verifies a row with it first.
SELECT platform.register_first_key();

-- name: wrap_single
UPDATE platform.data_keys SET wrapped = %(wrapped)s, kek_id = %(kek_id)s
WHERE key_id = %(key_id)s AND wrapped IS NULL AND state <> 'destroyed';

-- name: single
SELECT k.key_id, k.organization_id, k.wrapped, k.kek_id, k.check_value, k.state
FROM platform.data_keys k
WHERE k.organization_id IS NULL AND k.state <> 'destroyed'
ORDER BY k.key_id;
