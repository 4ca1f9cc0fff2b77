"""After 007 a session sees and writes its organization's rows and no other's: every table, verb, case and role."""

from __future__ import annotations

import contextlib
import importlib.util
import random
import re
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from isolation import (
    CATALOGUES,
    OTHER,
    OWN,
    PASSWORD,
    PERSONAL,
    PROOF,
    TABLES,
    TENANTS,
    insert,
    logins,
    made,
    populate,
    set_context,
    values,
    work_as,
)
from psycopg import sql
from schema_files import (
    ALL,
    BACK,
    ISOLATION,
    LANCIO,
    NINE,
    POLICIES,
    RAILWAY,
    give_key,
    launch,
    objects,
    psql,
    rows,
    run,
    state,
)  # fmt: skip

from lancio.registry.context import BypassRefused, ContextRefused, context, refuse_bypass
from servers import PROJECT as PROJECT_FOLDER
from servers import database_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conftest import Pool
    from servers import TestServer

VERSIONS = (18, 15, 12, 10) if PROOF else (18, 10)

GRANTED = {
    "lancio_owner": dict.fromkeys(TABLES, "SIUD"),
    "lancio_application": dict.fromkeys((*TENANTS, "organizations", *PERSONAL), "SIUD")
    | dict.fromkeys(CATALOGUES, "S")
    | {"audit_logs": "SI", "organizations": "SIU", "users": "SIU"},
    "lancio_service": dict.fromkeys(("organizations", "projects", "organization_members", *CATALOGUES), "S")
    | {"databases": "SIUD", "credentials": "SU", "audit_logs": "SI"},
    "lancio_readonly": dict.fromkeys(TABLES, "S"),
}
"""Which verbs each role was granted on which table."""

PROJECT = [table for table in TENANTS if "project_id" in values(table, OWN)]
ONE_EACH = {"customer_profiles": "organization_id", "disk_config": "project_id", "compute_config": "project_id"}
"""Tables with one row for each organization or project: there a second row is an upsert of the first."""
UNUSED = {"addons": "addon", "feature_flags": "flag", "billing_plans": "plan"}
CASES = ("own", "other", "none", "forged")
FORGED = f"{OWN.user.hex}:{OTHER.id.hex}:{'0' * 64}"


def tried(connection: psycopg.Connection, statement: Any, parameters: dict[str, object] | None = None) -> str:
    """`refused` with an error's class, or how many rows were seen or written; it is taken back."""
    connection.execute("SAVEPOINT tried")
    try:
        done = connection.execute(statement, parameters)
        found = str(done.rowcount)
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except psycopg.Error as error:
        found = {"42501": "refused", "23503": "refused", "22023": "refused"}.get(error.sqlstate or "", str(error))
    connection.execute("ROLLBACK TO SAVEPOINT tried")
    return found


def statements(table: str, case: str) -> dict[str, tuple[Any, dict[str, object]]]:
    """The four verbs, aimed at a row of OWN, or of OTHER in the cases `other` and `forged`."""
    target = OTHER if case in ("other", "forged") else OWN
    row: dict[str, object] = dict(values(table, target, "new"))
    if case == "forged" and table in PROJECT:  # one's own row that points at the other's project
        row = dict(values(table, OWN, "new")) | {"project_id": OTHER.project}
    where = {"id": made(UNUSED[table], "new") if table in CATALOGUES else target.row(table)}
    name = sql.Identifier(table)
    upsert = sql.SQL(" ON CONFLICT ({0}) DO UPDATE SET created_at = EXCLUDED.created_at").format(
        sql.Identifier(ONE_EACH.get(table, "id"))
    )
    return {
        "S": (sql.SQL("SELECT id FROM platform.{} WHERE id = %(id)s").format(name), where),
        "I": (insert(table, row) + (upsert if table in ONE_EACH else sql.SQL("")), row),
        "U": (sql.SQL("UPDATE platform.{} SET created_at = created_at WHERE id = %(id)s").format(name), where),
        "D": (sql.SQL("DELETE FROM platform.{} WHERE id = %(id)s").format(name), where),
    }


