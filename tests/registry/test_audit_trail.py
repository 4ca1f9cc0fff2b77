"""Every change leaves an entry, none of them a secret; and the entries are found, page by page, and handed on."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest
from isolation import PROOF, populate
from keys import database
from psycopg.types.json import Jsonb
from schema_files import CHAIN, TEN, add_key, give_key, run
from trails import ACME, OTHER, an_organization, one, unguarded, write

from lancio.registry import audit_trail
from lancio.registry.audit_trail import AuditRefused, Entry, Query
from lancio.registry.context import context
from lancio.registry.secrets import Key
from servers import TestServer, database_of

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "0123456789abcdef" * 8
SECRET = "hunter2-very-secret"


@pytest.fixture(scope="session")
def audited_template(server: TestServer) -> str:
    """A database with 001 to 008 and 010, two organizations and their keys; nobody connects to it."""
    url = server.create_database()
    run(url, *TEN, CHAIN)
    with psycopg.connect(url, autocommit=True) as connection:
        for number, each in enumerate((ACME, OTHER)):
            an_organization(connection, each)
            add_key(connection, Key(7 + number, bytes.fromhex(KEY), each))
    return database_of(url)


@pytest.fixture
def url(server: TestServer, audited_template: str) -> Iterator[str]:
    url = server.create_database(template=audited_template)
    yield url
    server.drop_database(url)


@pytest.fixture
def connection(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def project_of(connection: psycopg.Connection, organization: UUID = ACME) -> UUID:
    found: UUID = one(connection, "SELECT id FROM platform.projects WHERE organization_id = %s", organization)
    return found


def since(connection: psycopg.Connection, seq: int) -> list[Entry]:
    return audit_trail.entries(connection, Query(after=seq, oldest_first=True), limit=1000)


def now(connection: psycopg.Connection) -> int:
    return int(one(connection, "SELECT coalesce(max(seq), 0) FROM platform.audit_logs"))


# --- completeness -----------------------------------------------------------------------------------------------------

AUDITED = {
    "organizations", "organization_members", "organization_invitations", "organization_feature_flags", "projects",
    "project_members", "project_addons", "subscriptions", "payment_methods", "tax_ids", "customer_profiles", "credits",
    "invoices", "disk_config", "compute_config", "users", "api_keys", "credentials", "databases", "data_keys",
    "billing_plans", "addons", "feature_flags",
}  # fmt: skip
MEASURED = {"project_metrics", "usage_metrics", "user_sessions"}
"""What is counted or comes with each sign-in, and is nobody's decision."""
OWN = {"audit_logs", "audit_seals", "audit_rounds"}


