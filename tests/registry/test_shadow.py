"""Shadow mode notes what 007 then denies, to the statement, and nobody notices meanwhile."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
import pytest
from isolation import OTHER, OWN, PROOF, populate
from psycopg import sql
from schema_files import ALL, FOLDER, ISOLATION, objects, run

from lancio.registry import shadow
from servers import database_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Pool
    from servers import TestServer

PASSWORD = "Pr0be-of-the-shadow"
VERSIONS = (18, 15, 12, 10) if PROOF else (18,)


class Asked(NamedTuple):
    """A statement of a program, with a question about each table it touches: did *its* answer change?"""

    statement: str
    probes: dict[str, str]
    """A table to the part of the statement that asks it alone; the statement itself where it is alone."""


def alone(table: str, statement: str) -> Asked:
    return Asked(statement, {table: statement})


own, other = f"'{OWN.id}'", f"'{OTHER.id}'"
TAX = "INSERT INTO platform.tax_ids (organization_id, country, type, value)"
WORKLOAD = (
    alone("projects", "SELECT id, name FROM platform.projects"),
    alone("projects", f"SELECT id FROM platform.projects WHERE organization_id = {own}"),
    alone("projects", f"SELECT id FROM platform.projects WHERE id = '{OTHER.project}'"),
    alone("projects", "SELECT id FROM platform.projects WHERE slug = 'no-such-slug'"),
    alone("projects", "SELECT id FROM platform.projects WHERE name LIKE 'oth%'"),
    alone("projects", "SELECT count(*) FROM platform.projects WHERE false"),
    alone("databases", f"SELECT name FROM platform.databases WHERE project_id = '{OWN.project}'"),
    alone("databases", f"SELECT name FROM platform.databases WHERE project_id = '{OTHER.project}'"),
    alone("databases", "SELECT id FROM platform.databases ORDER BY created_at DESC, id LIMIT 50"),
    alone("databases", "SELECT count(*) FROM platform.databases_safe"),
    alone("databases", f"SELECT name FROM platform.get_project_databases('{OWN.project}')"),
    alone("databases", f"SELECT name FROM platform.get_project_databases('{OTHER.project}')"),
    alone("users", "SELECT primary_email FROM platform.users"),
    alone("users", f"SELECT primary_email FROM platform.users WHERE id = '{OWN.user}'"),
    alone("organization_members", "SELECT user_id, role FROM platform.organization_members"),
    alone("organizations", "SELECT name FROM platform.organizations"),
    alone("billing_plans", "SELECT code FROM platform.billing_plans"),
    alone("billing_plans", "INSERT INTO platform.billing_plans (code, name) VALUES (md5(random()::text), 'Shadow')"),
    alone("credits", f"UPDATE platform.credits SET note = 'x' WHERE organization_id = {own}"),
    alone("credits", "UPDATE platform.credits SET note = 'y'"),
    alone("tax_ids", f"{TAX} VALUES ({own}, 'IT', 'a', md5(random()::text))"),
    alone("tax_ids", f"{TAX} VALUES ({other}, 'IT', 'a', md5(random()::text))"),
    alone("api_keys", f"DELETE FROM platform.api_keys WHERE organization_id = {other}"),
    alone("api_keys", f"DELETE FROM platform.api_keys WHERE organization_id = {own}"),
    Asked(
        "SELECT p.name, d.name FROM platform.projects p JOIN platform.databases d ON d.project_id = p.id"
        f" WHERE p.organization_id = {own}",
        {
            "projects": f"SELECT name FROM platform.projects WHERE organization_id = {own}",
            "databases": f"SELECT name FROM platform.databases WHERE project_id = '{OWN.project}'",
        },
    ),
    Asked(
        f"WITH theirs AS (SELECT id FROM platform.projects WHERE organization_id = {other})"
        " SELECT count(*) FROM platform.usage_metrics u JOIN theirs ON theirs.id = u.project_id",
        {
            "projects": f"SELECT id FROM platform.projects WHERE organization_id = {other}",
            "usage_metrics": f"SELECT id FROM platform.usage_metrics WHERE project_id = '{OTHER.project}'",
        },
    ),
)  # fmt: skip

CONTEXTS = {"none": None, "own": (OWN.user, OWN.id), "user": (OWN.user, None)}


def outcome(connection: psycopg.Connection, statement: str) -> object:
    try:
        with connection.transaction():
            done = connection.execute(statement)  # type: ignore[arg-type]
            return (done.rowcount, sorted(map(repr, done.fetchall())) if done.description else [])
    except psycopg.Error as error:
        return error.sqlstate


def kind_of(found: object) -> object:
    """An error's SQLSTATE, or how many rows: what the statements that write leave behind makes their values differ."""
    return found if isinstance(found, str) else found[0]  # type: ignore[index]