def expected(table: str, verb: str, case: str, role: str) -> str:
    if verb not in GRANTED[role].get(table, ""):
        return "refused"
    if table in CATALOGUES:
        return "1"  # for everybody alike, and only the owner has more than S
    if case == "own":
        # An organization and a user are not made by who works in one.
        return "refused" if verb == "I" and table in ("organizations", "users") else "1"
    return "refused" if verb == "I" else "0"


def matrix(connection: psycopg.Connection, tables: Sequence[str]) -> dict[tuple[str, str, str], str]:
    """What the session gets: (table, verb, case) to the number of rows, or `refused`."""
    found: dict[tuple[str, str, str], str] = {}
    for case in CASES:
        for table in tables:
            with connection.transaction(force_rollback=True):
                if case in ("own", "other") or (case == "forged" and table in PROJECT):
                    set_context(connection, OWN.user, OWN.id)
                elif case == "forged":
                    connection.execute("SELECT set_config('lancio.context', %s, true)", (FORGED,))
                for verb, (statement, parameters) in statements(table, case).items():
                    found[table, verb, case] = tried(connection, statement, parameters)
    return found


@pytest.mark.postgres
@pytest.mark.parametrize("version", VERSIONS)
def test_the_isolation_matrix(pool: Pool, version: int) -> None:
    """Every table, four verbs, four cases, four roles, by logins of their own, after 001 to 006 were run again."""
    server = pool.get(version)
    tables = TABLES if PROOF or version == 18 else random.Random(7).sample(TABLES, 8)
    url = server.create_database()
    run(url, *NINE)
    with psycopg.connect(url) as connection:
        populate(connection)
    before = state(url)
    run(url, *ALL)
    assert state(url) == before
    with logins(server, database_of(url)) as urls:
        for role, own in urls.items():
            with psycopg.connect(own, autocommit=True) as connection:
                found = matrix(connection, tables)
                wanted = {key: expected(*key, role) for key in found}
                assert len(found) == len(tables) * 4 * 4
                assert {key: value for key, value in found.items() if wanted[key] != value} == {}, role
                # Nothing at all is seen but one's own: all rows of all tables, not only those that were aimed at.
                with connection.transaction(force_rollback=True):
                    set_context(connection, OWN.user, OWN.id)
                    for table in TENANTS:
                        if "S" in GRANTED[role].get(table, ""):
                            seen = {id_ for (id_,) in connection.execute(f"SELECT id FROM platform.{table}")}
                            assert seen == {OWN.row(table)} | (
                                {made("both", "own")} if table == "organization_members" else set()
                            ), (role, table)
        assert rows(url) == before[1]
        # Members of the four groups alone: anyone else is told that nothing is there, or that it is not for them.
        stranger = f"stranger_{database_of(url)}"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(stranger)))
            connection.execute(
                sql.SQL("GRANT ALL ON ALL TABLES IN SCHEMA platform TO {}").format(sql.Identifier(stranger))
            )
            try:
                with connection.transaction():
                    work_as(connection, stranger)
                    for table in (*TABLES, "databases_safe"):
                        assert tried(connection, f"SELECT * FROM platform.{table}") == "0", table
                    with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                        set_context(connection, OWN.user, OWN.id)
            finally:
                connection.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(stranger)))
    server.drop_database(url)


