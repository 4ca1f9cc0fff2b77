-- lancio: impact every change of the platform's tables leaves an entry in platform.audit_logs, and entries are no longer changed, not even by their owner
-- lancio: risk high
-- lancio: requires server >= 10
-- lancio: requires policy organization_audit_logs on platform.audit_logs
-- lancio: requires table platform.data_keys
-- lancio: verify SELECT count(*) = 2 FROM platform.verify_rls_enabled() WHERE table_name IN ('audit_seals', 'audit_rounds') AND rls_enabled AND policy_count >= 3
-- lancio: verify SELECT count(*) >= 69 FROM pg_trigger WHERE tgfoid = to_regprocedure('platform_private.write_change()')::oid
--
-- 010: every change leaves an entry, and an entry that is changed, removed or slipped in is named.
--
-- An entry gets a number, seq, as it is written, and nothing about it changes from then on: it names its organization and its
-- project without pointing at them, so that it outlives both. UPDATE, DELETE and TRUNCATE are refused to everyone, but to
-- platform.prune_audit_round(), which takes away what a sealed record has said before.
--
-- Writers wait for nobody: a sealer (lancio audit seal) goes over what is committed. It reads the last number, then takes a
-- transaction id; who drew a number up to that one had its own id before, so when every older transaction is over, no
-- entry can appear below that number any more. What lies between two such numbers is a round:
--
--     platform.audit_rounds   one a round: its numbers, how many entries, a hash over its seals, linked to the round before
--     platform.audit_seals    one for each organization in a round: id and SHA-256 of each entry, linked to its seal before
--
-- Both bear a MAC under the key-encryption key, which never comes here: whoever owns this database can change them, and
-- cannot make them anew.
--
-- What is written to the platform's tables past a program leaves an entry too: a trigger looks at the end of the transaction
-- whether there is one of the same target, and writes it where there is none. It shows the columns that it names, of others
-- only that they changed, and no secret. (SET CONSTRAINTS ALL IMMEDIATE lets it look at once, as ALTER TABLE asks for after
-- a change of rows in the same transaction.)
--
-- Safe to run again: what is there stays as it is, also where a later file has changed it.

BEGIN;

-- Nothing is looked for where others may create: a function that fits better than PostgreSQL's own would run with the
-- rights of whoever runs this file.
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'pgcrypto') THEN
        RAISE EXCEPTION 'extension pgcrypto does not exist'
            USING ERRCODE = 'undefined_object', HINT = 'Run 003_user_management_and_permissions.sql first.';
    END IF;
    IF to_regclass('platform.audit_logs') IS NULL THEN
        RAISE EXCEPTION 'table platform.audit_logs does not exist'
            USING ERRCODE = 'undefined_table', HINT = 'Run 005_create_audit_logs.sql first.';
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

-- Without a cache: a session that keeps numbers for later would write below one that is sealed.
CREATE SEQUENCE IF NOT EXISTS platform_private.audit_numbers AS bigint CACHE 1;

-- The transaction id below which all have to be over before entries up to seq are sealed: one row, while it is waited for.
CREATE TABLE IF NOT EXISTS platform_private.audit_mark (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    seq  bigint NOT NULL,
    xact bigint NOT NULL
);

CREATE TABLE IF NOT EXISTS platform.audit_rounds (
    number     bigint PRIMARY KEY CHECK (number > 0),
    kind       text NOT NULL CHECK (kind IN ('seal', 'prune')),
    after_seq  bigint NOT NULL,
    upto_seq   bigint NOT NULL,
    entries    bigint NOT NULL,
    seals      integer NOT NULL,
    newest     bigint NOT NULL,
    through    bigint NOT NULL DEFAULT 0,
    root       bytea NOT NULL CHECK (octet_length(root) = 32),
    sealed_at  bigint NOT NULL,
    previous   bytea NOT NULL CHECK (octet_length(previous) = 32),
    chain      bytea NOT NULL CHECK (octet_length(chain) = 32),
    kek_id     text NOT NULL,
    mac        bytea NOT NULL CHECK (octet_length(mac) = 32)
);

