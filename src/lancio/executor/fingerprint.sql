-- name: facts
-- One row a fact: kind, identity, definition. No OIDs, no column positions, nothing that a dump and restore changes.
-- pg_attver among a column's options is a stamp that some minor releases write for themselves and pg_dump leaves out.
-- Columns of the system catalogs that came or went between 10 and 18 are read through to_jsonb, which has what is there.
WITH own AS (
    SELECT n.oid, n.nspname, n.nspowner, n.nspacl
    FROM pg_namespace AS n
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'lancio') AND n.nspname NOT LIKE 'pg\_%'
), member AS (
    SELECT d.classid, d.objid FROM pg_depend AS d WHERE d.deptype = 'e'
), relation AS (
    SELECT c.oid, c.relkind, c.relowner, c.relacl, c.reloptions, c.relpersistence, c.relrowsecurity,
           c.relforcerowsecurity, c.relreplident, c.relispartition, c.relnamespace, c.relname,
           pg_get_userbyid(c.relowner)::text AS owner,
           quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name, to_jsonb(c) AS j,
           EXISTS (SELECT FROM member AS m WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid) AS extension
    FROM pg_class AS c JOIN own AS n ON n.oid = c.relnamespace
), routine AS (
    SELECT p.oid, p.proowner, p.proacl,
           coalesce(to_jsonb(p) ->> 'prokind', CASE WHEN (to_jsonb(p) ->> 'proisagg')::boolean THEN 'a' ELSE 'f' END) AS prokind,
           quote_ident(n.nspname) || '.' || quote_ident(p.proname) || '(' || pg_get_function_identity_arguments(p.oid) || ')' AS name
    FROM pg_proc AS p JOIN own AS n ON n.oid = p.pronamespace
    WHERE NOT EXISTS (SELECT FROM member AS m WHERE m.classid = 'pg_proc'::regclass AND m.objid = p.oid)
), type AS (
    SELECT t.oid, t.typtype, t.typowner, t.typacl, t.typbasetype, t.typtypmod, t.typnotnull, t.typdefault, t.typrelid,
           t.typcollation, quote_ident(n.nspname) || '.' || quote_ident(t.typname) AS name
    FROM pg_type AS t JOIN own AS n ON n.oid = t.typnamespace
    WHERE t.typtype IN ('e', 'd', 'c', 'r', 'b')
      AND NOT (t.typcategory = 'A' AND t.typelem <> 0)
      AND (t.typrelid = 0 OR EXISTS (SELECT FROM pg_class AS c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
      AND NOT EXISTS (SELECT FROM member AS m WHERE m.classid = 'pg_type'::regclass AND m.objid = t.oid)
), grants AS (
    -- NULL stands for the default privileges, which GRANT writes out; both are made equal here.
    SELECT g.kind, g.name, a.grantee, a.privilege_type, a.is_grantable, a.grantor
    FROM (
        SELECT 'schema'::text AS kind, quote_ident(o.nspname)::text AS name, coalesce(o.nspacl, acldefault('n', o.nspowner)) AS acl FROM own AS o
        UNION ALL
        SELECT 'relation', r.name, coalesce(r.relacl, acldefault(CASE WHEN r.relkind = 'S' THEN 's'::"char" ELSE 'r'::"char" END, r.relowner))
        FROM relation AS r WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT r.extension
        UNION ALL
        SELECT 'column', r.name || '.' || quote_ident(c.attname), c.attacl
        FROM relation AS r JOIN pg_attribute AS c ON c.attrelid = r.oid AND NOT c.attisdropped WHERE c.attacl IS NOT NULL AND NOT r.extension
        UNION ALL
        SELECT 'routine', p.name, coalesce(p.proacl, acldefault('f', p.proowner)) FROM routine AS p
        UNION ALL
        SELECT 'type', t.name, coalesce(t.typacl, acldefault('T', t.typowner)) FROM type AS t
    ) AS g, aclexplode(g.acl) AS a
), fact (kind, identity, definition) AS (
    SELECT 'schema'::text, quote_ident(o.nspname)::text, 'owner ' || pg_get_userbyid(o.nspowner) FROM own AS o
    UNION ALL
    SELECT 'extension', quote_ident(e.extname), 'schema ' || n.nspname || ' version ' || e.extversion
    FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
    UNION ALL
    SELECT 'relation', r.name,
           concat_ws(' ', 'kind', r.relkind, 'owner', r.owner, 'persistence', r.relpersistence,
               'options', array_to_string(ARRAY(SELECT o FROM unnest(r.reloptions) AS o ORDER BY 1), ','),
               'row security', r.relrowsecurity, 'forced', r.relforcerowsecurity, 'replica identity', r.relreplident,
               'access method', (SELECT m.amname FROM pg_am AS m WHERE m.oid = (r.j ->> 'relam')::oid AND r.relkind IN ('r', 'm')),
               'partition', CASE WHEN r.relispartition THEN pg_get_expr((SELECT c.relpartbound FROM pg_class AS c WHERE c.oid = r.oid), r.oid) END,
               'partitioned', CASE WHEN r.relkind = 'p' THEN pg_get_partkeydef(r.oid) END,
               (SELECT concat_ws(' ', 'server', v.srvname, array_to_string(ARRAY(SELECT o FROM unnest(f.ftoptions) AS o ORDER BY 1), ','))
                FROM pg_foreign_table AS f JOIN pg_foreign_server AS v ON v.oid = f.ftserver WHERE f.ftrelid = r.oid))
    FROM relation AS r WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT r.extension
    UNION ALL
    SELECT 'inheritance', r.name, i.inhparent::regclass::text
    FROM relation AS r JOIN pg_inherits AS i ON i.inhrelid = r.oid WHERE NOT r.extension AND r.relkind IN ('r', 'p', 'f')
    UNION ALL
    SELECT 'column', r.name || '.' || quote_ident(a.attname),
           concat_ws(' ', format_type(a.atttypid, a.atttypmod),
               CASE WHEN a.attnotnull THEN 'not null' END,
               'default ' || pg_get_expr(d.adbin, d.adrelid),
               'identity ' || nullif(a.attidentity::text, ''),
               'generated ' || nullif(to_jsonb(a) ->> 'attgenerated', ''),
               'collation ' || (SELECT k.collname FROM pg_collation AS k
                                WHERE k.oid = a.attcollation AND a.attcollation <> t.typcollation),
               CASE WHEN a.attstorage <> t.typstorage THEN 'storage ' || a.attstorage::text END,
               'statistics ' || nullif(nullif(to_jsonb(a) ->> 'attstattarget', '-1'), ''),
               'compression ' || nullif(to_jsonb(a) ->> 'attcompression', ''),
               'foreign ' || nullif(array_to_string(ARRAY(SELECT o FROM unnest(a.attfdwoptions) AS o ORDER BY 1), ','), ''),
               'options ' || nullif(array_to_string(ARRAY(
                   SELECT o FROM unnest(a.attoptions) AS o WHERE o NOT LIKE 'pg\_attver=%' ORDER BY 1), ','), ''))
    FROM relation AS r
    JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type AS t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND NOT r.extension
    UNION ALL
    SELECT 'constraint', coalesce(r.name, (SELECT t.name FROM type AS t WHERE t.oid = c.contypid)) || ' ' || quote_ident(c.conname),
           concat_ws(' ', pg_get_constraintdef(c.oid), CASE WHEN NOT c.convalidated THEN '(not validated)' END,
               CASE WHEN NOT coalesce((to_jsonb(c) ->> 'conenforced')::boolean, true) THEN '(not enforced)' END)
    FROM pg_constraint AS c LEFT JOIN relation AS r ON r.oid = c.conrelid
    WHERE (r.oid IS NOT NULL AND NOT r.extension) OR c.contypid IN (SELECT t.oid FROM type AS t)
    UNION ALL
    SELECT 'index', r.name, concat_ws(' ', pg_get_indexdef(r.oid), CASE WHEN NOT i.indisvalid THEN '(invalid)' END,
               CASE WHEN i.indisclustered THEN '(clustered)' END, CASE WHEN i.indisreplident THEN '(replica identity)' END)
    FROM relation AS r JOIN pg_index AS i ON i.indexrelid = r.oid WHERE NOT r.extension
    UNION ALL
    SELECT 'view', r.name, pg_get_viewdef(r.oid) FROM relation AS r WHERE r.relkind IN ('v', 'm') AND NOT r.extension
    UNION ALL
    SELECT 'rule', r.name || ' ' || quote_ident(w.rulename), pg_get_ruledef(w.oid) || ' enabled ' || w.ev_enabled::text
    FROM pg_rewrite AS w JOIN relation AS r ON r.oid = w.ev_class
    WHERE NOT r.extension AND NOT (w.rulename = '_RETURN' AND r.relkind IN ('v', 'm'))
    UNION ALL
    SELECT 'trigger', r.name || ' ' || quote_ident(t.tgname), pg_get_triggerdef(t.oid) || ' enabled ' || t.tgenabled::text
    FROM pg_trigger AS t JOIN relation AS r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal AND NOT r.extension
    UNION ALL
    SELECT 'policy', r.name || ' ' || quote_ident(p.polname),
           concat_ws(' ', CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END, 'for', p.polcmd,
               'to', (SELECT string_agg(CASE o WHEN 0 THEN 'public' ELSE pg_get_userbyid(o)::text END, ',' ORDER BY 1)
                      FROM unnest(p.polroles) AS o),
               'using', pg_get_expr(p.polqual, p.polrelid), 'check', pg_get_expr(p.polwithcheck, p.polrelid))
    FROM pg_policy AS p JOIN relation AS r ON r.oid = p.polrelid WHERE NOT r.extension
    UNION ALL
    SELECT 'sequence', r.name,
           concat_ws(' ', format_type(s.seqtypid, NULL), 'start', s.seqstart, 'increment', s.seqincrement, 'min', s.seqmin,
               'max', s.seqmax, 'cache', s.seqcache, CASE WHEN s.seqcycle THEN 'cycle' END,
               'owned by ' || (SELECT o.name || '.' || quote_ident(a.attname)
                               FROM pg_depend AS d JOIN relation AS o ON o.oid = d.refobjid
                               JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                               WHERE d.classid = 'pg_class'::regclass AND d.objid = r.oid
                                 AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')))
    FROM relation AS r JOIN pg_sequence AS s ON s.seqrelid = r.oid WHERE NOT r.extension
    UNION ALL
    SELECT 'routine', p.name,
           concat_ws(' ', 'owner', pg_get_userbyid(p.proowner),
               CASE WHEN p.prokind = 'a'
                    THEN (SELECT concat_ws(' ', 'aggregate', a.aggtransfn, a.aggfinalfn, format_type(a.aggtranstype, NULL), a.agginitval)
                          FROM pg_aggregate AS a WHERE a.aggfnoid = p.oid)
                    ELSE pg_get_functiondef(p.oid) END)
    FROM routine AS p
    UNION ALL
    SELECT 'type', t.name,
           concat_ws(' ', 'kind', t.typtype, 'owner', pg_get_userbyid(t.typowner),
               (SELECT string_agg(quote_literal(e.enumlabel), ',' ORDER BY e.enumsortorder) FROM pg_enum AS e WHERE e.enumtypid = t.oid),
               CASE WHEN t.typtype = 'd' THEN concat_ws(' ', format_type(t.typbasetype, t.typtypmod),
                   CASE WHEN t.typnotnull THEN 'not null' END, 'default ' || t.typdefault) END,
               (SELECT concat_ws(' ', 'range of', format_type(g.rngsubtype, NULL)) FROM pg_range AS g WHERE g.rngtypid = t.oid))
    FROM type AS t
    UNION ALL
    SELECT 'grant', g.kind || ' ' || g.name || ' to ' || CASE g.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(g.grantee)::text END,
           string_agg(g.privilege_type || CASE WHEN g.is_grantable THEN '*' ELSE '' END, ',' ORDER BY g.privilege_type)
    FROM grants AS g GROUP BY 1, 2
    UNION ALL
    SELECT 'default grant',
           concat_ws(' ', pg_get_userbyid(d.defaclrole), d.defaclobjtype,
               (SELECT n.nspname FROM pg_namespace AS n WHERE n.oid = d.defaclnamespace)),
           array_to_string(ARRAY(SELECT a::text FROM unnest(d.defaclacl) AS a ORDER BY 1), ',')
    FROM pg_default_acl AS d
    UNION ALL
    SELECT 'comment', i.type || ' ' || i.identity, d.description
    FROM pg_description AS d, pg_identify_object(d.classoid, d.objoid, d.objsubid) AS i
    WHERE i.identity IS NOT NULL AND d.classoid <> 'pg_extension'::regclass
      AND NOT EXISTS (SELECT FROM member AS m WHERE m.classid = d.classoid AND m.objid = d.objoid)
      AND (i.schema IN (SELECT o.nspname FROM own AS o) OR d.classoid = 'pg_namespace'::regclass AND d.objoid IN (SELECT o.oid FROM own AS o)
           OR d.classoid IN ('pg_trigger'::regclass, 'pg_policy'::regclass, 'pg_rewrite'::regclass, 'pg_constraint'::regclass)
              AND EXISTS (SELECT FROM own AS o WHERE strpos(i.identity, ' on ' || quote_ident(o.nspname) || '.') > 0))
    UNION ALL
    SELECT 'publication', quote_ident(p.pubname),
           concat_ws(' ', 'all tables', p.puballtables, p.pubinsert, p.pubupdate, p.pubdelete, to_jsonb(p) ->> 'pubtruncate',
               (SELECT string_agg(x.schemaname || '.' || x.tablename, ',' ORDER BY 1) FROM pg_publication_tables AS x WHERE x.pubname = p.pubname AND NOT p.puballtables))
    FROM pg_publication AS p
    UNION ALL
    SELECT 'event trigger', quote_ident(e.evtname), concat_ws(' ', e.evtevent, e.evtfoid::regproc, e.evtenabled, array_to_string(e.evttags, ','))
    FROM pg_event_trigger AS e
    UNION ALL
    SELECT 'statistics', s.stxname::text, concat_ws(' ', pg_get_statisticsobjdef(s.oid), nullif(to_jsonb(s) ->> 'stxstattarget', '-1'))
    FROM pg_statistic_ext AS s JOIN own AS o ON o.oid = s.stxnamespace
    UNION ALL
    -- User mappings are left out: their options are shown to their owner alone.
    SELECT w.type, w.identity, i.definition
    FROM (
        SELECT 'pg_cast' AS class, x.oid, concat_ws(' ', x.castfunc::regprocedure, x.castcontext, x.castmethod) AS definition FROM pg_cast AS x
        UNION ALL
        SELECT 'pg_operator', x.oid, concat_ws(' ', pg_get_userbyid(x.oprowner), x.oprcode, x.oprrest, x.oprjoin, x.oprcom::regoperator,
                   x.oprnegate::regoperator, x.oprcanhash, x.oprcanmerge)
        FROM pg_operator AS x WHERE x.oprcode <> 0
        UNION ALL SELECT 'pg_opclass', x.oid, concat_ws(' ', pg_get_userbyid(x.opcowner), x.opcintype::regtype, x.opcdefault) FROM pg_opclass AS x
        UNION ALL SELECT 'pg_opfamily', x.oid, pg_get_userbyid(x.opfowner) FROM pg_opfamily AS x
        UNION ALL SELECT 'pg_conversion', x.oid, concat_ws(' ', pg_get_userbyid(x.conowner), x.conproc, x.condefault) FROM pg_conversion AS x
        UNION ALL SELECT 'pg_collation', x.oid, concat_ws(' ', pg_get_userbyid(x.collowner), to_jsonb(x) ->> 'collprovider', x.collcollate) FROM pg_collation AS x
        UNION ALL
        SELECT 'pg_ts_config', x.oid,
               concat_ws(' ', pg_get_userbyid(x.cfgowner), (SELECT string_agg(m.maptokentype || ' ' || m.mapdict::regdictionary::text, ',' ORDER BY m.maptokentype, m.mapseqno)
                                                            FROM pg_ts_config_map AS m WHERE m.mapcfg = x.oid))
        FROM pg_ts_config AS x
        UNION ALL SELECT 'pg_ts_dict', x.oid, concat_ws(' ', pg_get_userbyid(x.dictowner), x.dictinitoption) FROM pg_ts_dict AS x
        UNION ALL SELECT 'pg_language', x.oid, pg_get_userbyid(x.lanowner)::text FROM pg_language AS x
        UNION ALL
        SELECT 'pg_foreign_data_wrapper', x.oid, concat_ws(' ', pg_get_userbyid(x.fdwowner), x.fdwhandler::regproc, x.fdwvalidator::regproc,
                   array_to_string(ARRAY(SELECT o FROM unnest(x.fdwoptions) AS o ORDER BY 1), ','))
        FROM pg_foreign_data_wrapper AS x
        UNION ALL
        SELECT 'pg_foreign_server', x.oid, concat_ws(' ', pg_get_userbyid(x.srvowner), x.srvtype, x.srvversion,
                   array_to_string(ARRAY(SELECT o FROM unnest(x.srvoptions) AS o ORDER BY 1), ','))
        FROM pg_foreign_server AS x
    ) AS i, pg_identify_object(i.class::regclass, i.oid, 0) AS w
    WHERE i.oid >= 16384 AND NOT EXISTS (SELECT FROM member AS m WHERE m.classid = i.class::regclass AND m.objid = i.oid)
)
SELECT fact.kind, fact.identity, coalesce(fact.definition, '') AS definition FROM fact
ORDER BY fact.kind COLLATE "C", fact.identity COLLATE "C", coalesce(fact.definition, '') COLLATE "C"
