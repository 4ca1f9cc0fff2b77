-- lancio: risk low
-- lancio: requires server >= 10
-- lancio: requires policy organization_data_keys on platform.data_keys
-- lancio: verify SELECT count(*) = 1 FROM pg_policies WHERE schemaname = 'platform' AND permissive = 'RESTRICTIVE' AND policyname = 'organization_credential_rotations'
-- lancio: verify SELECT count(*) = 1 FROM platform.verify_rls_enabled() WHERE table_name = 'credential_rotations' AND rls_enabled AND policy_count >= 3
--
-- 011: credentials are changed at their source, step by step, and where a change stands is written down.
--
-- platform.credential_rotations has one row for each change of a database's login (lancio db rotate). Its state is what
-- has been reached, and what was killed goes on from there:
--
--     planned      the new secret is drawn and sealed; at the source there may be nothing of it yet
--     made         the source takes the new login
--     proved       the new login was used, at every host that could be reached
--     registered   platform.databases has the new connection string; the old login still works, until keep_until
--     done         the old login is gone
--     abandoned    the new login is gone, and all is as before
--
-- Nothing here is a secret. The connection strings, the old and the new one, are rows of platform.credentials while the
-- rotation lasts, sealed for that column like every other secret there, so that a rotation of keys finds them too.
--
-- Safe to run again: what is there stays as it is.

BEGIN;

-- Nothing is looked for where others may create: a function that fits better than PostgreSQL's own would run with the
-- rights of whoever runs this file.
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
BEGIN
    IF to_regclass('platform.databases') IS NULL THEN
        RAISE EXCEPTION 'relation platform.databases does not exist'
            USING ERRCODE = 'undefined_table', HINT = 'Run 006_add_platform_databases_table.sql first.';
    END IF;
    IF to_regclass('platform_private.replaced') IS NULL THEN
        RAISE EXCEPTION 'organizations are not isolated'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Run 007_isolate_organizations.sql first.';
    END IF;
    IF to_regclass('platform.data_keys') IS NULL THEN
        RAISE EXCEPTION 'table platform.data_keys does not exist'
            USING ERRCODE = 'undefined_table', HINT = 'Run 008_seal_with_organization_keys.sql first.';
    END IF;
    IF NOT pg_has_role('lancio_owner', 'USAGE') THEN
        GRANT lancio_owner TO CURRENT_USER;
    END IF;
END
$$;

-- The database and the two secrets are named without foreign keys: a key would tell whether another organization's row is
-- there. They are looked up as everything is, behind the policies, and one that is gone is not found.
CREATE TABLE IF NOT EXISTS platform.credential_rotations (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES platform.organizations (id) ON DELETE CASCADE,
    project_id      uuid NOT NULL,
    database_id     uuid NOT NULL,
    database_name   text NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('postgresql', 'redis')),
    way             text NOT NULL CHECK (way IN ('two-logins', 'same-login')),
    state           text NOT NULL DEFAULT 'planned'
                    CHECK (state IN ('planned', 'made', 'proved', 'registered', 'done', 'abandoned')),
    old_login       text NOT NULL,
    new_login       text NOT NULL,
    old_id          uuid,
    candidate_id    uuid,
    keep_seconds    bigint CHECK (keep_seconds >= 0),
    keep_until      timestamptz,
    failure         text,
    failed_at       timestamptz,
    notes           jsonb NOT NULL DEFAULT '[]',
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    finished_at     timestamptz,
    CONSTRAINT credential_rotations_finished_check
        CHECK ((state IN ('done', 'abandoned')) = (finished_at IS NOT NULL)),
    CONSTRAINT credential_rotations_secrets_check
        CHECK ((state IN ('done', 'abandoned')) = (old_id IS NULL AND candidate_id IS NULL)),
    CONSTRAINT credential_rotations_failure_check CHECK ((failure IS NULL) = (failed_at IS NULL)),
    FOREIGN KEY (project_id, organization_id) REFERENCES platform.projects (id, organization_id) ON DELETE CASCADE
);

ALTER TABLE platform.credential_rotations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE INDEX IF NOT EXISTS idx_credential_rotations_organization_id
    ON platform.credential_rotations (organization_id, created_at DESC);
-- One at a time for a database. The organization comes first: nobody can stand in another's way.
CREATE UNIQUE INDEX IF NOT EXISTS idx_credential_rotations_unfinished
    ON platform.credential_rotations (organization_id, database_id) WHERE state NOT IN ('done', 'abandoned');

DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = 'platform' AND tablename = 'credential_rotations' AND tableowner = 'lancio_owner') THEN
        ALTER TABLE platform.credential_rotations OWNER TO lancio_owner;
        GRANT SELECT, INSERT, UPDATE ON platform.credential_rotations TO lancio_service;
        GRANT SELECT ON platform.credential_rotations TO lancio_application, lancio_readonly;
        -- The broker, which alone opens secrets, rotates them: it keeps the two strings, and throws them away.
        GRANT INSERT, DELETE ON platform.credentials TO lancio_service;
        COMMENT ON TABLE platform.credential_rotations IS 'Changes of databases'' logins at their source, and how far each is. No secret is in it.';
        COMMENT ON COLUMN platform.credential_rotations.old_id IS 'The row of platform.credentials with the connection string from before; NULL once the rotation is over.';
        COMMENT ON COLUMN platform.credential_rotations.candidate_id IS 'The row of platform.credentials with the new connection string; NULL once the rotation is over.';
        COMMENT ON COLUMN platform.credential_rotations.keep_seconds IS 'How long the old login is to work once the new one is registered; NULL until it is said.';
        COMMENT ON COLUMN platform.credential_rotations.keep_until IS 'Until when it works; infinity until it is said. NULL before the new one is registered.';
        COMMENT ON COLUMN platform.credential_rotations.failure IS 'The code of what stopped the last attempt; NULL where it went well.';
        COMMENT ON COLUMN platform.credential_rotations.notes IS 'What whoever ran it was told, as sentences.';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'credential_rotations' AND policyname = 'permissive_all_credential_rotations') THEN
        CREATE POLICY permissive_all_credential_rotations ON platform.credential_rotations FOR ALL
            TO lancio_application, lancio_service, lancio_readonly USING (true) WITH CHECK (true);
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'credential_rotations' AND policyname = 'organization_credential_rotations') THEN
        CREATE POLICY organization_credential_rotations ON platform.credential_rotations AS RESTRICTIVE
            FOR ALL TO lancio_application, lancio_service, lancio_readonly
            USING (organization_id = (SELECT platform.current_organization_id()))
            WITH CHECK (organization_id = (SELECT platform.current_organization_id()));
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'credential_rotations' AND policyname = 'owner_credential_rotations') THEN
        CREATE POLICY owner_credential_rotations ON platform.credential_rotations FOR ALL TO lancio_owner
            USING (organization_id >= (SELECT platform_private.first_organization_id())
                   AND organization_id <= (SELECT platform_private.last_organization_id()));
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'update_credential_rotations_updated_at' AND tgrelid = 'platform.credential_rotations'::regclass) THEN
        CREATE TRIGGER update_credential_rotations_updated_at BEFORE UPDATE ON platform.credential_rotations
            FOR EACH ROW EXECUTE PROCEDURE platform.update_updated_at_column();
    END IF;
END
$$;

COMMIT;