CREATE TABLE IF NOT EXISTS platform.audit_seals (
    organization_id uuid NOT NULL,
    number          bigint NOT NULL CHECK (number > 0),
    round           bigint NOT NULL,
    first_seq       bigint NOT NULL,
    last_seq        bigint NOT NULL,
    entries         integer NOT NULL CHECK (entries > 0),
    leaves          bytea NOT NULL,
    previous        bytea NOT NULL CHECK (octet_length(previous) = 32),
    chain           bytea NOT NULL CHECK (octet_length(chain) = 32),
    kek_id          text NOT NULL,
    mac             bytea NOT NULL CHECK (octet_length(mac) = 32),
    PRIMARY KEY (organization_id, number)
);

ALTER TABLE platform.audit_rounds ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE platform.audit_seals ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE INDEX IF NOT EXISTS idx_audit_rounds_through ON platform.audit_rounds (through) WHERE kind = 'prune';
CREATE UNIQUE INDEX IF NOT EXISTS idx_audit_seals_round ON platform.audit_seals (round, organization_id);

DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = 'platform' AND tablename = 'audit_rounds' AND tableowner = 'lancio_owner') THEN
        ALTER SEQUENCE platform_private.audit_numbers OWNER TO lancio_owner;
        ALTER TABLE platform_private.audit_mark OWNER TO lancio_owner;
        ALTER TABLE platform.audit_rounds OWNER TO lancio_owner;
        ALTER TABLE platform.audit_seals OWNER TO lancio_owner;
        -- Hashes do not get smaller by compression.
        ALTER TABLE platform.audit_seals ALTER COLUMN leaves SET STORAGE EXTERNAL;
        GRANT SELECT ON platform.audit_seals TO lancio_application, lancio_service, lancio_readonly;
        COMMENT ON TABLE platform.audit_rounds IS 'What the sealer has sealed at one time, and what was pruned; each linked to the one before.';
        COMMENT ON COLUMN platform.audit_rounds.kind IS 'seal: entries were sealed; prune: the rounds up to through are taken away.';
        COMMENT ON COLUMN platform.audit_rounds.newest IS 'When the newest of its entries was written, in microseconds since 1970.';
        COMMENT ON COLUMN platform.audit_rounds.root IS 'SHA-256 over the chain of each of its seals, by organization.';
        COMMENT ON COLUMN platform.audit_rounds.chain IS 'SHA-256 over what stands in this row, the chain of the round before included.';
        COMMENT ON COLUMN platform.audit_rounds.mac IS 'HMAC-SHA-256 of chain under the key-encryption key, which is not here.';
        COMMENT ON TABLE platform.audit_seals IS 'What an organization''s entries were when they were sealed.';
        COMMENT ON COLUMN platform.audit_seals.organization_id IS 'Zero for the platform''s own. No foreign key: it outlives the organization.';
        COMMENT ON COLUMN platform.audit_seals.leaves IS 'For each entry by number: its id, 16 bytes, and its SHA-256, 32 bytes.';
        COMMENT ON COLUMN platform.audit_seals.chain IS 'SHA-256 over what stands in this row, the chain of the organization''s seal before included.';
    END IF;