def test_every_table_is_audited_or_said_not_to_be(connection: psycopg.Connection) -> None:
    tables = {name for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'platform'")}
    assert tables == AUDITED | MEASURED | OWN
    triggers = connection.execute(
        "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgfoid = 'platform_private.write_change()'::regprocedure"
    ).fetchall()
    assert sorted(triggers) == sorted([(f"platform.{each}",) for each in AUDITED] * 3)


def test_every_row_of_every_audited_table_leaves_an_entry_when_it_comes_and_when_it_goes(
    connection: psycopg.Connection,
) -> None:
    before = now(connection)
    rows = "SELECT count(*) FROM platform.{}"
    had = {each: one(connection, rows.format(each)) for each in AUDITED}
    with connection.transaction():
        populate(connection)
    added = {each: one(connection, rows.format(each)) - had[each] for each in AUDITED}
    assert all(added[each] for each in AUDITED - {"data_keys"}), added
    found = since(connection, before)
    assert len([each for each in found if each.action.endswith(".insert")]) == sum(added.values())
    assert {each.method for each in found if each.action.endswith(".insert")} == {"sql"}
    middle = now(connection)
    connection.execute(
        "DELETE FROM platform.organizations WHERE slug NOT LIKE 'test-0b5d%%' AND slug NOT LIKE %s",
        (f"test-{ACME.hex[-12:-1]}%",),
    )
    gone = sum(added.values()) - sum(one(connection, rows.format(each)) - had[each] for each in AUDITED)
    deleted = [each for each in since(connection, middle) if each.action.endswith(".delete")]
    assert gone > 50
    assert len(deleted) == gone
    # Under the organization that is gone.
    assert all(each.organization_id for each in deleted)


def test_secrets_and_hashes_are_in_no_entry_and_their_change_is_told(connection: psycopg.Connection) -> None:
    project, user = project_of(connection), uuid4()
    before = now(connection)
    hashed = bytes(range(200, 232))
    with connection.transaction():
        give_key(connection, local=True)
        row = database(connection, project, f"redis://default:{SECRET}@cache.test:6379/0")
        credential = uuid4()
        connection.execute(
            "INSERT INTO platform.credentials (id, organization_id, project_id, kind, name) VALUES (%s, %s, %s,"
            " 'token', 'ci')",
            (credential, ACME, project),
        )
        connection.execute("SELECT platform.seal_credential(%s, %s)", (credential, SECRET))
        connection.execute(
            "INSERT INTO platform.users (id, primary_email, password_hash) VALUES (%s, 'eve@test.dev', %s)",
            (user, f"$argon2id${SECRET}"),
        )
        connection.execute(
            "INSERT INTO platform.api_keys (id, organization_id, user_id, name, prefix, token_hash, last4)"
            " VALUES (gen_random_uuid(), %s, %s, 'ci', 'lk_', %s, 'wxyz')", (ACME, user, hashed),
        )  # fmt: skip
    with connection.transaction():
        give_key(connection, local=True)
        connection.execute(
            "UPDATE platform.databases SET connection_string = %s WHERE id = %s",
            (f"redis://default:{SECRET}2@cache.test:6379/0", row),
        )
        connection.execute("UPDATE platform.users SET password_hash = %s WHERE id = %s", (f"$argon2id${SECRET}2", user))
    found = since(connection, before)
    text = " ".join(audit_trail.json_line(each) for each in found)
    envelopes = connection.execute(
        "SELECT connection_string_encrypted FROM platform.databases WHERE connection_string_encrypted IS NOT NULL"
    ).fetchall()
    assert envelopes
    for secret in (SECRET, "argon2id", hashed.hex(), "wxyz", "sealed:", *(each.hex() for (each,) in envelopes)):
        assert secret not in text
    changed = {
        each.target_type: each.after["changed"]
        for each in found
        if each.after and "changed" in each.after and each.action.endswith("update")
    }
    assert changed["database"] == ["connection_string", "connection_string_encrypted"]
    assert changed["user"] == ["password_hash"]


def test_an_update_tells_what_was_and_what_is(connection: psycopg.Connection) -> None:
    before = now(connection)
    connection.execute("UPDATE platform.organizations SET name = 'Acme', kind = 'team' WHERE id = %s", (ACME,))
    (entry,) = since(connection, before)
    assert (entry.action, entry.target_type, entry.target_id) == ("organization.update", "organization", str(ACME))
    assert (entry.organization_id, entry.actor_type, entry.method) == (ACME, "system", "sql")
    assert entry.before == {"name": f"test-{ACME.hex[-12:]}"}
    assert entry.after == {"name": "Acme", "kind": "team", "login": "postgres"}


USUAL = [
    "UPDATE platform.databases SET health_check_status = 'healthy', health_check_error = 'x'",
    "UPDATE platform.databases SET last_health_check_at = now()",
    "UPDATE platform.databases SET name = name",
    "UPDATE platform.api_keys SET last_used_at = now()",
    "UPDATE platform.credentials SET last_opened_at = now()",
    "UPDATE platform.users SET last_sign_in_at = now()",
    "UPDATE platform.data_keys SET kek_id = 'other'",
    "SELECT platform.update_database_health(id, 'unhealthy', 'x') FROM platform.databases",
]


def test_what_happens_all_the_time_leaves_none(connection: psycopg.Connection) -> None:
    with connection.transaction():
        populate(connection)
    before = now(connection)
    for statement in USUAL:
        connection.execute(statement)
        assert since(connection, before) == [], statement


def test_a_programs_own_entry_is_the_only_one_whether_it_comes_before_or_after(connection: psycopg.Connection) -> None:
    for first in (True, False):
        before = now(connection)
        with connection.transaction():
            own = {
                "action": "organization.rename",
                "target_type": "organization",
                "target_id": str(ACME),
                "actor_email": "a@b.c",
            }
            if first:
                with connection.transaction():  # a savepoint is no other transaction
                    write(connection, 1, ACME, **own)
            connection.execute("UPDATE platform.organizations SET name = %s WHERE id = %s", (f"n{first}", ACME))
            if not first:
                write(connection, 1, ACME, **own)
        assert [(each.action, each.method) for each in since(connection, before)] == [("organization.rename", None)]


@pytest.mark.parametrize(
    "own",
    [
        {"target_type": "organization", "target_id": str(OTHER)},
        {"target_type": "project", "target_id": str(ACME)},
        {"target_type": "organization", "target_id": str(ACME), "action": "secret.open"},
    ],
    ids=["another target", "another kind", "an opening"],
)
def test_another_entry_does_not_stand_for_a_change(connection: psycopg.Connection, own: dict[str, str]) -> None:
    before = now(connection)
    with connection.transaction():
        write(connection, 1, ACME, **own)
        connection.execute("UPDATE platform.organizations SET name = 'x' WHERE id = %s", (ACME,))
    assert [each.action for each in since(connection, before)][1:] == ["organization.update"]
    # Nor one of an earlier transaction, nor one that was rolled back.
    write(connection, 1, ACME, target_type="organization", target_id=str(ACME))
    before = now(connection)
    with connection.transaction():
        with connection.transaction(force_rollback=True):
            write(connection, 1, ACME, target_type="organization", target_id=str(ACME))
        connection.execute("UPDATE platform.organizations SET name = 'y' WHERE id = %s", (ACME,))
    assert [each.action for each in since(connection, before)] == ["organization.update"]


def test_two_changes_of_a_row_in_one_transaction_are_two_entries(connection: psycopg.Connection) -> None:
    before = now(connection)
    with connection.transaction():
        connection.execute("UPDATE platform.organizations SET name = 'x' WHERE id = %s", (ACME,))
        connection.execute("UPDATE platform.organizations SET name = 'y' WHERE id = %s", (ACME,))
    assert [(each.after or {}).get("name") for each in since(connection, before)] == ["x", "y"]


def test_a_change_that_is_rolled_back_leaves_none(connection: psycopg.Connection) -> None:
    before = now(connection)
    with connection.transaction(force_rollback=True):
        connection.execute("DELETE FROM platform.organizations")
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert since(connection, before) == []


def test_truncating_leaves_an_entry(connection: psycopg.Connection) -> None:
    before = now(connection)
    connection.execute("TRUNCATE platform.databases")
    assert [each.action for each in since(connection, before)] == ["database.truncate"]


@pytest.fixture
def eve(connection: psycopg.Connection) -> UUID:
    user = uuid4()
    connection.execute("INSERT INTO platform.users (id, primary_email) VALUES (%s, 'eve@test.dev')", (user,))
    connection.execute(
        "INSERT INTO platform.organization_members (id, organization_id, user_id, role) VALUES"
        " (gen_random_uuid(), %s, %s, 'owner')",
        (ACME, user),
    )
    return user


def test_an_application_that_writes_past_the_program_is_written_down(
    url: str, connection: psycopg.Connection, eve: UUID
) -> None:
    project = project_of(connection)
    before = now(connection)
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("SET ROLE lancio_application")
        with context(session, user=eve, organization=ACME):
            session.execute("UPDATE platform.projects SET name = 'mine'")
            session.execute("UPDATE platform.users SET username = 'eve'")
            session.execute(
                "INSERT INTO platform.databases (project_id, name, type, host, port, connection_string)"
                " VALUES (%s, 'd', 'redis', 'h', 1, 'redis://h:1')", (project,)
            )  # fmt: skip
        with context(session, user=eve, organization=ACME):
            session.execute("DELETE FROM platform.projects")
    found = since(connection, before)
    assert [each.action for each in found] == [
        "project.update", "user.update", "database.insert", "project.delete", "database.delete",
    ]  # fmt: skip
    assert {(each.actor_type, each.actor_id) for each in found} == {("user", eve)}
    assert [each.organization_id for each in found] == [ACME, None, ACME, ACME, ACME]
    # By the project that is gone they are still found.
    assert len(audit_trail.entries(connection, Query(project=project), limit=10)) >= 4
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("SET ROLE lancio_application")
        with pytest.raises(psycopg.errors.InsufficientPrivilege), context(session, user=eve, organization=ACME):
            session.execute("DELETE FROM platform.audit_logs")
        with context(session, user=eve, organization=ACME):
            assert {each.organization_id for each in audit_trail.entries(session, Query())} == {ACME}
            assert audit_trail.entries(session, Query(organization=OTHER)) == []
            assert audit_trail.entries(session, Query(platform=True)) == []
        # Whether a project of others is there is not told.
        for other in (project_of(connection, OTHER), uuid4()):
            with (
                pytest.raises(psycopg.errors.ForeignKeyViolation, match="is not there"),
                context(session, user=eve, organization=ACME),
            ):
                write(session, 1, ACME, project_id=other)


def test_changes_for_two_organizations_in_one_transaction_are_each_its_own(
    url: str, connection: psycopg.Connection
) -> None:
    connection.execute("GRANT EXECUTE ON FUNCTION platform.enter_organization(uuid) TO lancio_service")
    connection.execute("GRANT UPDATE ON platform.projects TO lancio_service")
    before = now(connection)
    with psycopg.connect(url) as session:
        session.execute("SET ROLE lancio_service")
        for each in (ACME, OTHER):
            session.execute("SELECT platform.enter_organization(%s)", (each,))
            session.execute("UPDATE platform.projects SET name = 'x'")
    assert [(each.organization_id, each.actor_type) for each in since(connection, before)] == [
        (ACME, "service"),
        (OTHER, "service"),
    ]


# --- asking -----------------------------------------------------------------------------------------------------------


def test_each_filter_finds_what_it_says_and_pages_meet_without_a_gap(connection: psycopg.Connection) -> None:
    project, actor, start = project_of(connection), uuid4(), datetime(2020, 1, 1, tzinfo=UTC)
    before = now(connection)
    for number in range(60):
        write(
            connection, 1, (ACME, OTHER, None)[number % 3], project_id=project if number % 3 == 0 else None,
            action=("secret.open", "secret_x", "a.b")[number % 3], actor_id=actor if number % 2 else None,
            actor_email="a@b.c" if number % 5 == 0 else None,
            target_type="database", target_id=str(number % 4), occurred_at=start + timedelta(minutes=number // 4),
        )  # fmt: skip
    everything = since(connection, before)
    filters: dict[str, tuple[Query, Any]] = {
        "organization": (
            Query(organization=ACME, until=start + timedelta(days=1)),
            lambda e: e.organization_id == ACME,
        ),
        "platform": (Query(platform=True, action="a.b"), lambda e: e.organization_id is None),
        "project": (
            Query(project=project, target_type="database", action="secret.open"),
            lambda e: e.project_id == project,
        ),
        "actor": (Query(actor=str(actor)), lambda e: e.actor_id == actor),
        "email": (Query(actor="a@b.c"), lambda e: e.actor_email == "a@b.c"),
        "action": (Query(action="secret.open"), lambda e: e.action == "secret.open"),
        "actions": (Query(action="secret*"), lambda e: e.action.startswith("secret")),
        "no wildcard of SQL": (Query(action="secret_*"), lambda e: e.action == "secret_x"),
        "target": (Query(target_type="database", target_id="3", action="*"), lambda e: e.target_id == "3"),
        "time": (
            Query(since=start + timedelta(minutes=2), until=start + timedelta(minutes=5)),
            lambda e: start + timedelta(minutes=2) <= e.occurred_at < start + timedelta(minutes=5),
        ),
    }
    for name, (query, right) in filters.items():
        wanted = sorted(
            (each for each in everything if right(each)), key=lambda e: (e.occurred_at, e.seq), reverse=True
        )
        assert wanted, name
        pages: list[Entry] = []
        from dataclasses import replace

        while page := audit_trail.entries(
            connection, replace(query, before=pages[-1].place if pages else None), limit=7
        ):
            pages += page
        assert pages == wanted, name
        assert sorted(audit_trail.stream(connection, query), key=lambda e: e.seq) == sorted(wanted, key=lambda e: e.seq)
    first = everything[0]
    assert audit_trail.entry(connection, first.id) == audit_trail.numbered(connection, first.seq) == first
    assert audit_trail.entry(connection, uuid4()) is None
    assert audit_trail.numbered(connection, 10**9) is None


def test_a_million_entries_are_asked_as_fast_as_a_thousand(connection: psycopg.Connection) -> None:
    """By the pages that PostgreSQL reads, which no other work on the machine changes.

    For the operator, and for a member of a large organization among many small ones: the policy tells the planner
    nothing of its size.
    """
    few, many = 1000, 1_000_000 if PROOF else 60_000
    actor, project, user = uuid4(), project_of(connection), uuid4()
    connection.execute("INSERT INTO platform.users (id, primary_email) VALUES (%s, 'member@test.dev')", (user,))
    connection.execute(
        "INSERT INTO platform.organization_members (id, organization_id, user_id) VALUES (gen_random_uuid(), %s, %s)",
        (ACME, user),
    )
    times: dict[str, list[int]] = {}
    for count in (few, many):
        unguarded(connection, "DELETE FROM platform.audit_logs")
        connection.execute(
            "INSERT INTO platform.audit_logs (organization_id, project_id, actor_type, actor_email, actor_id, action,"
            " target_type, target_id, occurred_at)"
            " SELECT CASE i %% 2 WHEN 0 THEN %(acme)s::uuid ELSE md5((i %% 1000)::text)::uuid END, CASE i %% 8 WHEN 0"
            " THEN %(project)s::uuid END,"
            " 'user', 'u' || i %% 100 || '@test.dev',"
            " CASE i %% 5 WHEN 0 THEN %(actor)s::uuid ELSE md5((i %% 1000)::text)::uuid END,"
            " (ARRAY['secret.open', 'database.update'])[1 + i %% 2],"
            " 'database', (i %% 100)::text, now() - (%(count)s - i) * interval '1 second' FROM"
            " generate_series(1, %(count)s) i",
            {"acme": ACME, "project": project, "actor": actor, "count": count},
        )
        connection.execute("ANALYZE platform.audit_logs")
        middle = audit_trail.numbered(
            connection,
            one(connection, "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY seq) FROM platform.audit_logs"),
        )
        assert middle is not None
        for name, query in {
            "all": Query(), "organization": Query(organization=ACME), "project": Query(project=project),
            "actor": Query(actor=str(actor)),
            "action": Query(action="secret.open"), "beginning": Query(action="secret.*"),
            "no beginning": Query(action="nothing.*"), "address": Query(actor="u8@test.dev"),
            "target": Query(target_type="database", target_id="8"),
            "time": Query(since=middle.occurred_at - timedelta(seconds=200), until=middle.occurred_at),
            "both": Query(organization=ACME, action="secret.open", before=middle.place),
            "deep": Query(before=middle.place), "followed": Query(after=middle.seq, oldest_first=True),
        }.items():  # fmt: skip
            for who in ("operator", "member"):
                with connection.transaction():
                    if who == "member":
                        connection.execute("SELECT platform.set_context(%s, %s)", (user, ACME))
                        connection.execute("SET LOCAL ROLE lancio_application")
                    plan = _plan(connection, *audit_trail._asked(query))
                times.setdefault(f"{who}: {name}", []).append(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
    for name, (small, large) in times.items():
        assert large <= 3 * small + 700, (name, small, large)


def _plan(connection: psycopg.Connection, asked: Any, values: dict[str, Any]) -> dict[str, Any]:
    from psycopg import sql

    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ") + asked + sql.SQL(" LIMIT 50"), values)
        row = cursor.fetchone()
    assert row is not None
    plan: dict[str, Any] = row[0][0]["Plan"]
    return plan


def test_a_database_without_010_is_refused(isolated: str) -> None:
    with psycopg.connect(isolated, autocommit=True) as connection, pytest.raises(AuditRefused, match="no numbers"):
        audit_trail.refuse_unready(connection)


# --- handing on -------------------------------------------------------------------------------------------------------

HOSTILE = [
    "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1+1", "\u00a0=1", "\ufeff=1", "=cmd|' /C calc'!A0",
    "%0A=1", "|calc", "\uff1d1+1", 'say "x", and\r\nmore; \'y\'', "", "a" * 100_000, "\u0001\u202e\u2028",
]  # fmt: skip


def test_what_is_exported_is_read_back_as_it_was_and_no_formula_is_calculated(connection: psycopg.Connection) -> None:
    before = now(connection)
    for text in HOSTILE:
        write(connection, 1, ACME, action=text, user_agent=text, after=Jsonb({"t": text.replace("\0", "")}))
    found = list(audit_trail.stream(connection, Query(after=before, oldest_first=True)))
    lines = "".join(f"{audit_trail.json_line(each)}\n" for each in found)
    assert [json.loads(line)["action"] for line in lines.split("\n")[:-1]] == HOSTILE
    text = audit_trail.csv_header() + "".join(audit_trail.csv_line(each) for each in found)
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == len(HOSTILE)
    for row, said in zip(rows, HOSTILE, strict=True):
        assert row["action"] in (said, f"'{said}")
        assert row["id"]
        for cell in row.values():
            assert not cell.lstrip(" \u00a0\u3000\ufeff").startswith(
                ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "\uff1d")
            )
    assert rows[-3]["action"] == ""
    assert json.loads(rows[0]["after"]) == {"t": "=1+1"}


def test_an_entry_whose_time_no_program_can_hold_stops_no_list(connection: psycopg.Connection) -> None:
    before = now(connection)
    write(connection, 1, ACME, occurred_at="infinity")
    write(connection, 1, ACME, occurred_at="-infinity")
    write(connection, 1, ACME)
    assert len(since(connection, before)) == 1
