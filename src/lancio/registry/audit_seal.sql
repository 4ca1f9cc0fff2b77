-- name: there
SELECT to_regclass('platform.audit_rounds') IS NOT NULL;

-- name: lock
-- Of several sealers one makes a round at a time. An advisory lock could be taken by everyone who may log in.
LOCK TABLE platform.audit_rounds IN SHARE ROW EXCLUSIVE MODE;

-- name: number
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM platform_private.audit_numbers;

-- name: own
SELECT pg_catalog.txid_current();

-- name: oldest
SELECT pg_catalog.txid_snapshot_xmin(pg_catalog.txid_current_snapshot());

-- name: mark
SELECT seq, xact FROM platform_private.audit_mark;

-- name: set_mark
INSERT INTO platform_private.audit_mark (seq, xact) VALUES (%(seq)s, %(xact)s)
ON CONFLICT (one) DO UPDATE SET seq = EXCLUDED.seq, xact = EXCLUDED.xact;

-- name: clear_mark
DELETE FROM platform_private.audit_mark;

-- name: head
SELECT number, kind, after_seq, upto_seq, entries, seals, newest, through, root, sealed_at, previous, chain, kek_id, mac
FROM platform.audit_rounds ORDER BY number DESC LIMIT 1;

-- name: rounds
SELECT number, kind, after_seq, upto_seq, entries, seals, newest, through, root, sealed_at, previous, chain, kek_id, mac
FROM platform.audit_rounds WHERE number > %(after)s ORDER BY number LIMIT 1000;

-- name: round
SELECT number, kind, after_seq, upto_seq, entries, seals, newest, through, root, sealed_at, previous, chain, kek_id, mac
FROM platform.audit_rounds WHERE number = %(number)s;

-- name: pruned_through
SELECT coalesce(max(through), 0) FROM platform.audit_rounds WHERE kind = 'prune';

-- name: settled_entries
-- All that is hashed is in one value, as PostgreSQL sends it: for each column its type, its length (-1 for NULL) and its bytes.
SELECT a.id, coalesce(a.organization_id, '00000000-0000-0000-0000-000000000000'), a.seq,
       CASE WHEN isfinite(a.created_at) THEN (extract(epoch FROM a.created_at) * 1000000)::bigint ELSE 0 END,
       record_send(ROW(a.id, a.seq, a.organization_id, a.project_id, a.occurred_at, a.actor_type, a.actor_id, a.actor_email,
                       a.action, a.method, a.status, a.target_type, a.target_id, a.ip, a.user_agent, a.request_id, a.before,
                       a.after, a.prev_hash, a.row_hash, a.created_at))
FROM platform.audit_logs a WHERE a.seq > %(after)s AND a.seq <= %(upto)s ORDER BY a.seq LIMIT %(batch)s;

-- name: entries
SELECT a.id, coalesce(a.organization_id, '00000000-0000-0000-0000-000000000000'), a.seq,
       record_send(ROW(a.id, a.seq, a.organization_id, a.project_id, a.occurred_at, a.actor_type, a.actor_id, a.actor_email,
                       a.action, a.method, a.status, a.target_type, a.target_id, a.ip, a.user_agent, a.request_id, a.before,
                       a.after, a.prev_hash, a.row_hash, a.created_at))
FROM platform.audit_logs a WHERE a.seq > %(after)s AND a.seq <= %(upto)s ORDER BY a.seq;

-- name: trail_entries
SELECT a.id, coalesce(a.organization_id, '00000000-0000-0000-0000-000000000000'), a.seq,
       record_send(ROW(a.id, a.seq, a.organization_id, a.project_id, a.occurred_at, a.actor_type, a.actor_id, a.actor_email,
                       a.action, a.method, a.status, a.target_type, a.target_id, a.ip, a.user_agent, a.request_id, a.before,
                       a.after, a.prev_hash, a.row_hash, a.created_at))
FROM platform.audit_logs a
WHERE a.organization_id = %(organization)s AND a.seq > %(after)s AND a.seq <= %(upto)s ORDER BY a.seq;

