-- lancio: risk medium
-- lancio: impact the name of a database is unique within its project; a second one of the same name is refused
-- lancio: requires server >= 10
-- lancio: requires policy organization_databases on platform.databases
-- lancio: verify SELECT count(*) = 1 FROM pg_constraint WHERE conname = 'databases_project_id_name_key' AND contype = 'u' AND convalidated
-- lancio: verify SELECT count(*) = 1 FROM pg_trigger WHERE tgname = 'version_databases' AND tgenabled <> 'D'
--
-- 009: a database is known by its project and its name, and who changes one that was changed meanwhile is told.
--
-- platform.databases gets two columns:
--
--     version     raised by one with every change of what is registered: name, type, address, credential, status and the
--                 like. The outcome of a health check is none. UPDATE ... WHERE id = ... AND version = <the one that was
--                 read> changes nothing where somebody else was faster.
--     name_key    the name in small letters, sorted by its bytes: by this lists are sorted, paged and searched. Under row
--                 level security an index serves only what cannot give a row away, and comparing two texts is that, where
--                 LIKE and lower() are not.
--
-- Both are kept by a trigger, whatever a statement says of them.
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
        ALTER TABLE platform.databases ADD COLUMN name_key text COLLATE "C";
        -- Filled without an UPDATE, whose triggers would call the rows changed.
        ALTER TABLE platform.databases ALTER COLUMN name_key TYPE text COLLATE "C" USING lower(name);
        ALTER TABLE platform.databases ALTER COLUMN name_key SET NOT NULL;
        GRANT SELECT (name_key) ON platform.databases TO lancio_readonly;
        COMMENT ON COLUMN platform.databases.name_key IS
            'The name in small letters, by which lists are sorted and searched. Kept by a trigger.';
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
            NEW.name_key := lower(NEW.name);
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

COMMIT;
