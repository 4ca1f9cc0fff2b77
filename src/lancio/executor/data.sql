-- What is asked of a live database before and while its rows are looked at. All of it runs in READ ONLY transactions
-- under a time limit, takes no lock beyond ACCESS SHARE and changes nothing.

-- name: begin
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY

-- name: settings
-- A filtered answer would be an error, never a fact; scans begin at the first row, so that the place where one of them
-- fails is known; compiling costs more than it gains under a limit of seconds.
SELECT set_config('row_security', 'off', true), set_config('lock_timeout', %(lock)s, true),
       set_config('synchronize_seqscans', 'off', true), set_config('search_path', %(path)s, true),
       (SELECT set_config('jit', 'off', true) FROM pg_settings WHERE name = 'jit')

-- name: limit
SELECT set_config('statement_timeout', %(limit)s, true)

-- name: tables
WITH wanted AS (
    SELECT c.oid FROM pg_class c WHERE c.relname = ANY (%(relations)s::text[])
    UNION SELECT k.conrelid FROM pg_constraint k JOIN pg_class p ON p.oid = k.confrelid
          WHERE k.contype = 'f' AND p.relname = ANY (%(relations)s::text[])
    UNION SELECT k.confrelid FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
          WHERE k.contype = 'f' AND c.relname = ANY (%(relations)s::text[])
    UNION SELECT a.attrelid FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
          WHERE t.typtype = 'd' AND t.typname = ANY (%(domains)s::text[]) AND NOT a.attisdropped
)
SELECT c.oid::bigint AS oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
       c.relhassubclass AS parted, c.relhasrules AS ruled,
       CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) ELSE '' END AS partition_key,
       ARRAY(SELECT a.attname::text FROM pg_index i
             CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
             WHERE i.indrelid = c.oid AND i.indisprimary
               AND (k.place <= (to_jsonb(i) ->> 'indnkeyatts')::int OR NOT to_jsonb(i) ? 'indnkeyatts')
             ORDER BY k.place) AS key
FROM wanted w
JOIN pg_class c ON c.oid = w.oid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'lancio') AND n.nspname !~ '^pg_(toast_)?temp_'
ORDER BY 2, 3

-- name: columns
SELECT a.attrelid::bigint AS oid, a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type,
       a.attnotnull AS not_null, coalesce(pg_get_expr(d.adbin, d.adrelid), '') AS "default",
       coalesce(a.attidentity <> '', false) OR coalesce(to_jsonb(a) ->> 'attgenerated', '') <> ''
       OR coalesce(pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval(%%', false) AS made,
       coalesce(to_jsonb(a) ->> 'attgenerated', '') <> '' AS computed,
       CASE WHEN t.typtype = 'd' THEN tn.nspname::text END AS domain_schema,
       CASE WHEN t.typtype = 'd' THEN t.typname::text END AS domain_name
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
JOIN pg_namespace tn ON tn.oid = t.typnamespace
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = ANY (%(oids)s::bigint[]::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum

-- name: constraints
SELECT k.conrelid::bigint AS oid, k.conname::text AS name, k.contype::text AS kind,
       pg_get_constraintdef(k.oid) AS definition, k.convalidated AS validated,
       pn.nspname::text AS parent_schema, p.relname::text AS parent_name,
       k.confdeltype::text AS on_delete, k.confupdtype::text AS on_update,
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u (attnum, place)
             JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum ORDER BY u.place) AS columns,
       ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS u (attnum, place)
             JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.attnum ORDER BY u.place) AS keys
FROM pg_constraint k
LEFT JOIN pg_class p ON p.oid = k.confrelid
LEFT JOIN pg_namespace pn ON pn.oid = p.relnamespace
WHERE k.conrelid = ANY (%(oids)s::bigint[]::oid[]) AND k.contype IN ('c', 'f', 'n')
ORDER BY 1, 2

-- name: indexes
SELECT i.indrelid::bigint AS oid, c.relname::text AS name, i.indisprimary AS is_primary,
       NOT coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false) AS nulls_distinct,
       ARRAY(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
             WHERE k.place <= (to_jsonb(i) ->> 'indnkeyatts')::int OR NOT to_jsonb(i) ? 'indnkeyatts'
             ORDER BY k.place) AS columns
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = ANY (%(oids)s::bigint[]::oid[]) AND i.indisunique AND i.indisvalid
  AND i.indexprs IS NULL AND i.indpred IS NULL
ORDER BY 1, 2

-- name: triggers
SELECT t.tgrelid::bigint AS oid, t.tgname::text AS name, t.tgtype::int AS bits,
       n.nspname::text AS routine_schema, p.proname::text AS routine
FROM pg_trigger t
JOIN pg_proc p ON p.oid = t.tgfoid
JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE t.tgrelid = ANY (%(oids)s::bigint[]::oid[]) AND NOT t.tgisinternal AND t.tgenabled <> 'D'
ORDER BY 1, 2

-- name: relatives
SELECT h.inhrelid::bigint AS child, cn.nspname::text AS child_schema, c.relname::text AS child_name,
       h.inhparent::bigint AS parent, pn.nspname::text AS parent_schema, p.relname::text AS parent_name
FROM pg_inherits h
JOIN pg_class c ON c.oid = h.inhrelid
JOIN pg_namespace cn ON cn.oid = c.relnamespace
JOIN pg_class p ON p.oid = h.inhparent
JOIN pg_namespace pn ON pn.oid = p.relnamespace
WHERE c.relkind IN ('r', 'p', 'f')
  AND (h.inhrelid = ANY (%(oids)s::bigint[]::oid[]) OR h.inhparent = ANY (%(oids)s::bigint[]::oid[]))
ORDER BY 2, 3, 5, 6

-- name: domains
SELECT n.nspname::text AS schema, t.typname::text AS domain, k.conname::text AS name,
       pg_get_constraintdef(k.oid) AS definition, k.convalidated AS validated
FROM pg_constraint k
JOIN pg_type t ON t.oid = k.contypid
JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE t.typname = ANY (%(domains)s::text[]) AND k.contype = 'c'
ORDER BY 1, 2, 3

-- name: failing
-- The rows for which an expression fails. They are fetched one by one in the order in which they lie in the table; where
-- one fails, the next behind the last good one is it, and the search goes on behind that. The queries come in settings,
-- so that nothing has to be quoted, and the answer goes back in one.
DO $$
DECLARE
    cursor_ refcursor;
    row_ record;
    last_ tid := '(0,0)';
    lost text[] := '{}';
BEGIN
    LOOP
        BEGIN
            cursor_ := NULL;
            OPEN cursor_ FOR EXECUTE current_setting('lancio.data_go_on') USING last_;
            LOOP
                FETCH cursor_ INTO row_;
                EXIT WHEN NOT FOUND;
                last_ := row_.at;
            END LOOP;
            EXIT;
        EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
            EXECUTE current_setting('lancio.data_named') INTO row_ USING last_;
            EXIT WHEN row_.at IS NULL;
            last_ := row_.at;
            lost := lost || row_.name::text;
        END;
        EXIT WHEN cardinality(lost) >= current_setting('lancio.data_most')::int;
    END LOOP;
    PERFORM set_config('lancio.data_lost', to_json(lost)::text, true);
END
$$

-- name: failing_settings
SELECT set_config('lancio.data_go_on', %(go_on)s, true), set_config('lancio.data_named', %(named)s, true),
       set_config('lancio.data_most', %(most)s, true), set_config('lancio.data_lost', '[]', true)

-- name: failed
SELECT current_setting('lancio.data_lost')::json
