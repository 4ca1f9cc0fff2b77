-- lancio: duration 2s
-- lancio: risk low
--
-- 001: the platform schema, organizations and projects.
--
-- Everything else hangs on these tables. No extension is used here: keys get their default in 003, where pgcrypto
-- comes in, and foreign keys onto tables of 002 and 003 are added there.
--
-- Every table of a tenant has organization_id and UNIQUE (id, organization_id), so that a row which names a parent can
-- name the parent's organization with it: a row of one organization cannot point at another's project.
--
-- Safe to run again: what is there stays as it is, also where a later file has changed it.

BEGIN;

-- Nothing is looked for where others may create: a function that fits better than PostgreSQL's own would run with the
-- rights of whoever runs this file.
SET LOCAL search_path = pg_catalog, pg_temp;

CREATE SCHEMA IF NOT EXISTS platform;

DO $$
BEGIN
    IF to_regprocedure('platform.update_updated_at_column()') IS NULL THEN
        CREATE FUNCTION platform.update_updated_at_column() RETURNS trigger
            LANGUAGE plpgsql
            SET search_path = pg_catalog, pg_temp
        AS $body$
        BEGIN
            NEW.updated_at := now();
            RETURN NEW;
        END
        $body$;
        COMMENT ON FUNCTION platform.update_updated_at_column() IS
            'Trigger: sets updated_at to the time of the transaction that changes the row.';
    ELSE
        RAISE NOTICE 'function platform.update_updated_at_column() exists and is left as it is';
    END IF;
END
$$;

CREATE TABLE IF NOT EXISTS platform.organizations (
    id                    uuid PRIMARY KEY,
    slug                  text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]([a-z0-9-]*[a-z0-9])?$'),
    name                  text NOT NULL,
    kind                  text,
    size                  text,
    billing_email         text,
    plan_id               uuid,
    stripe_customer_id    text UNIQUE,
    usage_billing_enabled boolean NOT NULL DEFAULT false,
    requires_mfa          boolean NOT NULL DEFAULT false,
    opt_in_tags           text[] NOT NULL DEFAULT '{}',
    restriction_status    text CHECK (restriction_status IN ('grace_period', 'grace_period_over', 'restricted')),
    restriction_data      jsonb,
    deleted_at            timestamptz,
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS platform.projects (
    id                uuid PRIMARY KEY,
    organization_id   uuid NOT NULL REFERENCES platform.organizations (id) ON DELETE CASCADE,
    slug              text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]([a-z0-9-]*[a-z0-9])?$'),
    ref               text UNIQUE CHECK (ref ~ '^[a-z]{20}$'),
    name              text NOT NULL,
    region            text,
    cloud_provider    text,
    status            text NOT NULL DEFAULT 'UNKNOWN' CHECK (status IN (
                          'INACTIVE', 'COMING_UP', 'ACTIVE_HEALTHY', 'ACTIVE_UNHEALTHY', 'PAUSING', 'PAUSE_FAILED',
                          'RESTORING', 'RESTORE_FAILED', 'UPGRADING', 'RESIZING', 'GOING_DOWN', 'REMOVED',
                          'INIT_FAILED', 'UNKNOWN')),
    parent_project_id uuid,
    is_branch         boolean NOT NULL DEFAULT false,
    is_sensitive      boolean NOT NULL DEFAULT false,
    deleted_at        timestamptz,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    UNIQUE (id, organization_id),
    -- A branch lives in the organization of the project it was made from.
    FOREIGN KEY (parent_project_id, organization_id) REFERENCES platform.projects (id, organization_id)
);

CREATE TABLE IF NOT EXISTS platform.organization_members (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES platform.organizations (id) ON DELETE CASCADE,
    user_id         uuid NOT NULL,
    role            text NOT NULL DEFAULT 'developer'
                    CHECK (role IN ('owner', 'admin', 'developer', 'billing', 'read_only')),
    project_ids     uuid[],
    invited_by      uuid,
    mfa_enabled_at  timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (id, organization_id),
    UNIQUE (organization_id, user_id)
);

