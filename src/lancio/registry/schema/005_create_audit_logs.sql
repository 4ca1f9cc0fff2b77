-- lancio: duration 1s
-- lancio: risk low
--
-- 005: who did what, when, to what.
--
-- An entry outlives what it speaks of: organization, project, actor and target are named, not pointed at, and it stays as
-- it is when they go.
--
-- Safe to run again: what is there stays as it is, also where a later file has changed it.

BEGIN;

-- Nothing is looked for where others may create: a function that fits better than PostgreSQL's own would run with the
-- rights of whoever runs this file.
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
BEGIN
    IF to_regclass('platform.organizations') IS NULL THEN
        RAISE EXCEPTION 'table platform.organizations does not exist'
            USING ERRCODE = 'undefined_table', HINT = 'Run 001_create_platform_schema.sql first.';
    END IF;
    IF to_regclass('platform.projects') IS NULL THEN
        RAISE EXCEPTION 'table platform.projects does not exist'
            USING ERRCODE = 'undefined_table', HINT = 'Run 001_create_platform_schema.sql first.';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'pgcrypto') THEN
        RAISE EXCEPTION 'extension pgcrypto does not exist'
            USING ERRCODE = 'undefined_object', HINT = 'Run 003_user_management_and_permissions.sql first.';
    END IF;
END
$$;

-- gen_random_uuid() is PostgreSQL's own from 13 on and pgcrypto's before, in whatever schema pgcrypto lives.
DO $$
BEGIN
    PERFORM set_config('search_path', 'pg_catalog, ' || quote_ident(n.nspname) || ', pg_temp', true)
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'pgcrypto';
END
$$;

CREATE TABLE IF NOT EXISTS platform.audit_logs (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organization_id uuid,
    project_id      uuid,
    occurred_at     timestamptz NOT NULL DEFAULT now(),
    actor_type      text NOT NULL CHECK (actor_type IN ('user', 'api_key', 'service', 'system')),
    actor_id        uuid,
    actor_email     text,
    action          text NOT NULL,
    method          text,
    status          integer,
    target_type     text,
    target_id       text,
    ip              inet,
    user_agent      text,
    request_id      text,
    before          jsonb,
    after           jsonb,
    prev_hash       bytea,
    row_hash        bytea,
    created_at      timestamptz NOT NULL DEFAULT now()
);

SET LOCAL search_path = pg_catalog, pg_temp;

CREATE INDEX IF NOT EXISTS idx_audit_logs_organization_id ON platform.audit_logs (organization_id, occurred_at DESC);
CREATE INDEX IF NOT EXISTS idx_audit_logs_project_id ON platform.audit_logs (project_id, occurred_at DESC);
CREATE INDEX IF NOT EXISTS idx_audit_logs_actor_id ON platform.audit_logs (actor_id, occurred_at DESC);
CREATE INDEX IF NOT EXISTS idx_audit_logs_action ON platform.audit_logs (action, occurred_at DESC);

DO $$
BEGIN
    IF obj_description('platform.audit_logs'::regclass, 'pg_class') IS NULL THEN
        COMMENT ON TABLE platform.audit_logs IS 'Who did what, when, to what. Rows are added and read, never changed.';
        COMMENT ON COLUMN platform.audit_logs.organization_id IS 'NULL for what concerns the platform itself. No foreign key: the entry outlives the organization.';
        COMMENT ON COLUMN platform.audit_logs.actor_id IS 'No foreign key: the entry outlives the account.';
        COMMENT ON COLUMN platform.audit_logs.before IS 'The target before the action, with its secrets left out.';
        COMMENT ON COLUMN platform.audit_logs.after IS 'The target after the action, with its secrets left out.';
    END IF;
END
$$;

COMMIT;
