"""What 001 to 006 make, how they refuse, and that running them again changes nothing."""

from __future__ import annotations

import concurrent.futures
import random
import re
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql
from schema_files import (
    ALL,
    AUDIT,
    BACK,
    BILLING,
    CHAIN,
    CHAIN_BACK,
    DATABASES,
    FOLDER,
    ISOLATION,
    KEY,
    KEYS_BACK,
    LANCIO,
    LISTED,
    NAMED,
    NAMED_BACK,
    NINE,
    PLATFORM,
    POLICIES,
    RAILWAY,
    ROTATIONS,
    ROTATIONS_BACK,
    TEN,
    USERS,
    give_key,
    launch,
    objects,
    psql,
    rows,
    run,
    state,
)

from servers import database_of, run_psql

if TYPE_CHECKING:
    from servers import TestServer

COLUMNS = [
    ("id", "uuid", False),
    ("project_id", "uuid", False),
    ("name", "text", False),
    ("type", "text", False),
    ("host", "text", False),
    ("port", "integer", False),
    ("database", "text", True),
    ("username", "text", True),
    ("password", "text", True),
    ("connection_string", "text", False),
    ("connection_string_encrypted", "bytea", True),
    ("ssl_enabled", "boolean", True),
    ("config", "jsonb", True),
    ("metadata", "jsonb", True),
    ("status", "text", True),
    ("health_check_status", "text", True),
    ("last_health_check_at", "timestamp with time zone", True),
    ("health_check_error", "text", True),
    ("created_at", "timestamp with time zone", True),
    ("updated_at", "timestamp with time zone", True),
]
REGISTER_ARGUMENTS = (
    "project_id uuid, name text, type text, setting text, database text DEFAULT NULL::text,"
    " host text DEFAULT NULL::text, port integer DEFAULT NULL::integer"
)
INDEXES = {
    "databases_pkey": "UNIQUE INDEX databases_pkey ON platform.databases USING btree (id)",
    "idx_databases_project_id": "(project_id)",
    "idx_databases_type": "(type)",
    "idx_databases_status": "(status)",
    "idx_databases_project_type_status": "(project_id, type, status)",
    "idx_databases_health_check": "(health_check_status, last_health_check_at) WHERE (health_check_status IS NOT NULL)",
    "idx_databases_created_at": "(created_at DESC)",
    "idx_databases_updated_at": "(updated_at DESC)",
}


def test_each_file_is_one_transaction_in_plain_ascii() -> None:
    for name in (*TEN, BACK, KEYS_BACK, NAMED, NAMED_BACK, CHAIN, CHAIN_BACK, ROTATIONS, ROTATIONS_BACK):
        text = (FOLDER / name).read_text("ascii")
        code = [line for line in text.splitlines() if line.strip() and not line.startswith("--")]
        assert (code[0], code[-1]) == ("BEGIN;", "COMMIT;"), name
        assert [line for line in code if re.match(r"(BEGIN|COMMIT|ROLLBACK);", line)] == ["BEGIN;", "COMMIT;"], name
        assert not re.search(r"^\\", text, re.MULTILINE), name


def test_pgcrypto_comes_in_003_alone() -> None:
    assert [name for name in TEN if "CREATE EXTENSION" in (FOLDER / name).read_text()] == [USERS]


