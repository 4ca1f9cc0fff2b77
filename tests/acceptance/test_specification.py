"""The specification's unit and integration tests, in its order, on a platform that Lancio launched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import outside
import psycopg
import pytest
from outside import FOUNDATION, SIX, STEP_1, STEP_2, STEP_3, lancio

from servers import database_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Stage
    from servers import TestServer

KEY = "0123456789abcdef" * 8
INDEXES = {
    "databases_pkey",
    "idx_databases_project_id",
    "idx_databases_type",
    "idx_databases_status",
    "idx_databases_project_type_status",
    "idx_databases_health_check",
    "idx_databases_created_at",
    "idx_databases_updated_at",
}
COLUMNS = {
    "id", "project_id", "name", "type", "host", "port", "database", "username", "password", "connection_string",
    "connection_string_encrypted", "ssl_enabled", "config", "metadata", "status", "health_check_status",
    "last_health_check_at", "health_check_error", "created_at", "updated_at",
}  # fmt: skip
FUNCTIONS = {
    "encrypt_database_connection_string()",
    "decrypt_database_connection_string(database_id uuid)",
    "get_project_databases(project_id uuid, type text)",
    "update_database_health(database_id uuid, status text, error text)",
}
TABLES = (
    "organizations", "organization_members", "organization_invitations", "organization_feature_flags", "projects",
    "project_members", "project_addons", "project_metrics", "subscriptions", "invoices", "payment_methods", "tax_ids",
    "customer_profiles", "credits", "disk_config", "compute_config", "addons", "usage_metrics", "users",
    "user_sessions", "api_keys", "audit_logs", "feature_flags", "billing_plans", "credentials", "databases",
)  # fmt: skip


@pytest.fixture(scope="module")
def launched(server: TestServer) -> Iterator[str]:
    """A database on which Lancio has run 001 to 006."""
    url = server.create_database()
    said = lancio("apply", "--no-backup", "--platform", "--database", url, "--to", STEP_3)
    assert said.status == 0, said.text
    yield url
    server.drop_database(url)


def names(url: str, query: str) -> set[str]:
    with psycopg.connect(url, autocommit=True) as connection:
        return {str(row[0]) for row in connection.execute(query)}


# Unit Test Order.


def test_1_databases_table_creation(launched: str) -> None:
    """Verify: table exists, indexes exist, functions exist."""
    assert names(launched, "SELECT attname FROM pg_attribute WHERE attrelid = 'platform.databases'::regclass"
                 " AND attnum > 0 AND NOT attisdropped") == COLUMNS  # fmt: skip
    assert names(launched, "SELECT indexname FROM pg_indexes WHERE schemaname = 'platform'"
                 " AND tablename = 'databases'") == INDEXES  # fmt: skip
    found = names(
        launched,
        "SELECT proname || '(' || pg_get_function_identity_arguments(oid) || ')' FROM pg_proc"
        " WHERE pronamespace = 'platform'::regnamespace",
    )
    assert found >= FUNCTIONS
    assert names(launched, "SELECT viewname FROM pg_views WHERE schemaname = 'platform'") == {
        "databases_safe", "databases_with_connection_strings"
    }  # fmt: skip
    assert names(
        launched, "SELECT tgname FROM pg_trigger WHERE tgrelid = 'platform.databases'::regclass AND NOT tgisinternal"
    ) == {"update_databases_updated_at", "encrypt_database_connection_string_trigger"}


def test_2_encryption_and_decryption(launched: str) -> None:
    """Insert row, check encrypted column populated, decrypt successfully."""
    url = "redis://default:s3cret%2F@cache.example:6379/0"
    with psycopg.connect(launched, autocommit=True) as connection:
        connection.execute(
            "SELECT set_config('lancio.key_id', '7', false), set_config('lancio.key', %s, false)", (KEY,)
        )
        row = connection.execute(
            "INSERT INTO platform.databases (project_id, name, type, host, port, connection_string)"
            " SELECT id, 'unit', 'redis', 'cache.example', 6379, %s FROM platform.projects"
            " RETURNING id, connection_string, connection_string_encrypted",
            (url,),
        ).fetchone()
        assert row is not None
        assert row[2] is not None
        assert b"s3cret" not in bytes(row[2])
        assert "s3cret" not in row[1]
        opened = "SELECT platform.decrypt_database_connection_string(%s)"
        assert connection.execute(opened, (row[0],)).fetchone() == (url,)
        shown = connection.execute(
            "SELECT to_jsonb(d)::text FROM platform.databases_safe d WHERE d.id = %s", (row[0],)
        ).fetchone()
        assert shown is not None
        assert "s3cret" not in shown[0]
        assert "redis://cache.example:6379" in shown[0]
        connection.execute("DELETE FROM platform.databases WHERE id = %s", (row[0],))


def test_3_rls_policies(launched: str) -> None:
    """Policies exist, queries still work (no 403 errors)."""
    with psycopg.connect(launched, autocommit=True) as connection:
        found = connection.execute("SELECT table_name, rls_enabled, policy_count FROM platform.verify_rls_enabled()")
        assert {(str(name), on, int(count)) for name, on, count in found} == {(name, True, 1) for name in TABLES}
        tests = connection.execute("SELECT test_name, test_result FROM platform.test_rls_policies()").fetchall()
        assert len(tests) == 5
        assert {result for _, result in tests} == {"PASS"}
        policies = connection.execute(
            "SELECT tablename, policyname, permissive, cmd, roles::text, qual, with_check FROM pg_policies"
            " WHERE schemaname = 'platform'"
        ).fetchall()
        assert set(policies) == {
            (name, f"permissive_all_{name}", "PERMISSIVE", "ALL", "{public}", "true", "true") for name in TABLES
        }
        for name in TABLES:
            connection.execute(f"SELECT * FROM platform.{name}")


def test_4_database_registration(launched: str) -> None:
    """MongoDB and Redis records created."""
    with psycopg.connect(launched, autocommit=True) as connection:
        found = connection.execute(
            "SELECT d.type, d.host, d.port, d.status, d.metadata ->> 'placeholder',"
            "       d.connection_string_encrypted IS NULL, platform.decrypt_database_connection_string(d.id), p.slug"
            " FROM platform.databases d JOIN platform.projects p ON p.id = d.project_id ORDER BY d.type"
        ).fetchall()
    assert found == [
        ("mongodb", "mongodb.railway.internal", 27017, "active", "true", True, None, "lancio-studio"),
        ("redis", "redis.railway.internal", 6379, "active", "true", True, None, "lancio-studio"),
    ]


# Integration Test Order.


def test_1_full_migration_sequence(every_server: TestServer, stage: Stage) -> None:
    """No errors, all objects created; and each count of the checklist holds when the specification says so."""
    url = stage(every_server, *FOUNDATION)
    count = "SELECT count(*) FROM platform.databases"
    for name, query, least, most in (
        (STEP_1, count, 0, 0),
        (STEP_2, "SELECT count(*) FROM pg_policies WHERE schemaname = 'platform'", 24, 26),
        (STEP_3, count, 2, 2),
    ):
        said = lancio("apply", "--no-backup", "--platform", "--database", url, "--only", name)
        assert said.status == 0, said.text
        assert "1 of 1 step" in said.out
        assert least <= outside.one(url, query) <= most
    expected, made = outside.facts(stage(every_server, *SIX)), outside.facts(url)
    assert outside.differs(expected, made) == []


# "Impact: ZERO BEHAVIOR CHANGE".


@pytest.mark.parametrize("by", ["psql", "lancio"])
def test_a_role_that_owns_nothing_gets_the_same_rows_before_and_after_step_2(
    every_server: TestServer, stage: Stage, by: str
) -> None:
    url = stage(every_server, *FOUNDATION, STEP_1, STEP_3)
    role = f"reader_{database_of(url)}"
    fill = (
        "INSERT INTO platform.organizations (slug, name) VALUES ('two', 'Two'), ('three', 'Three')",
        (
            "INSERT INTO platform.projects (organization_id, slug, name, status)"
            " SELECT id, slug || '-p', name, 'ACTIVE_HEALTHY'"
            " FROM platform.organizations WHERE slug IN ('two', 'three')"
        ),
        "INSERT INTO platform.users (primary_email) VALUES ('ann@example.org'), ('bob@example.org')",
        (
            "INSERT INTO platform.databases (project_id, name, type, host, port, connection_string)"
            " SELECT id, 'cache', 'redis', 'h', 6379, 'redis://h:6379' FROM platform.projects"
        ),
    )
    queries = [
        *(f"SELECT t::text FROM platform.{name} t ORDER BY 1" for name in TABLES),
        "SELECT d::text FROM platform.databases_safe d ORDER BY 1",
        (
            "SELECT p.slug, count(*) FROM platform.projects p JOIN platform.databases d ON d.project_id = p.id"
            " GROUP BY 1 ORDER BY 1"
        ),
        (
            "SELECT o.slug FROM platform.organizations o WHERE NOT EXISTS"
            " (SELECT 1 FROM platform.projects p WHERE p.organization_id = o.id) ORDER BY 1"
        ),
    ]
    outside.execute(
        url, *fill, f"CREATE ROLE {role}", f"GRANT USAGE ON SCHEMA platform TO {role}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA platform TO {role}",
    )  # fmt: skip
    try:
        before = _as_role(url, role, queries)
        assert len(before[TABLES.index("organizations")]) == 3
        assert _row_security(url, role) == []
        if by == "psql":
            outside.launched(url, STEP_2)
        else:
            said = lancio("apply", "--no-backup", "--platform", "--database", url, "--only", STEP_2)
            assert said.status == 0, said.text
        assert _as_role(url, role, queries) == before
        # And it is row security that lets them pass: it is on, and this role does not bypass it.
        assert len(_row_security(url, role)) == len(TABLES)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"SET ROLE {role}")
            assert connection.execute("UPDATE platform.projects SET name = name || '!'").rowcount == 3
            assert connection.execute("DELETE FROM platform.databases WHERE name = 'cache'").rowcount == 3
            connection.execute("INSERT INTO platform.organizations (slug, name) VALUES ('four', 'Four')")
    finally:
        outside.execute(url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def _as_role(url: str, role: str, queries: list[str]) -> list[list[tuple[object, ...]]]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"SET ROLE {role}")
        return [connection.execute(query).fetchall() for query in queries]


def _row_security(url: str, role: str) -> list[str]:
    """The tables whose rows are filtered for this role."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"SET ROLE {role}")
        found = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'platform'::regnamespace AND relkind = 'r'"
            " AND row_security_active(oid)"
        )
        return [str(row[0]) for row in found]