END
$$;

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['audit_rounds', 'audit_seals'] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = t AND policyname = 'permissive_all_' || t) THEN
            EXECUTE format('CREATE POLICY permissive_all_%s ON platform.%I FOR ALL '
                           'TO lancio_application, lancio_service, lancio_readonly USING (true) WITH CHECK (true)', t, t);
        END IF;
    END LOOP;
    IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'audit_rounds' AND policyname = 'organization_audit_rounds') THEN
        CREATE POLICY organization_audit_rounds ON platform.audit_rounds AS RESTRICTIVE
            FOR ALL TO lancio_application, lancio_service, lancio_readonly USING (false) WITH CHECK (false);
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'audit_seals' AND policyname = 'organization_audit_seals') THEN
        CREATE POLICY organization_audit_seals ON platform.audit_seals AS RESTRICTIVE
            FOR ALL TO lancio_application, lancio_service, lancio_readonly
            USING (organization_id = (SELECT platform.current_organization_id()))
            WITH CHECK (organization_id = (SELECT platform.current_organization_id()));
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'audit_rounds' AND policyname = 'owner_audit_rounds') THEN
        CREATE POLICY owner_audit_rounds ON platform.audit_rounds FOR ALL TO lancio_owner USING (true);
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'audit_seals' AND policyname = 'owner_audit_seals') THEN
        CREATE POLICY owner_audit_seals ON platform.audit_seals FOR ALL TO lancio_owner
            USING (organization_id >= (SELECT platform_private.first_organization_id())
                   AND organization_id <= (SELECT platform_private.last_organization_id()));
    END IF;
    -- A change is written down for whatever organization it was made, and for none; and at the end of a transaction its own
    -- entries are seen.
    IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'audit_logs' AND policyname = 'owner_writes_audit_logs') THEN
        CREATE POLICY owner_writes_audit_logs ON platform.audit_logs FOR INSERT TO lancio_owner WITH CHECK (true);
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'audit_logs' AND policyname = 'owner_looks_audit_logs') THEN
        CREATE POLICY owner_looks_audit_logs ON platform.audit_logs FOR SELECT TO lancio_owner USING (created_at = now());
    END IF;
END
$$;

-- An entry does not change when its organization or project goes: what an earlier text of 005 and 007 made goes.
ALTER TABLE platform.audit_logs DROP CONSTRAINT IF EXISTS audit_logs_organization_id_fkey,
    DROP CONSTRAINT IF EXISTS audit_logs_project_id_fkey,
    DROP CONSTRAINT IF EXISTS audit_logs_project_id_organization_id_fkey;

-- The numbers, for the entries that are there in the order of their time.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = 'platform.audit_logs'::regclass AND attname = 'seq' AND NOT attisdropped) THEN
        PERFORM set_config('row_security', 'off', true);  -- an error rather than a part of the rows
        ALTER TABLE platform.audit_logs ADD COLUMN seq bigint;
        UPDATE platform.audit_logs a SET seq = n.seq
        FROM (SELECT id, row_number() OVER (ORDER BY created_at, occurred_at, id) AS seq FROM platform.audit_logs) n
        WHERE n.id = a.id;
        PERFORM setval('platform_private.audit_numbers', greatest(max(seq), 1), max(seq) IS NOT NULL) FROM platform.audit_logs;
        ALTER TABLE platform.audit_logs ALTER COLUMN seq SET NOT NULL;
        COMMENT ON COLUMN platform.audit_logs.seq IS 'The order in which entries were begun; numbers of transactions that were rolled back are missing.';
        COMMENT ON COLUMN platform.audit_logs.project_id IS 'No foreign key: the entry outlives the project.';
        COMMENT ON COLUMN platform.audit_logs.method IS 'Of the request; sql for a change that no program wrote down itself.';
        COMMENT ON COLUMN platform.audit_logs.prev_hash IS 'Not used: hashes are in platform.audit_seals.';
        COMMENT ON COLUMN platform.audit_logs.row_hash IS 'Not used: hashes are in platform.audit_seals.';
    END IF;
END
$$;

CREATE UNIQUE INDEX IF NOT EXISTS idx_audit_logs_seq ON platform.audit_logs (seq);

-- Those of 005, so that a page begins where the last one ended (seq tells entries of one time apart) and a member's leaves out
-- other organizations without looking at the rows. Where the column is null they are of no use. What an action begins with is
-- a range, which takes the order of its bytes.
DO $$
DECLARE
    t         text;
    v_columns text;
    v_where   text;