def test_every_version_gets_the_specified_objects_and_a_rerun_changes_nothing(every_server: TestServer) -> None:
    url = every_server.create_database()
    for name in ALL:
        done = psql(url, name)
        assert done.returncode == 0
        assert not re.search("ERROR|WARNING", done.stderr), done.stderr
    with psycopg.connect(url) as connection:
        tables = {row[0] for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'platform'")}
        assert tables == {*LISTED, "databases"}
        results = connection.execute("SELECT test_name, test_result FROM platform.test_rls_policies()").fetchall()
        assert [result for _, result in results] == ["PASS"] * 5
        listed = connection.execute("SELECT * FROM platform.verify_rls_enabled()").fetchall()
        assert listed == sorted((table, True, 1) for table in tables)
        assert connection.execute("SELECT count(*) FROM pg_extension").fetchone() == (2,)  # plpgsql, pgcrypto
        give_key(connection)
        opened = connection.execute(
            """INSERT INTO platform.databases (project_id, name, type, connection_string, host, port)
               SELECT id, 'one', 'redis', %s, 'h', 1 FROM platform.projects RETURNING id""",
            ("redis://:s3cret@h:1",),
        ).fetchone()
        assert opened is not None
        assert connection.execute(
            "SELECT platform.decrypt_database_connection_string(%s)", (opened[0],)
        ).fetchone() == ("redis://:s3cret@h:1",)
    before = state(url)
    shuffled = random.Random(6).sample(ALL, len(ALL))
    for name in (*ALL, *shuffled):
        done = psql(url, name)
        assert not re.search("ERROR|WARNING", done.stderr), done.stderr
        assert state(url) == before, name
    # And so it is once 007 has run: what it has changed stays, whichever file runs again.
    launch(url, ISOLATION)
    before = state(url)
    run(url, *NINE, *random.Random(7).sample(NINE, len(NINE)))
    assert state(url) == before
    every_server.drop_database(url)


def test_databases_has_the_specified_columns(platform: str) -> None:
    with psycopg.connect(platform) as connection:
        found = connection.execute(
            """SELECT attname, format_type(atttypid, atttypmod), NOT attnotnull FROM pg_attribute
               WHERE attrelid = 'platform.databases'::regclass AND attnum > 0 ORDER BY attnum"""
        ).fetchall()
        assert found == COLUMNS
        indexes = dict(
            connection.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'databases'").fetchall()
        )
        constraints = {
            row[0]
            for row in connection.execute(
                "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'platform.databases'::regclass"
                " AND contype IN ('c', 'f')"
            )
        }
        triggers = dict(
            connection.execute(
                "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal"
                " AND tgrelid = 'platform.databases'::regclass"
            ).fetchall()
        )
    assert indexes.keys() == INDEXES.keys()
    for name, definition in INDEXES.items():
        assert indexes[name].endswith(definition), indexes[name]
    assert "FOREIGN KEY (project_id) REFERENCES platform.projects(id) ON DELETE CASCADE" in constraints
    assert "CHECK (((port > 0) AND (port < 65536)))" in constraints
    for column, values in {
        "type": ["mongodb", "redis", "postgresql"],
        "status": ["active", "inactive", "error", "maintenance"],
        "health_check_status": ["healthy", "unhealthy", "unknown"],
    }.items():
        listed = ", ".join(f"'{value}'::text" for value in values)
        assert f"CHECK (({column} = ANY (ARRAY[{listed}])))" in constraints
    assert triggers.keys() == {"update_databases_updated_at", "encrypt_database_connection_string_trigger"}
    assert " BEFORE UPDATE ON " in triggers["update_databases_updated_at"]
    assert "platform.update_updated_at_column()" in triggers["update_databases_updated_at"]
    assert " BEFORE INSERT OR UPDATE ON " in triggers["encrypt_database_connection_string_trigger"]


def test_the_functions_have_the_specified_signatures(platform: str) -> None:
    with psycopg.connect(platform) as connection:
        found = {
            (name, arguments, result)
            for name, arguments, result in connection.execute(
                "SELECT proname, pg_get_function_arguments(oid), pg_get_function_result(oid) FROM pg_proc"
                " WHERE pronamespace = 'platform'::regnamespace"
            )
        }
        definers = connection.execute(
            "SELECT proname, proconfig, has_function_privilege('public', oid, 'EXECUTE') FROM pg_proc"
            " WHERE pronamespace = 'platform'::regnamespace AND prosecdef"
        ).fetchall()
    assert found == {
        ("update_updated_at_column", "", "trigger"),
        ("encrypt_database_connection_string", "", "trigger"),
        ("decrypt_database_connection_string", "database_id uuid", "text"),
        ("get_project_databases", "project_id uuid, type text DEFAULT NULL::text", "SETOF platform.databases_safe"),
        ("update_database_health", "database_id uuid, status text, error text", "boolean"),
        ("verify_rls_enabled", "", "TABLE(table_name text, rls_enabled boolean, policy_count integer)"),
        ("test_rls_policies", "", "TABLE(test_name text, test_result text, description text)"),
        (
            "register_database_from_setting",
            REGISTER_ARGUMENTS,
            "uuid",
        ),
    }
    assert {name for name, _, _ in definers} == {
        "encrypt_database_connection_string",
        "decrypt_database_connection_string",
    }
    for name, settings, public in definers:
        assert "search_path=pg_catalog, public, pg_temp" in settings, name
        assert not public, name


def test_tenant_tables_bind_their_organization(platform: str) -> None:
    without = {"organizations", "users", "user_sessions", "feature_flags", "billing_plans", "addons", "audit_logs"}
    with psycopg.connect(platform) as connection:
        unique = {
            row[0]
            for row in connection.execute(
                "SELECT c.relname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid"
                " WHERE pg_get_constraintdef(k.oid) = 'UNIQUE (id, organization_id)'"
            )
        }
        loose = connection.execute(
            """SELECT a.attrelid::regclass::text, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
               WHERE c.relnamespace = 'platform'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
                 AND a.attname ~ '^(plan|user|project|organization|addon|flag|subscription|parent_project)_id$|_by$'
                 AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'f'
                                 AND a.attnum = ANY (k.conkey))"""
        ).fetchall()
        # An entry of the trail outlives what it speaks of.
        assert loose.count(("platform.audit_logs", "organization_id")) == 1
        loose = [each for each in loose if each[0] != "platform.audit_logs"]
        keyless = connection.execute(
            """SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'id'
               WHERE c.relnamespace = 'platform'::regnamespace AND c.relkind = 'r' AND NOT a.atthasdef"""
        ).fetchall()
        organizations = connection.execute(
            "INSERT INTO platform.organizations (slug, name) VALUES ('other', 'Other') RETURNING id"
        ).fetchone()
        assert organizations is not None
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            connection.execute(
                "INSERT INTO platform.disk_config (organization_id, project_id, size_gb)"
                " SELECT %s, id, 8 FROM platform.projects",
                organizations,
            )
    assert unique == set(LISTED) - without
    assert loose == []
    assert keyless == []


SCENARIOS = [
    ((), DATABASES, "table platform.projects does not exist", PLATFORM),
    ((), BILLING, "table platform.organizations does not exist", PLATFORM),
    ((), LANCIO, "table platform.organizations does not exist", PLATFORM),
    ((), POLICIES, "table platform.organizations does not exist", PLATFORM),
    ((PLATFORM,), USERS, "table platform.billing_plans does not exist", BILLING),
    ((PLATFORM, BILLING), DATABASES, "extension pgcrypto does not exist", USERS),
    ((PLATFORM, BILLING), LANCIO, "extension pgcrypto does not exist", USERS),
    ((PLATFORM, BILLING), AUDIT, "extension pgcrypto does not exist", USERS),
    ((PLATFORM, BILLING, USERS, LANCIO), RAILWAY, "relation platform.databases does not exist", DATABASES),
    ((PLATFORM, BILLING, USERS, LANCIO), POLICIES, "table platform.audit_logs does not exist", AUDIT),
    ((PLATFORM, BILLING, USERS, AUDIT, DATABASES), RAILWAY, "Lancio project not found", LANCIO),
]


@pytest.mark.parametrize(
    ("before", "name", "words", "remedy"), SCENARIOS, ids=[f"{name[:9]} {words}" for _, name, words, _ in SCENARIOS]
)
def test_a_missing_prerequisite_is_named_and_nothing_is_left(
    database: str, before: tuple[str, ...], name: str, words: str, remedy: str
) -> None:
    launch(database, *before)
    found = state(database)
    done = psql(database, name)
    assert re.search(rf"ERROR:  {re.escape(words)}\nHINT:  Run {re.escape(remedy)} first", done.stderr), done.stderr
    assert state(database) == found
    # The specification's own solution.
    launch(
        database, remedy if remedy != USERS else USERS, *([] if remedy != PLATFORM else [BILLING, USERS, LANCIO, AUDIT])
    )
    if name != USERS:
        launch(database, name)


def test_step_2_names_the_table_that_is_missing(platform: str) -> None:
    with psycopg.connect(platform, autocommit=True) as connection:
        for table in LISTED:
            connection.execute(f"ALTER TABLE platform.{table} RENAME TO elsewhere")
            found = objects(platform)
            done = psql(platform, POLICIES)
            assert f"ERROR:  table platform.{table} does not exist\nHINT:  Run 00" in done.stderr
            assert objects(platform) == found
            connection.execute(f"ALTER TABLE platform.elsewhere RENAME TO {table}")


def test_step_2_without_step_1_covers_25_tables_and_the_26th_when_run_again(database: str) -> None:
    launch(database, PLATFORM, BILLING, USERS, LANCIO, AUDIT, POLICIES)
    with psycopg.connect(database, autocommit=True) as connection:
        count = "SELECT count(*) FROM platform.verify_rls_enabled() WHERE rls_enabled AND policy_count = 1"
        assert connection.execute(count).fetchone() == (25,)
        launch(database, DATABASES)
        assert connection.execute(count).fetchone() == (25,)
        first = connection.execute("SELECT test_result FROM platform.test_rls_policies()").fetchone()
        assert first == ("FAIL",)
        launch(database, POLICIES)
        assert connection.execute(count).fetchone() == (26,)


def test_step_2_never_opens_a_table_that_was_given_other_policies(platform: str) -> None:
    with psycopg.connect(platform, autocommit=True) as connection:
        connection.execute("DROP POLICY permissive_all_users ON platform.users")
        connection.execute("CREATE POLICY own ON platform.users USING (false)")
        connection.execute("CREATE TABLE platform.later (id int); ALTER TABLE platform.later ENABLE ROW LEVEL SECURITY")
    found = objects(platform)
    done = psql(platform, POLICIES)
    assert "table platform.users has policies of its own" in done.stderr
    assert objects(platform) == found


def test_the_same_rows_before_and_after_step_2(server: TestServer, database: str) -> None:
    launch(database, PLATFORM, BILLING, USERS, LANCIO, AUDIT, DATABASES, RAILWAY)
    role = f"reader_{database_of(database)}"
    queries = [*(f"SELECT * FROM platform.{t} ORDER BY 1" for t in [*LISTED, "databases", "databases_safe"])]
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        try:
            connection.execute(
                sql.SQL(
                    "GRANT USAGE ON SCHEMA platform TO {0}; GRANT ALL ON ALL TABLES IN SCHEMA platform TO {0}"
                ).format(sql.Identifier(role))
            )
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
            before = [connection.execute(query).fetchall() for query in queries]
            launch(database, POLICIES)
            assert [connection.execute(query).fetchall() for query in queries] == before
            assert connection.execute("UPDATE platform.projects SET name = name").rowcount == 1
            assert [row[1] for row in connection.execute("SELECT * FROM platform.test_rls_policies()")] == ["PASS"] * 5
        finally:
            connection.execute("RESET ROLE")
            connection.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(role)))