def test_views_and_functions_isolate_on_every_version(every_server: TestServer) -> None:
    url = every_server.create_database()
    run(url, *NINE)
    with psycopg.connect(url, autocommit=True) as connection:
        populate(connection)
        give_key(connection)
        ids = {
            each.name: connection.execute(
                "UPDATE platform.databases SET connection_string = %s WHERE project_id = %s RETURNING id",
                (f"redis://:of-{each.name}@cache.test:6379", each.project),
            ).fetchone()[0]  # type: ignore[index]
            for each in (OWN, OTHER)
        }
        opened = "SELECT platform.decrypt_database_connection_string(%s)"
        for role in ("lancio_application", "lancio_service", "lancio_readonly", "lancio_owner"):
            with connection.transaction():
                work_as(connection, role)
                assert connection.execute("SELECT id FROM platform.databases_safe").fetchall() == []
                set_context(connection, OWN.user, OWN.id)
                assert connection.execute("SELECT id FROM platform.databases_safe").fetchall() == [(ids["own"],)]
                for project, many in ((OWN.project, 1), (OTHER.project, 0)):
                    assert (
                        connection.execute("SELECT * FROM platform.get_project_databases(%s)", (project,)).rowcount
                        == many
                    )
                if role in ("lancio_service", "lancio_owner"):
                    assert connection.execute(
                        "SELECT id, connection_string FROM platform.databases_with_connection_strings"
                    ).fetchall() == [(ids["own"], "redis://:of-own@cache.test:6379")]
                    assert connection.execute(opened, (ids["own"],)).fetchone() == ("redis://:of-own@cache.test:6379",)
                    assert connection.execute(opened, (ids["other"],)).fetchone() == (None,)
                    for id_, there in ((ids["own"], True), (ids["other"], False)):
                        assert connection.execute(
                            "SELECT platform.update_database_health(%s, 'healthy', NULL)", (id_,)
                        ).fetchone() == (there,)
                else:
                    assert tried(connection, opened, (ids["own"],)) == "refused"  # type: ignore[arg-type]
        # A superuser, whom no policy binds, sees all of it the same way on every version.
        assert connection.execute("SELECT count(*) FROM platform.databases_safe").fetchone() == (5,)
        assert connection.execute(opened, (ids["other"],)).fetchone() == ("redis://:of-other@cache.test:6379",)
        assert [row[1] for row in connection.execute("SELECT * FROM platform.test_rls_policies()")] == ["PASS"] * 5
    every_server.drop_database(url)


def test_a_session_that_wants_no_filtered_answers_is_served(peopled: str) -> None:
    """As pg_restore and the runner say it: what runs as lancio_owner is bound by policies, and answers all the same."""
    with psycopg.connect(peopled, autocommit=True) as connection:
        give_key(connection)
        connection.execute("SET row_security = off")
        row = dict(values("databases", OWN, "x")) | {"connection_string": "redis://:pw@cache.test:6379"}
        connection.execute(insert("databases", row), row)
        assert connection.execute(
            "SELECT organization_id, platform.decrypt_database_connection_string(id) FROM platform.databases"
            " WHERE id = %s",
            (row["id"],),
        ).fetchone() == (OWN.id, "redis://:pw@cache.test:6379")
        with connection.transaction():
            set_context(connection, OWN.user, OWN.id)
            connection.execute("SELECT platform.enter_organization(%s)", (OTHER.id,))
            work_as(connection, "lancio_application")
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="would be affected"):
                connection.execute("SELECT id FROM platform.projects")


def test_the_organization_of_a_database_is_that_of_its_project_and_stays(peopled: str) -> None:
    with psycopg.connect(peopled, autocommit=True) as connection:
        loose = connection.execute(
            "SELECT count(*) FROM platform.databases d JOIN platform.projects p ON p.id = d.project_id"
            " WHERE d.organization_id <> p.organization_id"
        ).fetchone()
        assert loose == (0,)
        row = OTHER.row("databases")
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="does not change"):
            connection.execute("UPDATE platform.databases SET organization_id = %s WHERE id = %s", (OWN.id, row))
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            connection.execute("UPDATE platform.databases SET project_id = %s WHERE id = %s", (OWN.project, row))
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            connection.execute(
                "UPDATE platform.projects SET organization_id = %s WHERE id = %s", (OWN.id, OTHER.project)
            )
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            connection.execute(
                insert("databases", dict(values("databases", OWN, "x")) | {"organization_id": OTHER.id}),
                dict(values("databases", OWN, "x")) | {"organization_id": OTHER.id},
            )
        # Under a context it is not told whether a project of another organization is there.
        with connection.transaction(force_rollback=True):
            work_as(connection, "lancio_application")
            set_context(connection, OWN.user, OWN.id)
            said = []
            for project in (OTHER.project, made("project", "nowhere")):
                row_ = dict(values("databases", OWN, "y")) | {"project_id": project}
                with pytest.raises(psycopg.errors.ForeignKeyViolation) as caught, connection.transaction():
                    connection.execute(insert("databases", row_), row_)
                said.append(str(caught.value).replace(str(project), "…"))
            assert said[0] == said[1]


