-- lancio: risk medium
-- lancio: impact the name of a database is unique within its project; a second one of the same name is refused
-- lancio: requires server >= 10
-- lancio: requires policy organization_databases on platform.databases
-- lancio: verify SELECT count(*) = 1 FROM pg_constraint WHERE conname = 'databases_project_id_name_key' AND contype = 'u' AND convalidated
-- lancio: verify SELECT count(*) = 1 FROM pg_trigger WHERE tgname = 'version_databases' AND tgenabled <> 'D'
-- lancio: verify SELECT count(*) = 1 FROM platform.verify_rls_enabled() WHERE table_name = 'database_grams' AND rls_enabled AND policy_count >= 3
--
-- 009: a database is known by its project and its name, and who changes one that was changed meanwhile is told.
--
-- platform.databases gets two columns:
--
--     version     raised by one with every change of what is registered: name, type, address, credential, status and the
--                 like. The outcome of a health check is none. UPDATE ... WHERE id = ... AND version = <the one that was
--                 read> changes nothing where somebody else was faster.
--     name_key    the bytes of the name in small letters: by this lists are sorted, paged and searched. Under row level
--                 security an index serves only what cannot give a row away: comparing bytes is that on every server,
--                 comparing texts from 12 on, LIKE and lower() are not.
--
-- platform.database_grams has a row for each three bytes that follow each other in a name_key, as one number, with the name
-- they are from: what stands inside of names is found by its rarest gram, in the order of the list.
--
-- All of it is kept by triggers, whatever a statement says of it.
--
-- Safe to run again: what is there stays as it is, also where a later file has changed it.

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
    IF NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = 'platform.databases'::regclass AND attname = 'organization_id' AND NOT attisdropped) THEN
        RAISE EXCEPTION 'organizations are not isolated'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Run 007_isolate_organizations.sql first.';
    END IF;
    IF NOT pg_has_role('lancio_owner', 'USAGE') THEN
        GRANT lancio_owner TO CURRENT_USER;
    END IF;
END
$$;

-- Two of one name: which of them a program means nobody can tell, so a person has to.
DO $$
DECLARE
    v_count  bigint;
    v_listed text;
    v_first  text;
BEGIN
    IF EXISTS (SELECT 1 FROM pg_constraint WHERE conname = 'databases_project_id_name_key' AND conrelid = 'platform.databases'::regclass) THEN
        RETURN;
    END IF;
    PERFORM set_config('row_security', 'off', true);  -- an error rather than a part of the rows
    LOCK TABLE platform.databases IN SHARE ROW EXCLUSIVE MODE;
    SELECT count(*), min(t.id),
           string_agg(quote_ident(t.slug) || '.' || quote_literal(t.name) || ' (' || t.ids || ')', '; ' ORDER BY t.slug, t.name)
               FILTER (WHERE t.place <= 20)
    INTO v_count, v_first, v_listed
    FROM (SELECT p.slug, d.name, string_agg(d.id::text, ', ' ORDER BY d.created_at, d.id) AS ids,
                 (array_agg(d.id::text ORDER BY d.created_at DESC, d.id DESC))[1] AS id,
                 row_number() OVER (ORDER BY p.slug, d.name) AS place
          FROM platform.databases d JOIN platform.projects p ON p.id = d.project_id
          GROUP BY p.slug, d.project_id, d.name
          HAVING count(*) > 1) t;
    IF v_count > 0 THEN
        RAISE EXCEPTION '% names of databases are there more than once in their project', v_count
            USING ERRCODE = 'unique_violation',
                  DETAIL = v_listed || CASE WHEN v_count > 20 THEN '; and ' || (v_count - 20)::text || ' more' ELSE '' END,
                  HINT = 'Give all but one of each another name, or remove them, and run this file again: '
                         'UPDATE platform.databases SET name = name || '' 2'' WHERE id = ' || quote_literal(v_first) || ';';
    END IF;
    ALTER TABLE platform.databases ADD CONSTRAINT databases_project_id_name_key UNIQUE (project_id, name);
END
$$;

DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = 'platform.databases'::regclass AND attname = 'version' AND NOT attisdropped) THEN
        ALTER TABLE platform.databases ADD COLUMN version bigint NOT NULL DEFAULT 1 CHECK (version > 0);
        GRANT SELECT (version) ON platform.databases TO lancio_readonly;
        COMMENT ON COLUMN platform.databases.version IS
            'Raised by one with every change of what is registered, not by a health check. Kept by a trigger.';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = 'platform.databases'::regclass AND attname = 'name_key' AND NOT attisdropped) THEN
        ALTER TABLE platform.databases ADD COLUMN name_key bytea;
        -- Filled without an UPDATE, whose triggers would call the rows changed.
        ALTER TABLE platform.databases ALTER COLUMN name_key TYPE bytea USING convert_to(lower(name), getdatabaseencoding());
        ALTER TABLE platform.databases ALTER COLUMN name_key SET NOT NULL;
        GRANT SELECT (name_key) ON platform.databases TO lancio_readonly;
        COMMENT ON COLUMN platform.databases.name_key IS
            'The bytes of the name in small letters, by which lists are sorted and searched. Kept by a trigger.';
    END IF;