BEGIN
    FOR t, v_columns, v_where IN VALUES
        ('organization_id', 'organization_id, occurred_at DESC, seq DESC', ''),
        ('project_id', 'project_id, occurred_at DESC, seq DESC, organization_id', ' WHERE project_id IS NOT NULL'),
        ('actor_id', 'actor_id, occurred_at DESC, seq DESC, organization_id', ' WHERE actor_id IS NOT NULL'),
        ('action', 'action COLLATE "C", occurred_at DESC, seq DESC, organization_id', '')
    LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_indexes WHERE schemaname = 'platform' AND indexname = 'idx_audit_logs_' || t
                       AND indexdef LIKE '%occurred\_at DESC, seq DESC%') THEN
            EXECUTE format('DROP INDEX IF EXISTS platform.idx_audit_logs_%s', t);
            EXECUTE format('CREATE INDEX idx_audit_logs_%s ON platform.audit_logs (%s)%s', t, v_columns, v_where);
        END IF;
    END LOOP;
END
$$;
-- A policy names no organization to the planner, which then takes each for one of average size: among many small ones it
-- would read and sort all that the largest one has. In a hundredth of the table it looks for an order first.
ALTER TABLE platform.audit_logs ALTER COLUMN organization_id SET (n_distinct = 100);
CREATE INDEX IF NOT EXISTS idx_audit_logs_actor_email
    ON platform.audit_logs (actor_email, occurred_at DESC, seq DESC, organization_id) WHERE actor_email IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_audit_logs_organization_seq ON platform.audit_logs (organization_id, seq);
CREATE INDEX IF NOT EXISTS idx_audit_logs_target
    ON platform.audit_logs (target_type, target_id, occurred_at DESC, seq DESC, organization_id);
CREATE INDEX IF NOT EXISTS idx_audit_logs_occurred_at ON platform.audit_logs (occurred_at DESC, seq DESC);

-- Each entry costs this, so it has no search_path of its own: every name says that it is PostgreSQL's.
DO $$
BEGIN
    IF to_regprocedure('platform_private.number_entry()') IS NULL THEN
        CREATE FUNCTION platform_private.number_entry() RETURNS trigger
            LANGUAGE plpgsql SECURITY DEFINER
        AS $body$
        BEGIN
            -- The transaction's id before the number: what the sealer relies on. A backup that is restored keeps its numbers.
            IF NEW.seq IS NULL OR NOT platform_private.caller_bypasses() THEN
                PERFORM pg_catalog.txid_current();
                NEW.seq := pg_catalog.nextval('platform_private.audit_numbers'::pg_catalog.regclass);
                NEW.created_at := pg_catalog.now();
            END IF;
            RETURN NEW;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform_private.number_entry() FROM PUBLIC;
        ALTER FUNCTION platform_private.number_entry() OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform_private.number_entry() IS 'Trigger: gives an entry its number and its time of writing.';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'number_entry_trigger' AND tgrelid = 'platform.audit_logs'::regclass) THEN
        CREATE TRIGGER number_entry_trigger BEFORE INSERT ON platform.audit_logs
            FOR EACH ROW EXECUTE PROCEDURE platform_private.number_entry();
        -- What the platform's own functions write they have read before; and of a project that has just gone they write too.
        DROP TRIGGER IF EXISTS look_for_project ON platform.audit_logs;
        CREATE TRIGGER look_for_project BEFORE INSERT ON platform.audit_logs
            FOR EACH ROW WHEN (NEW.project_id IS NOT NULL AND current_user <> 'lancio_owner')
            EXECUTE PROCEDURE platform_private.look_for_project();
    END IF;
END
$$;

