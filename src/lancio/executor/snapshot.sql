-- What a live database holds, for the planner. One query a kind, each by definition and without OIDs; what belongs to
-- the server itself, to Lancio's own ledger, or to another session's temporary schema is left out.

-- name: server
SELECT current_setting('server_version_num')::int AS version, current_user::text AS "user",
       current_database()::text AS database,
       r.rolsuper AS superuser, r.rolbypassrls AS bypass_rls,
       has_database_privilege(current_database(), 'CREATE') AS can_create,
       current_schemas(false)::text[] AS path,
       pg_is_in_recovery() AS standby, current_setting('default_transaction_read_only') = 'on' AS read_only
FROM pg_roles r WHERE r.rolname = current_user

-- name: installable
SELECT name::text, coalesce((to_jsonb(e) ->> 'trusted')::boolean, false) AS trusted
FROM (SELECT DISTINCT ON (v.name) v.* FROM pg_available_extension_versions v ORDER BY v.name, v.version DESC) e
ORDER BY 1

-- name: schemas
SELECT nspname::text, has_schema_privilege(oid, 'CREATE') AS may_create FROM pg_namespace
WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'lancio') AND nspname !~ '^pg_(toast_)?temp_'
ORDER BY 1

-- name: extensions
SELECT extname::text FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1

-- name: roles
SELECT rolname::text FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY 1

-- name: relations
SELECT n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind, c.relrowsecurity AS rls,
       pg_has_role(c.relowner, 'USAGE') AS owned,
       t.relname::text AS of, x.extname::text AS extension,
       ARRAY(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
             WHERE k.place <= (to_jsonb(i) ->> 'indnkeyatts')::int OR NOT to_jsonb(i) ? 'indnkeyatts'
             ORDER BY k.place) AS columns,
       i.indisvalid OR c.relkind = 'I' AS valid, i.indisunique AS "unique", i.indexprs IS NULL AND i.indimmediate AS plain,
       i.indpred IS NOT NULL AS partial,
       coalesce((to_jsonb(i) ->> 'indnkeyatts')::int < i.indnatts, false) AS included
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_index i ON i.indexrelid = c.oid
LEFT JOIN pg_class t ON t.oid = i.indrelid
LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e'
LEFT JOIN pg_extension x ON x.oid = d.refobjid
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c', 'i', 'I')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'lancio') AND n.nspname !~ '^pg_(toast_)?temp_'
ORDER BY (c.relkind IN ('i', 'I')), 1, 2

-- name: columns
SELECT n.nspname::text AS schema, c.relname::text AS relation, a.attname::text AS name,
       format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null,
       -- DEFAULT NULL is no default; it is kept where its type has a length.
       a.atthasdef AND coalesce(pg_get_expr(d.adbin, d.adrelid), '') !~ '^NULL::'
           OR to_jsonb(a) ->> 'attidentity' <> '' AS has_default
FROM pg_attribute a
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'lancio') AND n.nspname !~ '^pg_(toast_)?temp_'
ORDER BY 1, 2, a.attnum

-- name: routines
SELECT n.nspname::text AS schema, p.proname::text AS name,
       (SELECT coalesce(string_agg(format_type(t, NULL), ', ' ORDER BY o), '')
        FROM unnest(p.proargtypes) WITH ORDINALITY AS u (t, o)) AS args,
       p.pronargdefaults::int AS defaults, p.provariadic <> 0 AS variadic, x.extname::text AS extension,
       format_type(p.prorettype, NULL) AS result,
       ARRAY(SELECT a FROM unnest(p.proargnames) WITH ORDINALITY AS u (a, o) WHERE a <> '' ORDER BY o) AS names,
       -- An aggregate has no definition; the column that tells one changed its name with 11.
       CASE WHEN l.lanname IN ('sql', 'plpgsql') AND x.extname IS NULL
                 AND coalesce(to_jsonb(p) ->> 'prokind', CASE WHEN (to_jsonb(p) ->> 'proisagg')::boolean THEN 'a' END, 'f')
                     IN ('f', 'p')
            THEN pg_get_functiondef(p.oid) END AS definition,
       CASE WHEN x.extname IS NULL THEN p.prosrc END AS source
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace
JOIN pg_language l ON l.oid = p.prolang
LEFT JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
LEFT JOIN pg_extension x ON x.oid = d.refobjid
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'lancio')
ORDER BY 1, 2, 3

-- name: types
SELECT n.nspname::text AS schema, t.typname::text AS name, t.typtype::text AS kind, x.extname::text AS extension,
       ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder) AS labels
FROM pg_type t
JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
LEFT JOIN pg_extension x ON x.oid = d.refobjid
WHERE t.typtype IN ('b', 'd', 'e', 'r', 'm') AND t.typelem = 0
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'lancio')
ORDER BY 1, 2

-- name: constraints
SELECT n.nspname::text AS schema, c.relname::text AS relation, k.conname::text AS name, k.contype::text AS kind,
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u (attnum, place)
             JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum ORDER BY u.place) AS columns,
       t.relname::text AS target
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
LEFT JOIN pg_class t ON t.oid = k.confrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype <> 'n'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'lancio') AND n.nspname !~ '^pg_(toast_)?temp_'
ORDER BY 1, 2, 3