-- name: elsewhere
SELECT a.id, a.seq,
       record_send(ROW(a.id, a.seq, a.organization_id, a.project_id, a.occurred_at, a.actor_type, a.actor_id, a.actor_email,
                       a.action, a.method, a.status, a.target_type, a.target_id, a.ip, a.user_agent, a.request_id, a.before,
                       a.after, a.prev_hash, a.row_hash, a.created_at))
FROM platform.audit_logs a WHERE a.id = ANY (%(ids)s);

-- name: unsealed
SELECT count(*), min(a.created_at) FILTER (WHERE isfinite(a.created_at)) FROM platform.audit_logs a WHERE a.seq > %(after)s;

-- name: trail_unsealed
SELECT count(*), min(a.created_at) FILTER (WHERE isfinite(a.created_at)) FROM platform.audit_logs a
WHERE a.seq > %(after)s AND a.organization_id = %(organization)s;

-- name: before_the_first
SELECT a.id, a.seq FROM platform.audit_logs a WHERE a.seq <= %(upto)s ORDER BY a.seq LIMIT 1000;

-- name: last_seals
SELECT s.organization_id, s.number, s.chain
FROM unnest(%(organizations)s::uuid[]) o
CROSS JOIN LATERAL (SELECT * FROM platform.audit_seals s WHERE s.organization_id = o ORDER BY s.number DESC LIMIT 1) s;

-- name: seals
SELECT organization_id, number, round, first_seq, last_seq, entries, leaves, previous, chain, kek_id, mac
FROM platform.audit_seals WHERE round = %(round)s ORDER BY organization_id;

-- name: trail_seals
SELECT organization_id, number, round, first_seq, last_seq, entries, leaves, previous, chain, kek_id, mac
FROM platform.audit_seals WHERE organization_id = %(organization)s AND number > %(after)s ORDER BY number LIMIT 20;

-- name: stray_seals
SELECT s.organization_id, s.number, s.round FROM platform.audit_seals s
WHERE NOT EXISTS (SELECT 1 FROM platform.audit_rounds r WHERE r.number = s.round AND r.kind = 'seal')
ORDER BY 1, 2 LIMIT 1000;

-- name: may_see_rounds
SELECT pg_catalog.has_table_privilege('platform.audit_rounds', 'SELECT');

-- name: pruning
SELECT number, kind, after_seq, upto_seq, entries, seals, newest, through, root, sealed_at, previous, chain, kek_id, mac
FROM platform.audit_rounds WHERE kind = 'prune' ORDER BY through DESC LIMIT 1;

-- name: horizon
SELECT sealed, pruned FROM platform.audit_horizon();

-- name: add_round
INSERT INTO platform.audit_rounds
    (number, kind, after_seq, upto_seq, entries, seals, newest, through, root, sealed_at, previous, chain, kek_id, mac)
VALUES (%(number)s, %(kind)s, %(after_seq)s, %(upto_seq)s, %(entries)s, %(seals)s, %(newest)s, %(through)s, %(root)s,
        %(sealed_at)s, %(previous)s, %(chain)s, %(kek_id)s, %(mac)s);

-- name: add_seal
INSERT INTO platform.audit_seals
    (organization_id, number, round, first_seq, last_seq, entries, leaves, previous, chain, kek_id, mac)
VALUES (%(organization_id)s, %(number)s, %(round)s, %(first_seq)s, %(last_seq)s, %(entries)s, %(leaves)s, %(previous)s,
        %(chain)s, %(kek_id)s, %(mac)s);

-- name: unfinished
-- Rounds that a record says are pruned, and that are not yet.
SELECT DISTINCT s.round FROM platform.audit_seals s WHERE s.round <= %(through)s ORDER BY 1;

-- name: prune
SELECT platform.prune_audit_round(%(round)s);

-- name: note
INSERT INTO platform.audit_logs (actor_type, action, target_type, target_id, after)
VALUES ('system', 'audit.prune', 'audit_round', %(target)s, %(after)s::jsonb || jsonb_build_object('login', session_user));
