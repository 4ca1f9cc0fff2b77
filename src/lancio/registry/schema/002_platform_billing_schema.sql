-- lancio: duration 2s
-- lancio: risk low
--
-- 002: plans, subscriptions, invoices and usage.
--
-- Money is a whole number of the currency's smallest unit (cents) beside its ISO 4217 code. Card numbers never come
-- here: a payment method is the provider's own identifier and what may be shown of it.
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
    IF to_regclass('platform.project_addons') IS NULL THEN
        RAISE EXCEPTION 'table platform.project_addons does not exist'
            USING ERRCODE = 'undefined_table', HINT = 'Run 001_create_platform_schema.sql first.';
    END IF;
    IF to_regprocedure('platform.update_updated_at_column()') IS NULL THEN
        RAISE EXCEPTION 'function platform.update_updated_at_column() does not exist'
            USING ERRCODE = 'undefined_function', HINT = 'Run 001_create_platform_schema.sql first.';
    END IF;
END
$$;

CREATE TABLE IF NOT EXISTS platform.billing_plans (
    id               uuid PRIMARY KEY,
    code             text NOT NULL UNIQUE,
    name             text NOT NULL,
    price_minor      bigint NOT NULL DEFAULT 0 CHECK (price_minor >= 0),
    currency         text NOT NULL DEFAULT 'USD' CHECK (currency ~ '^[A-Z]{3}$'),
    billing_interval text NOT NULL DEFAULT 'monthly' CHECK (billing_interval IN ('monthly', 'yearly')),
    limits           jsonb NOT NULL DEFAULT '{}',
    features         jsonb NOT NULL DEFAULT '{}',
    is_public        boolean NOT NULL DEFAULT true,
    valid_from       timestamptz,
    valid_to         timestamptz,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS platform.addons (
    id                uuid PRIMARY KEY,
    type              text NOT NULL,
    variant           text NOT NULL,
    name              text NOT NULL,
    price_minor       bigint NOT NULL DEFAULT 0 CHECK (price_minor >= 0),
    currency          text NOT NULL DEFAULT 'USD' CHECK (currency ~ '^[A-Z]{3}$'),
    price_type        text NOT NULL DEFAULT 'fixed' CHECK (price_type IN ('fixed', 'usage')),
    price_interval    text NOT NULL DEFAULT 'monthly' CHECK (price_interval IN ('monthly', 'hourly')),
    price_description text,
    available_in      text[] NOT NULL DEFAULT '{}',
    meta              jsonb NOT NULL DEFAULT '{}',
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    UNIQUE (type, variant)
);

CREATE TABLE IF NOT EXISTS platform.subscriptions (
    id                     uuid PRIMARY KEY,
    organization_id        uuid NOT NULL REFERENCES platform.organizations (id) ON DELETE CASCADE,
    plan_id                uuid NOT NULL REFERENCES platform.billing_plans (id),
    status                 text NOT NULL DEFAULT 'active'
                           CHECK (status IN ('trialing', 'active', 'past_due', 'paused', 'canceled', 'unpaid')),
    billing_cycle_anchor   timestamptz,
    current_period_start   timestamptz,
    current_period_end     timestamptz,
    next_invoice_at        timestamptz,
    customer_balance_minor bigint NOT NULL DEFAULT 0,
    payment_method_type    text,
    billing_partner        text,
    billing_via_partner    boolean NOT NULL DEFAULT false,
    scheduled_change       jsonb,
    cancel_at              timestamptz,
    stripe_subscription_id text UNIQUE,
    created_at             timestamptz NOT NULL DEFAULT now(),
    updated_at             timestamptz NOT NULL DEFAULT now(),
    UNIQUE (id, organization_id)
);

CREATE TABLE IF NOT EXISTS platform.invoices (
    id                uuid PRIMARY KEY,
    organization_id   uuid NOT NULL REFERENCES platform.organizations (id) ON DELETE CASCADE,
    subscription_id   uuid,
    number            text NOT NULL UNIQUE,
    status            text NOT NULL DEFAULT 'draft'
                      CHECK (status IN ('draft', 'open', 'paid', 'void', 'uncollectible')),
    period_start      timestamptz,
    period_end        timestamptz,
    subtotal_minor    bigint NOT NULL DEFAULT 0,
    tax_minor         bigint NOT NULL DEFAULT 0,
    amount_due_minor  bigint NOT NULL DEFAULT 0,
    currency          text NOT NULL DEFAULT 'USD' CHECK (currency ~ '^[A-Z]{3}$'),
    payment_attempted boolean NOT NULL DEFAULT false,
    pdf_url           text,
    lines             jsonb NOT NULL DEFAULT '[]',
    stripe_invoice_id text UNIQUE,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    UNIQUE (id, organization_id),
    FOREIGN KEY (subscription_id, organization_id) REFERENCES platform.subscriptions (id, organization_id)
);

CREATE TABLE IF NOT EXISTS platform.payment_methods (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES platform.organizations (id) ON DELETE CASCADE,
    provider_id     text NOT NULL UNIQUE,
    type            text NOT NULL,
    brand           text,
    last4           text CHECK (last4 ~ '^[0-9]{4}$'),
    exp_month       integer CHECK (exp_month BETWEEN 1 AND 12),
    exp_year        integer,
    is_default      boolean NOT NULL DEFAULT false,
    has_address     boolean NOT NULL DEFAULT false,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (id, organization_id)
);

CREATE TABLE IF NOT EXISTS platform.tax_ids (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES platform.organizations (id) ON DELETE CASCADE,
    country         text NOT NULL CHECK (country ~ '^[A-Z]{2}$'),
    type            text NOT NULL,
    value           text NOT NULL,
    verified_at     timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (id, organization_id),
    UNIQUE (organization_id, type, value)
);

CREATE TABLE IF NOT EXISTS platform.customer_profiles (
    id                uuid PRIMARY KEY,
    organization_id   uuid NOT NULL UNIQUE REFERENCES platform.organizations (id) ON DELETE CASCADE,
    billing_name      text,
    email             text,
    additional_emails text[] NOT NULL DEFAULT '{}',
    address           jsonb,
    balance_minor     bigint NOT NULL DEFAULT 0,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    UNIQUE (id, organization_id)
);

CREATE TABLE IF NOT EXISTS platform.credits (
    id                uuid PRIMARY KEY,
    organization_id   uuid NOT NULL REFERENCES platform.organizations (id) ON DELETE CASCADE,
    amount_minor      bigint NOT NULL,
    remaining_minor   bigint NOT NULL,
    currency          text NOT NULL DEFAULT 'USD' CHECK (currency ~ '^[A-Z]{3}$'),
    source            text NOT NULL CHECK (source IN ('topup', 'promo', 'refund')),
    payment_intent_id text UNIQUE,
    expires_at        timestamptz,
    note              text,
    created_at        timestamptz NOT NULL DEFAULT now(),
    UNIQUE (id, organization_id)
);

CREATE TABLE IF NOT EXISTS platform.disk_config (
    id                uuid PRIMARY KEY,
    organization_id   uuid NOT NULL REFERENCES platform.organizations (id) ON DELETE CASCADE,
    project_id        uuid NOT NULL UNIQUE,
    type              text NOT NULL DEFAULT 'gp3' CHECK (type IN ('gp3', 'io2')),
    size_gb           integer NOT NULL CHECK (size_gb > 0),
    iops              integer CHECK (iops > 0),
    throughput_mbps   integer CHECK (throughput_mbps > 0),
    growth_percent    integer CHECK (growth_percent > 0),
    min_increment_gb  integer CHECK (min_increment_gb > 0),
    max_size_gb       integer CHECK (max_size_gb > 0),
    requested         jsonb,
    last_modified_at  timestamptz,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    UNIQUE (id, organization_id),
    FOREIGN KEY (project_id, organization_id) REFERENCES platform.projects (id, organization_id) ON DELETE CASCADE
);

CREATE TABLE IF NOT EXISTS platform.compute_config (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES platform.organizations (id) ON DELETE CASCADE,
    project_id      uuid NOT NULL UNIQUE,
    instance_size   text NOT NULL,
    cpu_millicores  integer CHECK (cpu_millicores > 0),
    memory_mb       integer CHECK (memory_mb > 0),
    requested_size  text,
    effective_at    timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (id, organization_id),
    FOREIGN KEY (project_id, organization_id) REFERENCES platform.projects (id, organization_id) ON DELETE CASCADE
);

CREATE TABLE IF NOT EXISTS platform.usage_metrics (
    id                uuid PRIMARY KEY,
    organization_id   uuid NOT NULL REFERENCES platform.organizations (id) ON DELETE CASCADE,
    project_id        uuid,
    metric            text NOT NULL,
    period_start      timestamptz NOT NULL,
    usage             numeric NOT NULL DEFAULT 0,
    usage_original    numeric NOT NULL DEFAULT 0,
    free_units        numeric NOT NULL DEFAULT 0,
    unit_price        numeric NOT NULL DEFAULT 0,
    pricing_strategy  text NOT NULL DEFAULT 'NONE' CHECK (pricing_strategy IN ('UNIT', 'PACKAGE', 'TIERED', 'NONE')),
    cost_minor        bigint NOT NULL DEFAULT 0,
    capped            boolean NOT NULL DEFAULT false,
    unlimited         boolean NOT NULL DEFAULT false,
    available_in_plan boolean NOT NULL DEFAULT true,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    UNIQUE (id, organization_id),
    FOREIGN KEY (project_id, organization_id) REFERENCES platform.projects (id, organization_id) ON DELETE CASCADE
);

CREATE INDEX IF NOT EXISTS idx_subscriptions_organization_id ON platform.subscriptions (organization_id);
CREATE INDEX IF NOT EXISTS idx_subscriptions_plan_id ON platform.subscriptions (plan_id);
CREATE INDEX IF NOT EXISTS idx_invoices_organization_id ON platform.invoices (organization_id, created_at DESC);
CREATE INDEX IF NOT EXISTS idx_invoices_subscription_id ON platform.invoices (subscription_id);
CREATE INDEX IF NOT EXISTS idx_payment_methods_organization_id ON platform.payment_methods (organization_id);
CREATE UNIQUE INDEX IF NOT EXISTS idx_payment_methods_default ON platform.payment_methods (organization_id) WHERE is_default;
CREATE INDEX IF NOT EXISTS idx_credits_organization_id ON platform.credits (organization_id, created_at DESC);
CREATE INDEX IF NOT EXISTS idx_disk_config_organization_id ON platform.disk_config (organization_id);
CREATE INDEX IF NOT EXISTS idx_compute_config_organization_id ON platform.compute_config (organization_id);
-- A project of NULL is the organization's own usage; NULLs are distinct in a unique key, so it has a key of its own.
CREATE UNIQUE INDEX IF NOT EXISTS idx_usage_metrics_project
    ON platform.usage_metrics (organization_id, project_id, metric, period_start) WHERE project_id IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS idx_usage_metrics_organization
    ON platform.usage_metrics (organization_id, metric, period_start) WHERE project_id IS NULL;
CREATE INDEX IF NOT EXISTS idx_usage_metrics_project_id ON platform.usage_metrics (project_id);

-- What 001 could not point at yet.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = 'organizations_plan_id_fkey'
                   AND conrelid = 'platform.organizations'::regclass) THEN
        ALTER TABLE platform.organizations
            ADD CONSTRAINT organizations_plan_id_fkey FOREIGN KEY (plan_id) REFERENCES platform.billing_plans (id);
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = 'project_addons_addon_id_fkey'
                   AND conrelid = 'platform.project_addons'::regclass) THEN
        ALTER TABLE platform.project_addons
            ADD CONSTRAINT project_addons_addon_id_fkey FOREIGN KEY (addon_id) REFERENCES platform.addons (id);
    END IF;