def test_a_context_is_for_members_and_for_one_transaction(peopled: str) -> None:
    with psycopg.connect(peopled, autocommit=True) as connection:
        connection.execute("SET ROLE lancio_application")
        seen = "SELECT organization_id FROM platform.projects"
        with connection.transaction():
            assert connection.execute("SELECT platform.set_context(%s, %s)", (OWN.user, OWN.id)).fetchone() == (
                "admin",
            )
            assert connection.execute(seen).fetchall() == [(OWN.id,)]
            kept = connection.execute("SELECT current_setting('lancio.context')").fetchone()
            with contextlib.suppress(psycopg.errors.DivisionByZero), connection.transaction():
                set_context(connection, OWN.user)
                connection.execute("SELECT 1 / 0")
            assert connection.execute(seen).fetchall() == [(OWN.id,)]  # the savepoint took its context with it
        assert connection.execute(seen).fetchall() == []
        assert kept is not None
        for forged in (kept[0], FORGED, "", ":::", kept[0].upper(), "x" * 130, "é" * 130):
            with connection.transaction():
                connection.execute("SELECT set_config('lancio.context', %s, true)", (forged,))
                assert connection.execute(seen).fetchall() == [], forged
        # Of this transaction, but for another organization or user: the MAC is over both.
        with connection.transaction():
            set_context(connection, OWN.user, OWN.id)
            real = connection.execute("SELECT current_setting('lancio.context')").fetchone()
            assert real is not None
            for forged in (real[0].replace(OWN.id.hex, OTHER.id.hex), real[0].replace(OWN.user.hex, OTHER.user.hex)):
                connection.execute("SELECT set_config('lancio.context', %s, true)", (forged,))
                assert connection.execute(seen).fetchall() == []
                assert connection.execute("SELECT id FROM platform.users").fetchall() == []
        connection.execute("RESET ROLE")
        connection.execute("UPDATE platform.users SET disabled_at = now() WHERE id = %s", (OTHER.user,))
        connection.execute("SET ROLE lancio_application")
        for user, organization in (
            (OWN.user, OTHER.id), (OTHER.user, OTHER.id), (OTHER.user, None), (made("nobody"), OWN.id),
            (OWN.user, made("nowhere")),
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                set_context(connection, user, organization)  # type: ignore[arg-type]


def test_a_user_without_an_organization_sees_the_ones_to_choose_from(peopled: str) -> None:
    everybody = made("user", "everybody")
    with psycopg.connect(peopled, autocommit=True) as connection, connection.transaction():
        work_as(connection, "lancio_application")
        set_context(connection, everybody)
        assert {row[0] for row in connection.execute("SELECT id FROM platform.organizations")} == {OWN.id, OTHER.id}
        assert {row[0] for row in connection.execute("SELECT user_id FROM platform.organization_members")} == {
            everybody
        }
        assert connection.execute("SELECT id FROM platform.users").fetchall() == [(everybody,)]
        for table in (*TENANTS[1:], "user_sessions"):
            assert connection.execute(f"SELECT id FROM platform.{table}").fetchall() == [], table
        for organization in (OWN, OTHER):
            set_context(connection, everybody, organization.id)
            assert connection.execute("SELECT id FROM platform.organizations").fetchall() == [(organization.id,)]


def test_without_a_right_over_the_key_nobody_makes_a_context(peopled: str) -> None:
    with psycopg.connect(peopled, autocommit=True) as connection:
        for role in ("lancio_application", "lancio_service", "lancio_readonly"):
            with connection.transaction():
                work_as(connection, role)
                for statement in (
                    "SELECT last_value FROM platform_private.context_key_1",
                    "SELECT platform_private.write_context(NULL, NULL)",
                    f"SELECT platform.enter_organization('{OTHER.id}')",
                ):
                    assert tried(connection, statement) == "refused", (role, statement)
        with connection.transaction():
            work_as(connection, "lancio_owner")
            connection.execute("SELECT platform.enter_organization(%s)", (OTHER.id,))
            assert connection.execute("SELECT organization_id FROM platform.projects").fetchall() == [(OTHER.id,)]
            assert connection.execute("SELECT id FROM platform.users").fetchall() == []
            with pytest.raises(psycopg.errors.NoDataFound), connection.transaction():
                connection.execute("SELECT platform.enter_organization(%s)", (made("nowhere"),))


MUTATIONS = {
    "rls_enabled": "ALTER TABLE platform.credits NO FORCE ROW LEVEL SECURITY",
    "policies_exist": "ALTER POLICY organization_credits ON platform.credits TO lancio_application, lancio_readonly",
    "base_is_narrow": "ALTER POLICY permissive_all_credits ON platform.credits TO PUBLIC",
    "nothing_without_a_context": "ALTER POLICY organization_credits ON platform.credits USING (true)",
    "other_organizations_are_hidden":
        "ALTER POLICY organization_credits ON platform.credits USING ((SELECT platform.current_user_id()) IS NOT NULL)",
}  # fmt: skip


@pytest.mark.parametrize("test", MUTATIONS)
def test_each_isolation_test_fails_for_its_mutation(peopled: str, test: str) -> None:
    with psycopg.connect(peopled, autocommit=True) as connection:
        before = rows(peopled)
        connection.execute(MUTATIONS[test])
        found = connection.execute("SELECT * FROM platform.test_rls_policies()").fetchall()
        failed = {name: text for name, result, text in found if result == "FAIL"}
        assert "credits" in failed[test]
        # A hole shows wherever rows are looked at.
        assert set(failed) <= {test, "other_organizations_are_hidden"}
        assert rows(peopled) == before
        assert connection.execute("SELECT current_user, current_setting('lancio.context', true)").fetchone() == (
            "postgres", ""
        )  # fmt: skip


def test_everything_belongs_to_the_owner(isolated: str) -> None:
    with psycopg.connect(isolated) as connection:
        others = connection.execute(
            """SELECT 'relation', c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname IN ('platform', 'platform_private') AND c.relowner <> 'lancio_owner'::regrole
               UNION ALL SELECT 'function', p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
               WHERE n.nspname IN ('platform', 'platform_private') AND p.proowner <> 'lancio_owner'::regrole
               UNION ALL SELECT 'schema', nspname FROM pg_namespace
               WHERE nspname IN ('platform', 'platform_private') AND nspowner <> 'lancio_owner'::regrole"""
        ).fetchall()
        definers = connection.execute(
            "SELECT proname, proconfig, has_function_privilege('public', p.oid, 'EXECUTE'), prosrc FROM pg_proc p"
            " JOIN pg_namespace n ON n.oid = p.pronamespace WHERE nspname ~ '^platform' AND prosecdef"
        ).fetchall()
    assert others == []
    for name, settings, public, text in definers:
        if name in ("current_organization_id", "current_user_id"):  # whose names all say where they are from
            assert settings is None
            assert (
                re.findall(
                    r"(?<![.\w])(?!CASE|AND|OPERATOR|RETURN)\w+\s*\(|[^(.]\s(?:=|<>|[|]{2})\s|::(?!pg_catalog)", text
                )
                == []
            )
            continue
        assert any(each.startswith("search_path=pg_catalog, ") and each.endswith("pg_temp") for each in settings), name
        # The bounds of what lancio_owner sees are asked by its views for whoever reads them; they say what is known.
        assert public == (name in ("first_organization_id", "last_organization_id")), name


def test_a_second_run_leaves_what_was_changed_since(peopled: str) -> None:
    with psycopg.connect(peopled, autocommit=True) as connection:
        connection.execute("REVOKE DELETE ON platform.projects FROM lancio_application")
        connection.execute("DROP POLICY organization_credits ON platform.credits")
        connection.execute("DROP POLICY owner_invoices ON platform.invoices")
        connection.execute("DROP POLICY permissive_all_projects ON platform.projects")
        connection.execute("CREATE OR REPLACE FUNCTION platform.verify_rls_enabled()"
                           " RETURNS TABLE (table_name text, rls_enabled boolean, policy_count integer)"
                           " LANGUAGE sql AS 'SELECT NULL::text, NULL::boolean, NULL::integer'")  # fmt: skip
    before = objects(peopled)
    launch(peopled, ISOLATION)
    gained = objects(peopled) - before
    # A policy that is missing is a hole, and is closed; everything else stays.
    assert {row[1] for row in gained} == {
        "credits.organization_credits", "invoices.owner_invoices", "projects.permissive_all_projects"
    }  # fmt: skip
    assert before <= objects(peopled)
    with psycopg.connect(peopled, autocommit=True) as connection:
        # What binds less than it did is bound again.
        connection.execute("DROP POLICY permissive_all_credits ON platform.credits")
        connection.execute("ALTER TABLE platform.users DISABLE ROW LEVEL SECURITY")
        connection.execute("ALTER TABLE platform.projects NO FORCE ROW LEVEL SECURITY")
        run(peopled, POLICIES)  # which leaves a table alone that has policies of its own
        launch(peopled, ISOLATION)
        found = connection.execute("SELECT * FROM platform.test_rls_policies()").fetchall()
        assert [row[1] for row in found] == ["PASS"] * 5
        assert connection.execute(
            "SELECT roles FROM pg_policies WHERE policyname = 'permissive_all_credits'"
        ).fetchone() == (["lancio_application", "lancio_readonly", "lancio_service"],)


def without_rights(found: set[tuple[str, str, str, str]]) -> set[tuple[str, str]]:
    return {row[:2] for row in found}


def test_the_way_back_is_one_file_and_so_is_the_way_there_again(server: TestServer, platform: str) -> None:
    with psycopg.connect(platform) as connection:
        populate(connection)
    before, content = objects(platform), rows(platform)
    launch(platform, ISOLATION)
    there = objects(platform)
    assert {table: found for table, found in rows(platform).items() if table != "databases"} == {
        table: found for table, found in content.items() if table != "databases"
    }  # databases has a column more
    launch(platform, BACK)
    after = objects(platform)
    rights = {"schema", "relation"}  # what was NULL for its defaults is written out now
    assert {row for row in after if row[0] not in rights} == {row for row in before if row[0] not in rights}
    assert without_rights(after) == without_rights(before)
    assert rows(platform) == content
    with psycopg.connect(platform) as connection:
        assert [row[1] for row in connection.execute("SELECT * FROM platform.test_rls_policies()")] == ["PASS"] * 5
        assert connection.execute(
            "SELECT count(*) FROM information_schema.role_table_grants WHERE table_schema = 'platform'"
            " AND grantee IN ('lancio_application', 'lancio_readonly', 'lancio_owner')"
        ).fetchone() == (0,)
        assert connection.execute(
            "SELECT count(*) FROM information_schema.column_privileges WHERE table_schema = 'platform'"
            " AND grantee IN ('lancio_application', 'lancio_readonly')"
        ).fetchone() == (0,)
        assert connection.execute(
            "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'platform'"
        ).fetchall() == [("postgres",)]
    launch(platform, BACK)  # nothing is left to take back
    launch(platform, ISOLATION)
    assert {row for row in objects(platform) if row[0] != "column"} == {row for row in there if row[0] != "column"}
    with psycopg.connect(platform) as connection:
        assert [row[1] for row in connection.execute("SELECT * FROM platform.test_rls_policies()")] == ["PASS"] * 5


def test_without_its_prerequisites_it_says_which_file_to_run(database: str) -> None:
    found = state(database)
    done = psql(database, ISOLATION)
    assert (
        "table platform.organizations does not exist\nHINT:  Run 001_create_platform_schema.sql first." in done.stderr
    )
    assert state(database) == found
    for name in ALL:
        with pytest.raises(psycopg.Error, match="does not exist") as caught:
            run(database, ISOLATION)
        assert (caught.value.diag.message_hint or "").startswith(f"Run {name} first.") or name.startswith("004")
        run(database, name)
    run(database, ISOLATION)
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(DISTINCT organization_id) FROM platform.databases").fetchone() == (1,)


def test_roles_that_policies_do_not_bind_are_refused(server: TestServer, platform: str) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        run(platform, ISOLATION, BACK)
        for alter, back, says in (
            (
                "ALTER ROLE lancio_application BYPASSRLS", "ALTER ROLE lancio_application NOBYPASSRLS",
                "policies do not hold for: lancio_application",
            ),
            ("ALTER ROLE lancio_owner LOGIN", "ALTER ROLE lancio_owner NOLOGIN", "role lancio_owner may log in"),
            (
                "GRANT lancio_owner TO lancio_service", "REVOKE lancio_owner FROM lancio_service",
                "a role that policies should bind is a member",
            ),
        ):  # fmt: skip
            connection.execute(alter)
            try:
                assert f"ERROR:  {says}" in psql(platform, ISOLATION).stderr
            finally:
                connection.execute(back)
    launch(platform, ISOLATION)


def test_the_application_does_not_start_as_a_role_that_sees_everything(server: TestServer, isolated: str) -> None:
    name = database_of(isolated)
    with psycopg.connect(isolated, autocommit=True) as connection:
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    with logins(server, name) as urls:
        for role in ("lancio_application", "lancio_service", "lancio_readonly"):
            with psycopg.connect(urls[role]) as connection:
                refuse_bypass(connection)
        with psycopg.connect(urls["lancio_owner"]) as connection:
            with pytest.raises(BypassRefused, match="would see the rows of every") as caught:
                refuse_bypass(connection)
            assert "is a member of lancio_owner" in caught.value.cause
        with psycopg.connect(isolated) as connection:
            connection.execute("SET ROLE lancio_application")  # RESET ROLE would be enough to see all
            with pytest.raises(BypassRefused) as caught:
                refuse_bypass(connection)
        assert caught.value.cause.startswith("postgres is a superuser")
        with psycopg.connect(isolated, autocommit=True) as connection:
            connection.execute("ALTER TABLE platform.credits NO FORCE ROW LEVEL SECURITY")
            connection.execute("DROP POLICY organization_users ON platform.users")
            login = sql.Identifier(f"{name}_lancio_application")
            with psycopg.connect(urls["lancio_application"]) as own, pytest.raises(BypassRefused) as caught:
                refuse_bypass(own)
            assert caught.value.cause.endswith("is missing on: credits, users.")
            connection.execute(sql.SQL("ALTER ROLE {} BYPASSRLS").format(login))
            with psycopg.connect(urls["lancio_application"]) as own, pytest.raises(BypassRefused) as caught:
                refuse_bypass(own)
            assert "has BYPASSRLS" in caught.value.cause


def test_python_opens_a_context_and_leaves_none(peopled: str) -> None:
    with psycopg.connect(peopled, autocommit=True) as connection:
        connection.execute("SET ROLE lancio_application")
        seen = "SELECT organization_id FROM platform.databases"
        with context(connection, user=OWN.user, organization=OWN.id) as who:
            assert who.role == "admin"
            assert connection.execute(seen).fetchall() == [(OWN.id,)]
            with pytest.raises(ContextRefused, match="one is open"), context(connection, user=OWN.user):
                pass
        assert connection.execute(seen).fetchall() == []
        with (
            pytest.raises(ContextRefused, match="no context for"),
            context(connection, user=OWN.user, organization=OTHER.id),
        ):
            raise AssertionError("not reached")
        with contextlib.suppress(ZeroDivisionError), context(connection, user=OWN.user, organization=OWN.id):
            connection.execute("UPDATE platform.projects SET name = 'changed'")
            raise ZeroDivisionError
        assert connection.execute(seen).fetchall() == []
        connection.execute("RESET ROLE")
        assert connection.execute("SELECT count(*) FROM platform.projects WHERE name = 'changed'").fetchone() == (0,)
        connection.execute("CREATE ROLE nobody_in_particular")
        try:
            connection.execute("SET ROLE nobody_in_particular")
            with pytest.raises(ContextRefused, match="may not set a context"), context(connection, user=OWN.user):
                pass
        finally:
            connection.execute("RESET ROLE; DROP ROLE nobody_in_particular")


def test_the_specifications_queries_use_their_indexes(isolated: str) -> None:
    """On 20,000 databases of 200 organizations; bench/isolation.py asks the same of a million."""
    spec = importlib.util.spec_from_file_location("isolation_bench", PROJECT_FOLDER / "bench" / "isolation.py")
    assert spec is not None
    assert spec.loader is not None
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    with psycopg.connect(isolated, autocommit=True) as connection:
        bench.grow(connection, databases=20_000, organizations=200)
        connection.execute("SET ROLE lancio_application")
        assert bench.plans(connection, 200) == []


def test_a_sealed_row_is_taken_over_untouched(platform: str) -> None:
    """The column is filled in where rows are there already, and neither their seal nor their times change."""
    with psycopg.connect(platform, autocommit=True) as connection:
        populate(connection)
        give_key(connection)
        connection.execute(
            "UPDATE platform.databases SET connection_string = 'redis://:pw@cache.test:6379' WHERE host = 'cache.test'"
        )
    columns = "id, connection_string, connection_string_encrypted, created_at, updated_at"
    with psycopg.connect(platform) as connection:
        before = connection.execute(f"SELECT {columns} FROM platform.databases ORDER BY 1").fetchall()
    launch(platform, ISOLATION)  # without the key
    with psycopg.connect(platform) as connection:
        assert connection.execute(f"SELECT {columns} FROM platform.databases ORDER BY 1").fetchall() == before
        enabled = connection.execute(
            "SELECT DISTINCT tgenabled FROM pg_trigger"
            " WHERE tgrelid = 'platform.databases'::regclass AND NOT tgisinternal"
        ).fetchall()
        assert enabled in ([("O",)], [(b"O",)])


def test_an_entry_of_the_audit_log_outlives_its_project(peopled: str) -> None:
    with psycopg.connect(peopled, autocommit=True) as connection:
        connection.execute("DELETE FROM platform.projects WHERE id = %s", (OWN.project,))
        assert connection.execute(
            "SELECT project_id, organization_id FROM platform.audit_logs WHERE id = %s", (OWN.row("audit_logs"),)
        ).fetchone() == (OWN.project, OWN.id)
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            connection.execute("UPDATE platform.audit_logs SET project_id = %s WHERE organization_id = %s",
                               (OTHER.project, OWN.id))  # fmt: skip
        connection.execute("DELETE FROM platform.organizations WHERE id = %s", (OTHER.id,))
        assert connection.execute(
            "SELECT project_id, organization_id FROM platform.audit_logs WHERE id = %s", (OTHER.row("audit_logs"),)
        ).fetchone() == (OTHER.project, OTHER.id)


def test_databases_that_share_a_server_share_the_roles_and_nothing_else(
    server: TestServer, isolated: str, platform: str
) -> None:
    launch(platform, ISOLATION)
    with psycopg.connect(isolated, autocommit=True) as one, psycopg.connect(platform, autocommit=True) as two:
        key = "SELECT last_value FROM platform_private.context_key_1"
        assert one.execute(key).fetchone() != two.execute(key).fetchone()
        launch(platform, BACK)
        assert [row[1] for row in one.execute("SELECT * FROM platform.test_rls_policies()")] == ["PASS"] * 5


def test_an_owner_without_rights_over_roles_is_told_before_anything_runs(server: TestServer) -> None:
    """CREATE ROLE needs CREATEROLE; where the roles are there, the owner of the database does the rest."""
    url = server.create_database()
    name = database_of(url)
    with server.connect() as connection:
        connection.execute(sql.SQL("CREATE ROLE owner_{0} LOGIN PASSWORD {1}").format(sql.SQL(name), PASSWORD))
        connection.execute(sql.SQL("ALTER DATABASE {0} OWNER TO owner_{0}").format(sql.SQL(name)))
    owner = server.url(name, user=f"owner_{name}", password=PASSWORD)
    try:
        run(owner, *ALL)
        before = state(url)
        done = psql(owner, ISOLATION)
        assert "ERROR:  " in done.stderr
        assert state(url) == before
        with server.connect() as connection:
            connection.execute(sql.SQL("GRANT lancio_owner TO owner_{}").format(sql.SQL(name)))
        launch(owner, ISOLATION)
        with psycopg.connect(url) as connection:
            assert [row[1] for row in connection.execute("SELECT * FROM platform.test_rls_policies()")] == ["PASS"] * 5
            populate(connection)
        with psycopg.connect(owner) as connection:  # FORCE binds it, though it owns the tables by its membership
            assert connection.execute("SELECT count(*) FROM platform.projects").fetchone() == (0,)
        before = state(url)
        for file in NINE:  # run again, it changes nothing, and it says what it does not see
            done = psql(owner, file)
            assert "ERROR" not in done.stderr
            assert ("nothing is done" in done.stderr) == (file in (LANCIO, RAILWAY)), file
        assert state(url) == before
    finally:
        server.drop_database(url)
        with server.connect() as connection:
            connection.execute(sql.SQL("DROP ROLE owner_{}").format(sql.SQL(name)))