MUTATIONS = {
    "rls_enabled": "ALTER TABLE platform.credits DISABLE ROW LEVEL SECURITY",
    "policies_exist": "ALTER POLICY permissive_all_credits ON platform.credits RENAME TO another",
    "policies_apply_to_everyone": "ALTER POLICY permissive_all_credits ON platform.credits TO CURRENT_USER",
    "policies_let_all_rows_pass": "ALTER POLICY permissive_all_credits ON platform.credits WITH CHECK (false)",
    "queries_still_work": "CREATE POLICY tight ON platform.credits AS RESTRICTIVE USING (false)",
}


@pytest.mark.parametrize("test", MUTATIONS)
def test_each_rls_test_fails_for_its_mutation_alone(platform: str, test: str) -> None:
    with psycopg.connect(platform, autocommit=True) as connection:
        connection.execute(MUTATIONS[test])
        results = connection.execute("SELECT test_name, test_result, description FROM platform.test_rls_policies()")
        failed = [(name, text) for name, result, text in results if result == "FAIL"]
    assert [name for name, _ in failed] == [test]
    assert "credits" in failed[0][1]


def test_the_last_rls_test_reads_as_the_caller(platform: str) -> None:
    with psycopg.connect(platform, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION platform.fails() RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE division_by_zero; END'"
        )
        connection.execute("INSERT INTO platform.addons (type, variant, name) VALUES ('a', 'b', 'c')")
        connection.execute("CREATE POLICY broken ON platform.addons USING (platform.fails())")
        connection.execute("DROP POLICY permissive_all_addons ON platform.addons")
        connection.execute("GRANT SELECT ON platform.addons TO lancio_service")
        last = "SELECT test_result, description FROM platform.test_rls_policies() OFFSET 4"
        assert connection.execute(last).fetchone() == (
            "PASS", "No policy restricts, and the 26 tables that postgres may read were read."
        )  # fmt: skip
        connection.execute("SET ROLE lancio_service")
        assert connection.execute(last).fetchone() == ("FAIL", "Reading failed for: addons (22012)")