-- name: triggers
SELECT n.nspname::text AS schema, c.relname::text AS relation, t.tgname::text AS name, t.tgtype::int AS type,
       pn.nspname::text AS routine_schema, p.proname::text AS routine,
       -- A trigger for each row of a table without a page fires for none. To measure a table that somebody has locked
       -- would wait for him.
       CASE WHEN c.oid IN (SELECT l.relation FROM pg_locks l WHERE l.mode = 'AccessExclusiveLock' AND l.relation IS NOT NULL)
            THEN false ELSE c.relkind = 'r' AND t.tgtype & 1 = 1 AND pg_relation_size(c.oid) = 0 END AS empty
FROM pg_trigger t
JOIN pg_class c ON c.oid = t.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_proc p ON p.oid = t.tgfoid
JOIN pg_namespace pn ON pn.oid = p.pronamespace
WHERE NOT t.tgisinternal AND n.nspname NOT IN ('lancio')
ORDER BY 1, 2, 3

-- name: policies
SELECT schemaname::text AS schema, tablename::text AS relation, policyname::text AS name,
       lower(cmd)::text AS command FROM pg_policies
WHERE schemaname <> 'lancio' ORDER BY 1, 2, 3

-- name: rules
SELECT schemaname::text AS schema, tablename::text AS relation, rulename::text AS name FROM pg_rules
WHERE schemaname NOT IN ('pg_catalog', 'information_schema', 'lancio') ORDER BY 1, 2, 3

-- name: dependents
-- What stands on what, so that DROP without CASCADE is refused.
SELECT DISTINCT
    CASE WHEN r.oid IS NOT NULL THEN 'relation' WHEN k.oid IS NOT NULL THEN 'constraint'
         WHEN t.oid IS NOT NULL THEN 'trigger' WHEN p.oid IS NOT NULL THEN 'policy' ELSE 'column' END AS kind,
    dn.nspname::text AS schema, dc.relname::text AS relation,
    coalesce(k.conname, t.tgname, p.polname, da.attname, dc.relname)::text AS name,
    CASE WHEN oa.attname IS NOT NULL THEN 'column' WHEN oc.oid IS NOT NULL THEN 'relation'
         WHEN op.oid IS NOT NULL THEN 'routine' ELSE 'type' END AS on_kind,
    n.nspname::text AS on_schema, coalesce(oc.relname, op.proname, ot.typname)::text AS on_name,
    oa.attname::text AS on_column,
    (SELECT coalesce(string_agg(format_type(u.t, NULL), ', ' ORDER BY u.o), '')
     FROM unnest(op.proargtypes) WITH ORDINALITY AS u (t, o)) AS on_args
FROM pg_depend d
LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
LEFT JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
LEFT JOIN pg_trigger t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid AND NOT t.tgisinternal
LEFT JOIN pg_policy p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid
JOIN pg_class dc ON dc.oid = coalesce(r.ev_class, f.adrelid, k.conrelid, t.tgrelid, p.polrelid,
                                      CASE WHEN d.classid = 'pg_class'::regclass AND d.objsubid > 0 THEN d.objid END)
JOIN pg_namespace dn ON dn.oid = dc.relnamespace
LEFT JOIN pg_attribute da ON da.attrelid = dc.oid AND r.oid IS NULL
    AND da.attnum = coalesce(f.adnum, CASE WHEN d.classid = 'pg_class'::regclass THEN d.objsubid END)
LEFT JOIN pg_class oc ON d.refclassid = 'pg_class'::regclass AND oc.oid = d.refobjid
LEFT JOIN pg_attribute oa ON oa.attrelid = oc.oid AND oa.attnum = d.refobjsubid AND d.refobjsubid > 0
LEFT JOIN pg_proc op ON d.refclassid = 'pg_proc'::regclass AND op.oid = d.refobjid
LEFT JOIN pg_type ot ON d.refclassid = 'pg_type'::regclass AND ot.oid = d.refobjid
JOIN pg_namespace n ON n.oid = coalesce(oc.relnamespace, op.pronamespace, ot.typnamespace)
WHERE d.deptype = 'n' AND d.objid >= 16384 AND d.refobjid >= 16384 AND coalesce(oc.oid, 0) <> dc.oid
  AND n.nspname NOT IN ('lancio', 'pg_toast') AND dn.nspname NOT IN ('lancio', 'pg_toast')

-- name: others
SELECT 'operator' AS kind, n.nspname::text AS schema, o.oprname::text AS name FROM pg_operator o
JOIN pg_namespace n ON n.oid = o.oprnamespace WHERE n.nspname <> 'pg_catalog'
UNION SELECT 'opclass', n.nspname, o.opcname FROM pg_opclass o
JOIN pg_namespace n ON n.oid = o.opcnamespace WHERE n.nspname <> 'pg_catalog'
UNION SELECT 'collation', n.nspname, o.collname FROM pg_collation o
JOIN pg_namespace n ON n.oid = o.collnamespace WHERE n.nspname <> 'pg_catalog'
UNION SELECT 'text search', n.nspname, o.cfgname FROM pg_ts_config o
JOIN pg_namespace n ON n.oid = o.cfgnamespace WHERE n.nspname <> 'pg_catalog'
UNION SELECT 'publication', '', pubname FROM pg_publication
UNION SELECT 'language', '', lanname FROM pg_language WHERE lanispl
UNION SELECT 'event trigger', '', evtname FROM pg_event_trigger
UNION SELECT 'server', '', srvname FROM pg_foreign_server
UNION SELECT 'foreign data wrapper', '', fdwname FROM pg_foreign_data_wrapper
ORDER BY 1, 2, 3