END
$$;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY[
        'billing_plans', 'addons', 'subscriptions', 'invoices', 'payment_methods', 'tax_ids', 'customer_profiles',
        'disk_config', 'compute_config', 'usage_metrics'
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
    IF obj_description('platform.billing_plans'::regclass, 'pg_class') IS NULL THEN
        COMMENT ON TABLE platform.billing_plans IS 'What can be subscribed to. Belongs to no organization.';
        COMMENT ON TABLE platform.addons IS 'What can be booked for a project beside its plan. Belongs to no organization.';
        COMMENT ON TABLE platform.subscriptions IS 'Which plan an organization has, since when and until when.';
        COMMENT ON COLUMN platform.subscriptions.scheduled_change IS 'The plan that follows, and the day it begins.';
        COMMENT ON TABLE platform.invoices IS 'What an organization owes or has paid for a period.';
        COMMENT ON TABLE platform.payment_methods IS 'The payment provider''s identifier and what may be shown of it; never a card number.';
        COMMENT ON TABLE platform.tax_ids IS 'Tax numbers for invoices.';
        COMMENT ON TABLE platform.customer_profiles IS 'Whom invoices are addressed to.';
        COMMENT ON TABLE platform.credits IS 'Prepaid amounts, a ledger: rows are added, never changed but for what remains.';
        COMMENT ON TABLE platform.disk_config IS 'The disk of a project, and what it may grow to.';
        COMMENT ON TABLE platform.compute_config IS 'The machine of a project.';
        COMMENT ON TABLE platform.usage_metrics IS 'What was used in a period and what it costs; project_id NULL is the organization''s own.';
    END IF;
END
$$;

COMMIT;