-- A program writes what its user has done now: no other user, no operator, no other time, and nothing that only the
-- platform's own functions and the operator's commands say. What they write they write as lancio_owner.
DO $$
BEGIN
    IF to_regprocedure('platform_private.refuse_forged_entry()') IS NULL THEN
        CREATE FUNCTION platform_private.refuse_forged_entry() RETURNS trigger
            LANGUAGE plpgsql SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp
            SET row_security = on
        AS $body$
        BEGIN
            IF EXISTS (SELECT 1 FROM pg_roles r WHERE r.rolname = session_user
                       AND (r.rolsuper OR r.rolbypassrls OR pg_has_role(r.oid, 'lancio_owner'::name, 'MEMBER'::text))) THEN
                RETURN NEW;
            END IF;
            IF NEW.action = 'secret.open' OR NEW.action ~ '^(data_key|audit|lancio)\.' OR NEW.method = 'sql' THEN
                RAISE EXCEPTION 'an entry of this action is not written by a program'
                    USING ERRCODE = 'insufficient_privilege', HINT = 'The platform writes it itself where it is done.';
            END IF;
            IF NEW.actor_type = 'system' OR (NEW.actor_type = 'user' AND NEW.actor_id IS DISTINCT FROM platform.current_user_id()) THEN
                RAISE EXCEPTION 'an entry speaks of another than the user in the context'
                    USING ERRCODE = 'insufficient_privilege', HINT = 'Set the context of the user who acts.';
            END IF;
            IF NEW.occurred_at NOT BETWEEN now() AND clock_timestamp() THEN
                RAISE EXCEPTION 'an entry speaks of another time than now'
                    USING ERRCODE = 'insufficient_privilege', HINT = 'Leave occurred_at out.';
            END IF;
            RETURN NEW;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform_private.refuse_forged_entry() FROM PUBLIC;
        ALTER FUNCTION platform_private.refuse_forged_entry() OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform_private.refuse_forged_entry() IS
            'Trigger: what a program writes speaks of its user and of now, and of nothing that the platform writes itself.';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'refuse_forged_entry_trigger' AND tgrelid = 'platform.audit_logs'::regclass) THEN
        CREATE TRIGGER refuse_forged_entry_trigger BEFORE INSERT ON platform.audit_logs
            FOR EACH ROW WHEN (current_user <> 'lancio_owner') EXECUTE PROCEDURE platform_private.refuse_forged_entry();
    END IF;
END
$$;

-- Entries are added and read.
DO $$
DECLARE
    t text;
BEGIN
    IF to_regprocedure('platform_private.guard_audit()') IS NULL THEN
        CREATE FUNCTION platform_private.guard_audit() RETURNS trigger
            LANGUAGE plpgsql
            SET search_path = pg_catalog, pg_temp
        AS $body$
        BEGIN
            IF TG_OP = 'DELETE' AND TG_TABLE_NAME <> 'audit_rounds'
               AND current_setting('lancio.audit_prune', true) = txid_current()::text THEN
                RETURN OLD;
            END IF;
            RAISE EXCEPTION 'platform.% is not changed', TG_TABLE_NAME
                USING ERRCODE = 'restrict_violation',
                      HINT = 'Entries are added and read. What is older than you keep is taken away by: lancio audit prune --before DATE.';
        END
        $body$;
        REVOKE ALL ON FUNCTION platform_private.guard_audit() FROM PUBLIC;
        ALTER FUNCTION platform_private.guard_audit() OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform_private.guard_audit() IS 'Trigger: refuses every change of what was written down.';
    END IF;
    FOREACH t IN ARRAY ARRAY['audit_logs', 'audit_seals', 'audit_rounds'] LOOP
        IF NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'guard_audit_trigger' AND tgrelid = ('platform.' || t)::regclass) THEN
            EXECUTE format('CREATE TRIGGER guard_audit_trigger BEFORE UPDATE OR DELETE ON platform.%I '
                           'FOR EACH ROW EXECUTE PROCEDURE platform_private.guard_audit()', t);
            EXECUTE format('CREATE TRIGGER guard_audit_truncate_trigger BEFORE TRUNCATE ON platform.%I '
                           'FOR EACH STATEMENT EXECUTE PROCEDURE platform_private.guard_audit()', t);
        END IF;
    END LOOP;
END
$$;