@contextlib.contextmanager
def callers(server: TestServer, dbname: str) -> Iterator[dict[str, tuple[str, str]]]:
    """Logins as programs have them before 007, with rights of their own; two of them were granted what 007 asks for."""
    granted = {"web": "lancio_application", "job": "lancio_service", "stranger": ""}
    with server.connect() as connection:
        for name, group in granted.items():
            login = sql.Identifier(f"{dbname}_{name}")
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(login, PASSWORD))
            if group:
                connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), login))
    try:
        yield {name: (f"{dbname}_{name}", group) for name, group in granted.items()}
    finally:
        with server.connect() as connection:
            logins = [sql.Identifier(f"{dbname}_{name}") for name in granted]
            for (name,) in connection.execute("SELECT datname FROM pg_database WHERE datallowconn").fetchall():
                with server.connect(name) as inside:
                    inside.execute(sql.SQL("DROP OWNED BY {}").format(sql.SQL(", ").join(logins)))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.SQL(", ").join(logins)))


def grant(url: str, logins: dict[str, tuple[str, str]]) -> None:
    with psycopg.connect(url) as connection:
        for login, _ in logins.values():
            connection.execute(
                sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA platform TO {}").format(
                    sql.Identifier(login)
                )
            )


def work(
    server: TestServer, url: str, login: str, context: Any, *, keep: bool, statements: tuple[str, ...]
) -> list[object]:
    """Each statement in a transaction and a session's program name of its own; what came back."""
    found = []
    with psycopg.connect(server.url(database_of(url), user=login, password=PASSWORD)) as connection:
        for number, statement in enumerate(statements):
            name = f"{next(key for key, value in CONTEXTS.items() if value == context)}-{number}"
            connection.execute("SELECT set_config('application_name', %s, false)", (name,))
            connection.commit()
            connection.execute("SELECT 1")  # the transaction begins here, so that all below is inside of it
            if context is not None:
                try:
                    connection.execute("SELECT platform.set_context(%s, %s)", context)
                except psycopg.errors.InsufficientPrivilege:
                    connection.rollback()
                    found.append("no context")
                    continue
            found.append(outcome(connection, statement))
            connection.commit() if keep else connection.rollback()
    return found


@pytest.mark.postgres
@pytest.mark.parametrize("version", VERSIONS)
def test_the_report_is_what_007_then_denies(pool: Pool, version: int) -> None:
    server = pool.get(version)
    start = server.create_database()
    run(start, *ALL, ISOLATION)  # so that the roles are there
    server.drop_database(start)
    start = server.create_database()
    run(start, *ALL)
    with psycopg.connect(start) as connection:
        populate(connection)
    statements = tuple(each.statement for each in WORKLOAD)
    with callers(server, database_of(start)) as logins:
        grant(start, logins)
        urls = [server.create_database(template=database_of(start)) for _ in range(2)]
        open_, closed = urls
        denied: set[tuple[str, str, str, str]] = set()
        found: list[shadow.Denial] = []
        with psycopg.connect(open_, autocommit=True) as connection:
            before = objects(open_)
            shadow.on(connection)
        run(closed, ISOLATION)
        probes = tuple({probe for each in WORKLOAD for probe in each.probes.values()})
        for login, group in logins.values():
            as_it_was = work(server, start, login, None, keep=False, statements=statements)
            probed = dict(zip(probes, work(server, start, login, None, keep=False, statements=probes), strict=True))
            for name, context in CONTEXTS.items():
                if context is not None and not group:
                    continue
                # Nobody notices shadow mode: every answer is the one of before.
                copy = server.create_database(template=database_of(open_))
                there = work(server, copy, login, context, keep=True, statements=statements)
                with psycopg.connect(copy, autocommit=True) as connection:
                    found += shadow.report(connection).denials
                server.drop_database(copy)
                assert [kind_of(one) for one in there] == [kind_of(one) for one in as_it_was]
                after = dict(
                    zip(probes, work(server, closed, login, context, keep=False, statements=probes), strict=True)
                )
                for number, each in enumerate(WORKLOAD):
                    for table, probe in each.probes.items():
                        if after[probe] != probed[probe]:
                            kind = "refused" if after[probe] == "42501" and probe.startswith("INSERT") else "hidden"
                            denied.add((login, f"{name}-{number}", table, kind))
        with psycopg.connect(open_, autocommit=True) as connection:
            noted = {(each.role, each.application_name, each.relation, each.kind) for each in found}
            assert denied - noted == set()
            assert noted - denied == set()
            assert len(noted) > 60
            for each in found:
                assert "'" not in each.query
                assert str(OTHER.id) not in each.query
                assert each.context == each.application_name.startswith("own-")
            shadow.off(connection)
        rights = {"schema", "relation", "function"}
        assert {row for row in objects(open_) if row[0] not in rights} == {
            row for row in before if row[0] not in rights
        }
        run(open_, ISOLATION)
        with psycopg.connect(open_) as connection:
            assert [row[1] for row in connection.execute("SELECT * FROM platform.test_rls_policies()")] == ["PASS"] * 5
        for url in urls:
            server.drop_database(url)
        server.drop_database(start)