def test_pgcrypto_may_live_in_a_schema_of_its_own(every_server: TestServer) -> None:
    url = every_server.create_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA extensions; CREATE EXTENSION pgcrypto SCHEMA extensions")
    launch(url, *ALL)
    with psycopg.connect(url, autocommit=True) as connection:
        give_key(connection)
        connection.execute("SET ROLE lancio_service")  # which has no right on schema extensions
        project = connection.execute("SELECT project_id FROM platform.databases_safe LIMIT 1").fetchone()
        assert project is not None
        connection.execute(
            """INSERT INTO platform.databases (id, project_id, name, type, connection_string, host, port)
               VALUES ('00000000-0000-4000-8000-000000000001', %s, 'one', 'redis', %s, 'h', 1)""",
            (project[0], "redis://:s3cret@h:1"),
        )
        assert connection.execute(
            "SELECT connection_string FROM platform.databases_with_connection_strings WHERE name = 'one'"
        ).fetchall() == [("redis://:s3cret@h:1",)]
    every_server.drop_database(url)


def test_an_owner_without_rights_over_roles_runs_them_all(server: TestServer) -> None:
    """On a cluster of its own, since role lancio_service belongs to the whole server."""
    url = server.create_database()
    name = database_of(url)
    with server.connect() as connection:
        connection.execute(sql.SQL("CREATE ROLE owner_{0} LOGIN PASSWORD 'secret-of-the-owner'").format(sql.SQL(name)))
        connection.execute(sql.SQL("ALTER DATABASE {0} OWNER TO owner_{0}").format(sql.SQL(name)))
        taken = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'lancio_service'").fetchone()
        if taken:
            connection.execute("ALTER ROLE lancio_service RENAME TO lancio_service_aside")
    if server.version < 13:  # pgcrypto is a trusted extension from 13 on
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION pgcrypto")
    owner = server.url(name, user=f"owner_{name}", password="secret-of-the-owner")
    try:
        launch(owner, PLATFORM, BILLING, USERS, LANCIO, AUDIT)
        done = psql(owner, DATABASES)
        assert "ERROR" not in done.stderr
        assert (
            "WARNING:  role lancio_service does not exist and may not be created here\nHINT:  Have a role"
            in done.stderr
        )
        launch(owner, POLICIES, RAILWAY)
        with server.connect() as connection:
            connection.execute("CREATE ROLE lancio_service NOLOGIN")
        launch(owner, DATABASES)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET ROLE lancio_service")
            opened = connection.execute("SELECT connection_string FROM platform.databases_with_connection_strings")
            assert opened.fetchall() == [(None,), (None,)]
            with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):  # and not InsufficientPrivilege
                connection.execute("SELECT platform.register_database_from_setting(NULL, 'a', 'redis', 'lancio.none')")
        before = state(owner)
        launch(owner, *ALL)
        assert state(owner) == before
    finally:
        server.drop_database(url)
        with server.connect() as connection:
            connection.execute(sql.SQL("DROP ROLE owner_{}").format(sql.SQL(name)))
            if taken:
                connection.execute("DROP ROLE lancio_service")
                connection.execute("ALTER ROLE lancio_service_aside RENAME TO lancio_service")


