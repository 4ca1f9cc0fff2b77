-- name: things
-- Every object outside of the server's schemas, the ledger's and the extensions', by its address in pg_depend (class,
-- objid, sub), which a rename leaves as it is. `name` is its name as SQL has it, `bare` the last part of it, `above` the
-- address of the table, view or type that it belongs to. Columns of the system catalogs that came or went between 10 and
-- 18 are read through to_jsonb.
WITH own AS (
    SELECT n.oid, n.nspname, n.nspowner, quote_ident(n.nspname)::text AS name
    FROM pg_namespace AS n
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'lancio') AND n.nspname NOT LIKE 'pg\_%'
), member AS (
    SELECT d.classid, d.objid FROM pg_depend AS d WHERE d.deptype = 'e'
), relation AS (
    SELECT c.oid, c.relname, c.relkind, c.relowner, c.relpersistence, c.reloptions, c.relrowsecurity, c.relforcerowsecurity,
           c.relreplident, c.relispartition, c.relpartbound, to_jsonb(c) AS j, o.name || '.' || quote_ident(c.relname) AS name, o.name AS schema
    FROM pg_class AS c JOIN own AS o ON o.oid = c.relnamespace
    WHERE NOT EXISTS (SELECT FROM member AS m WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid)
), type AS (
    SELECT t.oid, t.typname, t.typtype, t.typowner, t.typbasetype, t.typtypmod, t.typnotnull, t.typdefault, o.name || '.' || quote_ident(t.typname) AS name, o.name AS schema
    FROM pg_type AS t JOIN own AS o ON o.oid = t.typnamespace
    WHERE t.typrelid = 0 AND t.typtype IN ('e', 'd', 'r', 'b') AND NOT (t.typcategory = 'A' AND t.typelem <> 0)
      AND NOT EXISTS (SELECT FROM member AS m WHERE m.classid = 'pg_type'::regclass AND m.objid = t.oid)
), routine AS (
    SELECT p.oid, p.proname, p.proowner, p.pronargdefaults, p.prorettype, p.proargnames, o.name AS schema,
           coalesce(to_jsonb(p) ->> 'prokind', CASE WHEN (to_jsonb(p) ->> 'proisagg')::boolean THEN 'a' ELSE 'f' END) AS kind,
           o.name || '.' || quote_ident(p.proname) AS plain,
           '(' || pg_get_function_identity_arguments(p.oid) || ')' AS arguments
    FROM pg_proc AS p JOIN own AS o ON o.oid = p.pronamespace
    WHERE NOT EXISTS (SELECT FROM member AS m WHERE m.classid = 'pg_proc'::regclass AND m.objid = p.oid)
      AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                      AND d.deptype = 'i' AND d.refclassid = 'pg_type'::regclass)
)
SELECT 'schema' AS kind, 'pg_namespace' AS class, o.oid::bigint AS objid, 0 AS sub, o.name, o.name AS bare,
       NULL::text AS above_class, NULL::bigint AS above, jsonb_build_object('owner', quote_ident(pg_get_userbyid(o.nspowner))) AS facts
FROM own AS o
UNION ALL
SELECT 'extension', 'pg_extension', e.oid::bigint, 0, quote_ident(e.extname), quote_ident(e.extname), NULL, NULL,
       jsonb_build_object('schema', quote_ident(n.nspname), 'version', e.extversion)
FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname <> 'plpgsql'
UNION ALL
SELECT 'relation', 'pg_class', r.oid::bigint, 0, r.name, quote_ident(r.relname), NULL, NULL,
       jsonb_build_object('kind', r.relkind, 'owner', quote_ident(pg_get_userbyid(r.relowner)), 'schema', r.schema,
           'persistence', r.relpersistence, 'options', to_jsonb(ARRAY(SELECT x FROM unnest(r.reloptions) AS x ORDER BY 1)),
           'security', r.relrowsecurity, 'forced', r.relforcerowsecurity, 'replica', r.relreplident,
           'method', r.j ->> 'relam', 'partitioned', CASE WHEN r.relkind = 'p' THEN pg_get_partkeydef(r.oid) END,
           'bound', CASE WHEN r.relispartition THEN pg_get_expr(r.relpartbound, r.oid) END,
           'parents', (SELECT jsonb_agg(i.inhparent::regclass::text ORDER BY i.inhseqno) FROM pg_inherits AS i WHERE i.inhrelid = r.oid),
           'definition', CASE WHEN r.relkind IN ('v', 'm') THEN pg_get_viewdef(r.oid) END,
           'columns', CASE WHEN r.relkind IN ('v', 'm', 'c') THEN (
               SELECT jsonb_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum)
               FROM pg_attribute AS a WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped) END,
           'sequence', CASE WHEN r.relkind = 'S' THEN (
               SELECT concat_ws(' ', 'AS', format_type(s.seqtypid, NULL), 'INCREMENT BY', s.seqincrement, 'MINVALUE', s.seqmin,
                   'MAXVALUE', s.seqmax, 'START WITH', s.seqstart, 'CACHE', s.seqcache, CASE WHEN s.seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END)
               FROM pg_sequence AS s WHERE s.seqrelid = r.oid) END,
           'identity', r.relkind = 'S' AND EXISTS (
               SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.deptype = 'i'),
           'owned', CASE WHEN r.relkind = 'S' THEN (
               SELECT d.refobjid::regclass::text || '.' || quote_ident(a.attname)
               FROM pg_depend AS d JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
               WHERE d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
                 AND d.deptype = 'a') END)
FROM relation AS r WHERE r.relkind IN ('r', 'p', 'f', 'v', 'm', 'S', 'c')
UNION ALL
SELECT 'column', 'pg_class', r.oid::bigint, a.attnum::integer, quote_ident(a.attname), quote_ident(a.attname), 'pg_class', r.oid::bigint,
       jsonb_build_object('type', format_type(a.atttypid, a.atttypmod), 'typeid', a.atttypid::bigint, 'typmod', a.atttypmod,
           'notnull', a.attnotnull, 'default', CASE WHEN coalesce(to_jsonb(a) ->> 'attgenerated', '') = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
           'generated', CASE WHEN coalesce(to_jsonb(a) ->> 'attgenerated', '') <> '' THEN pg_get_expr(d.adbin, d.adrelid) END,
           'identity', a.attidentity, 'collation', (SELECT quote_ident(kn.nspname) || '.' || quote_ident(k.collname) FROM pg_collation AS k JOIN pg_namespace AS kn ON kn.oid = k.collnamespace WHERE k.oid = a.attcollation AND a.attcollation <> t.typcollation),
           'storage', a.attstorage,
           'statistics', nullif(to_jsonb(a) ->> 'attstattarget', '-1'), 'options', to_jsonb(a.attoptions),
           'inherited', a.attinhcount > 0 AND NOT a.attislocal)
FROM relation AS r
JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE r.relkind IN ('r', 'p', 'f')
UNION ALL
SELECT 'constraint', 'pg_constraint', c.oid::bigint, 0, quote_ident(c.conname), quote_ident(c.conname),
       CASE WHEN c.conrelid <> 0 THEN 'pg_class' ELSE 'pg_type' END, CASE WHEN c.conrelid <> 0 THEN c.conrelid ELSE c.contypid END::bigint,
       jsonb_build_object('type', c.contype, 'definition', pg_get_constraintdef(c.oid),
           'validated', c.convalidated, 'columns', to_jsonb(c.conkey),
           'inherited', coalesce((to_jsonb(c) ->> 'conparentid')::bigint, 0) <> 0 OR (c.coninhcount > 0 AND NOT c.conislocal))
FROM pg_constraint AS c
WHERE (c.conrelid IN (SELECT r.oid FROM relation AS r) OR c.contypid IN (SELECT t.oid FROM type AS t)) AND c.contype IN ('p', 'u', 'f', 'c', 'x', 'n')
UNION ALL
SELECT 'index', 'pg_class', r.oid::bigint, 0, r.name, quote_ident(r.relname), 'pg_class', i.indrelid::bigint,
       jsonb_build_object('definition', pg_get_indexdef(r.oid), 'schema', r.schema, 'clustered', i.indisclustered, 'replica', i.indisreplident,
           'inherited', EXISTS (SELECT FROM pg_inherits AS h WHERE h.inhrelid = r.oid))
