-- lancio: duration 2s
-- lancio: risk low
--
-- 003: users and their access, and pgcrypto.
--
-- pgcrypto seals credentials from 006 on, and below PostgreSQL 13 it has gen_random_uuid(), which is why the keys of
-- all tables so far get their default here. It may have been installed before, in a schema of its own
-- (managed services have it in "extensions"): it is used where it is.
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
    IF to_regprocedure('platform.update_updated_at_column()') IS NULL THEN
        RAISE EXCEPTION 'function platform.update_updated_at_column() does not exist'
            USING ERRCODE = 'undefined_function', HINT = 'Run 001_create_platform_schema.sql first.';
    END IF;
    IF to_regclass('platform.billing_plans') IS NULL THEN
        RAISE EXCEPTION 'table platform.billing_plans does not exist'
            USING ERRCODE = 'undefined_table', HINT = 'Run 002_platform_billing_schema.sql first.';
    END IF;
END
$$;

-- Where the session would put it.
SET LOCAL search_path TO DEFAULT;
CREATE EXTENSION IF NOT EXISTS pgcrypto;
SET LOCAL search_path = pg_catalog, pg_temp;

CREATE TABLE IF NOT EXISTS platform.users (
    id                 uuid PRIMARY KEY,
    primary_email      text NOT NULL CHECK (primary_email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
    username           text UNIQUE,
    first_name         text,
    last_name          text,
    auth_provider      text NOT NULL DEFAULT 'password',
    auth_subject       text,
    is_sso_user        boolean NOT NULL DEFAULT false,
    mfa_enabled        boolean NOT NULL DEFAULT false,
    password_hash      text,
    free_project_limit integer NOT NULL DEFAULT 2 CHECK (free_project_limit >= 0),
    disabled_at        timestamptz,
    last_sign_in_at    timestamptz,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz NOT NULL DEFAULT now(),
    UNIQUE (auth_provider, auth_subject)
);

CREATE TABLE IF NOT EXISTS platform.user_sessions (
    id            uuid PRIMARY KEY,
    user_id       uuid NOT NULL REFERENCES platform.users (id) ON DELETE CASCADE,
    token_hash    bytea NOT NULL UNIQUE,
    ip            inet,
    user_agent    text,
    device        text,
    aal           integer NOT NULL DEFAULT 1 CHECK (aal IN (1, 2, 3)),
    last_seen_at  timestamptz,
    expires_at    timestamptz NOT NULL,
    revoked_at    timestamptz,
    revoke_reason text,
    created_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS platform.api_keys (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES platform.organizations (id) ON DELETE CASCADE,
    project_id      uuid,
    user_id         uuid REFERENCES platform.users (id) ON DELETE CASCADE,
    name            text NOT NULL,
    prefix          text NOT NULL,
    token_hash      bytea NOT NULL UNIQUE,
    last4           text NOT NULL CHECK (length(last4) = 4),
    scopes          text[] NOT NULL DEFAULT '{}',
    expires_at      timestamptz,
    last_used_at    timestamptz,
    revoked_at      timestamptz,
    created_by      uuid REFERENCES platform.users (id) ON DELETE SET NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (id, organization_id),
    FOREIGN KEY (project_id, organization_id) REFERENCES platform.projects (id, organization_id) ON DELETE CASCADE
);

CREATE TABLE IF NOT EXISTS platform.credentials (
    id               uuid PRIMARY KEY,
    organization_id  uuid NOT NULL REFERENCES platform.organizations (id) ON DELETE CASCADE,
    project_id       uuid NOT NULL,
    kind             text NOT NULL CHECK (kind IN ('password', 'token', 'certificate', 'ssh_key')),
    name             text NOT NULL,
    secret_encrypted bytea,
    key_id           integer,
    version          integer NOT NULL DEFAULT 1 CHECK (version > 0),
    state            text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'superseded', 'revoked')),
    expires_at       timestamptz,
    rotated_at       timestamptz,
    last_opened_at   timestamptz,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    UNIQUE (id, organization_id),
    UNIQUE (project_id, name, version),
    FOREIGN KEY (project_id, organization_id) REFERENCES platform.projects (id, organization_id) ON DELETE CASCADE
);

CREATE TABLE IF NOT EXISTS platform.feature_flags (
    id            uuid PRIMARY KEY,
    key           text NOT NULL UNIQUE,
    description   text,
    kind          text NOT NULL DEFAULT 'boolean',
    default_value jsonb NOT NULL DEFAULT 'false',
    rules         jsonb NOT NULL DEFAULT '[]',
    archived_at   timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);

-- One user for one address, however it is spelled.
CREATE UNIQUE INDEX IF NOT EXISTS idx_users_primary_email ON platform.users (lower(primary_email));
CREATE INDEX IF NOT EXISTS idx_user_sessions_user_id ON platform.user_sessions (user_id);
CREATE INDEX IF NOT EXISTS idx_user_sessions_expires_at ON platform.user_sessions (expires_at);
CREATE INDEX IF NOT EXISTS idx_api_keys_organization_id ON platform.api_keys (organization_id);
CREATE INDEX IF NOT EXISTS idx_api_keys_project_id ON platform.api_keys (project_id);
CREATE INDEX IF NOT EXISTS idx_api_keys_user_id ON platform.api_keys (user_id);
CREATE INDEX IF NOT EXISTS idx_api_keys_created_by ON platform.api_keys (created_by);
CREATE INDEX IF NOT EXISTS idx_credentials_organization_id ON platform.credentials (organization_id);