def test_a_statement_is_noted_once_a_session_and_with_its_transaction(server: TestServer, platform: str) -> None:
    with psycopg.connect(platform) as connection:
        populate(connection)
    with psycopg.connect(platform, autocommit=True) as admin, callers(server, database_of(platform)) as logins:
        grant(platform, logins)
        shadow.on(admin)
        own_ = server.url(database_of(platform), user=logins["web"][0], password=PASSWORD)

        def count() -> int:
            return sum(each.sessions for each in shadow.report(admin).denials)

        with psycopg.connect(own_) as connection:
            connection.execute("SELECT * FROM platform.projects")
            connection.rollback()
            assert count() == 0  # what did not happen was not denied
            for _ in range(3):
                connection.execute("SELECT * FROM platform.projects")
                connection.commit()
            assert count() == 1
            connection.execute("SET TRANSACTION READ ONLY")
            assert connection.execute("SELECT * FROM platform.credits").rowcount == 3  # noted in the log alone
            connection.commit()
            assert count() == 1
            with connection.cursor() as cursor:
                cursor.execute("SELECT * FROM platform.projects WHERE slug = %s", ("s3cret-slug",))
                cursor.execute("SELECT /* it's */ 's3cret', * FROM platform.credits")
                cursor.execute("SELECT E'it\\'s', 's3cret', * FROM platform.credits")
                cursor.execute("SELECT $$s3cret$$, 4711, * FROM platform.credits WHERE amount_minor > 12")
            connection.commit()
        texts = {each.query for each in shadow.report(admin).denials}
        assert not any(word in text for text in texts for word in ("s3cret", "4711", "12"))
        assert "SELECT * FROM platform.projects" in texts
        admin.execute("SET ROLE NONE")
        assert admin.execute("SELECT count(*) FROM platform.projects").fetchone() == (4,)
        assert count() == len(texts)  # a superuser sees all after 007 too
        if server.log_file is not None:
            assert "lancio shadow: hidden of platform.credits" in server.log_file.read_text(errors="replace")
        shadow.off(admin)


def test_shadow_mode_refuses_what_it_cannot_do(platform: str, isolated: str, database: str) -> None:
    for url, says in ((isolated, "migration 007 is applied here"), (database, "there are no permissive policies")):
        with psycopg.connect(url, autocommit=True) as connection, pytest.raises(shadow.ShadowRefused, match=says):
            shadow.on(connection)
    with psycopg.connect(platform, autocommit=True) as connection:
        for each in (shadow.off, shadow.report):
            with pytest.raises(shadow.ShadowRefused, match="is off"):
                each(connection)
        connection.execute("CREATE ROLE shadow_nobody")
        try:
            connection.execute("SET ROLE shadow_nobody")
            with pytest.raises(shadow.ShadowRefused, match="may not"):
                shadow.on(connection)
        finally:
            connection.execute("RESET ROLE; DROP ROLE shadow_nobody")
        shadow.on(connection)
        with pytest.raises(shadow.ShadowRefused, match="on already"):
            shadow.on(connection)
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="shadow mode is on"):
            connection.execute((FOLDER / ISOLATION).read_bytes())
        connection.execute("ROLLBACK")
        shadow.off(connection)


def test_the_command_reports_by_caller_and_query(platform: str) -> None:
    def lancio(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "lancio", *words, "--database", platform],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    with psycopg.connect(platform, autocommit=True) as connection:
        connection.execute("CREATE ROLE shadow_reader")
        try:
            connection.execute("GRANT SELECT ON platform.projects TO shadow_reader")
            assert lancio("shadow", "on") == (
                0, "Shadow mode is on: what 007 would deny is noted, and every row still passes.\n"
            )  # fmt: skip
            assert lancio("shadow", "report") == (0, "Nothing was noted that 007 would deny.\n")
            connection.execute("SET application_name = 'billing-job'; SET ROLE shadow_reader")
            connection.execute("SELECT slug FROM platform.projects WHERE slug <> 'hidden-away'")
            connection.execute("RESET ROLE")
            status, out = lancio("shadow", "report")
            assert status == 3
            assert out.startswith("shadow_reader (billing-job)\n")
            assert "SELECT slug FROM platform.projects WHERE slug <> ?" in out
            assert out.endswith("007 would deny 1 statement.\n")
            status, out = lancio("shadow", "report", "--json")
            said = json.loads(out)
            assert (status, said["denials"][0]["relation"], said["denials"][0]["kind"]) == (3, "projects", "hidden")
            assert lancio("shadow", "off") == (0, "Shadow mode is off.\n")
        finally:
            connection.execute("RESET ROLE")
            connection.execute("DROP OWNED BY shadow_reader; DROP ROLE shadow_reader")
