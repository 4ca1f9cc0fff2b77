"""`lancio db` as people use it: what it says, what it refuses, and that no secret is in any of it."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import mongod
import psycopg
import pytest
from isolation import PROOF
from keys import KEK
from registering import redis_server
from test_databases import CANARY, PRINTABLE

from lancio.cli import main
from lancio.cli.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from servers import TestServer

URL = f"redis://default:{CANARY}@cache.test:6380/2"
VARIABLES = ("DATABASE_URL", "REDIS_URL", "MONGO_URL", "LANCIO_USER", "LANCIO_ORG", "LANCIO_KEY_FILE", "LANCIO_KEK",
             "LANCIO_KEK_FILE", "LANCIO_KEK_COMMAND", "LANCIO_OLD_KEK", "LANCIO_OLD_KEK_FILE",
             "LANCIO_OLD_KEK_COMMAND")  # fmt: skip


class Said(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    kek = tmp_path / "lancio.kek"
    kek.write_text(f"kek = {KEK.secret.hex()}\n")
    kek.chmod(0o600)
    monkeypatch.setenv("LANCIO_KEK_FILE", str(kek))
    monkeypatch.setenv("LANCIO_ORG", "acme")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def lancio(registry: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    monkeypatch.setenv("DATABASE_URL", registry)

    def run(*words: str, stdin: str = "", env: dict[str, str] | None = None, shows: bool = False) -> Said:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            text = io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8")
            patch.setattr("sys.stdin", text)
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            status = main.run(["db", *words], Terminal(out, err, {}))
        said = Said(status, out.getvalue(), " ".join(err.getvalue().split()))
        assert "Traceback" not in said.err
        if not shows:
            assert CANARY not in said.out + said.err
        return said

    return run


@pytest.fixture
def connection(registry: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(registry, autocommit=True) as connection:
        yield connection


Lancio = Any


def test_from_the_first_database_to_the_last(lancio: Lancio, connection: psycopg.Connection[Any]) -> None:
    said = lancio("add", "cache", "--project", "shop", "--stdin", "--dry-run", stdin=URL)
    assert (said.status, said.out) == (
        0, "cache would be registered in shop: redis://cache.test:6380/2. Nothing was changed.\n",
    )  # fmt: skip
    assert lancio("list").err == "acme has none."
    said = lancio("add", "cache", "--project", "shop", "--stdin", "--meta", "team=web", stdin=f"{URL}\n")
    assert (said.status, said.out) == (0, "Registered cache in shop: redis://cache.test:6380/2.\n")
    assert "lancio db test cache --project shop" in said.err
    assert "cache  shop     redis  active  unknown  cache.test:6380/2" in lancio("list").out
    assert re.search(r"^Secret +sealed$", lancio("show", "cache").out, re.MULTILINE)
    shown = lancio("show", "cache", "--json").json
    assert (shown["name"], shown["version"], shown["metadata"]) == ("cache", 1, {"team": "web"})
    said = lancio("reveal", "cache")
    assert said.status == 2
    assert "nobody was asked" in said.err
    assert lancio("reveal", "cache", "--yes", shows=True) == (0, f"{URL}\n", "")
    assert lancio("reveal", "cache", "--yes", "--json", shows=True).json["connection_string"] == URL
    said = lancio("update", "cache", "--rename", "sessions", "--status", "maintenance")
    assert said.out == "Changed cache (shop): called sessions; status maintenance. It is version 2 now.\n"
    said = lancio("update", "sessions", "--status", "active", "--if-version", "1")
    assert said.status == 1
    assert "changed since you read it" in said.err
    assert "changed name, status at" in said.err
    said = lancio("update", "sessions", "--status", "maintenance")
    assert said.out == "sessions is so already. Nothing was changed.\n"
    assert "would be taken out of shop" in lancio("remove", "sessions", "--dry-run").out
    assert lancio("remove", "sessions").status == 2
    assert lancio("remove", "sessions", "--yes").out == "Removed sessions from shop.\n"
    assert lancio("show", "sessions").status == 1
    actions = connection.execute(
        "SELECT action FROM platform.audit_logs WHERE target_type = 'database' ORDER BY occurred_at, action"
    ).fetchall()
    assert [action for (action,) in actions] == [
        "database.add", "database.reveal", "secret.open", "database.reveal", "secret.open", "database.update",
        "database.remove",
    ]  # fmt: skip


ARGUMENTS: tuple[tuple[str, ...], ...] = (
    ("add", "x", URL),
    ("add", URL),
    ("show", f"host=h password={CANARY}"),
    ("update", "x", "--rename", URL),
    ("test", "x", URL),
    ("remove", f"default:{CANARY}@cache.test"),
    ("add", "x", "--meta", f"url={URL}"),
    ("list", "--text", URL),
    ("import", URL),
    ("add", "x", "--from-env", URL),
    ("add", "x", "--type", URL),
    ("list", "--project", URL),
    ("list", URL),
)


def test_a_connection_string_as_an_argument_is_refused_and_not_repeated(lancio: Lancio) -> None:
    for words in ARGUMENTS:
        assert lancio(*words).status in (1, 2), words[:2]
        assert CANARY not in lancio(*words, "--json").out


def test_a_file_that_others_may_read_is_refused(lancio: Lancio, tmp_path: Path) -> None:
    file = tmp_path / "cache.url"
    file.write_text(f"{URL}\n")
    file.chmod(0o644)
    said = lancio("add", "cache", "--project", "shop", "--file", str(file))
    assert said.status == 2
    assert "may be read by others" in said.err
    assert f"chmod 600 {file}" in said.err
    file.chmod(0o600)
    assert lancio("add", "cache", "--project", "shop", "--file", str(file)).status == 0
    assert lancio("add", "a", "--project", "shop", "--file", str(tmp_path)).status == 2
    assert lancio("add", "a", "--project", "shop", "--file", "nowhere").status == 2


def test_where_the_secret_comes_from_is_said_once(lancio: Lancio) -> None:
    assert "given together" in lancio("add", "a", "--project", "shop", "--stdin", "--file", "x").err
    said = lancio("add", "a", "--project", "shop").err
    assert "nobody can be asked" in said
    assert "lancio db add a --project shop --from-env REDIS_URL" in " ".join(said.split())
    assert "is not set" in lancio("add", "a", "--project", "shop", "--from-env", "NOWHERE_URL").err
    assert "names no variable" in lancio("add", "a", "--project", "shop", "--from-env").err
    said = lancio("add", "a", "--project", "shop", "--from-env", env={"REDIS_URL": URL})
    assert said.status == 2
    said = lancio("add", "a", "--project", "shop", "--type", "redis", "--from-env", env={"REDIS_URL": URL})
    assert said.status == 0
    assert lancio("add", "b", "--project", "shop", "--from-env", "REDIS_URL", env={"REDIS_URL": URL}).status == 0
    # DATABASE_URL is where the registry is, unless it is said otherwise.
    assert "no variable holds" in lancio("add", "c", "--project", "shop", "--type", "postgresql", "--from-env").err
    main_ = {"POSTGRES_URL": f"postgresql://u:{CANARY}@main.test/app"}
    assert lancio("add", "c", "--project", "shop", "--type", "postgresql", "--from-env", env=main_).status == 0
    assert lancio("show", "c", "--json").json["host"] == "main.test"


NO_STRINGS = (
    "", "nonsense", f"redis://default:{CANARY}@bad host:1", "x" * 70_000, "${{Redis.REDIS_URL}}",
    f"redis://:{CANARY}@h:99999",
)  # fmt: skip


def test_what_is_no_connection_string_is_refused(lancio: Lancio) -> None:
    for text in NO_STRINGS:
        said = lancio("add", "a", "--project", "shop", "--stdin", stdin=text)
        assert said.status == 1
        assert "onnection string" in said.err or "${{Redis.REDIS_URL}}" in said.err
    assert lancio("list").err == "acme has none."


def test_an_ambiguous_name_is_refused_with_its_projects(lancio: Lancio) -> None:
    for project in ("shop", "blog"):
        assert lancio("add", "cache", "--project", project, "--stdin", stdin=URL).status == 0
    said = lancio("show", "cache")
    assert said.status == 1
    assert "these have one: blog, shop" in said.err
    assert "lancio db show cache --project blog" in said.err
    assert lancio("show", "cache", "--project", "blog", "--json").json["project"] == "blog"
    assert "which project is not said" in lancio("add", "new", "--stdin", stdin=URL).err


def test_who_may_only_look_may_not_reveal(lancio: Lancio) -> None:
    lancio("add", "cache", "--project", "shop", "--stdin", stdin=URL)
    said = lancio("reveal", "cache", "--yes", "--as", "looker@acme.test")
    assert said.status == 1
    assert "may not reveal a connection string" in said.err
    assert "dev@acme.test" in said.err  # who could
    assert lancio("show", "cache", "--as", "looker@acme.test").status == 0
    said = lancio("remove", "cache", "--yes", "--as", "looker@acme.test")
    assert "may not remove databases" in said.err
    for words in (("show", "cache"), ("reveal", "cache", "--yes")):
        said = lancio(*words, "--as", "dev@other.test", "--org", "other")
        assert said.status == 1
        assert "there is no database cache in other" in said.err
        assert lancio(*words, "--as", "dev@other.test", "--org", "acme").status == 1


def test_a_key_that_is_wrong_or_missing_is_told_before_anything_else(lancio: Lancio, tmp_path: Path) -> None:
    lancio("add", "cache", "--project", "shop", "--stdin", stdin=URL)
    other = tmp_path / "other.kek"
    other.write_text(f"kek = {bytes(32).hex()}\n")
    other.chmod(0o600)
    for words in (("reveal", "cache", "--yes"), ("add", "b", "--project", "shop", "--stdin")):
        said = lancio(*words, env={"LANCIO_KEK_FILE": str(other)}, stdin=URL)
        assert said.status == 1
        assert "key" in said.err
    said = lancio("reveal", "cache", "--yes", env={"LANCIO_KEK_FILE": ""})
    assert said.status == 1
    assert lancio("list").status == 0  # which needs none


HOSTILE_WORDS = (
    "\udcff",
    "x" * 5000,
    "%s%(a)s",
    "'; DROP",
    "🙂" * 50,
    "\u202e",
    "\x1b[31m",
    "",
    "-",
    " ",
    "a\x00b",
    "$(id)",
    "\n",
)


def test_no_word_makes_it_fail_without_a_refusal(lancio: Lancio) -> None:
    for at, word in enumerate(HOSTILE_WORDS):
        commands: tuple[tuple[str, ...], ...] = (
            ("show", word), ("remove", word, "--yes"), ("test", word), ("list", "--text", word),
            ("list", "--name", word), ("list", "--host", word), ("list", "--project", word), ("list", "--after", word),
            ("add", word, "--project", "shop", "--stdin"), ("add", "a", "--project", word, "--stdin"),
            ("update", "a", "--rename", word), ("add", "b", "--project", "shop", "--stdin", "--meta", f"{word}={word}"),
            ("add", "c", "--from-env", word, "--project", "shop"), ("add", "c", "--file", word, "--project", "shop"),
            ("import", word, "--project", "shop"), ("list", "--org", word), ("list", "--as", word),
        )  # fmt: skip
        # Every word and every command; each with each in `make proof`.
        for words in commands if PROOF else commands[at % 4 :: 4]:
            said = lancio(*words, stdin="redis://:pw@h:1")
            assert said.status in (0, 1, 2), words
            assert "\x1b" not in said.out + said.err
            assert "\u202e" not in said.out + said.err


def test_pages_and_filters(lancio: Lancio) -> None:
    for number in range(7):
        kind = "redis" if number % 2 else "mongodb"
        lancio("add", f"db-{number}", "--project", "shop", "--stdin", stdin=f"{kind}://h{number}:1")
    first = lancio("list", "--limit", "3", "--json").json
    assert [each["name"] for each in first["databases"]] == ["db-0", "db-1", "db-2"]
    rest = lancio("list", "--after", first["next"], "--json").json
    assert [each["name"] for each in rest["databases"]] == ["db-3", "db-4", "db-5", "db-6"]
    assert rest["next"] is None
    said = lancio("list", "--limit", "2")
    assert "There are more: add --after" in said.err
    assert len(lancio("list", "--all", "--json").json["databases"]) == 7
    assert [each["name"] for each in lancio("list", "--type", "redis", "--host", "H3", "--json").json["databases"]] == [
        "db-3"
    ]
    assert "No database of acme is so." in lancio("list", "--text", "nothing").err
    assert lancio("list", "--after", "x").status == 1
    assert lancio("list", "--project", "elsewhere").status == 1  # another organization's


# --- files ------------------------------------------------------------------------------------------------------------


def test_an_import_shows_what_it_would_do_is_all_or_nothing_and_runs_again(lancio: Lancio, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    good = f"REDIS_URL={URL}\nDATABASE_URL=postgresql://u:{CANARY}@pg.railway.internal:5432/railway\n"
    file.write_text(good + "MONGO_URL=mongodb://h:port\nPORT=3000\n")
    said = lancio("import", str(file), "--project", "shop", "--dry-run")
    assert said.status == 1
    assert re.search(r"^1 +new +REDIS_URL +shop +redis://cache.test:6380/2$", said.out, re.MULTILINE)
    assert re.search(r"^3 +refused +MONGO_URL", said.out, re.MULTILINE)
    assert "Others than you may read" in said.err
    assert "2 new, 1 refused. Nothing was changed." in said.err
    said = lancio("import", str(file), "--project", "shop")
    assert said.status == 1
    assert "all lines are taken or none" in said.err
    assert lancio("list").err == "acme has none."
    said = lancio("import", str(file), "--project", "shop", "--skip-refused")
    assert said.status == 0
    assert "Done: 2 new, 1 refused." in said.err
    file.write_text(good)
    assert "Done: 2 same." in lancio("import", str(file), "--project", "shop").err
    document = lancio("import", "-", "--form", "env", "--project", "shop", "--json", stdin=good).json
    assert [(each["line"], each["what"]) for each in document["lines"]] == [(1, "same"), (2, "same")]
    said = lancio("import", "-", "--form", "env", "--project", "shop", stdin=good.replace(":6380", ":6381"))
    assert "Done: 1 changed, 1 same." in said.err
    assert lancio("show", "REDIS_URL", "--json").json["version"] == 2


def test_tables_and_service_files_are_imported_too(lancio: Lancio, tmp_path: Path) -> None:
    table = tmp_path / "databases.csv"
    table.write_text(f"name,project,kind,host,user,password\nmain,shop,postgresql,db.test,u,{CANARY}\n"
                     f"posts,blog,mongodb,m.test,u,{CANARY}\n")  # fmt: skip
    assert "Done: 2 new." in lancio("import", str(table)).err
    service = tmp_path / "pg_service.conf"
    service.write_text(f"[reports]\nhost=db.test\ndbname=r\nuser=u\npassword={CANARY}\n")
    assert "Done: 1 new." in lancio("import", str(service), "--project", "shop").err
    names = [each["name"] for each in lancio("list", "--json").json["databases"]]
    assert names == ["main", "posts", "reports"]


BROKEN = (
    b"", b"\xff\xfe\x00", b"\x00" * 100, b'A="redis://:' + CANARY.encode(), b"name,url\n" + b"a,b,c\n" * 50,
    b"[unclosed\nhost=h\n", b"REDIS_URL=${{Redis.URL}}\n",
)  # fmt: skip


def test_a_broken_file_changes_nothing(lancio: Lancio, tmp_path: Path) -> None:
    file = tmp_path / "broken"
    for content in BROKEN:
        file.write_bytes(content)
        for form in ("env", "csv", "service"):
            said = lancio("import", str(file), "--form", form, "--project", "shop")
            assert said.status in (0, 1, 2)
            assert "Done:" not in said.err or "Done: nothing" in said.err
    assert lancio("list").err == "acme has none."


def test_of_lines_that_are_refused_each_reason_is_told_with_what_to_do(lancio: Lancio, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("A_URL=redis://h\nB_URL=redis://i\nMONGO_URL=${{MongoDB.MONGO_URL}}\nnonsense\n")
    file.chmod(0o600)
    said = lancio("import", ".env")
    assert said.status == 1
    assert "Lines 1, 2: acme has several: blog, shop. Name one by --project." in said.err
    assert "Line 3: Railway puts the value in when it deploys" in said.err
    assert "Line 4: A line is NAME=value, a comment, or empty. Correct the line." in said.err


def test_of_a_service_with_a_line_that_is_refused_nothing_is_registered(lancio: Lancio, tmp_path: Path) -> None:
    file = tmp_path / "pg_service.conf"
    file.write_text("[good]\nhost=h\n[bad]\nhots=h2\ndbname=d\n[other]\nservice=good\n")
    file.chmod(0o600)
    said = lancio("import", str(file), "--project", "shop", "--skip-refused")
    assert (said.status, "Done: 1 new, 2 refused." in said.err) == (0, True)
    assert [each["name"] for each in lancio("list", "--json").json["databases"]] == ["good"]


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_before_a_secret_is_asked_for_the_rest_is_looked_at(lancio: Lancio) -> None:
    lancio("add", "cache", "--project", "shop", "--stdin", stdin=URL)
    for words, why in (
        (("add", "cache", "--project", "shop"), "the project shop has a database cache already"),
        (("add", "new", "--project", "ship"), "there is no project ship in acme"),
        (("add", "new", "--project", "shop", "--as", "looker@acme.test"), "may not register databases"),
        (("add", "new", "--project", "shop"), "nobody can be asked"),
    ):
        assert why in lancio(*words).err


def test_a_refusal_of_an_update_proposes_an_update(lancio: Lancio) -> None:
    lancio("add", "cache", "--project", "shop", "--stdin", stdin=URL)
    said = lancio("update", "cache")
    assert (said.status, "lancio db update cache --from-env REDIS_URL" in said.err) == (2, True)


def test_an_empty_name_and_version_0_are_taken_as_they_are_given(lancio: Lancio) -> None:
    lancio("add", "cache", "--project", "shop", "--stdin", stdin=URL)
    said = lancio("update", "cache", "--rename", "")
    assert (said.status, "the name is empty" in said.err) == (1, True)
    for version, why in (("0", "It was version 0 then, and is 1 now."), ("7", "cache is not version 7 yet")):
        for words in (("update", "cache", "--status", "error"), ("remove", "cache", "--yes")):
            said = lancio(*words, "--if-version", version)
            assert (said.status, why in said.err) == (1, True)
    assert lancio("update", "--from-env", "--if-version", "0").status == 2
    assert "both name a" in lancio("update", "cache", "--meta", "a=b", "--no-meta", "a").err
    assert lancio("remove", "", "--yes").status == 1
    assert lancio("show", "cache", "--json").json["status"] == "active"


def test_the_address_of_what_is_to_be_removed_is_shown_without_a_terminal_too(lancio: Lancio) -> None:
    lancio("add", "cache", "--project", "shop", "--stdin", stdin=URL)
    assert "redis://cache.test:6380/2, will be gone" in lancio("remove", "cache").err


def test_a_database_that_takes_no_changes_is_told_as_that(lancio: Lancio, connection: psycopg.Connection[Any]) -> None:
    lancio("add", "cache", "--project", "shop", "--stdin", stdin=URL)
    connection.execute(
        f"ALTER DATABASE {connection.info.dbname} SET default_transaction_read_only = on"  # type: ignore[call-overload]
    )
    assert lancio("show", "cache").status == 0
    for words in (("add", "b", "--project", "shop", "--stdin"), ("update", "cache", "--status", "error"),
                  ("remove", "cache", "--yes")):  # fmt: skip
        said = lancio(*words, "--json", stdin=URL)
        assert said.status == 1
        assert said.json["error"]["message"] == "this database takes no changes now"
        assert "Name the primary" in said.json["error"]["remedy"]
    assert "Go to the primary" in lancio("reveal", "cache", "--yes").err


# --- placeholders and the checklist -----------------------------------------------------------------------------------


def test_real_values_tick_the_specification_s_item(lancio: Lancio, registry: str) -> None:
    def item() -> tuple[bool, str]:
        out = io.StringIO()
        main.run(["checklist", "--platform", "--json", "--database", registry], Terminal(out, io.StringIO(), {}))
        lines = [each for phase in json.loads(out.getvalue())["phases"] for each in phase["lines"]]
        found = next(each for each in lines if each["says"] == "Update connection strings with actual Railway values")
        return found["ticked"], found.get("reason") or ""

    ticked, reason = item()
    assert not ticked
    assert "Railway MongoDB, Railway Redis" in reason or "Railway MongoDB and Railway Redis" in reason
    assert "lancio db update --from-env" in reason
    org = ("--org", "lancio")
    said = lancio("update", "--from-env", "--no-test", *org, env={"REDIS_URL": URL})
    assert "Railway Redis (lancio-studio) has the connection string of REDIS_URL" in said.out
    assert "Railway MongoDB (lancio-studio) stays a placeholder: MONGO_URL or" in said.out
    mongo = {"MONGO_URL": f"mongodb://mongo:{CANARY}@mongodb.railway.internal:27017"}
    assert lancio("update", "--from-env", "--no-test", "--dry-run", *org, env=mongo).status == 0
    ticked, reason = item()
    assert not ticked
    assert "Railway MongoDB" in reason
    assert "Railway Redis" not in reason
    assert lancio("update", "--from-env", "--no-test", *org, env=mongo).status == 0
    assert item() == (True, "")
    assert lancio("update", "--from-env", *org).out == "There are no placeholders.\n"
    assert lancio("reveal", "Railway Redis", "--yes", *org, shows=True).out == f"{URL}\n"


def test_step_3_with_a_credential_on_a_platform_with_keys_is_refused_and_the_way_is_told(
    lancio: Lancio, registry: str, connection: psycopg.Connection[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = "006_register_railway_databases.sql"

    def apply() -> Said:
        out, err = io.StringIO(), io.StringIO()
        words = ["apply", "--platform", "--only", step, "--no-backup", "--database", registry]
        status = main.run(words, Terminal(out, err, {}))
        return Said(status, out.getvalue(), " ".join(err.getvalue().split()))

    key = tmp_path / "lancio.key"
    key.write_text(f"key_id = 1\nkey = {'ab' * 64}\n")
    key.chmod(0o600)
    connection.execute("DELETE FROM platform.databases WHERE name = 'Railway Redis'")
    monkeypatch.setenv("REDIS_URL", URL)
    said = apply()
    assert (said.status, "which `lancio db update --from-env` replaces" in said.err) == (2, True)
    monkeypatch.setenv("LANCIO_KEY_FILE", str(key))
    said = apply()
    assert said.status == 1
    assert CANARY not in said.out + said.err
    assert "has a data key of its own, which no run of migrations is given" in said.err
    assert f"env -u REDIS_URL -u MONGO_URL lancio apply --platform --only {step}" in said.err
    assert "lancio db update --from-env --org lancio" in said.err
    for variable in ("REDIS_URL", "LANCIO_KEY_FILE"):
        monkeypatch.delenv(variable)
    assert apply().status == 0
    said = lancio("update", "--from-env", "--no-test", "--org", "lancio", env={"REDIS_URL": URL})
    assert "Railway Redis (lancio-studio) has the connection string of REDIS_URL" in said.out


def test_a_placeholder_is_told_as_one(lancio: Lancio) -> None:
    said = lancio("list", "--placeholders", "--org", "lancio")
    assert said.out.count("placeholder") == 2
    said = lancio("reveal", "Railway Redis", "--yes", "--org", "lancio")
    assert said.status == 1
    assert "is a placeholder" in said.err
    said = lancio("update", "--status", "active")
    assert said.status == 2
    assert "no database is named" in said.err


def test_placeholders_are_replaced_and_probed_and_a_test_is_written_down_as_health(
    lancio: Lancio, tmp_path: Path
) -> None:
    org = ("--org", "lancio")
    with (
        redis_server(tmp_path, CANARY) as port,
        mongod.Mongod(mongod.Script(users=(mongod.User.with_password("ada", CANARY),))) as mongo,
    ):
        env = {"REDIS_URL": f"redis://:{CANARY}@127.0.0.1:{port}/0",
               "MONGO_URL": f"mongodb://ada:{CANARY}@127.0.0.1:{mongo.port}/app?authSource=admin"}  # fmt: skip
        said = lancio("update", "--from-env", *org, env=env)
        assert said.status == 0, said.out
        assert f"✓ Railway Redis (lancio-studio) at 127.0.0.1:{port}: " in said.out
        assert f"✓ Railway MongoDB (lancio-studio) at 127.0.0.1:{mongo.port}: " in said.out
        said = lancio("test", "--all", "--json", *org)
        assert said.status == 0
        assert [each["reached"] for each in said.json["tested"]] == [True, True]
        shown = lancio("show", "Railway Redis", "--json", *org).json
        assert (shown["health"], shown["health_error"], shown["version"]) == ("healthy", None, 2)
        lancio("update", "Railway Redis", "--stdin", *org, stdin=f"redis://:{CANARY}x@127.0.0.1:{port}/0")
        assert lancio("show", "Railway Redis", "--json", *org).json["health"] == "unknown"
        said = lancio("test", "Railway Redis", "--dry-run", *org)
        assert said.status == 1
        assert "login-failed at login after name, reach, hello" in said.out
        assert lancio("show", "Railway Redis", "--json", *org).json["health"] == "unknown"
        assert lancio("test", "Railway Redis", *org).status == 1
        shown = lancio("show", "Railway Redis", "--json", *org).json
        assert shown["health"] == "unhealthy"
        assert shown["health_error"].startswith("login-failed: ")
    assert [each["name"] for each in lancio("list", "--health", "unhealthy", "--json", *org).json["databases"]] == [
        "Railway Redis"
    ]
    said = lancio("test", "Railway Redis", *org)
    assert said.status == 1
    assert "refused at reach" in said.out
    # What cannot be seen from here says nothing of the database.
    lancio("update", "Railway Redis", "--stdin", *org, stdin=f"redis://:{CANARY}@redis.railway.internal:6379/0")
    assert lancio("test", "Railway Redis", *org).status == 1
    shown = lancio("show", "Railway Redis", "--json", *org).json
    assert (shown["health"], shown["health_error"].split(":")[0]) == ("unknown", "private-network")


def test_a_test_of_what_cannot_be_tested_says_why(lancio: Lancio) -> None:
    said = lancio("test", "Railway Redis", "--org", "lancio")
    assert said.status == 1
    assert "is a placeholder" in said.out
    assert lancio("test").status == 2
    assert lancio("test", "a", "--all").status == 2
    lancio("add", "cache", "--project", "shop", "--stdin", stdin="redis://127.0.0.1:1/0")
    said = lancio("test", "cache", "--as", "looker@acme.test")
    assert said.status == 1
    assert "may not test databases" in said.err
    said = lancio("test", "cache", "--timeout", "2", "--json")
    assert said.json["tested"][0]["hosts"][0]["code"] == "refused"
    lancio("add", "local", "--project", "shop", "--stdin", stdin="unix:///nowhere/redis.sock")
    said = lancio("test", "local")
    assert said.status == 1
    assert "cannot be used here (socket)" in " ".join(said.out.split())
    assert "--local-files" in said.out
    said = lancio("test", "local", "--local-files", "--json")
    assert said.json["tested"][0]["hosts"][0]["code"] == "socket-missing"


# --- at a terminal ----------------------------------------------------------------------------------------------------


def typed(words: list[str], answers: list[str], env: dict[str, str]) -> tuple[int, str]:
    """Run a command on a terminal of its own and type the answers as it asks; what stood on the screen."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "lancio", *words], stdin=theirs, stdout=theirs, stderr=theirs, env=env,
        start_new_session=True, preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
    ) as process:  # fmt: skip
        os.close(theirs)
        screen, left, until = b"", list(answers), time.monotonic() + 60
        while time.monotonic() < until:
            ready = select.select([ours], [], [], 0.2)[0]
            if ready:
                try:
                    chunk = os.read(ours, 65536)
                except OSError:
                    break
                if not chunk:
                    break
                screen += chunk
            elif left and screen.rstrip().endswith((b":", b"]:")):
                os.write(ours, left.pop(0).encode() + b"\n")
                time.sleep(0.2)
        os.close(ours)
        return process.wait(30), screen.decode()