-- What 001 could not point at yet.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = 'organization_members_user_id_fkey'
                   AND conrelid = 'platform.organization_members'::regclass) THEN
        ALTER TABLE platform.organization_members
            ADD CONSTRAINT organization_members_user_id_fkey
            FOREIGN KEY (user_id) REFERENCES platform.users (id) ON DELETE CASCADE;
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = 'organization_members_invited_by_fkey'
                   AND conrelid = 'platform.organization_members'::regclass) THEN
        ALTER TABLE platform.organization_members
            ADD CONSTRAINT organization_members_invited_by_fkey
            FOREIGN KEY (invited_by) REFERENCES platform.users (id) ON DELETE SET NULL;
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = 'organization_invitations_invited_by_fkey'
                   AND conrelid = 'platform.organization_invitations'::regclass) THEN
        ALTER TABLE platform.organization_invitations
            ADD CONSTRAINT organization_invitations_invited_by_fkey
            FOREIGN KEY (invited_by) REFERENCES platform.users (id) ON DELETE SET NULL;
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = 'project_members_user_id_fkey'
                   AND conrelid = 'platform.project_members'::regclass) THEN
        ALTER TABLE platform.project_members
            ADD CONSTRAINT project_members_user_id_fkey
            FOREIGN KEY (user_id) REFERENCES platform.users (id) ON DELETE CASCADE;
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = 'organization_feature_flags_flag_id_fkey'
                   AND conrelid = 'platform.organization_feature_flags'::regclass) THEN
        ALTER TABLE platform.organization_feature_flags
            ADD CONSTRAINT organization_feature_flags_flag_id_fkey
            FOREIGN KEY (flag_id) REFERENCES platform.feature_flags (id) ON DELETE CASCADE;
    END IF;
END
$$;

-- gen_random_uuid() is PostgreSQL's own from 13 on and pgcrypto's before, in whatever schema pgcrypto lives. A default
-- keeps the function it found, not the name.
DO $$
BEGIN
    PERFORM set_config('search_path', 'pg_catalog, ' || quote_ident(n.nspname) || ', pg_temp', true)
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'pgcrypto';
END
$$;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY[
        'organizations', 'organization_members', 'organization_invitations', 'organization_feature_flags',
        'projects', 'project_members', 'project_addons', 'project_metrics',
        'subscriptions', 'invoices', 'payment_methods', 'tax_ids', 'customer_profiles', 'credits',
        'disk_config', 'compute_config', 'addons', 'usage_metrics', 'billing_plans',
        'users', 'user_sessions', 'api_keys', 'credentials', 'feature_flags'
    ] LOOP
        IF NOT EXISTS (
            SELECT 1 FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = 'platform' AND c.relname::text = t AND a.attname = 'id' AND a.atthasdef
        ) THEN
            EXECUTE pg_catalog.format('ALTER TABLE platform.%I ALTER COLUMN id SET DEFAULT gen_random_uuid()', t);
        END IF;
    END LOOP;
END
$$;

SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['users', 'api_keys', 'credentials', 'feature_flags'] LOOP
        IF NOT EXISTS (
            SELECT 1 FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = 'platform' AND c.relname = t AND g.tgname = 'update_' || t || '_updated_at'
        ) THEN
            EXECUTE format(
                'CREATE TRIGGER update_%s_updated_at BEFORE UPDATE ON platform.%I '
                'FOR EACH ROW EXECUTE PROCEDURE platform.update_updated_at_column()', t, t);
        END IF;
    END LOOP;
END
$$;

DO $$
BEGIN
    IF obj_description('platform.users'::regclass, 'pg_class') IS NULL THEN
        COMMENT ON TABLE platform.users IS 'People. What they may do is in organization_members and project_members.';
        COMMENT ON COLUMN platform.users.password_hash IS 'argon2id; NULL for those who sign in elsewhere.';
        COMMENT ON TABLE platform.user_sessions IS 'Who is signed in; only the hash of the token is kept.';
        COMMENT ON COLUMN platform.user_sessions.aal IS 'Authenticator assurance level: 1 password, 2 with a second factor, 3 with hardware.';
        COMMENT ON TABLE platform.api_keys IS 'Keys for programs; shown once, kept as a hash and the last four characters.';
        COMMENT ON COLUMN platform.api_keys.user_id IS 'Whose key it is; NULL for a key of the organization itself.';
        COMMENT ON TABLE platform.credentials IS 'Sealed secrets of a project, one row a version.';
        COMMENT ON COLUMN platform.credentials.secret_encrypted IS 'The sealed envelope; never the secret itself.';
        COMMENT ON TABLE platform.feature_flags IS 'Switches and what they are where nothing else is said.';
    END IF;
END
$$;

COMMIT;
