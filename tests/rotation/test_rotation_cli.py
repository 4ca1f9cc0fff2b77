"""`lancio db rotate` as people use it."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from keys import ACME, KEK, OTHER, RING, an_organization, slug_of
from rotating import OLD, RedisServer, a_role, logs_in

from lancio.cli import main
from lancio.cli.terminal import Terminal
from lancio.registry import connection_strings, data_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rotating import Desk

    from conftest import Pool

VARIABLES = ("DATABASE_URL", "LANCIO_KEY_FILE", "LANCIO_KEK", "LANCIO_KEK_FILE", "LANCIO_KEK_COMMAND", "LANCIO_USER",
             "LANCIO_ORG", "LANCIO_OLD_KEK", "LANCIO_OLD_KEK_FILE", "LANCIO_OLD_KEK_COMMAND")  # fmt: skip


@pytest.fixture
def call(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """The command, in this registry: its exit status, what it prints and what it says."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    kek = tmp_path / "lancio.kek"
    kek.write_text(f"kek = {KEK.secret.hex()}\n")
    kek.chmod(0o600)
    said: list[str] = []

    def run(*words: str, stdin: str | None = None) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        if stdin is not None:
            monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        arguments = ["db", "rotate", *words, "--database", desk.url, "--kek-file", str(kek)]
        status = main.run(arguments, Terminal(out, err))
        said.extend((out.getvalue(), err.getvalue()))
        return status, out.getvalue(), err.getvalue()

    yield run
    assert OLD not in "".join(said)


def named(desk: Desk, url: str, name: str) -> Any:  # the id
    database = desk.add(url)
    desk.connection.execute("UPDATE platform.databases SET name = %s WHERE id = %s", (name, database))
    return database


def test_a_postgresql_login_from_dry_run_to_the_end(desk: Desk, pool: Pool, call: Any, tmp_path: Path) -> None:
    server = pool.get(18)
    admin = tmp_path / "admin.url"
    admin.write_text(server.url() + "\n")
    with a_role(server) as role:
        database = named(desk, role.url, "main")
        status, _, err = call("main")
        assert status == 1
        assert "may not change roles" in err
        assert "lancio db rotate main --project" in err

        status, _, err = call("main", "--admin-file", str(admin))
        assert (status, "chmod 600" in err) == (2, True)
        admin.chmod(0o600)
        status, out, err = call("main", "--admin-file", str(admin), "--dry-run")
        assert status == 0
        assert f"role {role.name}_a is made" in out
        assert "Nothing was changed." in out
        assert role.roles() == {role.name}
        assert call("--list")[:2] == (0, "No rotation is unfinished.\n")

        status, out, err = call("main", "--admin-file", str(admin), "--keep-old", "until-said")
        assert status == 0
        assert out == f"main logs in with {role.name}_a; {role.name} works until --drop-old ends it.\n"
        assert "--resume --drop-old" in err
        status, out, _ = call("--list")
        assert "main" in out
        assert "registered" in out
        status, _, err = call("main", "--admin-file", str(admin))
        assert status == 1
        assert "under way" in err
        # Not due, so nothing is done.
        assert call("--resume")[:2] == (0, "0 gone on with, 0 refused, 1 not due yet.\n")
        assert logs_in(role.url)

        # It is not the login's to end another one.
        status, _, err = call("main", "--resume", "--drop-old")
        assert status == 1
        assert "--resume --drop-old --admin-file FILE" in err
        listed = json.loads(call("--list", "--json")[1])["rotations"]
        assert [each["failure"] for each in listed] == ["no-rights"]
        status, out, _ = call("main", "--resume", "--drop-old", "--admin-stdin", "--json", stdin=server.url())
        assert status == 0
        assert json.loads(out)["rotation"]["state"] == "done"
        assert not logs_in(role.url)
        assert logs_in(desk.now(database))


def test_an_administrator_is_taken_from_the_registry(desk: Desk, pool: Pool, call: Any) -> None:
    server = pool.get(18)
    with a_role(server) as role:
        database = named(desk, role.url, "main")
        named(desk, server.url(), "root of it")
        status, out, _ = call("main", "--admin-db", "root of it")
        assert (status, out) == (0, f"main logs in with {role.name}_a; {role.name} is refused.\n")
        assert logs_in(desk.now(database))


def test_a_redis_user_is_kept_for_a_day_and_taken_back(desk: Desk, call: Any, tmp_path: Path) -> None:
    with RedisServer(tmp_path, "config") as server:
        database = named(desk, server.url, "my cache")
        status, out, err = call("my cache", "--keep-old", "24h")
        assert status == 0
        assert "its old password works for 24 hours more" in out
        assert "lancio db rotate 'my cache'" in err
        status, out, _ = call("my cache", "--abandon")
        assert (status, out) == (0, "The rotation of my cache is taken back: it logs in as app, as before.\n")
        assert desk.now(database).build() == connection_strings.parse(server.url).build()
        assert logs_in(server.url)
        assert call("my cache")[0] == 0
        assert not logs_in(server.url)