FROM relation AS r JOIN pg_index AS i ON i.indexrelid = r.oid
WHERE NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = r.oid AND c.contype IN ('p', 'u', 'x'))
UNION ALL
SELECT 'trigger', 'pg_trigger', t.oid::bigint, 0, quote_ident(t.tgname), quote_ident(t.tgname), 'pg_class', r.oid::bigint,
       jsonb_build_object('definition', pg_get_triggerdef(t.oid), 'enabled', t.tgenabled)
FROM pg_trigger AS t JOIN relation AS r ON r.oid = t.tgrelid
WHERE NOT t.tgisinternal AND coalesce((to_jsonb(t) ->> 'tgparentid')::bigint, 0) = 0
UNION ALL
SELECT 'policy', 'pg_policy', p.oid::bigint, 0, quote_ident(p.polname), quote_ident(p.polname), 'pg_class', r.oid::bigint,
       jsonb_build_object('definition', concat_ws(' ', 'AS', CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
           'FOR', CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
           'TO', (SELECT string_agg(CASE x WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x)) END, ', ' ORDER BY 1) FROM unnest(p.polroles) AS x),
           'USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', 'WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'))
FROM pg_policy AS p JOIN relation AS r ON r.oid = p.polrelid
UNION ALL
SELECT 'rule', 'pg_rewrite', w.oid::bigint, 0, quote_ident(w.rulename), quote_ident(w.rulename), 'pg_class', r.oid::bigint,
       jsonb_build_object('definition', pg_get_ruledef(w.oid), 'enabled', w.ev_enabled)
FROM pg_rewrite AS w JOIN relation AS r ON r.oid = w.ev_class
WHERE NOT (w.rulename = '_RETURN' AND r.relkind IN ('v', 'm'))
UNION ALL
SELECT 'routine', 'pg_proc', p.oid::bigint, 0, p.plain || p.arguments, quote_ident(p.proname) || p.arguments, NULL, NULL,
       jsonb_build_object('kind', p.kind, 'owner', quote_ident(pg_get_userbyid(p.proowner)), 'schema', p.schema,
           'definition', CASE WHEN p.kind <> 'a' THEN pg_get_functiondef(p.oid) END, 'defaults', p.pronargdefaults,
           'result', format_type(p.prorettype, NULL), 'names', to_jsonb(p.proargnames), 'arguments', p.arguments)
FROM routine AS p
UNION ALL
SELECT 'type', 'pg_type', t.oid::bigint, 0, t.name, quote_ident(t.typname), NULL, NULL,
       jsonb_build_object('kind', t.typtype, 'owner', quote_ident(pg_get_userbyid(t.typowner)), 'schema', t.schema,
           'labels', CASE WHEN t.typtype = 'e' THEN (
               SELECT jsonb_agg(jsonb_build_array(e.oid::bigint, quote_literal(e.enumlabel)) ORDER BY e.enumsortorder)
               FROM pg_enum AS e WHERE e.enumtypid = t.oid) END,
           'base', CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
           'notnull', t.typnotnull, 'default', t.typdefault)
FROM type AS t
UNION ALL
SELECT 'statistics', 'pg_statistic_ext', s.oid::bigint, 0, o.name || '.' || quote_ident(s.stxname), quote_ident(s.stxname), 'pg_class', s.stxrelid::bigint,
       jsonb_build_object('definition', pg_get_statisticsobjdef(s.oid), 'schema', o.name)
FROM pg_statistic_ext AS s JOIN own AS o ON o.oid = s.stxnamespace
UNION ALL
SELECT 'other', i.class, i.objid, 0, replace(upper(w.type), '-', ' ') || ' ' || w.identity, w.identity, NULL, NULL,
       jsonb_build_object('word', w.type, 'row', i.facts)