class Screen(io.StringIO):
    """A terminal for what is asked and answered in sight."""

    def isatty(self) -> bool:
        return True


def answered(answer: str, *words: str) -> tuple[int, str]:
    """The status of a command at a terminal on which this is typed, and all that stands there."""
    screen = Screen()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", Screen(f"{answer}\n"))
        patch.setattr("sys.stdout", screen)
        patch.setattr("sys.stderr", screen)
        status = main.run(words, Terminal(screen, screen, {"TERM": "dumb"}))
    return status, screen.getvalue()


def test_at_a_terminal_the_secret_is_typed_and_not_shown(lancio: Lancio, registry: str) -> None:
    env = {**os.environ, "DATABASE_URL": registry, "TERM": "xterm", "COLUMNS": "80"}
    status, screen = typed(["db", "add", "cache", "--project", "shop"], [URL], env)
    assert status == 0, screen
    assert "Connection string of cache:" in screen
    assert CANARY not in screen
    assert answered("n", "db", "reveal", "cache")[0] == 2
    status, screen = answered("y", "db", "reveal", "cache")
    assert (status, URL in screen) == (0, True)
    status, screen = answered("cash", "db", "remove", "cache")
    assert (status, "Another name was typed" in screen) == (2, True)
    assert "redis://cache.test:6380/2, will be gone" in screen
    status, screen = answered("cache", "db", "remove", "cache")
    assert status == 0, screen
    assert "Removed cache from shop." in screen


