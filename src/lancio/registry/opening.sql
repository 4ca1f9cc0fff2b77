-- name: connection_string
SELECT envelope, shown, key_id, key_organization_id, wrapped, kek_id, check_value, key_state
FROM platform.read_sealed_connection_string(%s);

-- name: credential
SELECT envelope, key_id, key_organization_id, wrapped, kek_id, check_value, key_state
FROM platform.read_sealed_credential(%s);