DO $$
BEGIN
    IF to_regprocedure('platform.prune_audit_round(bigint)') IS NULL THEN
        -- With the rights of who calls it, which have to be those of the tables' owner.
        CREATE FUNCTION platform.prune_audit_round(number bigint) RETURNS bigint
            LANGUAGE plpgsql
            SET search_path = pg_catalog, pg_temp
        AS $body$
        DECLARE
            v_after bigint;
            v_upto  bigint;
            v_count bigint;
        BEGIN
            SELECT r.after_seq, r.upto_seq INTO v_after, v_upto FROM platform.audit_rounds r
            WHERE r.number = prune_audit_round.number AND r.kind = 'seal'
              AND EXISTS (SELECT 1 FROM platform.audit_rounds p WHERE p.kind = 'prune' AND p.through >= r.number);
            IF NOT FOUND THEN
                RAISE EXCEPTION 'no record says that round % is pruned', prune_audit_round.number
                    USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'lancio audit prune --before DATE writes it first.';
            END IF;
            PERFORM set_config('lancio.audit_prune', txid_current()::text, true);
            DELETE FROM platform.audit_logs a WHERE a.seq > v_after AND a.seq <= v_upto;
            GET DIAGNOSTICS v_count = ROW_COUNT;
            DELETE FROM platform.audit_seals s WHERE s.round = prune_audit_round.number;
            PERFORM set_config('lancio.audit_prune', '', true);
            RETURN v_count;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform.prune_audit_round(bigint) FROM PUBLIC;
        ALTER FUNCTION platform.prune_audit_round(bigint) OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform.prune_audit_round(bigint) IS
            'Takes away the entries and the seals of a round that a sealed record says is pruned; how many entries. Granted to nobody.';
    END IF;
    IF to_regprocedure('platform.audit_horizon()') IS NULL THEN
        CREATE FUNCTION platform.audit_horizon(OUT sealed bigint, OUT pruned bigint)
            LANGUAGE sql STABLE SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp
            SET row_security = on
        AS $body$
            SELECT coalesce((SELECT r.upto_seq FROM platform.audit_rounds r ORDER BY r.number DESC LIMIT 1), 0),
                   coalesce((SELECT r.upto_seq FROM platform.audit_rounds r WHERE r.number = (
                                SELECT max(p.through) FROM platform.audit_rounds p WHERE p.kind = 'prune')), 0)
        $body$;
        REVOKE ALL ON FUNCTION platform.audit_horizon() FROM PUBLIC;
        ALTER FUNCTION platform.audit_horizon() OWNER TO lancio_owner;
        GRANT EXECUTE ON FUNCTION platform.audit_horizon() TO lancio_application, lancio_service, lancio_readonly;
        COMMENT ON FUNCTION platform.audit_horizon() IS
            'Up to which number entries are sealed, and up to which they were pruned: for who verifies the entries of one organization.';
    END IF;
END
$$;

