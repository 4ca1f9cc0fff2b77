-- name: facts
-- One row an object: what it is called (kind, schema, name, of, args) and what is so of it, by attribute. No OIDs, no
-- column positions, nothing that a dump and restore changes. Columns of the system catalogs that came or went between
-- 10 and 18 are read through to_jsonb, which has what is there. What an extension brought is left out, and so is the
-- ledger's schema. The session's search_path is pg_catalog, so that every other name is written with its schema.
WITH own AS (
    SELECT n.oid, n.nspname::text AS nspname, n.nspowner, n.nspacl
    FROM pg_namespace AS n
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'lancio') AND n.nspname NOT LIKE 'pg\_%'
), member AS (
    SELECT d.classid, d.objid FROM pg_depend AS d WHERE d.deptype = 'e'
), relation AS (
    SELECT c.oid, c.relkind, c.relowner, c.relacl, c.reloptions, c.relpersistence, c.relrowsecurity,
           c.relforcerowsecurity, c.relreplident, c.relispartition, c.relpartbound, c.relname::text AS relname, n.nspname,
           c.reltoastrelid, c.reloftype, to_jsonb(c) AS j,
           CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                          WHEN 'f' THEN 'foreign table' WHEN 'S' THEN 'sequence' WHEN 'c' THEN 'composite type'
                          ELSE 'index' END AS kind
    FROM pg_class AS c JOIN own AS n ON n.oid = c.relnamespace
    WHERE NOT EXISTS (SELECT FROM member AS m WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid)
      AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c', 'i', 'I')
), routine AS (
    SELECT p.oid, p.proname, p.proowner, p.proacl, p.prosrc, p.probin, p.prolang, p.provolatile, p.prosecdef, p.proisstrict,
           p.proleakproof, p.proparallel, p.procost, p.prorows, p.proconfig, n.nspname, to_jsonb(p) AS j,
           coalesce(to_jsonb(p) ->> 'prokind', CASE WHEN (to_jsonb(p) ->> 'proisagg')::boolean THEN 'a'
                                                    WHEN (to_jsonb(p) ->> 'proiswindow')::boolean THEN 'w' ELSE 'f' END) AS does,
           coalesce((SELECT string_agg(format_type(a.type, NULL), ', ' ORDER BY a.place)
                     FROM unnest(p.proargtypes) WITH ORDINALITY AS a (type, place)), '') AS args
    FROM pg_proc AS p JOIN own AS n ON n.oid = p.pronamespace
    -- Neither an extension's nor what CREATE TYPE … AS RANGE makes by itself.
    WHERE NOT EXISTS (SELECT FROM pg_depend AS d
                      WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                        AND (d.deptype = 'e' OR d.deptype = 'i' AND d.refclassid = 'pg_type'::regclass))
), type AS (
    SELECT t.oid, t.typname, t.typtype, t.typowner, t.typacl, t.typbasetype, t.typtypmod, t.typnotnull, t.typdefault,
           t.typcollation, t.typinput, t.typoutput, t.typlen, t.typalign, t.typstorage, n.nspname,
           CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'r' THEN 'range type' ELSE 'type' END AS kind
    FROM pg_type AS t JOIN own AS n ON n.oid = t.typnamespace
    WHERE t.typtype IN ('e', 'd', 'r', 'b') AND NOT (t.typcategory = 'A' AND t.typelem <> 0)
      AND NOT EXISTS (SELECT FROM member AS m WHERE m.classid = 'pg_type'::regclass AND m.objid = t.oid)
), fact (kind, schema, name, of, args, facts, owner, acl, classid, objid, subid) AS (
    SELECT 'schema'::text, ''::text, o.nspname, ''::text, ''::text, '{}'::jsonb, o.nspowner,
           coalesce(o.nspacl, acldefault('n', o.nspowner)), 'pg_namespace'::regclass::oid, o.oid, 0
    FROM own AS o
    UNION ALL
    SELECT 'extension', '', e.extname::text, '', '', jsonb_build_object('version', e.extversion, 'schema', n.nspname),
           NULL::oid, NULL::aclitem[], 'pg_extension'::regclass::oid, NULL::oid, 0
    FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
    UNION ALL
    SELECT r.kind, r.nspname, r.relname, '', '',
           jsonb_build_object(
               'persistence', CASE r.relpersistence WHEN 'u' THEN 'unlogged' WHEN 'p' THEN 'permanent' END,
               'options', nullif(array_to_string(ARRAY(SELECT o FROM unnest(r.reloptions) AS o ORDER BY 1), ', '), ''),
               'toast options', (SELECT array_to_string(ARRAY(SELECT o FROM unnest(x.reloptions) AS o ORDER BY 1), ', ')
                                 FROM pg_class AS x WHERE x.oid = r.reltoastrelid AND x.reloptions IS NOT NULL),
               'row level security', CASE WHEN r.kind = 'table' THEN CASE WHEN r.relrowsecurity THEN 'on' ELSE 'off' END END,
               'forced row level security', CASE WHEN r.kind = 'table' THEN CASE WHEN r.relforcerowsecurity THEN 'on' ELSE 'off' END END,
               'replica identity', CASE WHEN r.kind IN ('table', 'materialized view') THEN
                   CASE r.relreplident WHEN 'd' THEN 'default' WHEN 'n' THEN 'nothing' WHEN 'f' THEN 'full' ELSE 'index' END END,
               'access method', (SELECT m.amname FROM pg_am AS m WHERE m.oid = (r.j ->> 'relam')::oid AND r.relkind IN ('r', 'm')),
               'partition', (SELECT 'of ' || i.inhparent::regclass::text || ' ' || coalesce(pg_get_expr(r.relpartbound, r.oid), '')
                             FROM pg_inherits AS i WHERE i.inhrelid = r.oid AND r.relispartition AND r.kind <> 'index'),
               'inherits', (SELECT string_agg(i.inhparent::regclass::text, ', ' ORDER BY i.inhseqno)
                            FROM pg_inherits AS i WHERE i.inhrelid = r.oid AND NOT r.relispartition AND r.kind <> 'index'),
               'partitioned by', CASE WHEN r.relkind = 'p' THEN pg_get_partkeydef(r.oid) END,
               'of type', CASE WHEN r.reloftype <> 0 THEN format_type(r.reloftype, NULL) END,
               'server', (SELECT s.srvname FROM pg_foreign_table AS f JOIN pg_foreign_server AS s ON s.oid = f.ftserver WHERE f.ftrelid = r.oid),
               'foreign options', (SELECT array_to_string(ARRAY(SELECT o FROM unnest(f.ftoptions) AS o ORDER BY 1), ', ')
                                   FROM pg_foreign_table AS f WHERE f.ftrelid = r.oid AND f.ftoptions IS NOT NULL),
               'definition', CASE WHEN r.kind IN ('view', 'materialized view') THEN pg_get_viewdef(r.oid) END,
               'populated', CASE WHEN r.kind = 'materialized view' THEN r.j ->> 'relispopulated' END,
               'columns', CASE WHEN r.kind IN ('view', 'materialized view', 'composite type') THEN (
                   SELECT string_agg(concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
                              'default ' || pg_get_expr(d.adbin, d.adrelid),
                              'collate ' || (SELECT k.collname FROM pg_collation AS k
                                             WHERE k.oid = a.attcollation AND a.attcollation <> t.typcollation)), ', ' ORDER BY a.attnum)
                   FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
                   LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
                   WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped) END),
           r.relowner, coalesce(r.relacl, acldefault(CASE WHEN r.relkind = 'S' THEN 's'::"char" ELSE 'r'::"char" END, r.relowner)),
           'pg_class'::regclass::oid, r.oid, 0
    FROM relation AS r WHERE r.kind NOT IN ('index', 'sequence', 'composite type')
    UNION ALL
    SELECT r.kind, r.nspname, r.relname, '', '',
           jsonb_build_object('columns', (
               SELECT string_agg(concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
                          'collate ' || (SELECT k.collname FROM pg_collation AS k
                                         WHERE k.oid = a.attcollation AND a.attcollation <> t.typcollation)), ', ' ORDER BY a.attnum)
               FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
               WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped)),
           t.typowner, coalesce(t.typacl, acldefault('T', t.typowner)), 'pg_type'::regclass::oid, t.oid, 0
    FROM relation AS r JOIN pg_type AS t ON t.typrelid = r.oid WHERE r.kind = 'composite type'
    UNION ALL
    SELECT 'sequence', r.nspname, r.relname, '', '',
           jsonb_build_object('type', format_type(s.seqtypid, NULL), 'start', s.seqstart, 'increment', s.seqincrement,
               'minimum', s.seqmin, 'maximum', s.seqmax, 'cache', s.seqcache, 'cycle', s.seqcycle,
               'persistence', CASE r.relpersistence WHEN 'u' THEN 'unlogged' WHEN 'p' THEN 'permanent' END,
               'owned by', (SELECT quote_ident(n.nspname) || '.' || quote_ident(o.relname) || '.' || quote_ident(a.attname)
                            FROM pg_depend AS d JOIN pg_class AS o ON o.oid = d.refobjid
                            JOIN pg_namespace AS n ON n.oid = o.relnamespace
                            JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                            WHERE d.classid = 'pg_class'::regclass AND d.objid = r.oid
                              AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') LIMIT 1)),
           r.relowner, coalesce(r.relacl, acldefault('s'::"char", r.relowner)), 'pg_class'::regclass::oid, r.oid, 0
    FROM relation AS r JOIN pg_sequence AS s ON s.seqrelid = r.oid
    UNION ALL
    SELECT 'column', r.nspname, a.attname::text, r.relname, '',
           jsonb_build_object(
               'type', format_type(a.atttypid, a.atttypmod),
               'null', CASE WHEN NOT a.attnotnull THEN 'allowed' WHEN EXISTS (
                   SELECT FROM pg_constraint AS c WHERE c.conrelid = r.oid AND c.contype = 'n' AND NOT c.convalidated
                      AND c.conkey = ARRAY[a.attnum]) THEN 'refused for new rows' ELSE 'refused' END,
               'default', CASE WHEN coalesce(to_jsonb(a) ->> 'attgenerated', '') = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
               'generated', CASE coalesce(to_jsonb(a) ->> 'attgenerated', '') WHEN '' THEN NULL
                   WHEN 'v' THEN 'virtual ' || pg_get_expr(d.adbin, d.adrelid) ELSE 'stored ' || pg_get_expr(d.adbin, d.adrelid) END,
               'identity', CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END,
               'collation', (SELECT k.collname FROM pg_collation AS k WHERE k.oid = a.attcollation AND a.attcollation <> t.typcollation),
               'storage', CASE WHEN a.attstorage <> t.typstorage THEN
                   CASE a.attstorage WHEN 'p' THEN 'plain' WHEN 'e' THEN 'external' WHEN 'm' THEN 'main' ELSE 'extended' END END,
               'compression', nullif(to_jsonb(a) ->> 'attcompression', ''),
               'statistics', nullif(nullif(to_jsonb(a) ->> 'attstattarget', '-1'), ''),
               -- pg_attver is a stamp that some minor releases write for themselves and pg_dump leaves out.
               'options', nullif(array_to_string(ARRAY(
                   SELECT o FROM unnest(a.attoptions) AS o WHERE o NOT LIKE 'pg\_attver=%' ORDER BY 1), ', '), ''),
               'foreign options', nullif(array_to_string(ARRAY(SELECT o FROM unnest(a.attfdwoptions) AS o ORDER BY 1), ', '), '')),
           NULL, a.attacl, 'pg_class'::regclass::oid, r.oid, a.attnum
    FROM relation AS r
    JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type AS t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE r.kind IN ('table', 'foreign table')
    UNION ALL
    -- Columns of views have no facts of their own but remarks and privileges.
    SELECT 'column', r.nspname, a.attname::text, r.relname, '', '{}'::jsonb, NULL, a.attacl, 'pg_class'::regclass::oid, r.oid, a.attnum
    FROM relation AS r JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE r.kind IN ('view', 'materialized view')
      AND (a.attacl IS NOT NULL OR EXISTS (SELECT FROM pg_description AS k WHERE k.objoid = r.oid AND k.classoid = 'pg_class'::regclass AND k.objsubid = a.attnum))
    UNION ALL
    -- What a partition or a child has from its parent follows from that one.
    SELECT 'constraint', coalesce(r.nspname, t.nspname), c.conname::text, coalesce(r.relname, t.typname::text), '',
           jsonb_build_object('definition', replace(pg_get_constraintdef(c.oid), ' NOT VALID', ''),
               'validated', CASE WHEN c.convalidated THEN 'yes' ELSE 'no' END,
               'enforced', CASE WHEN (to_jsonb(c) ->> 'conenforced')::boolean IS FALSE THEN 'no' END,
               'replica identity', CASE WHEN i.indisreplident AND c.contype IN ('p', 'u') THEN 'yes' END,
               'clustered', CASE WHEN i.indisclustered AND c.contype IN ('p', 'u', 'x') THEN 'yes' END,
               'options', CASE WHEN c.contype IN ('p', 'u', 'x') THEN (
                   SELECT nullif(array_to_string(ARRAY(SELECT o FROM unnest(x.reloptions) AS o ORDER BY 1), ', '), '')
                   FROM pg_class AS x WHERE x.oid = c.conindid) END),
           NULL, NULL, 'pg_constraint'::regclass::oid, c.oid, 0
    FROM pg_constraint AS c LEFT JOIN relation AS r ON r.oid = c.conrelid LEFT JOIN type AS t ON t.oid = c.contypid
    LEFT JOIN pg_index AS i ON i.indexrelid = c.conindid
    WHERE (r.oid IS NOT NULL OR t.oid IS NOT NULL) AND c.contype IN ('p', 'u', 'f', 'c', 'x')
      AND coalesce((to_jsonb(c) ->> 'conparentid')::oid, 0) = 0 AND (c.conislocal OR c.contype <> 'c')
    UNION ALL
    SELECT 'index', r.nspname, r.relname, b.relname, '',
           jsonb_build_object(
               'definition', CASE WHEN i.indpred IS NULL THEN pg_get_indexdef(r.oid)
                   ELSE replace(pg_get_indexdef(r.oid), ' WHERE ' || pg_get_expr(i.indpred, i.indrelid), '') END,
               'predicate', pg_get_expr(i.indpred, i.indrelid),
               'valid', CASE WHEN i.indisvalid THEN 'yes' ELSE 'no' END,
               'clustered', CASE WHEN i.indisclustered THEN 'yes' END,
               'replica identity', CASE WHEN i.indisreplident THEN 'yes' END,
               'partition', (SELECT 'of ' || h.inhparent::regclass::text FROM pg_inherits AS h WHERE h.inhrelid = r.oid)),
           NULL, NULL, 'pg_class'::regclass::oid, r.oid, 0
    FROM relation AS r JOIN pg_index AS i ON i.indexrelid = r.oid JOIN relation AS b ON b.oid = i.indrelid
    -- A constraint's index goes with it.
    WHERE NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = r.oid AND c.contype IN ('p', 'u', 'x'))
    UNION ALL
    SELECT 'rule', r.nspname, w.rulename::text, r.relname, '',
           jsonb_build_object('definition', pg_get_ruledef(w.oid), 'fires', w.ev_enabled::text),
           NULL, NULL, 'pg_rewrite'::regclass::oid, w.oid, 0
    FROM pg_rewrite AS w JOIN relation AS r ON r.oid = w.ev_class
    WHERE NOT (w.rulename = '_RETURN' AND r.relkind IN ('v', 'm'))
    UNION ALL
    SELECT 'trigger', r.nspname, t.tgname::text, r.relname, '',
           jsonb_build_object('definition', pg_get_triggerdef(t.oid),
               'fires', CASE t.tgenabled WHEN 'O' THEN 'yes' WHEN 'D' THEN 'no' WHEN 'R' THEN 'on replicas' ELSE 'always' END),
           NULL, NULL, 'pg_trigger'::regclass::oid, t.oid, 0
    FROM pg_trigger AS t JOIN relation AS r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal
    UNION ALL
    SELECT 'policy', r.nspname, p.polname::text, r.relname, '',
           jsonb_build_object('permissive', p.polpermissive,
               'command', CASE p.polcmd WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update' WHEN 'd' THEN 'delete' ELSE 'all' END,
               'roles', (SELECT string_agg(x.role, ', ' ORDER BY x.role)
                         FROM (SELECT CASE o WHEN 0 THEN 'public' ELSE pg_get_userbyid(o)::text END AS role FROM unnest(p.polroles) AS o) AS x),
               'using', pg_get_expr(p.polqual, p.polrelid), 'with check', pg_get_expr(p.polwithcheck, p.polrelid)),
           NULL, NULL, 'pg_policy'::regclass::oid, p.oid, 0
    FROM pg_policy AS p JOIN relation AS r ON r.oid = p.polrelid
    UNION ALL
    SELECT CASE p.does WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END, p.nspname, p.proname::text, '', p.args,
           CASE WHEN p.does = 'a' THEN (
               SELECT jsonb_build_object('definition', concat_ws(' ', a.aggkind, a.aggtransfn, a.aggfinalfn, a.aggcombinefn,
                          format_type(a.aggtranstype, NULL), a.agginitval, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn, a.aggminitval))
               FROM pg_aggregate AS a WHERE a.aggfnoid = p.oid)
           ELSE jsonb_build_object(
               'body', CASE WHEN p.j ->> 'prosqlbody' IS NOT NULL THEN pg_get_functiondef(p.oid)
                            ELSE replace(p.prosrc, E'\r\n', E'\n') END,
               'library', p.probin,
               'arguments', pg_get_function_arguments(p.oid), 'returns', pg_get_function_result(p.oid),
               'language', (SELECT l.lanname FROM pg_language AS l WHERE l.oid = p.prolang),
               'volatility', CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END,
               'security', CASE WHEN p.prosecdef THEN 'definer' ELSE 'invoker' END,
               'strict', p.proisstrict, 'leakproof', p.proleakproof, 'window', p.does = 'w',
               'parallel', CASE p.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' ELSE 'unsafe' END,
               'cost', p.procost, 'rows', p.prorows,
               'settings', nullif(array_to_string(ARRAY(SELECT o FROM unnest(p.proconfig) AS o ORDER BY 1), ', '), '')) END,
           p.proowner, coalesce(p.proacl, acldefault('f', p.proowner)), 'pg_proc'::regclass::oid, p.oid, 0
    FROM routine AS p
    UNION ALL
    SELECT t.kind, t.nspname, t.typname::text, '', '',
           jsonb_build_object(
               'labels', (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) FROM pg_enum AS e WHERE e.enumtypid = t.oid),
               'type', CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
               'null', CASE WHEN t.typtype = 'd' THEN CASE WHEN t.typnotnull THEN 'refused' ELSE 'allowed' END END,
               'default', CASE WHEN t.typtype = 'd' THEN t.typdefault END,
               'collation', (SELECT k.collname FROM pg_collation AS k JOIN pg_type AS b ON b.oid = t.typbasetype
                             WHERE t.typtype = 'd' AND k.oid = t.typcollation AND t.typcollation <> b.typcollation),
               'range of', (SELECT format_type(g.rngsubtype, NULL) FROM pg_range AS g WHERE g.rngtypid = t.oid),
               'functions', CASE WHEN t.typtype = 'b' THEN concat_ws(' ', t.typinput, t.typoutput, t.typlen, t.typalign, t.typstorage) END),
           t.typowner, coalesce(t.typacl, acldefault('T', t.typowner)), 'pg_type'::regclass::oid, t.oid, 0
    FROM type AS t
    UNION ALL
    SELECT 'default privileges', coalesce(n.nspname::text, ''),
           CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions' WHEN 'T' THEN 'types'
                WHEN 'n' THEN 'schemas' ELSE 'large objects' END, '', pg_get_userbyid(d.defaclrole)::text,
           '{}'::jsonb, d.defaclrole, d.defaclacl, NULL, NULL, 0
    FROM pg_default_acl AS d LEFT JOIN pg_namespace AS n ON n.oid = d.defaclnamespace
    UNION ALL
    SELECT 'publication', '', p.pubname::text, '', '',
           jsonb_build_object('all tables', p.puballtables,
               'operations', concat_ws(', ', CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END,
                   CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN (to_jsonb(p) ->> 'pubtruncate')::boolean THEN 'truncate' END),
               'via root', to_jsonb(p) ->> 'pubviaroot',
               'tables', (SELECT string_agg(quote_ident(x.schemaname) || '.' || quote_ident(x.tablename) ||
                              coalesce(' where ' || (to_jsonb(x) ->> 'rowfilter'), ''), ', ' ORDER BY x.schemaname, x.tablename)
                          FROM pg_publication_tables AS x WHERE x.pubname = p.pubname AND NOT p.puballtables)),
           p.pubowner, NULL, 'pg_publication'::regclass::oid, p.oid, 0
    FROM pg_publication AS p
    UNION ALL
    SELECT 'event trigger', '', e.evtname::text, '', '',
           jsonb_build_object('event', e.evtevent, 'function', e.evtfoid::regproc::text,
               'fires', CASE e.evtenabled WHEN 'O' THEN 'yes' WHEN 'D' THEN 'no' WHEN 'R' THEN 'on replicas' ELSE 'always' END,
               'tags', array_to_string(e.evttags, ', ')),
           e.evtowner, NULL, 'pg_event_trigger'::regclass::oid, e.oid, 0
    FROM pg_event_trigger AS e
    WHERE NOT EXISTS (SELECT FROM member AS m WHERE m.classid = 'pg_event_trigger'::regclass AND m.objid = e.oid)
    UNION ALL
    SELECT 'statistics', o.nspname, s.stxname::text, '', '',
           jsonb_build_object('definition', pg_get_statisticsobjdef(s.oid), 'target', nullif(to_jsonb(s) ->> 'stxstattarget', '-1')),
           s.stxowner, NULL, 'pg_statistic_ext'::regclass::oid, s.oid, 0
    FROM pg_statistic_ext AS s JOIN own AS o ON o.oid = s.stxnamespace
    UNION ALL
    SELECT 'collation', o.nspname, k.collname::text, '', '',
           jsonb_build_object('definition', concat_ws(' ', to_jsonb(k) ->> 'collprovider', k.collcollate, k.collctype,
               coalesce(to_jsonb(k) ->> 'colllocale', to_jsonb(k) ->> 'colliculocale'), to_jsonb(k) ->> 'collisdeterministic')),
           k.collowner, NULL, 'pg_collation'::regclass::oid, k.oid, 0
    FROM pg_collation AS k JOIN own AS o ON o.oid = k.collnamespace
    WHERE NOT EXISTS (SELECT FROM member AS m WHERE m.classid = 'pg_collation'::regclass AND m.objid = k.oid)
    UNION ALL
    SELECT 'operator', n.nspname, p.oprname::text, '', concat_ws(', ', nullif(format_type(nullif(p.oprleft, 0), NULL), '-'), format_type(nullif(p.oprright, 0), NULL)),
           jsonb_build_object('definition', concat_ws(' ', p.oprcode, p.oprrest, p.oprjoin, nullif(p.oprcom, 0)::regoperator,
               nullif(p.oprnegate, 0)::regoperator, CASE WHEN p.oprcanhash THEN 'hashes' END, CASE WHEN p.oprcanmerge THEN 'merges' END)),
           p.oprowner, NULL, 'pg_operator'::regclass::oid, p.oid, 0
    FROM pg_operator AS p JOIN own AS n ON n.oid = p.oprnamespace
    WHERE NOT EXISTS (SELECT FROM member AS m WHERE m.classid = 'pg_operator'::regclass AND m.objid = p.oid)
    UNION ALL
    SELECT 'operator class', n.nspname, p.opcname::text, '', (SELECT a.amname::text FROM pg_am AS a WHERE a.oid = p.opcmethod),
           jsonb_build_object('definition', concat_ws(' ', format_type(p.opcintype, NULL), CASE WHEN p.opcdefault THEN 'default' END)),
           p.opcowner, NULL, 'pg_opclass'::regclass::oid, p.oid, 0
    FROM pg_opclass AS p JOIN own AS n ON n.oid = p.opcnamespace
    WHERE NOT EXISTS (SELECT FROM member AS m WHERE m.classid = 'pg_opclass'::regclass AND m.objid = p.oid)
    UNION ALL
    SELECT 'cast', '', format_type(c.castsource, NULL) || ' as ' || format_type(c.casttarget, NULL), '', '',
           jsonb_build_object('definition', concat_ws(' ', nullif(c.castfunc, 0)::regprocedure, c.castcontext, c.castmethod)),
           NULL, NULL, 'pg_cast'::regclass::oid, c.oid, 0
    FROM pg_cast AS c
    -- Neither an extension's nor what comes with a range type.
    WHERE c.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_cast'::regclass AND d.objid = c.oid
                                         AND d.deptype IN ('e', 'i'))
    UNION ALL
    SELECT 'text search configuration', n.nspname, c.cfgname::text, '', '',
           jsonb_build_object('mappings', (
               SELECT string_agg(m.maptokentype || ' ' || m.mapdict::regdictionary::text, ', ' ORDER BY m.maptokentype, m.mapseqno)
               FROM pg_ts_config_map AS m WHERE m.mapcfg = c.oid)),
           c.cfgowner, NULL, 'pg_ts_config'::regclass::oid, c.oid, 0
    FROM pg_ts_config AS c JOIN own AS n ON n.oid = c.cfgnamespace
    WHERE NOT EXISTS (SELECT FROM member AS m WHERE m.classid = 'pg_ts_config'::regclass AND m.objid = c.oid)
    UNION ALL
    SELECT 'text search dictionary', n.nspname, d.dictname::text, '', '', jsonb_build_object('options', d.dictinitoption),
           d.dictowner, NULL, 'pg_ts_dict'::regclass::oid, d.oid, 0
    FROM pg_ts_dict AS d JOIN own AS n ON n.oid = d.dictnamespace
    WHERE NOT EXISTS (SELECT FROM member AS m WHERE m.classid = 'pg_ts_dict'::regclass AND m.objid = d.oid)
    UNION ALL
    -- Options of servers may hold passwords, so their names alone are told.
    SELECT 'server', '', s.srvname::text, '', '',
           jsonb_build_object('wrapper', (SELECT w.fdwname FROM pg_foreign_data_wrapper AS w WHERE w.oid = s.srvfdw),
               'options', nullif(array_to_string(ARRAY(SELECT split_part(o, '=', 1) FROM unnest(s.srvoptions) AS o ORDER BY 1), ', '), '')),
           s.srvowner, coalesce(s.srvacl, acldefault('S', s.srvowner)), 'pg_foreign_server'::regclass::oid, s.oid, 0
    FROM pg_foreign_server AS s
    UNION ALL
    SELECT 'foreign data wrapper', '', w.fdwname::text, '', '', '{}'::jsonb, w.fdwowner, coalesce(w.fdwacl, acldefault('F', w.fdwowner)),
           'pg_foreign_data_wrapper'::regclass::oid, w.oid, 0
    FROM pg_foreign_data_wrapper AS w
    WHERE NOT EXISTS (SELECT FROM member AS m WHERE m.classid = 'pg_foreign_data_wrapper'::regclass AND m.objid = w.oid)
)
SELECT f.kind, f.schema, f.name, f.of, f.args,
       jsonb_strip_nulls(f.facts
           -- The owner of a sequence that belongs to a table is that of the table, and told there.
           || jsonb_build_object('owner', CASE WHEN f.kind <> 'default privileges' AND f.facts ->> 'owned by' IS NULL
                                               THEN pg_get_userbyid(f.owner) END,
                  'comment', (SELECT k.description FROM pg_description AS k
                              WHERE k.classoid = coalesce(CASE WHEN f.kind = 'composite type' THEN 'pg_class'::regclass::oid END, f.classid)
                                AND k.objoid = CASE WHEN f.kind = 'composite type' THEN (SELECT t.typrelid FROM pg_type AS t WHERE t.oid = f.objid)
                                                    ELSE f.objid END AND k.objsubid = f.subid))
           || coalesce((SELECT jsonb_object_agg('privileges of ' || g.role, g.says) FROM (
                  SELECT CASE WHEN a.grantee = 0 THEN 'public' WHEN a.grantee = f.owner THEN 'the owner'
                              ELSE pg_get_userbyid(a.grantee)::text END AS role,
                         string_agg(lower(a.privilege_type) || CASE WHEN a.is_grantable AND a.grantee IS DISTINCT FROM f.owner THEN ' with grant option' ELSE '' END,
                                    ', ' ORDER BY a.privilege_type) AS says
                  FROM aclexplode(f.acl) AS a GROUP BY 1) AS g), '{}')) AS facts
FROM fact AS f
ORDER BY f.kind COLLATE "C", f.schema COLLATE "C", f.of COLLATE "C", f.name COLLATE "C", f.args COLLATE "C"

-- name: defaults
-- The version of each installed extension that this server would install by itself.
SELECT e.extname::text AS name, a.default_version AS version
FROM pg_extension AS e JOIN pg_available_extensions AS a ON a.name = e.extname