def test_a_login_that_others_have_too_is_asked_about(desk: Desk, call: Any, tmp_path: Path) -> None:
    with RedisServer(tmp_path, "aclfile") as server:
        named(desk, server.url, "cache")
        named(desk, server.url, "queue")
        status, _, err = call("cache")
        assert status == 1
        assert "queue" in err
        assert "lancio db rotate cache --project" in err
        assert "--keep-old 24h" in err
        assert call("cache", "--yes")[0] == 0


def test_the_operator_is_told_of_the_same_login_in_another_organization_and_a_member_is_not(
    desk: Desk, call: Any, tmp_path: Path
) -> None:
    with RedisServer(tmp_path, "aclfile") as server:
        named(desk, server.url, "cache")
        other = an_organization(desk.connection, OTHER)
        with desk.connection.transaction():
            data_keys.make(desk.connection, RING, OTHER)
        foreign = desk.add(server.url, organization=OTHER, project=other)
        desk.connection.execute("UPDATE platform.databases SET name = 'theirs' WHERE id = %s", (foreign,))
        status, _, err = call("cache", "--org", slug_of(ACME))
        assert status == 1
        assert f"theirs (organization {slug_of(OTHER)})" in err

        user = uuid4()
        desk.connection.execute(
            "INSERT INTO platform.users (id, primary_email) VALUES (%s, 'ada@test.invalid')", (user,)
        )
        desk.connection.execute(
            "INSERT INTO platform.organization_members (organization_id, user_id, role) VALUES (%s, %s, 'owner')",
            (ACME, user),
        )
        status, _, err = call("cache", "--org", slug_of(ACME), "--as", "ada@test.invalid")
        assert status == 0
        assert "theirs" not in err
        desk.connection.execute("DELETE FROM platform.users WHERE id = %s", (user,))