END
$$;

CREATE INDEX IF NOT EXISTS idx_databases_organization_id_name_key ON platform.databases (organization_id, name_key, id);
CREATE INDEX IF NOT EXISTS idx_databases_project_id_name_key ON platform.databases (project_id, organization_id, name_key, id);

DO $$
BEGIN
    IF to_regprocedure('platform.raise_database_version()') IS NULL THEN
        CREATE FUNCTION platform.raise_database_version() RETURNS trigger
            LANGUAGE plpgsql
            SET search_path = pg_catalog, pg_temp
        AS $body$
        BEGIN
            NEW.name_key := convert_to(lower(NEW.name), getdatabaseencoding());
            IF TG_OP = 'INSERT' THEN
                RETURN NEW;
            END IF;
            NEW.version := OLD.version;
            IF (NEW.project_id, NEW.name, NEW.type, NEW.host, NEW.port, NEW.database, NEW.username, NEW.connection_string,
                NEW.connection_string_encrypted, NEW.ssl_enabled, NEW.config, NEW.metadata, NEW.status)
               IS DISTINCT FROM
               (OLD.project_id, OLD.name, OLD.type, OLD.host, OLD.port, OLD.database, OLD.username, OLD.connection_string,
                OLD.connection_string_encrypted, OLD.ssl_enabled, OLD.config, OLD.metadata, OLD.status) THEN
                NEW.version := OLD.version + 1;
            END IF;
            RETURN NEW;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform.raise_database_version() FROM PUBLIC;
        ALTER FUNCTION platform.raise_database_version() OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform.raise_database_version() IS
            'Trigger: raises version where what is registered changes, and keeps name_key.';
    ELSE
        RAISE NOTICE 'function platform.raise_database_version() exists and is left as it is';
    END IF;
    -- Triggers of one kind fire in the order of their names: this one sees what the sealing has left.
    IF NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'version_databases' AND tgrelid = 'platform.databases'::regclass) THEN
        CREATE TRIGGER version_databases BEFORE INSERT OR UPDATE ON platform.databases
            FOR EACH ROW EXECUTE PROCEDURE platform.raise_database_version();
    END IF;
END
$$;

-- Not a foreign key: whoever finds a row here looks the database up, and one that is gone is not found.
CREATE TABLE IF NOT EXISTS platform.database_grams (
    organization_id uuid NOT NULL,
    gram            integer NOT NULL,
    name_key        bytea NOT NULL,
    database_id     uuid NOT NULL,
    PRIMARY KEY (organization_id, gram, name_key, database_id)
);

ALTER TABLE platform.database_grams ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = 'platform' AND tablename = 'database_grams' AND tableowner = 'lancio_owner') THEN
        ALTER TABLE platform.database_grams OWNER TO lancio_owner;
        GRANT SELECT ON platform.database_grams TO lancio_application, lancio_service, lancio_readonly;
        COMMENT ON TABLE platform.database_grams IS 'What the names of databases are made of, for the search inside of names. Kept by a trigger of platform.databases.';
        COMMENT ON COLUMN platform.database_grams.gram IS 'Three bytes that follow each other in name_key, as one number.';
        COMMENT ON COLUMN platform.database_grams.name_key IS 'As in platform.databases, by which what is found is sorted.';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'database_grams' AND policyname = 'permissive_all_database_grams') THEN
        CREATE POLICY permissive_all_database_grams ON platform.database_grams FOR ALL
            TO lancio_application, lancio_service, lancio_readonly USING (true) WITH CHECK (true);
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'database_grams' AND policyname = 'organization_database_grams') THEN
        CREATE POLICY organization_database_grams ON platform.database_grams AS RESTRICTIVE
            FOR ALL TO lancio_application, lancio_service, lancio_readonly
            USING (organization_id = (SELECT platform.current_organization_id()))
            WITH CHECK (organization_id = (SELECT platform.current_organization_id()));
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_policies WHERE schemaname = 'platform' AND tablename = 'database_grams' AND policyname = 'owner_database_grams') THEN
        CREATE POLICY owner_database_grams ON platform.database_grams FOR ALL TO lancio_owner
            USING (organization_id >= (SELECT platform_private.first_organization_id())
                   AND organization_id <= (SELECT platform_private.last_organization_id()));
    END IF;
END
$$;

