-- name: there
SELECT to_regclass('platform.data_keys') IS NOT NULL;

-- name: active
-- settled: made by a transaction that is not this one, so that it cannot go with this one's ROLLBACK.
SELECT k.key_id, k.organization_id, k.wrapped, k.kek_id, k.check_value, k.state, k.created_at < now() AS settled
FROM platform.data_keys k
WHERE k.organization_id = %(organization)s AND k.state = 'active';

-- name: by_id
SELECT k.key_id, k.organization_id, k.wrapped, k.kek_id, k.check_value, k.state, k.created_at < now() AS settled
FROM platform.data_keys k
WHERE k.key_id = %(key_id)s;

-- name: next_id
SELECT nextval('platform.data_keys_key_id_seq');

-- name: add
-- Of two that make an organization's first key at once, one waits for the other here and then adds nothing.
INSERT INTO platform.data_keys (key_id, organization_id, wrapped, kek_id, check_value, state)
VALUES (%(key_id)s, %(organization)s, %(wrapped)s, %(kek_id)s, %(check_value)s, %(state)s)
ON CONFLICT DO NOTHING
RETURNING key_id;

-- name: kek_ids
-- One key for each key-encryption key, to try it.
SELECT DISTINCT ON (k.kek_id)
       k.key_id, k.organization_id, k.wrapped, k.kek_id, k.check_value, k.state, true AS settled
FROM platform.data_keys k
WHERE k.wrapped IS NOT NULL
ORDER BY k.kek_id, k.key_id;

-- name: give
SELECT set_config('lancio.key_id', %(key_id)s, true), set_config('lancio.key', %(key)s, true);