-- Completeness: what a change was, where nothing else in the transaction says it. Arguments: the target's type, the columns of
-- organization and project (empty: none), the columns that are shown, and those of which is told only that they changed.
DO $$
BEGIN
    IF to_regprocedure('platform_private.write_change()') IS NULL THEN
        CREATE FUNCTION platform_private.write_change() RETURNS trigger
            LANGUAGE plpgsql SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp
            SET row_security = on
        AS $body$
        DECLARE
            v_old    jsonb := '{}';
            v_new    jsonb := '{}';
            v_row    jsonb;
            v_id     text;
            v_before jsonb;
            v_after  jsonb;
            v_hidden jsonb;
            v_user   uuid := platform.current_user_id();
            v_type   text := TG_ARGV[0];
            v_of     text := TG_ARGV[1];
            v_in     text := TG_ARGV[2];
            v_shown  text[] := string_to_array(TG_ARGV[3], ',');
            v_hides  text[] := string_to_array(TG_ARGV[4], ',');
            v_op     text := TG_OP;
        BEGIN
            IF v_op IN ('UPDATE', 'DELETE') THEN
                v_old := to_jsonb(OLD);
            END IF;
            IF v_op IN ('INSERT', 'UPDATE') THEN
                v_new := to_jsonb(NEW);
            END IF;
            v_row := v_old || v_new;
            v_id := coalesce(v_row ->> 'id', v_row ->> 'key_id');
            -- Entries of this transaction: none was written at another time, and no other transaction began at this one with
            -- the same target. Its own of an earlier change of the row is no word about this one.
            IF v_op <> 'TRUNCATE' AND EXISTS (
                SELECT 1 FROM platform.audit_logs a
                WHERE a.target_type = v_type AND a.target_id = v_id AND a.created_at = now()
                  AND a.method IS DISTINCT FROM 'sql' AND a.action <> 'secret.open'
            ) THEN
                RETURN NULL;
            END IF;
            SELECT jsonb_object_agg(k, v_old -> k) FILTER (WHERE v_old ? k AND v_old -> k <> 'null'),
                   jsonb_object_agg(k, v_new -> k) FILTER (WHERE v_new ? k AND (v_op = 'UPDATE' OR v_new -> k <> 'null'))
            INTO v_before, v_after
            FROM unnest(v_shown) k
            WHERE CASE v_op WHEN 'UPDATE' THEN v_old -> k IS DISTINCT FROM v_new -> k ELSE k <> 'id' END;
            SELECT jsonb_agg(k) INTO v_hidden
            FROM unnest(v_hides) k WHERE v_op = 'UPDATE' AND v_old -> k IS DISTINCT FROM v_new -> k;
            INSERT INTO platform.audit_logs
                (organization_id, project_id, actor_type, actor_id, action, method, target_type, target_id, before, after)
            VALUES ((v_row ->> v_of)::uuid, (v_row ->> v_in)::uuid,
                    CASE WHEN v_user IS NOT NULL THEN 'user' WHEN platform_private.caller_bypasses() THEN 'system' ELSE 'service' END,
                    v_user, v_type || '.' || lower(v_op), 'sql', v_type, v_id, v_before,
                    coalesce(v_after, '{}') || jsonb_build_object('login', session_user)
                    || CASE WHEN v_hidden IS NULL THEN '{}' ELSE jsonb_build_object('changed', v_hidden) END);
            RETURN NULL;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform_private.write_change() FROM PUBLIC;
        ALTER FUNCTION platform_private.write_change() OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform_private.write_change() IS
            'Trigger at the end of the transaction: the entry of a change that nothing else in it has written down.';
    END IF;
END
$$;

DO $$
DECLARE
    v_table  text;
    v_target text;
    v_of     text;
    v_in     text;
    v_shown  text;
    v_hidden text;
    v_all    text;
    v_args   text;
