"""`lancio org`, `project`, `member`, `user`, `api-key` and `billing` as people type them."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import people
import psycopg
import pytest
from isolation import PROOF
from keys import KEK

from lancio.cli import main
from lancio.cli.terminal import Terminal
from lancio.registry import projects
from lancio.registry.acting import acting, operator
from lancio.render import table
from lancio.render.lines import width

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from servers import TestServer

Lancio = Any
VARIABLES = ("DATABASE_URL", "LANCIO_USER", "LANCIO_ORG", "LANCIO_KEK", "LANCIO_KEK_FILE", "LANCIO_KEK_COMMAND")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def url(server: TestServer, keyed_template: str) -> Iterator[str]:
    yield from people.a_database(server, keyed_template)


@pytest.fixture
def kek(tmp_path: Path) -> str:
    path = tmp_path / "lancio.kek"
    path.write_text(f"kek = {KEK.secret.hex()}\n")
    path.chmod(0o600)
    return str(path)


@pytest.fixture
def lancio(url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    def run(*words: str, given: str = "") -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        status = main.run([*words, "--database", url], Terminal(out, err, {}))
        assert "Traceback" not in err.getvalue()
        return status, out.getvalue(), " ".join(err.getvalue().split())

    return run


def test_from_the_first_user_to_an_invited_one(lancio: Lancio, kek: str) -> None:
    assert lancio("user", "add", "ada@example.org", "--first-name", "Ada")[0] == 0
    assert lancio("user", "add", "bob@example.org", "--password", given="a long password\n")[0] == 0
    status, out, _ = lancio("org", "add", "zebra", "--name", "Zebra", "--owner", "ada@example.org", "--kek-file", kek)
    assert (status, out) == (0, "Made zebra, owned by ada@example.org, with a data key.\n")
    assert lancio("project", "add", "stripes", "--name", "Stripes", "--as", "ada@example.org")[0] == 0
    status, token, err = lancio(
        "member", "invite", "bob@example.org", "developer", "--project", "stripes", "--as", "ada@example.org"
    )
    assert status == 0
    assert token.startswith("lni_")
    assert token.count("\n") == 1
    assert "lancio member accept --as bob@example.org" in err
    status, out, _ = lancio("member", "accept", "--as", "bob@example.org", given=token)
    assert (status, out) == (0, "bob@example.org is a developer of zebra, in stripes alone.\n")
    status, out, _ = lancio("member", "list", "--as", "bob@example.org")
    assert status == 0
    assert [line.split()[:3] for line in out.splitlines()] == [
        ["EMAIL", "ROLE", "PROJECTS"], ["ada@example.org", "owner", "all"], ["bob@example.org", "developer", "stripes"],
    ]  # fmt: skip
    status, out, _ = lancio("member", "accept", "--as", "bob@example.org", given=token)
    assert status == 1
    assert out == ""


def test_reading_and_changing_a_project_by_versions(lancio: Lancio) -> None:
    version = json.loads(lancio("project", "show", "shop", "--org", "acme", "--json")[1])["version"]
    words = ("project", "update", "shop", "--org", "acme", "--if-version", str(version), "--name")
    assert "Would be done" in lancio(*words, "Dry", "--dry-run")[1]
    assert lancio(*words, "First")[0] == 0
    status, out, err = lancio(*words, "Second")
    assert (status, out) == (1, "")
    assert "was changed since you read it" in err
    assert "lancio project show shop --org acme" in err
    status, out, _ = lancio(*words, "Second", "--json")
    assert json.loads(out)["error"]["code"] == "registry.lost-race"
    assert json.loads(lancio("project", "show", "shop", "--org", "acme", "--json")[1])["name"] == "First"


def test_a_dry_run_changes_nothing(lancio: Lancio, url: str, kek: str) -> None:
    everything = """SELECT md5(string_agg(t::text, ';' ORDER BY t::text)) FROM (
        SELECT 'o', o::text FROM platform.organizations o UNION ALL SELECT 'p', p::text FROM platform.projects p
        UNION ALL SELECT 'm', m::text FROM platform.organization_members m
        UNION ALL SELECT 'i', i::text FROM platform.organization_invitations i
        UNION ALL SELECT 'u', u::text FROM platform.users u UNION ALL SELECT 'k', k::text FROM platform.api_keys k
        UNION ALL SELECT 'b', b::text FROM platform.billing_plans b
        UNION ALL SELECT 'd', d::text FROM platform.data_keys d
        UNION ALL SELECT 'a', a::text FROM platform.audit_logs a) t"""
    with psycopg.connect(url, autocommit=True) as connection:
        before = connection.execute(everything).fetchone()
        for words in (
            ("org", "add", "new", "--owner", "owner@example.com", "--kek-file", kek),
            ("org", "update", "acme", "--name", "x"), ("org", "remove", "acme"),
            ("project", "add", "x", "--org", "acme"), ("project", "update", "shop", "--name", "x", "--org", "acme"),
            ("project", "remove", "shop", "--org", "acme"),
            ("member", "add", "nobody@example.com", "--org", "acme"),
            ("member", "invite", "nobody@example.com", "--org", "acme"),
            ("member", "role", "admin@example.com", "billing", "--org", "acme"),
            ("member", "remove", "admin@example.com", "--org", "acme"),
            ("user", "add", "x@example.com"), ("user", "disable", "admin@example.com"),
            ("user", "update", "admin@example.com", "--first-name", "x"),
            ("api-key", "add", "x", "--scope", "database.read", "--org", "acme"),
            ("billing", "add-plan", "x"),
        ):  # fmt: skip
            status, out, err = lancio(*words, "--dry-run")
            assert status == 0, (words, err)
            assert "Would be done" in out + err, words
            assert "lni_" not in out
            assert "lnk_" not in out
            assert connection.execute(everything).fetchone() == before, words


def test_an_organization_from_its_end_to_its_last_row(lancio: Lancio) -> None:
    assert "lancio org restore acme" in lancio("org", "remove", "acme")[1]
    status, _, err = lancio("project", "list", "--org", "acme")
    assert status == 1
    assert "was removed" in err
    assert lancio("org", "restore", "acme")[0] == 0
    assert lancio("org", "remove", "acme", "--as", "owner@example.com")[0] == 0
    status, _, err = lancio("org", "purge", "acme")
    assert status == 2
    assert "2 projects, 6 members" in err
    assert lancio("org", "purge", "acme", "--dry-run")[0] == 0
    assert "acme" in lancio("org", "list", "--removed")[1]
    assert lancio("org", "purge", "acme", "--yes")[0] == 0
    assert "acme" not in lancio("org", "list", "--removed")[1]


def test_who_acts_comes_from_the_option_or_the_environment(lancio: Lancio, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(json.loads(lancio("org", "list", "--json")[1])["organizations"]) == 2
    monkeypatch.setenv("LANCIO_USER", "developer@example.com")
    assert [each["slug"] for each in json.loads(lancio("org", "list", "--json")[1])["organizations"]] == ["acme"]
    status, _, err = lancio("project", "add", "x")
    assert status == 1
    assert "developer@example.com may not add projects" in err
    assert "Ask owner@example.com (owner) or admin@example.com (admin)." in err
    status, _, err = lancio("project", "list", "--org", "beta")
    assert status == 1
    assert "there is no organization beta" in err
    assert lancio("project", "add", "x", "--as", "admin@example.com")[0] == 0
    monkeypatch.setenv("LANCIO_USER", "outsider@example.com")
    monkeypatch.setenv("LANCIO_ORG", "beta")
    assert [each["slug"] for each in json.loads(lancio("project", "list", "--json")[1])["projects"]] == ["secret"]


@pytest.mark.parametrize(
    "words",
    [("audit", "list"), ("audit", "show", "1"), ("audit", "export"), ("audit", "verify"), ("audit", "seal"),
     ("audit", "prune", "--before", "2020-01-01"), ("keys", "status"), ("keys", "check"), ("keys", "init")],
)  # fmt: skip
def test_what_is_the_operators_does_not_pass_over_a_user_that_is_named(
    lancio: Lancio, kek: str, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("LANCIO_KEK_FILE", kek)
    monkeypatch.setenv("LANCIO_USER", "eve@example.org")
    status, out, err = lancio(*words)
    assert (status, out) == (2, "")
    assert "eve@example.org" in err
    assert f"LANCIO_USER= lancio {' '.join(words[:2])}" in err
    assert " --database postgresql://postgres@" in err
    monkeypatch.setenv("LANCIO_USER", "")
    assert "is the operator's" not in lancio(*words)[2]


def test_a_user_who_is_not_there_is_looked_for_as_the_operator(lancio: Lancio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANCIO_USER", "nobody@example.org")
    status, _, err = lancio("user", "list")
    assert status == 1
    assert "LANCIO_USER= lancio user list --database" in err
    monkeypatch.setenv("LANCIO_USER", "")
    assert lancio("user", "list")[0] == 0


def test_without_a_name_the_only_organization_is_meant_or_all_are_told(lancio: Lancio) -> None:
    status, _, err = lancio("project", "list")
    assert status == 2
    assert "There are several: acme, beta." in err
    assert lancio("project", "list", "--as", "read_only@example.com")[0] == 0
    status, _, err = lancio("project", "list", "--as", "nobody@example.com")
    assert status == 2
    assert "belongs to no organization" in err


def test_a_protected_environment_is_asked_for_before_a_change_and_not_before_a_look(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROD_URL", url)
    (tmp_path / "lancio.toml").write_text('[environments.prod]\ndatabase_env = "PROD_URL"\nprotected = true\n')

    def run(*words: str) -> tuple[int, str]:
        err = io.StringIO()
        status = main.run([*words, "--env", "prod"], Terminal(io.StringIO(), err, {}))
        return status, " ".join(err.getvalue().split())

    for words in (("org", "list"), ("org", "show", "acme"), ("member", "list", "--org", "acme"), ("user", "list")):
        assert run(*words) == (0, "")
    change = ("project", "add", "new", "--org", "acme")
    status, said = run(*change)
    assert status == 2
    assert "lancio project add may change its database" in said
    assert run(*change, "--dry-run")[0] == 0
    assert run(*change, "--yes")[0] == 0
    assert run(*change, "--yes")[0] == 1


def test_a_key_is_shown_once_and_ended(lancio: Lancio, url: str) -> None:
    status, out, err = lancio("key", "add", "deploy", "--scope", "database.read", "--expires", "90d", "--org", "acme")
    assert status == 0
    assert out.startswith("lnk_")
    assert out.strip() not in err
    for words in (("list",), ("show", "deploy"), ("list", "--json"), ("revoke", "deploy"), ("list", "--all")):
        status, shown, err = lancio("api-key", *words, "--org", "acme")
        assert status == 0
        assert out.strip() not in shown + err
        assert "deploy" in shown
    assert "revoked" in shown
    status, out, err = lancio("api-key", "add", "x", "--scope", "database.reed", "--org", "acme")
    assert (status, out) == (1, "")
    assert "Did you mean database.read?" in err
    status, out, _ = lancio("key", "add", "j", "--scope", "database.read", "--org", "acme", "--json")
    assert json.loads(out)["token"].startswith("lnk_")
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM platform.api_keys WHERE token_hash IS NOT NULL").fetchone()
        assert row == (2,)
    assert main.run(["api-key", "scopes"], Terminal(io.StringIO(), io.StringIO(), {})) == 0


def test_a_plan_is_taken_and_holds(lancio: Lancio) -> None:
    assert lancio("billing", "add-plan", "small", "--price", "9.90", "--currency", "EUR", "--projects", "2")[0] == 0
    status, out, _ = lancio("billing", "plans", "--as", "owner@example.com")
    assert status == 0
    assert "9.90 EUR a month" in out
    assert lancio("billing", "subscribe", "small", "--as", "billing@example.com")[0] == 0
    assert "projects 2 of 2" in " ".join(lancio("billing", "show", "--org", "acme")[1].split())
    status, _, err = lancio("project", "add", "third", "--org", "acme")
    assert status == 1
    assert "the plan small allows 2 projects" in err
    assert lancio("billing", "archive-plan", "small")[0] == 0
    status, _, err = lancio("billing", "subscribe", "small", "--org", "beta")
    assert status == 1
    assert "is archived" in err
    status, _, err = lancio("billing", "add-plan", "y", "--as", "owner@example.com")
    assert status == 1
    assert "may not change plans" in err


def test_secrets_come_by_stdin_or_a_file_and_are_said_nowhere(lancio: Lancio, tmp_path: Path) -> None:
    secret = "an uncommon passphrase"
    file = tmp_path / "password"
    file.write_text(f"{secret}\r\n")
    file.chmod(0o600)
    for words, given in (
        (("--password",), secret),
        (("--password-file", "-"), secret),
        (("--password-file", str(file)), ""),
    ):
        status, out, err = lancio("user", "update", "admin@example.com", *words, given=given)
        assert status == 0, err
        assert secret not in out + err
    for words, given, said in (
        (("--password",), "", "is empty"), (("--password-file", "absent"), "", "cannot be read"),
        (("--password-file", "a\0b"), "", "no file can be called so"),
        (("--password-file", str(tmp_path)), "", "cannot be read"), (("--password",), "x" * 100_000, "too long"),
        (("--password",), "short", "too short"),
    ):  # fmt: skip
        status, out, err = lancio("user", "update", "admin@example.com", *words, given=given)
        assert status in (1, 2)
        assert said in err
    file.write_bytes(b"\xff\xfe")
    assert "is not a text" in lancio("user", "update", "admin@example.com", "--password-file", str(file))[2]


@pytest.mark.parametrize(
    "words", [("member", "accept", "--as", "admin@example.com", "--token-file"),
              ("user", "update", "admin@example.com", "--password-file")],
)  # fmt: skip
def test_a_secrets_file_that_others_may_read_is_refused(lancio: Lancio, tmp_path: Path, words: tuple[str, ...]) -> None:
    file = tmp_path / "secret"
    file.write_text("lni_of-a-token\n")
    file.chmod(0o644)
    status, out, err = lancio(*words, str(file))
    assert (status, out) == (2, "")
    assert "may be read by others" in err
    assert f"chmod 600 {file}" in err
    file.chmod(0o600)
    assert "may be read by others" not in lancio(*words, str(file))[2]


def test_a_password_is_typed_twice_and_not_shown(url: str) -> None:
    def types(*lines: str) -> tuple[int, str]:
        leader, follower = pty.openpty()
        running = subprocess.Popen(
            [sys.executable, "-m", "lancio", "user", "update", "admin@example.com", "--password", "--database", url],
            stdin=follower, stdout=subprocess.PIPE, stderr=follower, start_new_session=True,
        )  # fmt: skip
        os.close(follower)
        shown = ""
        for line in lines:
            asked = shown.count(":")
            while shown.count(":") == asked:
                shown += os.read(leader, 1024).decode()
            os.write(leader, f"{line}\n".encode())
        out, _ = running.communicate(timeout=60)
        os.close(leader)
        assert all(line not in shown for line in lines)
        return running.returncode, out.decode()

    status, out = types("a long passphrase", "a long passphrase")
    assert status == 0
    assert out.startswith("Changed admin@example.com.")
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM platform.users WHERE password_hash LIKE '$argon2id$%'"
        ).fetchone()
        assert row == (1,)


HOSTILE = (
    "", " ", "a\u202eb", "\x1b[31mred", "a\nb", "x" * 1_000_000, "'; DROP SCHEMA platform; --", "%s%(x)s", "\u200b",
    "\udcff",
)  # fmt: skip


def test_an_empty_name_of_an_organization_is_not_the_only_one(lancio: Lancio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANCIO_ORG", "acme")
    for words in (("org", "remove", ""), ("org", "purge", "", "--yes"), ("org", "update", " ", "--kind", "x")):
        status, _, err = lancio(*words)
        assert (status, "perhaps a variable of the shell is not set" in err) == (2, True)
    status, out, _ = lancio("org", "show", "acme", "--json")
    assert (status, json.loads(out)["deleted_at"], json.loads(out)["kind"]) == (0, None, None)
    for words in (("project", "remove", ""), ("member", "remove", ""), ("api-key", "revoke", "")):
        assert lancio(*words)[0] == 1


def test_key_and_keys_are_told_apart(lancio: Lancio) -> None:
    status, _, err = lancio("keys", "revoke", "deploy")
    assert (status, "by which programs get in are under lancio key." in err) == (2, True)
    assert "lancio key revoke --help" in err
    for name in ("key", "api-key"):
        status, _, err = lancio(name, "rotate", "acme")
        assert (status, "that secrets are sealed with are under lancio keys." in err) == (2, True)
    assert "No such command" in lancio("keys", "nonsense")[2]


def test_what_is_for_members_is_not_passed_over_for_invitations(lancio: Lancio) -> None:
    for options in (("--invitations", "--only", "admin"), ("--invitations", "--after", "x"), ("--all",)):
        status, _, err = lancio("member", "list", "--org", "acme", *options)
        assert status == 2, options
        assert "--invitations" in err


def test_hostile_names_are_refused_in_a_few_clean_lines(lancio: Lancio) -> None:
    for at, name in enumerate(HOSTILE):
        harmless = name in ("'; DROP SCHEMA platform; --", "%s%(x)s")
        for words in (
            ("org", "update", "acme", "--name", name), ("project", "add", "x", "--org", "acme", "--name", name),
            ("user", "update", "admin@example.com", "--first-name", name),
        ):  # fmt: skip
            status, out, err = lancio(*words)
            taken_away = words[0] == "user" and not name
            again = "the slug x is taken" in err
            assert status == (0 if (harmless and not again) or taken_away else 1), (words[0], err)
            assert len(err) < 600
            assert err.isprintable()
            assert "\x1b" not in out
        commands: tuple[tuple[str, ...], ...] = (
            ("org", "show", name), ("project", "show", name, "--org", "acme"),
            ("member", "remove", name, "--org", "acme"), ("user", "show", name),
            ("api-key", "show", name, "--org", "acme"), ("billing", "plan", name), ("org", "list", "--as", name),
            ("org", "list", "--after", name),
        )  # fmt: skip
        for words in commands if PROOF else commands[at % 4 :: 4]:
            status, _, err = lancio(*words)
            assert status in (1, 2), words
            assert len(err) < 700
            assert err.isprintable()
        assert lancio("org", "list", "--like", name)[0] == (1 if len(name) > 200 or name == "\udcff" else 0)


def test_a_process_killed_half_way_leaves_nothing_half_made(url: str, kek: str) -> None:
    command = [sys.executable, "-m", "lancio", "org", "add", "half", "--owner", "owner@example.com", "--kek-file", kek,
               "--database", url]  # fmt: skip
    with psycopg.connect(url) as blocking, psycopg.connect(url, autocommit=True) as watching:
        # The data key is what is made last.
        blocking.execute("LOCK TABLE platform.data_keys IN EXCLUSIVE MODE")
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%add_data_key%%'"
        )
        deadline = time.monotonic() + 60
        while watching.execute(waiting).fetchone() != (1,) and time.monotonic() < deadline and running.poll() is None:
            time.sleep(0.05)
        assert watching.execute(waiting).fetchone() == (1,)
        running.send_signal(signal.SIGKILL)
        running.communicate()
        blocking.rollback()
        gone = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%add_data_key%%' AND pid <> pg_backend_pid()"
        while watching.execute(gone).fetchone() != (0,) and time.monotonic() < deadline:
            time.sleep(0.05)
        for table_, is_half in (
            ("organizations", "slug = 'half'"),
            ("audit_logs", "after->>'slug' = 'half'"),
            ("organization_members", "organization_id NOT IN (SELECT o.id FROM platform.organizations o)"),
        ):
            query = f"SELECT count(*) FROM platform.{table_} WHERE {is_half}"
            assert watching.execute(query).fetchone() == (0,)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "Made half, owned by owner@example.com, with a data key.\n")


class Screen(io.StringIO):
    """A terminal that is looked at."""

    def isatty(self) -> bool:
        return True


def test_a_table_fits_the_terminal_and_wide_characters_count_twice(
    lancio: Lancio, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        psycopg.connect(url, autocommit=True) as connection,
        acting(connection, operator(), organization="acme") as work,
    ):
        projects.add(work, slug="wide", name="株式会社" * 20, region="a long region " * 5)
    words = ("project", "list", "--org", "acme")
    monkeypatch.setenv("COLUMNS", "50")
    screen = Screen()
    assert main.run([*words, "--database", url], Terminal(screen, io.StringIO(), {"NO_COLOR": "1"})) == 0
    lines = screen.getvalue().splitlines()
    assert len(lines) == 4
    assert all(width(line) <= 50 for line in lines)
    assert "…" in screen.getvalue()
    # Piped into another program nothing is cut.
    assert "株式会社" * 20 in lancio(*words)[1]


@pytest.mark.parametrize("cells", [20, 30, 40, 80, None])
def test_columns_are_cut_no_further_than_they_must_be(cells: int | None) -> None:
    rows = [("NAME", "WHAT", "N"), ("a" * 30, "漢" * 12, "1"), ("b", "c", "22")]
    drawn = table.fitted(rows, cells, cut=(0, 1)).splitlines()
    widest = max(width(line) for line in drawn)
    if cells is None or cells >= 60:
        assert "…" not in "".join(drawn)
    else:
        assert cells - 2 <= widest <= cells
    assert table.shortened("abc", 3) == "abc"
    assert table.shortened("漢漢", 3) == "漢…"
