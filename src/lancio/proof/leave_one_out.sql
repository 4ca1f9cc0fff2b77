-- What a file wrote, seen from behind it. A row of a catalog is of the file if its xmin is no older than the number that
-- the next transaction had before the file ran; ages are compared, since numbers come round again.

-- name: effect
-- One row: the number the next transaction will have, how many rows each catalog has, and the rows written since $1 by
-- name and definition, as one hash: the same file over the same catalog writes the same. One look at each catalog.
WITH seen (kind, rows, said) AS (
    SELECT 1, count(*), array_agg(concat_ws(' ', nspname, nspacl)) FILTER (WHERE age(c.xmin) <= age($1::text::xid))
    FROM pg_namespace AS c WHERE oid >= 16384
    UNION ALL
    SELECT 2, count(*), array_agg(concat_ws(' ', extname, extversion)) FILTER (WHERE age(c.xmin) <= age($1::text::xid))
    FROM pg_extension AS c WHERE oid >= 16384
    UNION ALL
    SELECT 3, count(*),
           array_agg(concat_ws(' ', oid::regclass, relkind, relrowsecurity, relforcerowsecurity, reloptions, relacl,
                               relreplident, CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(oid)
                                                  WHEN relkind IN ('i', 'I') THEN pg_get_indexdef(oid) END))
           FILTER (WHERE relkind <> 't' AND relnamespace <> 'pg_toast'::regnamespace AND age(c.xmin) <= age($1::text::xid))
    FROM pg_class AS c WHERE oid >= 16384
    UNION ALL
    SELECT 4, count(*), array_agg((
               SELECT concat_ws(' ', a.attrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                                a.attidentity, to_jsonb(a) ->> 'attgenerated')
               FROM pg_class AS r
               WHERE r.oid = a.attrelid AND r.relkind NOT IN ('t', 'i', 'I') AND r.relnamespace <> 'pg_toast'::regnamespace))
           FILTER (WHERE a.attnum > 0 AND NOT a.attisdropped AND age(a.xmin) <= age($1::text::xid))
    FROM pg_attribute AS a WHERE attrelid >= 16384
    UNION ALL
    SELECT 5, count(*), array_agg((
               SELECT concat_ws(' ', c.adrelid::regclass, a.attname, pg_get_expr(c.adbin, c.adrelid))
               FROM pg_attribute AS a WHERE a.attrelid = c.adrelid AND a.attnum = c.adnum))
           FILTER (WHERE age(c.xmin) <= age($1::text::xid))
    FROM pg_attrdef AS c WHERE oid >= 16384
    UNION ALL
    SELECT 6, count(*), array_agg(concat_ws(' ', nullif(conrelid, 0)::regclass, nullif(contypid, 0)::regtype, conname,
                                            pg_get_constraintdef(oid), convalidated))
           FILTER (WHERE age(c.xmin) <= age($1::text::xid))
    FROM pg_constraint AS c WHERE oid >= 16384
    UNION ALL
    SELECT 7, count(*), array_agg(concat_ws(' ', oid::regprocedure, prorettype::regtype, prosecdef, provolatile, proconfig,
                                            proacl, md5(prosrc)))
           FILTER (WHERE age(c.xmin) <= age($1::text::xid))
    FROM pg_proc AS c WHERE oid >= 16384
    UNION ALL
    SELECT 8, count(*), array_agg(concat_ws(' ', oid::regtype, typtype, typdefault, typnotnull))
           FILTER (WHERE typtype IN ('e', 'd', 'r') AND age(c.xmin) <= age($1::text::xid))
    FROM pg_type AS c WHERE oid >= 16384
    UNION ALL
    SELECT 9, count(*), array_agg(concat_ws(' ', enumtypid::regtype, enumlabel)) FILTER (WHERE age(c.xmin) <= age($1::text::xid))
    FROM pg_enum AS c WHERE oid >= 16384
    UNION ALL
    SELECT 10, count(*), array_agg(concat_ws(' ', tgrelid::regclass, pg_get_triggerdef(oid), tgenabled))
           FILTER (WHERE NOT tgisinternal AND age(c.xmin) <= age($1::text::xid))
    FROM pg_trigger AS c WHERE oid >= 16384
    UNION ALL
    SELECT 11, count(*), array_agg(concat_ws(' ', polrelid::regclass, polname, polcmd, pg_get_expr(polqual, polrelid),
                                             pg_get_expr(polwithcheck, polrelid)))
           FILTER (WHERE age(c.xmin) <= age($1::text::xid))
    FROM pg_policy AS c
    UNION ALL
    SELECT 12, count(*), array_agg(concat_ws(' ', ev_class::regclass, rulename)) FILTER (WHERE age(c.xmin) <= age($1::text::xid))
    FROM pg_rewrite AS c WHERE oid >= 16384
    UNION ALL
    SELECT 13, count(*), array_agg(concat_ws(' ', classoid::regclass, objsubid, md5(description)))
           FILTER (WHERE age(c.xmin) <= age($1::text::xid))
    FROM pg_description AS c WHERE objoid >= 16384
)
SELECT (txid_snapshot_xmax(txid_current_snapshot()) % 4294967296)::text AS next,
       array_agg(s.rows ORDER BY s.kind) AS counts,
       md5(coalesce(string_agg((SELECT string_agg(u.said, E'\n' ORDER BY u.said COLLATE "C") FROM unnest(s.said) AS u (said)),
                               E'\n' ORDER BY s.kind), '')) AS written
FROM seen AS s

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