def test_databases_that_make_the_service_role_at_once_do_not_fail(server: TestServer, database: str) -> None:
    launch(database, PLATFORM, BILLING, USERS, LANCIO, AUDIT)
    urls = [server.create_database(template=database_of(database)) for _ in range(4)]
    with server.connect() as connection:
        taken = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'lancio_service'").fetchone()
        if taken:
            connection.execute("ALTER ROLE lancio_service RENAME TO lancio_service_aside")
    try:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            done = list(pool.map(lambda url: psql(url, DATABASES), urls))
        assert not [one.stderr for one in done if re.search("ERROR|WARNING", one.stderr)]
        granted = "SELECT has_table_privilege('lancio_service', 'platform.databases', 'SELECT')"
        for url in urls:
            with psycopg.connect(url) as connection:
                assert connection.execute(granted).fetchone() == (True,)
    finally:
        for url in urls:
            server.drop_database(url)
        with server.connect() as connection:
            if taken:
                connection.execute("DROP ROLE lancio_service")
                connection.execute("ALTER ROLE lancio_service_aside RENAME TO lancio_service")


def test_what_a_later_file_took_from_the_service_stays_taken(platform: str) -> None:
    with psycopg.connect(platform, autocommit=True) as connection:
        connection.execute("REVOKE ALL ON platform.databases_with_connection_strings FROM lancio_service")
        connection.execute("REVOKE SELECT ON platform.databases_safe FROM PUBLIC")
        connection.execute("ALTER TABLE platform.users ALTER id DROP DEFAULT, ALTER id SET DEFAULT md5('x')::uuid")
    before = state(platform)
    launch(platform, *ALL)
    assert state(platform) == before


