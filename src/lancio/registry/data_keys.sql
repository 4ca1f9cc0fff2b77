-- name: there
SELECT pg_catalog.to_regclass('platform.data_keys') IS NOT NULL;

-- name: of_organization
-- The active one first. settled: made by a transaction that is not this one, so that it cannot go with its ROLLBACK.
SELECT k.key_id, k.organization_id, k.wrapped, k.kek_id, k.check_value, k.state, k.created_at < now() AS settled
FROM platform.data_keys k
WHERE k.organization_id = %(organization)s AND k.state <> 'destroyed'
ORDER BY k.state = 'active' DESC, k.key_id DESC;

-- name: by_id
SELECT k.key_id, k.organization_id, k.wrapped, k.kek_id, k.check_value, k.state, k.created_at < now() AS settled
FROM platform.data_keys k
WHERE k.key_id = %(key_id)s;

-- name: next_id
SELECT platform.next_data_key_id(), ARRAY(SELECT k.kek_id FROM platform.kek_ids() AS k (kek_id));

-- name: add
-- Of two that make an organization's key at once, one waits for the other here and then adds nothing.
SELECT platform.add_data_key(%(key_id)s, %(organization)s, %(wrapped)s, %(kek_id)s, %(check_value)s, %(replaces)s);

-- name: kek_ids
SELECT k.kek_id FROM platform.kek_ids() AS k (kek_id) ORDER BY 1;

-- name: give
SELECT pg_catalog.set_config('lancio.key_id', %(key_id)s, true), pg_catalog.set_config('lancio.key', %(key)s, true);