def test_all_that_are_due_are_gone_on_with_and_each_refusal_is_told(desk: Desk, call: Any, tmp_path: Path) -> None:
    with RedisServer(tmp_path, "aclfile") as server:
        first = named(desk, server.url, "first")
        desk.machine().begin(first)
    other = tmp_path / "other"
    other.mkdir()
    with RedisServer(other, "memory") as server:
        second = named(desk, server.url, "second")
        desk.machine().begin(second)
        status, out, err = call("--resume")
        assert status == 1
        assert out == "1 gone on with, 1 refused, 0 not due yet.\n"
        assert "the server does not answer" in err
        assert logs_in(desk.now(second))
        document = json.loads(call("--resume", "--json")[1])
        assert [each["reason"] for each in document["refused"]] == ["unreachable"]
    # That server does not come back.
    assert call("first", "--abandon")[0] == 1
    status, out, err = call("first", "--abandon", "--forget-source")
    assert status == 0
    assert "was not asked" in err
    assert out == "The rotation of first is given up; what is registered stays.\n"
    assert desk.registry.unfinished() == ()
    assert desk.credentials() == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "which database is not said"),
        (("main", "--keep-old", "soon"), "no length of time"),
        (("main", "--keep-old", "9999d"), "more than a year"),
        (("main", "--keep-old", "١h"), "no length of time"),
        (("main", "--resume", "--abandon"), "both given"),
        (("main", "--drop-old"), "goes with --resume only"),
        (("main", "--forget-source"), "goes with --abandon only"),
        (("main", "--resume", "--way", "same-login"), "do not go with --resume"),
        (("main", "--resume", "--dry-run"), "does not go with"),
        (("main", "--admin-file", "x", "--admin-stdin"), "both given"),
        (("--resume", "--drop-old"), "goes with one database"),
        (("main", "--admin-prompt"), "nobody can be asked"),
        (("redis://:secret@host",), "looks like a connection string"),
        (("main", "--admin-file", "/nowhere"), "cannot be read"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(call: Any, words: tuple[str, ...], says: str) -> None:
    status, out, err = call(*words)
    assert (status, out) == (2, "")
    assert says in err
    assert "secret@" not in err


def test_what_is_not_there_is_said(call: Any) -> None:
    status, _, err = call("nothing")
    assert status == 1
    assert "no database nothing" in err
    assert call("--resume")[:2] == (0, "No rotation is unfinished.\n")


def test_a_database_that_was_removed_meanwhile_is_taken_back(desk: Desk, pool: Pool, call: Any, tmp_path: Path) -> None:
    server = pool.get(18)
    admin = tmp_path / "admin.url"
    admin.write_text(server.url())
    admin.chmod(0o600)
    with a_role(server) as role:
        database = named(desk, role.url, "main")
        assert call("main", "--admin-file", str(admin), "--keep-old", "1h")[0] == 0
        desk.connection.execute("DELETE FROM platform.databases WHERE id = %s", (database,))
        status, _, err = call("main", "--resume", "--drop-old", "--admin-file", str(admin))
        assert status == 1
        assert "was changed meanwhile" in err
        assert call("main", "--abandon", "--admin-file", str(admin))[0] == 0
        assert role.roles() == {role.name}
        assert logs_in(role.url)
        status, _, err = call("main", "--abandon")
        assert status == 1
        assert "no database main" in err


def proposed(err: str) -> list[str]:
    """The commands that a refusal proposes or a success goes on with, without the database that they are for."""
    lines = [line[line.index("lancio db") :] for line in err.splitlines() if "lancio db" in line]
    return [line.split(" --database ")[0] for line in lines]


def test_what_is_proposed_of_a_rotation_under_way_works_as_it_is_pasted(
    desk: Desk, pool: Pool, call: Any, tmp_path: Path
) -> None:
    server = pool.get(18)
    admin = tmp_path / "the admin.url"
    admin.write_text(server.url())
    admin.chmod(0o600)
    with a_role(server) as role:
        named(desk, role.url, "main")
        (project, org), *_ = desk.connection.execute(
            "SELECT p.slug, o.slug FROM platform.projects p JOIN platform.organizations o ON o.id = p.organization_id"
        ).fetchall()
        status, _, err = call("main", "--admin-file", str(admin), "--keep-old", "1h", "--org", org)
        begin = f"lancio db rotate main --project {project}"
        assert (status, proposed(err)) == (0, [f"{begin} --org {org} --resume --admin-file '{admin}'"])
        assert "the new login" in err

        # One is under way, whoever looks; and it takes an administrator.
        for words in ((), ("--dry-run",)):
            status, _, err = call("main", *words)
            both = [f"{begin} {way} --admin-file FILE" for way in ("--resume", "--abandon")]
            assert (status, proposed(err)) == (1, both)
        status, _, err = call("main", "--resume", "--drop-old")
        both = [f"{begin} {way} --admin-file FILE" for way in ("--resume --drop-old", "--abandon")]
        assert (status, proposed(err)) == (1, both)
        status, _, err = call("main", "--resume")
        assert (status, proposed(err)) == (0, [f"{begin} --resume --admin-file FILE"])
        status, _, err = call("main", "--abandon")
        assert (status, proposed(err)) == (1, [f"{begin} --abandon --admin-file FILE"])
        assert "change the login's own password" not in err
        assert call("main", "--abandon", "--admin-file", str(admin))[0] == 0
        assert logs_in(role.url)


def test_all_that_are_due_may_be_of_both_kinds_and_each_is_named(
    desk: Desk, pool: Pool, call: Any, tmp_path: Path
) -> None:
    server = pool.get(18)
    admin = tmp_path / "admin.url"
    admin.write_text(server.url())
    admin.chmod(0o600)
    with RedisServer(tmp_path, "aclfile") as redis, a_role(server) as role:
        desk.machine(server.url()).begin(named(desk, role.url, "main"))
        status, out, err = call("--resume")
        assert (status, out) == (1, "0 gone on with, 1 refused, 0 not due yet.\n")
        assert "main: this login may not change roles" in err
        # Over before it was ended: nothing more of its time is left.
        desk.connection.execute(
            "UPDATE platform.credential_rotations SET state = 'registered', keep_until = now() - interval '1 day'"
        )
        assert "until --resume ends it" in call("--list")[1]
        desk.connection.execute("UPDATE platform.credential_rotations SET state = 'planned', keep_until = NULL")

        desk.machine().begin(named(desk, redis.url, "cache"))
        status, out, err = call("--resume", "--admin-file", str(admin))
        assert (status, out) == (0, "2 gone on with, 0 refused, 0 not due yet.\n")
        # A line each step, and nothing of what is written down between.
        steps = ("making", "trying", "registering", "ending")
        progress = [line for line in err.splitlines() if line.endswith(" …")]
        assert progress == [f"{name}: {step} the new login …".replace("ending the new", "ending the old")
                            for name in ("main", "cache") for step in steps]  # fmt: skip
        assert "write down" not in err.lower()


@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_a_server_that_is_gone_is_told_without_a_rotation_that_there_is_none_of(
    desk: Desk, call: Any, tmp_path: Path, words: tuple[str, ...]
) -> None:
    with RedisServer(tmp_path, "memory") as server:
        url = server.url
    named(desk, url, "cache")
    named(desk, "postgresql://app:word@127.0.0.1:1/app", "main")
    for name in ("cache", "main"):
        status, _, err = call(name, *words)
        assert status == 1
        assert "does not answer" in err
        assert "stays where it is" not in err
        assert "--resume" not in err
    assert desk.registry.unfinished() == ()