@pytest.mark.parametrize("cells", [40, 80, 200])
def test_a_table_fits_the_terminal(lancio: Lancio, monkeypatch: pytest.MonkeyPatch, cells: int) -> None:
    name = "a-very-long-name-of-a-database-" * 4
    lancio("add", name, "--project", "shop", "--stdin", stdin=f"redis://:pw@{'host-' * 10}x.test:6379")
    monkeypatch.setenv("COLUMNS", str(cells))
    _, screen = answered("", "db", "list")
    assert max(len(line) for line in screen.splitlines()) <= cells
    assert "redis" in screen or cells == 40
    assert name in lancio("list").out  # nothing is cut where nobody looks


# --- no leak ----------------------------------------------------------------------------------------------------------


def test_a_password_of_every_printable_character_is_given_in_each_way_and_comes_back(
    lancio: Lancio, tmp_path: Path
) -> None:
    from lancio.registry.connection_strings import Redis
    from lancio.registry.connection_strings.model import Host
    from lancio.registry.secrets import Secret

    url = Redis((Host("h.test", 6379),), "default", Secret(PRINTABLE), "0").build()
    file = tmp_path / "url"
    file.write_text(url)
    file.chmod(0o600)
    ways: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
        (("--stdin",), {"stdin": url}), (("--file", str(file)), {}), (("--from-env", "U"), {"env": {"U": url}}),
    )  # fmt: skip
    for number, (words, more) in enumerate(ways):
        assert lancio("add", f"db-{number}", "--project", "shop", *words, **more).status == 0
        assert lancio("reveal", f"db-{number}", "--yes").out == f"{url}\n"


