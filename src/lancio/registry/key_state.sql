-- name: keys
SELECT k.kek_id, k.state, k.organization_id IS NULL AS single, count(*) AS keys
FROM platform.data_keys k
GROUP BY 1, 2, 3
ORDER BY 1 NULLS LAST, 2, 3;

-- name: organizations
SELECT count(*), count(*) FILTER (WHERE NOT EXISTS (
    SELECT 1 FROM platform.data_keys k WHERE k.organization_id = o.id AND k.state = 'active'))
FROM platform.organizations o;

-- name: secrets
-- Every envelope, by the state of the key that it names.
SELECT CASE WHEN s.key_id IS NULL THEN 'foreign'
            WHEN k.key_id IS NULL THEN 'lost'
            WHEN k.state = 'destroyed' THEN 'destroyed'
            WHEN k.organization_id IS NULL THEN 'single'
            WHEN k.organization_id <> s.organization_id THEN 'misplaced'
            ELSE k.state END AS kind,
       sum(s.count)::bigint AS count, min(s.key_id) AS example
FROM (SELECT platform.envelope_key_id(d.connection_string_encrypted) AS key_id, d.organization_id, count(*)
      FROM platform.databases d WHERE d.connection_string_encrypted IS NOT NULL GROUP BY 1, 2
      UNION ALL
      SELECT platform.envelope_key_id(c.secret_encrypted), c.organization_id, count(*)
      FROM platform.credentials c WHERE c.secret_encrypted IS NOT NULL GROUP BY 1, 2) s
LEFT JOIN platform.data_keys k ON k.key_id = s.key_id
GROUP BY 1
ORDER BY 1;

-- name: unfinished
SELECT o.slug, k.key_id
FROM platform.data_keys k JOIN platform.organizations o ON o.id = k.organization_id
WHERE k.state = 'retired'
  AND (EXISTS (SELECT 1 FROM platform.databases d
               WHERE d.organization_id = k.organization_id
                 AND platform.envelope_key_id(d.connection_string_encrypted) = k.key_id)
       OR EXISTS (SELECT 1 FROM platform.credentials c
                  WHERE c.organization_id = k.organization_id AND platform.envelope_key_id(c.secret_encrypted) = k.key_id))
ORDER BY 1, 2;