def test_004_writes_nothing_that_is_there(platform: str) -> None:
    with psycopg.connect(platform, autocommit=True) as connection:
        connection.execute("UPDATE platform.organizations SET name = 'Renamed', deleted_at = now()")
    before = rows(platform)
    launch(platform, LANCIO)
    assert rows(platform) == before


def test_updated_at_follows_an_update(platform: str) -> None:
    with psycopg.connect(platform, autocommit=True) as connection:
        for table in ("organizations", "projects", "databases"):
            connection.execute(f"UPDATE platform.{table} SET name = name")
            later = connection.execute(f"SELECT bool_and(updated_at > created_at) FROM platform.{table}").fetchone()
            assert later == (True,), table


def test_get_project_databases_returns_one_projects_rows(platform: str) -> None:
    with psycopg.connect(platform, autocommit=True) as connection:
        other = connection.execute(
            """WITH o AS (INSERT INTO platform.organizations (slug, name) VALUES ('other', 'Other') RETURNING id)
               INSERT INTO platform.projects (organization_id, slug, name) SELECT id, 'theirs', 'Theirs' FROM o
               RETURNING id"""
        ).fetchone()
        assert other is not None
        for name, kind, status in (
            ("a", "redis", "active"),
            ("b", "mongodb", "error"),
            ("c", "redis", "inactive"),
            ("d", "postgresql", "maintenance"),
        ):
            connection.execute(
                """INSERT INTO platform.databases (project_id, name, type, connection_string, host, port, status)
                   VALUES (%s, %s, %s, %s, 'h', 1, %s)""",
                (other[0], name, kind, f"{kind}://h:1", status),
            )
        ours = connection.execute("SELECT id FROM platform.projects WHERE slug = 'lancio-studio'").fetchone()
        assert ours is not None

        def names(project: object, kind: str | None = None) -> list[str]:
            found = connection.execute("SELECT name FROM platform.get_project_databases(%s, %s)", (project, kind))
            return [row[0] for row in found]

        assert names(other[0]) == ["a", "b", "d"]
        assert names(other[0], "redis") == ["a"]
        assert names(ours[0]) == ["Railway MongoDB", "Railway Redis"]
        assert names(ours[0], "mongodb") == ["Railway MongoDB"]
        assert names(None) == []
        columns = connection.execute("SELECT * FROM platform.get_project_databases(%s)", (ours[0],)).description
        safe = connection.execute("SELECT * FROM platform.databases_safe").description
        assert columns is not None
        assert safe is not None
        assert [c.name for c in columns] == [c.name for c in safe]
        assert not {"password", "username", "connection_string", "connection_string_encrypted"} & {c.name for c in safe}


