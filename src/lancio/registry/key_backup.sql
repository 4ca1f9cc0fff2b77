-- name: all
SELECT k.key_id, k.organization_id, k.wrapped, k.kek_id, k.check_value, k.state, k.created_at, k.retired_at
FROM platform.data_keys k
WHERE k.wrapped IS NOT NULL
ORDER BY k.key_id;

-- name: here
SELECT k.key_id, k.organization_id, k.wrapped, k.kek_id, k.check_value, k.state
FROM platform.data_keys k
WHERE k.key_id = ANY (%(ids)s);

-- name: organizations
SELECT o.id FROM platform.organizations o WHERE o.id = ANY (%(ids)s);

-- name: active
SELECT k.organization_id FROM platform.data_keys k WHERE k.state = 'active';

-- name: mend
UPDATE platform.data_keys
SET wrapped = %(wrapped)s, kek_id = %(kek_id)s, check_value = coalesce(check_value, %(check_value)s)
WHERE key_id = %(key_id)s AND state <> 'destroyed';

-- name: add
INSERT INTO platform.data_keys (key_id, organization_id, wrapped, kek_id, check_value, state, created_at, retired_at)
VALUES (%(key_id)s, %(organization_id)s, %(wrapped)s, %(kek_id)s, %(check_value)s, %(state)s, %(created_at)s,
        CASE WHEN %(state)s = 'retired' THEN coalesce(%(retired_at)s::timestamptz, now()) END)
ON CONFLICT DO NOTHING
RETURNING key_id;

-- name: lock
LOCK TABLE platform.data_keys IN SHARE ROW EXCLUSIVE MODE;
