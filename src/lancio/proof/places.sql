-- name: activity
-- Without the times, so that the same look twice is the same text.
SELECT a.pid,
       (pg_catalog.to_jsonb(a) - '{backend_start,xact_start,query_start,state_change,backend_xid,backend_xmin,wait_event,wait_event_type}'::pg_catalog.text[])::pg_catalog.text
FROM pg_catalog.pg_stat_activity a
WHERE a.pid <> pg_catalog.pg_backend_pid();

-- name: statements_at
SELECT pg_catalog.quote_ident(n.nspname) || '.pg_stat_statements'
FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'pg_stat_statements';

-- name: statements
SELECT s.userid::pg_catalog.text || '/' || s.dbid::pg_catalog.text, s.query FROM {statements} s;

-- name: statistics
SELECT s.schemaname || '.' || s.tablename || '.' || s.attname,
       pg_catalog.concat_ws(' ', s.most_common_vals::pg_catalog.text, s.histogram_bounds::pg_catalog.text,
                            s.most_common_elems::pg_catalog.text)
FROM pg_catalog.pg_stats s;

-- name: tables
-- Tables that are kept, with their size; the control's own first, so that it is seen whatever comes later.
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), n.nspname || '.' || c.relname, pg_catalog.pg_relation_size(c.oid)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname NOT LIKE 'pg\_toast%'
      AND (n.nspname NOT LIKE 'pg\_temp%' OR n.oid = pg_catalog.pg_my_temp_schema())
      AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
ORDER BY c.relname <> 'lancio_control', n.nspname, c.relname;

-- name: rows
SELECT pg_catalog.row_to_json(t)::pg_catalog.text FROM {table} t;

-- name: rows_since
-- Of this transaction, its savepoints and what was committed meanwhile: numbers of transactions go round at 2^32.
SELECT pg_catalog.row_to_json(t)::pg_catalog.text FROM {table} t
WHERE (t.xmin::pg_catalog.text::pg_catalog.int8 - %(since)s + 4294967296) %% 4294967296 < 2147483648;

-- name: audited_since
SELECT a.id::pg_catalog.text, pg_catalog.row_to_json(a)::pg_catalog.text FROM platform.audit_logs a
WHERE (a.xmin::pg_catalog.text::pg_catalog.int8 - %(since)s + 4294967296) %% 4294967296 < 2147483648;

-- name: begun
SELECT pg_catalog.txid_current() % 4294967296;

-- name: log_file
SELECT pg_catalog.pg_current_logfile();

-- name: log_size
SELECT size FROM pg_catalog.pg_stat_file(%(file)s);

-- name: log_by
SELECT pg_catalog.string_agg(s.name || ' = ' || s.setting, ', ' ORDER BY s.name)
FROM pg_catalog.pg_settings s
WHERE s.name IN ('log_statement', 'log_min_duration_statement', 'log_parameter_max_length');

-- name: bytes_of
SELECT pg_catalog.pg_read_binary_file(%(file)s, %(begin)s, %(length)s);

-- name: wal_now
SELECT (pg_catalog.pg_current_wal_insert_lsn() - '0/0'::pg_catalog.pg_lsn)::pg_catalog.int8;

-- name: wal_flushed
SELECT (pg_catalog.pg_current_wal_flush_lsn() - '0/0'::pg_catalog.pg_lsn)::pg_catalog.int8;

-- name: flush
-- A transaction with something to commit, so that the log is written to the disk up to here.
SELECT pg_catalog.pg_logical_emit_message(true, 'lancio', '');

-- name: wal_segment
SELECT pg_catalog.pg_walfile_name(%(at)s::pg_catalog.text::pg_catalog.pg_lsn),
       pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size'));

-- name: audited
SELECT a.id::pg_catalog.text, pg_catalog.row_to_json(a)::pg_catalog.text FROM platform.audit_logs a;

-- name: control_tables
CREATE {temporary} TABLE lancio_control (id integer PRIMARY KEY, form text NOT NULL, content bytea, shown text UNIQUE);

-- name: control_row
INSERT INTO lancio_control (id, form, content, shown) VALUES (%(id)s, %(form)s, %(content)s, %(shown)s);

-- name: control_statistics
-- Twice the same, so that it is one of the most common values.
CREATE TABLE lancio_control_often AS SELECT shown FROM lancio_control, generate_series(1, 20) WHERE shown IS NOT NULL;
ANALYZE lancio_control_often;

-- name: control_audit
INSERT INTO platform.audit_logs (actor_type, action, target_id) VALUES ('system', 'lancio.prove-no-leak', %(text)s);

-- name: control_spill
DECLARE lancio_spill CURSOR WITH HOLD FOR SELECT %(text)s || n FROM generate_series(1, 3000) n;