DO $$
BEGIN
    -- Without a search_path of its own it becomes a part of the query that calls it: every name says that it is PostgreSQL's.
    IF to_regprocedure('platform_private.name_grams(bytea)') IS NULL THEN
        CREATE FUNCTION platform_private.name_grams(key bytea) RETURNS TABLE (gram integer)
            LANGUAGE sql IMMUTABLE
        AS $body$
            SELECT (pg_catalog.get_byte($1, i) OPERATOR(pg_catalog.<<) 16)
                   OPERATOR(pg_catalog.|) (pg_catalog.get_byte($1, i OPERATOR(pg_catalog.+) 1) OPERATOR(pg_catalog.<<) 8)
                   OPERATOR(pg_catalog.|) pg_catalog.get_byte($1, i OPERATOR(pg_catalog.+) 2)
            FROM pg_catalog.generate_series(0, pg_catalog.length($1) OPERATOR(pg_catalog.-) 3) i
        $body$;
        REVOKE ALL ON FUNCTION platform_private.name_grams(bytea) FROM PUBLIC;
        ALTER FUNCTION platform_private.name_grams(bytea) OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform_private.name_grams(bytea) IS 'Each three bytes that follow each other, as a number; one that comes twice twice.';
    END IF;
    IF to_regprocedure('platform_private.keep_database_grams()') IS NULL THEN
        CREATE FUNCTION platform_private.keep_database_grams() RETURNS trigger
            LANGUAGE plpgsql SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp
            SET row_security = on
        AS $body$
        BEGIN
            IF TG_OP IN ('UPDATE', 'DELETE') THEN
                DELETE FROM platform.database_grams n
                WHERE n.organization_id = OLD.organization_id AND n.name_key = OLD.name_key AND n.database_id = OLD.id
                  AND n.gram = ANY (ARRAY(SELECT g.gram FROM platform_private.name_grams(OLD.name_key) g));
            END IF;
            IF TG_OP = 'INSERT' THEN
                INSERT INTO platform.database_grams (organization_id, gram, name_key, database_id)
                SELECT m.organization_id, g.gram, m.name_key, m.id
                FROM made m CROSS JOIN LATERAL platform_private.name_grams(m.name_key) g
                ON CONFLICT DO NOTHING;
            ELSIF TG_OP = 'UPDATE' THEN
                INSERT INTO platform.database_grams (organization_id, gram, name_key, database_id)
                SELECT NEW.organization_id, g.gram, NEW.name_key, NEW.id FROM platform_private.name_grams(NEW.name_key) g
                ON CONFLICT DO NOTHING;
            ELSIF TG_OP = 'TRUNCATE' THEN
                TRUNCATE platform.database_grams;
            END IF;
            RETURN NULL;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform_private.keep_database_grams() FROM PUBLIC;
        ALTER FUNCTION platform_private.keep_database_grams() OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform_private.keep_database_grams() IS 'Trigger: keeps platform.database_grams.';
    END IF;
    IF to_regprocedure('platform_private.leave_out()') IS NULL THEN
        CREATE FUNCTION platform_private.leave_out() RETURNS trigger
            LANGUAGE plpgsql
            SET search_path = pg_catalog, pg_temp
        AS $body$
        BEGIN
            RETURN NULL;
        END
        $body$;
        REVOKE ALL ON FUNCTION platform_private.leave_out() FROM PUBLIC;
        ALTER FUNCTION platform_private.leave_out() OWNER TO lancio_owner;
        COMMENT ON FUNCTION platform_private.leave_out() IS 'Trigger: the row is not written.';
    END IF;
    -- What is kept can be dropped and made again: DROP TABLE platform.database_grams, and this file once more.
    IF NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'leave_out' AND tgrelid = 'platform.database_grams'::regclass) THEN
        PERFORM set_config('row_security', 'off', true);  -- an error rather than a part of the rows
        LOCK TABLE platform.databases IN SHARE ROW EXCLUSIVE MODE;
        INSERT INTO platform.database_grams (organization_id, gram, name_key, database_id)
        SELECT d.organization_id, g.gram, d.name_key, d.id
        FROM platform.databases d CROSS JOIN LATERAL platform_private.name_grams(d.name_key) g
        ON CONFLICT DO NOTHING;
        -- A dump of the rows alone has these too, and the databases' trigger makes them as it is restored.
        CREATE TRIGGER leave_out BEFORE INSERT ON platform.database_grams
            FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE PROCEDURE platform_private.leave_out();
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_trigger WHERE tgname = 'keep_database_grams' AND tgrelid = 'platform.databases'::regclass) THEN
        CREATE TRIGGER keep_database_grams AFTER INSERT ON platform.databases REFERENCING NEW TABLE AS made
            FOR EACH STATEMENT EXECUTE PROCEDURE platform_private.keep_database_grams();
        CREATE TRIGGER keep_database_grams_delete AFTER DELETE ON platform.databases
            FOR EACH ROW EXECUTE PROCEDURE platform_private.keep_database_grams();
        CREATE TRIGGER keep_database_grams_update AFTER UPDATE ON platform.databases
            FOR EACH ROW WHEN (OLD.name_key IS DISTINCT FROM NEW.name_key OR OLD.id <> NEW.id)
            EXECUTE PROCEDURE platform_private.keep_database_grams();
        CREATE TRIGGER keep_database_grams_truncate AFTER TRUNCATE ON platform.databases
            FOR EACH STATEMENT EXECUTE PROCEDURE platform_private.keep_database_grams();
    END IF;
END
$$;

COMMIT;
