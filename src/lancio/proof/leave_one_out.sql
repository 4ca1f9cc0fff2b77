-- What a file wrote, seen from behind it. A row of a catalog is of the file if its xmin is no older than the number that
-- the next transaction had before the file ran; ages are compared, since numbers come round again.

-- name: effect
-- One row: the number the next transaction will have, how many rows each catalog has, and the rows written since $1 by
-- name and definition, as one hash: the same file over the same catalog writes the same.
WITH written (kind, said) AS (
    SELECT 'schema', concat_ws(' ', nspname, nspacl) FROM pg_namespace AS c WHERE oid >= 16384 AND age(c.xmin) <= age($1::text::xid)
    UNION ALL
    SELECT 'extension', concat_ws(' ', extname, extversion) FROM pg_extension AS c
    WHERE oid >= 16384 AND age(c.xmin) <= age($1::text::xid)
    UNION ALL
    SELECT 'relation', concat_ws(' ', oid::regclass, relkind, relrowsecurity, relforcerowsecurity, reloptions, relacl,
               relreplident, CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(oid)
                                  WHEN relkind IN ('i', 'I') THEN pg_get_indexdef(oid) END)
    FROM pg_class AS c
    WHERE oid >= 16384 AND relkind <> 't' AND relnamespace <> 'pg_toast'::regnamespace AND age(c.xmin) <= age($1::text::xid)
    UNION ALL
    SELECT 'column', concat_ws(' ', a.attrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
               a.attidentity, to_jsonb(a) ->> 'attgenerated')
    FROM pg_attribute AS a JOIN pg_class AS r ON r.oid = a.attrelid
    WHERE a.attrelid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped AND r.relkind NOT IN ('t', 'i', 'I')
      AND r.relnamespace <> 'pg_toast'::regnamespace AND age(a.xmin) <= age($1::text::xid)
    UNION ALL
    SELECT 'default', concat_ws(' ', c.adrelid::regclass, a.attname, pg_get_expr(c.adbin, c.adrelid))
    FROM pg_attrdef AS c JOIN pg_attribute AS a ON a.attrelid = c.adrelid AND a.attnum = c.adnum
    WHERE c.oid >= 16384 AND age(c.xmin) <= age($1::text::xid)
    UNION ALL
    SELECT 'constraint', concat_ws(' ', nullif(conrelid, 0)::regclass, nullif(contypid, 0)::regtype, conname,
               pg_get_constraintdef(oid), convalidated)
    FROM pg_constraint AS c WHERE oid >= 16384 AND age(c.xmin) <= age($1::text::xid)
    UNION ALL
    SELECT 'routine', concat_ws(' ', oid::regprocedure, prorettype::regtype, prosecdef, provolatile, proconfig, proacl, md5(prosrc))
    FROM pg_proc AS c WHERE oid >= 16384 AND age(c.xmin) <= age($1::text::xid)
    UNION ALL
    SELECT 'type', concat_ws(' ', oid::regtype, typtype, typdefault, typnotnull) FROM pg_type AS c
    WHERE oid >= 16384 AND typtype IN ('e', 'd', 'r') AND age(c.xmin) <= age($1::text::xid)
    UNION ALL
    SELECT 'label', concat_ws(' ', enumtypid::regtype, enumlabel) FROM pg_enum AS c
    WHERE oid >= 16384 AND age(c.xmin) <= age($1::text::xid)
    UNION ALL
    SELECT 'trigger', concat_ws(' ', tgrelid::regclass, pg_get_triggerdef(oid), tgenabled) FROM pg_trigger AS c
    WHERE oid >= 16384 AND NOT tgisinternal AND age(c.xmin) <= age($1::text::xid)
    UNION ALL
    SELECT 'policy', concat_ws(' ', polrelid::regclass, polname, polcmd, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
    FROM pg_policy AS c WHERE age(c.xmin) <= age($1::text::xid)
    UNION ALL
    SELECT 'rule', concat_ws(' ', ev_class::regclass, rulename) FROM pg_rewrite AS c
    WHERE oid >= 16384 AND age(c.xmin) <= age($1::text::xid)
    UNION ALL
    SELECT 'comment', concat_ws(' ', classoid::regclass, objsubid, md5(description)) FROM pg_description AS c
    WHERE objoid >= 16384 AND age(c.xmin) <= age($1::text::xid)
)
SELECT (txid_snapshot_xmax(txid_current_snapshot()) % 4294967296)::text AS next,
       ARRAY[
           (SELECT count(*) FROM pg_namespace WHERE oid >= 16384), (SELECT count(*) FROM pg_extension WHERE oid >= 16384),
           (SELECT count(*) FROM pg_class WHERE oid >= 16384), (SELECT count(*) FROM pg_attribute WHERE attrelid >= 16384),
           (SELECT count(*) FROM pg_attrdef WHERE oid >= 16384), (SELECT count(*) FROM pg_constraint WHERE oid >= 16384),
           (SELECT count(*) FROM pg_proc WHERE oid >= 16384), (SELECT count(*) FROM pg_type WHERE oid >= 16384),
           (SELECT count(*) FROM pg_enum WHERE oid >= 16384), (SELECT count(*) FROM pg_trigger WHERE oid >= 16384),
           (SELECT count(*) FROM pg_policy), (SELECT count(*) FROM pg_rewrite WHERE oid >= 16384),
           (SELECT count(*) FROM pg_description WHERE objoid >= 16384)] AS counts,
       (SELECT md5(coalesce(string_agg(concat_ws(' ', w.kind, w.said), E'\n' ORDER BY concat_ws(' ', w.kind, w.said) COLLATE "C"), ''))
        FROM written AS w) AS written

-- name: next
SELECT (txid_snapshot_xmax(txid_current_snapshot()) % 4294967296)::text

-- name: touched
-- Every object whose own catalog row was written since $1, and every object that such a row depends on.
SELECT 'pg_namespace'::regclass::oid::bigint AS class, oid::bigint AS object, 0 AS part, true AS written
FROM pg_namespace AS c WHERE oid >= 16384 AND age(c.xmin) <= age($1::text::xid)
UNION ALL SELECT 'pg_extension'::regclass::oid, oid, 0, true FROM pg_extension AS c WHERE oid >= 16384 AND age(c.xmin) <= age($1::text::xid)
UNION ALL SELECT 'pg_class'::regclass::oid, oid, 0, true FROM pg_class AS c WHERE oid >= 16384 AND age(c.xmin) <= age($1::text::xid)
UNION ALL SELECT 'pg_class'::regclass::oid, attrelid, attnum, true FROM pg_attribute AS c
          WHERE attrelid >= 16384 AND attnum > 0 AND age(c.xmin) <= age($1::text::xid)
UNION ALL SELECT 'pg_attrdef'::regclass::oid, oid, 0, true FROM pg_attrdef AS c WHERE oid >= 16384 AND age(c.xmin) <= age($1::text::xid)
UNION ALL SELECT 'pg_constraint'::regclass::oid, oid, 0, true FROM pg_constraint AS c WHERE oid >= 16384 AND age(c.xmin) <= age($1::text::xid)
UNION ALL SELECT 'pg_proc'::regclass::oid, oid, 0, true FROM pg_proc AS c WHERE oid >= 16384 AND age(c.xmin) <= age($1::text::xid)
UNION ALL SELECT 'pg_type'::regclass::oid, oid, 0, true FROM pg_type AS c WHERE oid >= 16384 AND age(c.xmin) <= age($1::text::xid)
UNION ALL SELECT 'pg_enum'::regclass::oid, oid, 0, true FROM pg_enum AS c WHERE oid >= 16384 AND age(c.xmin) <= age($1::text::xid)
UNION ALL SELECT 'pg_trigger'::regclass::oid, oid, 0, true FROM pg_trigger AS c WHERE oid >= 16384 AND age(c.xmin) <= age($1::text::xid)
UNION ALL SELECT 'pg_policy'::regclass::oid, oid, 0, true FROM pg_policy AS c WHERE age(c.xmin) <= age($1::text::xid)
UNION ALL SELECT 'pg_rewrite'::regclass::oid, oid, 0, true FROM pg_rewrite AS c WHERE oid >= 16384 AND age(c.xmin) <= age($1::text::xid)
UNION ALL SELECT refclassid, refobjid, refobjsubid, false FROM pg_depend AS c WHERE refobjid >= 16384 AND age(c.xmin) <= age($1::text::xid)