def test_step_3_registers_what_the_settings_say(database: str) -> None:
    launch(database, *ALL[:-1])
    found = state(database)
    real = {"PGOPTIONS": "-c lancio.redis_url=redis://:s3cret@[fd12::1]:6380/0"}
    done = psql(database, RAILWAY, env=real)
    assert "no key to seal the connection string with" in done.stderr
    assert "s3cret" not in done.stdout + done.stderr
    assert state(database) == found

    keyed = {"PGOPTIONS": real["PGOPTIONS"] + f" -c lancio.mongodb_url=absent -c lancio.key_id=7 -c lancio.key={KEY}"}
    done = psql(database, RAILWAY, env=keyed)
    assert "ERROR" not in done.stderr
    assert "WARNING:  Railway MongoDB not found" in done.stderr
    with psycopg.connect(database) as connection:
        shown = connection.execute("SELECT name, host, port, connection_string_masked FROM platform.databases_safe")
        assert shown.fetchall() == [("Railway Redis", "fd12::1", 6380, "redis://[fd12::1]:6380")]
    once = re.search(r"-- lancio: verify-once (.*)", (FOLDER / RAILWAY).read_text())
    assert once is not None
    with psycopg.connect(database, options="-c lancio.mongodb_url=absent") as connection:
        assert connection.execute(once[1]).fetchone() == (True,)  # type: ignore[arg-type]
    with psycopg.connect(database) as connection:
        assert connection.execute(once[1]).fetchone() == (False,)  # type: ignore[arg-type]

    launch(database, RAILWAY)
    with psycopg.connect(database) as connection:
        assert connection.execute(once[1]).fetchone() == (True,)  # type: ignore[arg-type]
        shown = connection.execute("SELECT name, host, port, database, metadata FROM platform.databases ORDER BY name")
        assert shown.fetchall() == [
            ("Railway MongoDB", "mongodb.railway.internal", 27017, "lancio", {"placeholder": True}),
            ("Railway Redis", "fd12::1", 6380, None, {}),
        ]


def test_two_runs_of_step_3_at_once_make_two_records(database: str) -> None:
    launch(database, *ALL[:-1])
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: psql(database, RAILWAY), range(4)))
    assert not [one.stderr for one in done if "ERROR" in one.stderr]
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(*) FROM platform.databases").fetchone() == (2,)


def test_the_declared_checks_hold(database: str) -> None:
    for name in (*TEN, NAMED, ROTATIONS):
        launch(database, name)
        for check in re.findall(r"^-- lancio: verify(?:-once)? (.*)$", (FOLDER / name).read_text(), re.MULTILINE):
            with psycopg.connect(database) as connection:
                assert connection.execute(check).fetchone() == (True,), check


def test_psql_stops_at_nothing_but_leaves_nothing(database: str) -> None:
    """The reason for BEGIN and COMMIT: psql sends every statement that follows the refused one."""
    done = run_psql(database, file=FOLDER / DATABASES)
    assert done.stderr.count("current transaction is aborted") > 5
    assert "ROLLBACK" in done.stdout
    assert objects(database) == {row for row in objects(database) if row[0] == "extension"}
