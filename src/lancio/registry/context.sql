-- name: pin
-- Settings that this server has, until the transaction ends or (not local) the session. No name here is looked for by a path.
SELECT pg_catalog.set_config(w.name, w.value, %(local)s)
FROM ROWS FROM (pg_catalog.unnest(%(names)s::pg_catalog.text[]), pg_catalog.unnest(%(values)s::pg_catalog.text[])) AS w (name, value)
WHERE pg_catalog.current_setting(w.name, true) IS NOT NULL;

-- name: set_context
-- In the same round trip what `pin` does.
SELECT platform.set_context(%(user)s, %(organization)s),
       ARRAY(SELECT pg_catalog.set_config(w.name, w.value, true)
             FROM ROWS FROM (pg_catalog.unnest(%(names)s::pg_catalog.text[]),
                             pg_catalog.unnest(%(values)s::pg_catalog.text[])) AS w (name, value)
             WHERE pg_catalog.current_setting(w.name, true) IS NOT NULL);

-- name: binding
-- What would let this session see rows of every organization. Only pg_catalog is read. To be a superuser and BYPASSRLS
-- are not inherited, but SET ROLE takes them up: roles of which the session is a member count.
WITH reached AS (
    SELECT r.oid, r.rolname::text AS name, r.rolsuper, r.rolbypassrls, r.rolcreaterole, r.rolreplication
    FROM pg_catalog.pg_roles r, pg_catalog.pg_roles s
    WHERE s.rolname = session_user
      AND (r.rolname IN (current_user, session_user)
           OR (NOT s.rolsuper AND pg_catalog.pg_has_role(s.oid, r.oid, 'MEMBER')))
)
SELECT
    ARRAY(SELECT name FROM reached WHERE rolsuper ORDER BY 1) AS superusers,
    ARRAY(SELECT name FROM reached WHERE rolbypassrls AND NOT rolsuper ORDER BY 1) AS bypassing,
    -- By files, by the key of contexts, by a copy of the server, or by a role that it grants itself.
    ARRAY(SELECT name FROM reached WHERE rolcreaterole AND NOT rolsuper ORDER BY 1) AS granting,
    ARRAY(SELECT name FROM reached WHERE rolreplication AND NOT rolsuper ORDER BY 1) AS replicating,
    ARRAY(SELECT name FROM reached WHERE name = ANY (%(powers)s) ORDER BY 1) AS powers,
    ARRAY(SELECT r.rolname::text
          FROM pg_catalog.pg_roles r, pg_catalog.pg_roles o
          WHERE r.rolname IN (current_user, session_user) AND NOT r.rolsuper
            AND o.rolname = %(owner)s AND pg_catalog.pg_has_role(r.oid, o.oid, 'MEMBER') ORDER BY 1) AS owning,
    ARRAY(SELECT ARRAY[r.rolname::text, min(c.relname::text)]
          FROM pg_catalog.pg_roles r, pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          WHERE r.rolname IN (current_user, session_user) AND NOT r.rolsuper
            AND n.nspname = 'platform' AND c.relkind IN ('r', 'p')
            AND c.relowner <> COALESCE((SELECT o.oid FROM pg_catalog.pg_roles o WHERE o.rolname = %(owner)s), 0)
            AND pg_catalog.pg_has_role(r.oid, c.relowner, 'MEMBER')
          GROUP BY r.rolname ORDER BY 1) AS owned,
    -- Where what its SQL leaves behind would be found by its later sessions: their search_path it may set itself.
    ARRAY(SELECT DISTINCT n.nspname::text
          FROM reached r, pg_catalog.pg_namespace n
          WHERE NOT r.rolsuper AND pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE') ORDER BY 1) AS schemas,
    ARRAY(SELECT r.name FROM reached r
          WHERE NOT r.rolsuper
            AND pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database()::text, 'CREATE')
          ORDER BY 1) AS databases,
    ARRAY(SELECT t.name::text
          FROM unnest(ARRAY[
              'organizations', 'organization_members', 'organization_invitations', 'organization_feature_flags',
              'projects', 'project_members', 'project_addons', 'project_metrics', 'subscriptions', 'invoices',
              'payment_methods', 'tax_ids', 'customer_profiles', 'credits', 'disk_config', 'compute_config', 'addons',
              'usage_metrics', 'users', 'user_sessions', 'api_keys', 'audit_logs', 'feature_flags', 'billing_plans',
              'credentials', 'databases', 'data_keys', 'database_grams', 'audit_seals', 'audit_rounds',
              'credential_rotations']) AS t (name)
          WHERE (t.name NOT IN ('data_keys', 'database_grams', 'audit_seals', 'audit_rounds',
                                'credential_rotations')  -- of 008 to 011
                 OR EXISTS (SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                            WHERE n.nspname = 'platform' AND c.relname = t.name))
            AND NOT EXISTS (
              SELECT 1
              FROM pg_catalog.pg_class c
              JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
              JOIN pg_catalog.pg_policy p ON p.polrelid = c.oid
              WHERE n.nspname = 'platform' AND c.relname = t.name AND c.relrowsecurity AND c.relforcerowsecurity
                AND p.polname = 'organization_' || t.name
                AND NOT p.polpermissive
                AND p.polroles @> ARRAY(SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = ANY (%(roles)s))
          )
          ORDER BY 1) AS open;