def test_nothing_of_a_secret_stands_in_the_server_s_log_or_in_its_list_of_statements(
    lancio: Lancio, connection: psycopg.Connection[Any], server: TestServer
) -> None:
    assert server.log_file is not None
    # With every statement and every parameter that fails, as it is set where something is looked for.
    connection.execute(f"ALTER DATABASE {connection.info.dbname} SET log_statement = 'all'")
    begins = server.log_file.stat().st_size
    lancio("add", "cache", "--project", "shop", "--stdin", stdin=URL)
    lancio("add", "cache", "--project", "shop", "--stdin", stdin=URL)  # refused by the server: its name is taken
    lancio("update", "cache", "--stdin", stdin=URL.replace("6380", "6381"))
    lancio("reveal", "cache", "--yes", shows=True)
    lancio("import", "-", "--form", "env", "--project", "shop", stdin=f"REDIS_URL={URL}\n")
    seen = connection.execute("SELECT string_agg(query, ' ') FROM pg_stat_activity").fetchone()
    whole = connection.execute("SELECT string_agg(d::text, ' ') FROM platform.databases d").fetchone()
    entries = connection.execute("SELECT string_agg(l::text, ' ') FROM platform.audit_logs l").fetchone()
    log = server.log_file.read_bytes()[begins:]
    assert b"platform.databases" in log  # what is looked into is what was written
    for place in (seen, whole, entries):
        assert place is not None
        assert CANARY not in place[0]
    assert CANARY.encode() not in log
    assert KEK.secret.hex().encode() not in log