BEGIN
    -- Before each column whose value is not shown stands a comma.
    FOR v_table, v_target, v_of, v_in, v_shown, v_hidden IN VALUES
        ('organizations', 'organization', 'id', '',
            'id,slug,name,kind,size,billing_email,plan_id,usage_billing_enabled,requires_mfa,opt_in_tags,restriction_status,deleted_at',
            ',stripe_customer_id,restriction_data'),
        ('organization_members', 'member', 'organization_id', '', 'id,user_id,role,project_ids,mfa_enabled_at', ''),
        ('organization_invitations', 'invitation', 'organization_id', '',
            'id,email,role,project_ids,invited_by,expires_at,accepted_at,revoked_at', ',token_hash'),
        ('organization_feature_flags', 'organization_feature_flag', 'organization_id', '',
            'id,flag_id,enabled,reason,expires_at', ',value'),
        ('projects', 'project', 'organization_id', 'id',
            'id,slug,ref,name,region,cloud_provider,status,parent_project_id,is_branch,is_sensitive,deleted_at', ''),
        ('project_members', 'project_member', 'organization_id', 'project_id', 'id,user_id,role', ''),
        ('project_addons', 'project_addon', 'organization_id', 'project_id',
            'id,addon_id,variant,quantity,price_minor,price_interval,started_at,ended_at', ',meta'),
        ('subscriptions', 'subscription', 'organization_id', '',
            'id,plan_id,status,current_period_start,current_period_end,customer_balance_minor,payment_method_type,cancel_at',
            ',scheduled_change,stripe_subscription_id'),
        ('payment_methods', 'payment_method', 'organization_id', '',
            'id,type,brand,exp_month,exp_year,is_default', ',provider_id,last4'),
        ('tax_ids', 'tax_id', 'organization_id', '', 'id,country,type,verified_at', ',value'),
        ('customer_profiles', 'customer_profile', 'organization_id', '',
            'id,billing_name,balance_minor', ',email,additional_emails,address'),
        ('credits', 'credit', 'organization_id', '',
            'id,amount_minor,remaining_minor,currency,source,expires_at', ',payment_intent_id,note'),
        ('invoices', 'invoice', 'organization_id', '',
            'id,subscription_id,number,status,period_start,period_end,amount_due_minor,currency',
            ',pdf_url,lines,stripe_invoice_id'),
        ('disk_config', 'disk_config', 'organization_id', 'project_id',
            'id,project_id,type,size_gb,iops,throughput_mbps,growth_percent,min_increment_gb,max_size_gb', ',requested'),
        ('compute_config', 'compute_config', 'organization_id', 'project_id',
            'id,project_id,instance_size,cpu_millicores,memory_mb,requested_size,effective_at', ''),
        ('users', 'user', '', '',
            'id,primary_email,username,auth_provider,is_sso_user,mfa_enabled,free_project_limit,disabled_at',
            ',first_name,last_name,auth_subject,password_hash'),
        ('api_keys', 'api_key', 'organization_id', 'project_id',
            'id,project_id,user_id,name,prefix,scopes,expires_at,revoked_at,created_by', ',token_hash,last4'),
        ('credentials', 'credential', 'organization_id', 'project_id',
            'id,project_id,kind,name,version,state,expires_at,rotated_at', ',secret_encrypted,key_id'),
        ('databases', 'database', 'organization_id', 'project_id',
            'id,project_id,name,type,host,port,database,username,ssl_enabled,status',
            ',password,connection_string,connection_string_encrypted,config,metadata'),
        ('data_keys', 'data_key', 'organization_id', '', 'key_id,state,retired_at,destroyed_at', ''),
        ('billing_plans', 'billing_plan', '', '',
            'id,code,name,price_minor,currency,billing_interval,limits,features,is_public,valid_from,valid_to', ''),
        ('addons', 'addon', '', '',
            'id,type,variant,name,price_minor,currency,price_type,price_interval,available_in', ',price_description,meta'),
        ('feature_flags', 'feature_flag', '', '', 'id,key,description,kind,default_value,rules,archived_at', '')
    LOOP
        v_args := format('%L, %L, %L, %L, %L', v_target, v_of, v_in, v_shown, v_hidden);
        v_all := replace(v_shown || v_hidden, ',', ', OLD.');
        IF NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'write_change_trigger' AND tgrelid = ('platform.' || v_table)::regclass) THEN
            EXECUTE format('CREATE CONSTRAINT TRIGGER write_change_trigger AFTER INSERT OR DELETE ON platform.%I '
                           'DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE PROCEDURE platform_private.write_change(%s)', v_table, v_args);
            EXECUTE format('CREATE CONSTRAINT TRIGGER write_change_update_trigger AFTER UPDATE ON platform.%I '
                           'DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((OLD.%s) IS DISTINCT FROM (NEW.%s)) '
                           'EXECUTE PROCEDURE platform_private.write_change(%s)',
                           v_table, v_all, replace(v_all, 'OLD.', 'NEW.'), v_args);
            EXECUTE format('CREATE TRIGGER write_change_truncate_trigger AFTER TRUNCATE ON platform.%I '
                           'FOR EACH STATEMENT EXECUTE PROCEDURE platform_private.write_change(%s)', v_table, v_args);
        END IF;
    END LOOP;
END
$$;

COMMIT;