CREATE TABLE IF NOT EXISTS platform.organization_invitations (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES platform.organizations (id) ON DELETE CASCADE,
    email           text NOT NULL CHECK (email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
    role            text NOT NULL DEFAULT 'developer'
                    CHECK (role IN ('owner', 'admin', 'developer', 'billing', 'read_only')),
    project_ids     uuid[],
    token_hash      bytea NOT NULL UNIQUE,
    invited_by      uuid,
    invited_at      timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz NOT NULL,
    accepted_at     timestamptz,
    revoked_at      timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (id, organization_id)
);

CREATE TABLE IF NOT EXISTS platform.organization_feature_flags (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES platform.organizations (id) ON DELETE CASCADE,
    flag_id         uuid NOT NULL,
    enabled         boolean NOT NULL DEFAULT false,
    value           jsonb,
    reason          text,
    expires_at      timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (id, organization_id),
    UNIQUE (organization_id, flag_id)
);

CREATE TABLE IF NOT EXISTS platform.project_members (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES platform.organizations (id) ON DELETE CASCADE,
    project_id      uuid NOT NULL,
    user_id         uuid NOT NULL,
    role            text NOT NULL DEFAULT 'developer'
                    CHECK (role IN ('owner', 'admin', 'developer', 'billing', 'read_only')),
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (id, organization_id),
    UNIQUE (project_id, user_id),
    FOREIGN KEY (project_id, organization_id) REFERENCES platform.projects (id, organization_id) ON DELETE CASCADE
);

CREATE TABLE IF NOT EXISTS platform.project_addons (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES platform.organizations (id) ON DELETE CASCADE,
    project_id      uuid NOT NULL,
    addon_id        uuid NOT NULL,
    variant         text,
    quantity        integer NOT NULL DEFAULT 1 CHECK (quantity > 0),
    price_minor     bigint,
    price_interval  text CHECK (price_interval IN ('monthly', 'hourly')),
    started_at      timestamptz NOT NULL DEFAULT now(),
    ended_at        timestamptz,
    meta            jsonb NOT NULL DEFAULT '{}',
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (id, organization_id),
    FOREIGN KEY (project_id, organization_id) REFERENCES platform.projects (id, organization_id) ON DELETE CASCADE
);

CREATE TABLE IF NOT EXISTS platform.project_metrics (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES platform.organizations (id) ON DELETE CASCADE,
    project_id      uuid NOT NULL,
    metric          text NOT NULL,
    period_start    timestamptz NOT NULL,
    period          interval NOT NULL,
    value           numeric NOT NULL,
    unit            text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (id, organization_id),
    UNIQUE (project_id, metric, period_start, period),
    FOREIGN KEY (project_id, organization_id) REFERENCES platform.projects (id, organization_id) ON DELETE CASCADE
);

CREATE INDEX IF NOT EXISTS idx_organizations_plan_id ON platform.organizations (plan_id);
CREATE INDEX IF NOT EXISTS idx_projects_organization_id ON platform.projects (organization_id);
CREATE INDEX IF NOT EXISTS idx_projects_parent_project_id ON platform.projects (parent_project_id);
CREATE INDEX IF NOT EXISTS idx_organization_members_user_id ON platform.organization_members (user_id);
-- One open invitation for one address, however it is spelled.
CREATE UNIQUE INDEX IF NOT EXISTS idx_organization_invitations_open
    ON platform.organization_invitations (organization_id, lower(email))
    WHERE accepted_at IS NULL AND revoked_at IS NULL;
CREATE INDEX IF NOT EXISTS idx_organization_feature_flags_flag_id ON platform.organization_feature_flags (flag_id);
CREATE INDEX IF NOT EXISTS idx_project_members_organization_id ON platform.project_members (organization_id);
CREATE INDEX IF NOT EXISTS idx_project_members_user_id ON platform.project_members (user_id);
CREATE INDEX IF NOT EXISTS idx_project_addons_organization_id ON platform.project_addons (organization_id);
CREATE INDEX IF NOT EXISTS idx_project_addons_project_id ON platform.project_addons (project_id);
CREATE INDEX IF NOT EXISTS idx_project_addons_addon_id ON platform.project_addons (addon_id);
CREATE INDEX IF NOT EXISTS idx_project_metrics_organization_id ON platform.project_metrics (organization_id, period_start);

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY[
        'organizations', 'organization_members', 'organization_invitations', 'organization_feature_flags',
        'projects', 'project_members', 'project_addons'
    ] LOOP
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
    IF obj_description('platform.organizations'::regclass, 'pg_class') IS NULL THEN
        COMMENT ON TABLE platform.organizations IS 'Who owns projects and pays for them.';
        COMMENT ON COLUMN platform.organizations.plan_id IS 'The billing plan; its foreign key comes with 002.';
        COMMENT ON COLUMN platform.organizations.deleted_at IS 'Set when the organization was closed; the row stays for the books.';
        COMMENT ON TABLE platform.projects IS 'One application and the databases it uses.';
        COMMENT ON COLUMN platform.projects.slug IS 'Its readable name in addresses, one in the whole platform.';
        COMMENT ON COLUMN platform.projects.ref IS 'Twenty letters that never change, for addresses that outlive a renaming.';
        COMMENT ON COLUMN platform.projects.parent_project_id IS 'For a branch: the project it was made from.';
        COMMENT ON TABLE platform.organization_members IS 'Which user belongs to which organization, and as what.';
        COMMENT ON COLUMN platform.organization_members.project_ids IS 'The projects the membership is limited to; NULL is all of them.';
        COMMENT ON TABLE platform.organization_invitations IS 'Invitations by mail; only the hash of the token is kept.';
        COMMENT ON TABLE platform.organization_feature_flags IS 'What a feature flag is for one organization.';
        COMMENT ON TABLE platform.project_members IS 'A role in one project, beside the one in its organization.';
        COMMENT ON TABLE platform.project_addons IS 'Add-ons a project has booked, at the price of that day.';
        COMMENT ON TABLE platform.project_metrics IS 'Measured values of a project, one row for each metric and period.';
    END IF;
END
$$;

COMMIT;