FROM (
    SELECT 'pg_cast' AS class, x.oid::bigint AS objid, to_jsonb(x) AS facts FROM pg_cast AS x
    UNION ALL SELECT 'pg_operator', x.oid::bigint, to_jsonb(x) FROM pg_operator AS x
    UNION ALL SELECT 'pg_collation', x.oid::bigint, to_jsonb(x) FROM pg_collation AS x
    UNION ALL SELECT 'pg_conversion', x.oid::bigint, to_jsonb(x) FROM pg_conversion AS x
    UNION ALL
    SELECT 'pg_ts_config', x.oid::bigint,
           to_jsonb(x) || jsonb_build_object('map', (SELECT jsonb_agg(to_jsonb(m) ORDER BY m.maptokentype, m.mapseqno) FROM pg_ts_config_map AS m WHERE m.mapcfg = x.oid))
    FROM pg_ts_config AS x
    UNION ALL SELECT 'pg_ts_dict', x.oid::bigint, to_jsonb(x) FROM pg_ts_dict AS x
    UNION ALL SELECT 'pg_opclass', x.oid::bigint, to_jsonb(x) FROM pg_opclass AS x
    UNION ALL SELECT 'pg_opfamily', x.oid::bigint, to_jsonb(x) FROM pg_opfamily AS x
    UNION ALL SELECT 'pg_foreign_data_wrapper', x.oid::bigint, to_jsonb(x) FROM pg_foreign_data_wrapper AS x
    UNION ALL SELECT 'pg_foreign_server', x.oid::bigint, to_jsonb(x) FROM pg_foreign_server AS x
    UNION ALL SELECT 'pg_language', x.oid::bigint, to_jsonb(x) FROM pg_language AS x
    UNION ALL SELECT 'pg_event_trigger', x.oid::bigint, to_jsonb(x) FROM pg_event_trigger AS x
    UNION ALL SELECT 'pg_publication', x.oid::bigint, to_jsonb(x) FROM pg_publication AS x
) AS i, LATERAL pg_identify_object(i.class::regclass, i.objid::oid, 0) AS w
WHERE i.objid >= 16384 AND NOT EXISTS (SELECT FROM member AS m WHERE m.classid = i.class::regclass AND m.objid = i.objid::oid)
UNION ALL
SELECT 'other', 'pg_user_mapping', u.umid::bigint, 0,
       'USER MAPPING FOR ' || CASE WHEN u.umuser = 0 THEN 'PUBLIC' ELSE quote_ident(u.usename) END || ' SERVER ' || quote_ident(u.srvname), '',
       'pg_foreign_server', u.srvid::bigint, jsonb_build_object('word', 'user mapping', 'row', to_jsonb(u))
FROM pg_user_mappings AS u
UNION ALL
SELECT 'publication relation', 'pg_publication_rel', x.oid::bigint, 0, x.prrelid::regclass::text, quote_ident(p.pubname), 'pg_publication', p.oid::bigint,
       '{}'::jsonb
FROM pg_publication_rel AS x JOIN pg_publication AS p ON p.oid = x.prpubid
UNION ALL
SELECT 'setting', 'pg_db_role_setting', s.setrole::bigint, 0, coalesce('role ' || quote_ident(pg_get_userbyid(nullif(s.setrole, 0))), 'the database'), '', NULL, NULL,
       jsonb_build_object('settings', to_jsonb(s.setconfig))
FROM pg_db_role_setting AS s WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()))

-- name: grants
-- NULL stands for the default privileges, which GRANT writes out; both are made equal here.
SELECT g.class, g.objid, g.sub, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee,
       a.privilege_type AS privilege, bool_or(a.is_grantable) AS grantable
