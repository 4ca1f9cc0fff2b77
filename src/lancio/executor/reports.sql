-- name: run
-- As JSON, for a ledger of an older format lacks the later columns.
SELECT r.id, r.started_at, r.finished_at, r.who, r.operator, r.host, r.lancio_version, r.server_version, r.plan_hash,
       r.outcome, pg_catalog.to_jsonb(r) ->> 'fingerprint_before' AS fingerprint_before,
       pg_catalog.to_jsonb(r) ->> 'fingerprint_after' AS fingerprint_after,
       pg_catalog.to_jsonb(r) -> 'foreseen' AS foreseen
FROM lancio.run AS r WHERE r.id = $1::bigint

-- name: statements
SELECT s.step, s.ordinal, s.line, s.summary, s.duration_ms
FROM lancio.statement AS s JOIN lancio.step AS t ON t.id = s.step WHERE t.run = $1::bigint ORDER BY s.step, s.ordinal

-- name: listed
-- What each run did, in counts; the newest first.
SELECT r.id, r.started_at, r.finished_at, r.who, r.operator, r.host, r.lancio_version, r.server_version, r.plan_hash,
       r.outcome,
       (SELECT pg_catalog.count(*) FROM lancio.step AS s WHERE s.run = r.id AND s.state = 'applied') AS applied,
       (SELECT pg_catalog.count(*) FROM lancio.step AS s WHERE s.run = r.id AND s.state <> 'applied') AS taken_over,
       (SELECT e.data ->> 'migration' FROM lancio.event AS e WHERE e.run = r.id AND e.kind = 'step-failed'
        ORDER BY e.number DESC LIMIT 1) AS failed
FROM lancio.run AS r ORDER BY r.id DESC LIMIT $1::bigint

-- name: counters
SELECT pg_catalog.to_jsonb(c) AS counters FROM lancio.counters AS c WHERE c.run = $1::bigint

-- name: note
UPDATE lancio.run SET fingerprint_before = $2, fingerprint_after = $3, foreseen = $4::jsonb WHERE id = $1::bigint
