-- name: columns
SELECT a.id, a.seq, a.organization_id, a.project_id, a.occurred_at, a.actor_type, a.actor_id, a.actor_email, a.action, a.method,
       a.status, a.target_type, a.target_id, host(a.ip) AS ip, a.user_agent, a.request_id, a.before, a.after
FROM platform.audit_logs a;

-- name: ready
SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute
               WHERE attrelid = to_regclass('platform.audit_logs') AND attname = 'seq' AND NOT attisdropped);

-- name: organization
SELECT o.id FROM platform.organizations o WHERE o.slug = %(named)s;

-- name: project
SELECT p.id FROM platform.projects p WHERE p.slug = %(named)s OR p.ref = %(named)s;

-- name: organization_names
SELECT o.id, o.slug FROM platform.organizations o WHERE o.id = ANY (%(ids)s);

-- name: user
SELECT u.id FROM platform.users u WHERE lower(u.primary_email) = lower(%(email)s);

-- name: emails
SELECT u.id, u.primary_email FROM platform.users u WHERE u.id = ANY (%(ids)s);