FROM (
    SELECT 'pg_namespace' AS class, n.oid::bigint AS objid, 0 AS sub, coalesce(n.nspacl, acldefault('n', n.nspowner)) AS acl
    FROM pg_namespace AS n WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'lancio') AND n.nspname NOT LIKE 'pg\_%'
    UNION ALL
    SELECT 'pg_class', c.oid::bigint, 0, coalesce(c.relacl, acldefault(CASE WHEN c.relkind = 'S' THEN 's'::"char" ELSE 'r'::"char" END, c.relowner))
    FROM pg_class AS c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.oid >= 16384
    UNION ALL
    SELECT 'pg_class', t.attrelid::bigint, t.attnum::integer, t.attacl FROM pg_attribute AS t WHERE t.attacl IS NOT NULL AND t.attrelid >= 16384
    UNION ALL
    SELECT 'pg_proc', p.oid::bigint, 0, coalesce(p.proacl, acldefault('f', p.proowner)) FROM pg_proc AS p WHERE p.oid >= 16384
    UNION ALL
    SELECT 'pg_type', t.oid::bigint, 0, coalesce(t.typacl, acldefault('T', t.typowner)) FROM pg_type AS t WHERE t.oid >= 16384
) AS g, aclexplode(g.acl) AS a
GROUP BY 1, 2, 3, 4, 5

-- name: defaults
SELECT quote_ident(pg_get_userbyid(d.defaclrole)) AS role, quote_ident(n.nspname) AS schema, d.defaclobjtype::text AS type,
       CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee, a.privilege_type AS privilege
FROM pg_default_acl AS d LEFT JOIN pg_namespace AS n ON n.oid = d.defaclnamespace, aclexplode(d.defaclacl) AS a

-- name: comments
SELECT d.classoid::regclass::text AS class, d.objoid::bigint AS objid, d.objsubid AS sub, d.description,
       i.type, i.identity
FROM pg_description AS d, pg_identify_object(d.classoid, d.objoid, d.objsubid) AS i
WHERE d.objoid >= 16384 OR d.classoid = 'pg_namespace'::regclass AND d.objoid = (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = 'public')

-- name: depends
SELECT d.classid::regclass::text AS class, d.objid::bigint AS objid, d.objsubid AS sub, d.refclassid::regclass::text AS ref_class,
       d.refobjid::bigint AS ref_objid, d.refobjsubid AS ref_sub, d.deptype::text AS type
FROM pg_depend AS d WHERE d.objid >= 16384 AND (d.refobjid >= 16384 OR d.refclassid = 'pg_namespace'::regclass)

-- name: aliases
-- What PostgreSQL keeps as an object of its own, and people see as a part of another one.
SELECT 'pg_attrdef' AS class, d.oid::bigint AS objid, 'pg_class' AS of_class, d.adrelid::bigint AS of_objid, d.adnum::integer AS of_sub
FROM pg_attrdef AS d
UNION ALL
SELECT 'pg_rewrite', w.oid::bigint, 'pg_class', w.ev_class::bigint, 0 FROM pg_rewrite AS w WHERE w.rulename = '_RETURN' AND w.ev_class >= 16384
UNION ALL
SELECT 'pg_type', t.oid::bigint, 'pg_class', t.typrelid::bigint, 0 FROM pg_type AS t WHERE t.typrelid >= 16384
UNION ALL
SELECT 'pg_type', t.oid::bigint, 'pg_type', t.typelem::bigint, 0 FROM pg_type AS t WHERE t.typelem >= 16384 AND t.typcategory = 'A'
UNION ALL
SELECT 'pg_class', c.conindid::bigint, 'pg_constraint', c.oid::bigint, 0 FROM pg_constraint AS c WHERE c.contype IN ('p', 'u', 'x')
UNION ALL
SELECT 'pg_trigger', t.oid::bigint, 'pg_constraint', t.tgconstraint::bigint, 0 FROM pg_trigger AS t WHERE t.tgisinternal AND t.tgconstraint <> 0
UNION ALL
SELECT 'pg_class', d.objid::bigint, 'pg_class', d.refobjid::bigint, d.refobjsubid
FROM pg_depend AS d JOIN pg_class AS c ON c.oid = d.objid AND c.relkind = 'S'
WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'i' AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
UNION ALL
SELECT 'pg_enum', e.oid::bigint, 'pg_type', e.enumtypid::bigint, 0 FROM pg_enum AS e
