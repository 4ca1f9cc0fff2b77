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

-- name: quiet
-- What a login has set for itself (ALTER ROLE ... SET) would bring keys and secrets into the server's log: plans with their
-- constants, and the parameters of what fails. All else that logs parameters is a superuser's to set.
SELECT pg_catalog.set_config(w.name, w.value, true)
FROM (VALUES ('debug_print_parse', 'off'), ('debug_print_rewritten', 'off'), ('debug_print_plan', 'off'),
             ('log_parameter_max_length_on_error', '0')) AS w (name, value)
WHERE pg_catalog.current_setting(w.name, true) IS NOT NULL;

-- name: give
SELECT pg_catalog.set_config('lancio.key_id', %(key_id)s, true), pg_catalog.set_config('lancio.key', %(key)s, true);
