"""`lancio audit` as people use it: what it shows, what it proves, what it refuses."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest

import lancio.registry
from lancio.cli import main
from lancio.cli.terminal import Terminal
from lancio.registry import audit_seal
from lancio.registry import key_encryption_key as keks
from lancio.registry.key_encryption_key import KeyEncryptionKey, Ring
from servers import TestServer, database_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Lancio = Any

SCHEMA = Path(lancio.registry.__file__).parent / "schema"
KEK = KeyEncryptionKey(bytes(range(32)))
ACME = UUID("0b5d2a64-6d8e-4f0b-9f3a-6a1f0f1c0a01")
VARIABLES = ("DATABASE_URL", "LANCIO_KEY_FILE", "LANCIO_KEK", "LANCIO_KEK_FILE", "LANCIO_KEK_COMMAND",
             "LANCIO_OLD_KEK", "LANCIO_OLD_KEK_FILE", "LANCIO_OLD_KEK_COMMAND")  # fmt: skip


@pytest.fixture(scope="session")
def audited_template(server: TestServer) -> str:
    url = server.create_database()
    with psycopg.connect(url, autocommit=True) as connection:
        for file in sorted(SCHEMA.glob("*.sql")):
            if ".rollback." not in file.name:
                connection.execute(file.read_bytes())
        connection.execute("INSERT INTO platform.organizations (id, slug, name) VALUES (%s, 'acme', 'Acme')", (ACME,))
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


@pytest.fixture
def kek(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "lancio.kek"
    path.write_text(f"kek = {KEK.secret.hex()}\n")
    path.chmod(0o600)
    return str(path)


@pytest.fixture
def lancio(url: str, kek: str) -> Callable[..., tuple[int, str, str]]:
    assert kek

    def run(*words: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        status = main.run(["audit", *words, "--database", url], Terminal(out, err, {}))
        assert "Traceback" not in err.getvalue()
        assert KEK.secret.hex() not in out.getvalue() + err.getvalue()
        return status, out.getvalue(), " ".join(err.getvalue().split())

    return run


def write(connection: psycopg.Connection, count: int = 1, **columns: Any) -> None:
    values = {"organization_id": ACME, "actor_type": "user", "action": "test.write"} | columns
    for _ in range(count):
        connection.execute(
            f"INSERT INTO platform.audit_logs ({', '.join(values)}) VALUES ({', '.join(['%s'] * len(values))})",
            list(values.values()),
        )


def spoil(connection: psycopg.Connection, statement: str) -> None:
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(statement)


def test_from_the_first_seal_to_a_prune(
    connection: psycopg.Connection, lancio: Lancio, kek: str, tmp_path: Path
) -> None:
    write(connection, 5)
    assert lancio("verify")[0] == 0
    assert "Nothing is sealed here yet." in lancio("verify")[1]
    status, _, err = lancio("anchor")
    assert (status, "nothing is sealed here yet" in err) == (1, True)
    status, out, _ = lancio("seal", "--kek-file", kek)
    assert (status, re.fullmatch(r"[0-9]+ entries sealed, up to round 1\.\n", out) is not None) == (0, True)
    assert lancio("seal", "--kek-file", kek)[1] == "Nothing was to be sealed.\n"
    anchors = tmp_path / "anchors.jsonl"
    anchors.write_text(lancio("anchor")[1] + lancio("anchor", "--org", "acme")[1])
    write(connection, 2)
    for words, unit in (((), "round"), (("--org", "acme"), "seal")):
        status, out, _ = lancio("verify", "--kek-file", kek, "--anchor", str(anchors), *words)
        assert status == 0, out
        assert f"Proved with the key-encryption key up to {unit} 1.\nAs the anchor knows it: {unit} 1.\n" in out
        assert "2 entries not sealed yet" in out
    assert lancio("seal", "--kek-file", kek, "--json")[0] == 0
    found = json.loads(lancio("verify", "--kek-file", kek, "--resume", str(anchors), "--json")[1])
    assert (found["ok"], found["rounds"], found["entries"], found["proved"]) == (True, 1, 2, 2)
    status, out, _ = lancio("prune", "--before", "0s", "--dry-run")
    assert (status, "in 2 rounds would be pruned. Nothing was changed." in out) == (0, True)
    status, _, err = lancio("prune", "--before", "0s", "--kek-file", kek)
    assert (status, "nobody was asked" in err) == (2, True)
    assert lancio("prune", "--before", "1d", "--kek-file", kek)[1] == "0 entries in 0 rounds pruned.\n"
    status, out, _ = lancio("prune", "--before", "0s", "--kek-file", kek, "--yes")
    assert (status, "in 2 rounds pruned." in out) == (0, True)
    status, out, _ = lancio("verify", "--kek-file", kek)
    assert (status, "pruned, as a sealed record says." in out) == (0, True)
    assert [json.loads(line)["action"] for line in lancio("export")[1].splitlines()] == ["audit.prune"]
    assert lancio("seal", "--kek-file", kek)[0] == 0
    assert "1 entry as it was sealed, in " in lancio("verify", "--kek-file", kek)[1]


def test_what_was_changed_is_named_with_status_one(connection: psycopg.Connection, lancio: Lancio, kek: str) -> None:
    write(connection, 8)
    lancio("seal", "--kek-file", kek)
    ids = [
        each
        for (each,) in connection.execute("SELECT id FROM platform.audit_logs WHERE action = 'test.write' ORDER BY seq")
    ]
    spoil(connection, f"UPDATE platform.audit_logs SET action = 'x' WHERE id = '{ids[2]}'")
    spoil(connection, f"DELETE FROM platform.audit_logs WHERE id = '{ids[4]}'")
    for words in ((), ("--kek-file", kek), ("--org", "acme"), ("--org", str(ACME), "--kek-file", kek)):
        status, out, err = lancio("verify", *words)
        assert status == 1
        assert f"CHANGED: entry {ids[2]}" in out
        assert f"REMOVED: entry {ids[4]}" in out
        assert ("No key was at hand: whoever changed entries" in out) == ("--kek-file" not in words)
        assert "against an anchor" in err
    status, out, _ = lancio("verify", "--limit", "1", "--json")
    found = json.loads(out)
    assert (status, found["findings"], len(found["told"]), found["ok"], found["key"]) == (1, 2, 1, False, False)
    assert "… and 1 more.\n" in lancio("verify", "--limit", "1")[1]
    status, _, err = lancio("prune", "--before", "0s", "--kek-file", kek, "--yes")
    assert (status, "nothing was pruned" in err, str(ids[2]) in err) == (1, True, True)


def test_another_key_proves_nothing_and_says_so(
    connection: psycopg.Connection, lancio: Lancio, kek: str, tmp_path: Path
) -> None:
    write(connection)
    lancio("seal", "--kek-file", kek)
    other = tmp_path / "other.kek"
    other.write_text(f"kek = {bytes(range(1, 33)).hex()}\n")
    other.chmod(0o600)
    status, out, _ = lancio("verify", "--kek-file", str(other))
    assert (status, f"a key-encryption key that is not at hand: {KEK.id}" in out) == (1, True)
    write(connection)
    status, _, err = lancio("seal", "--kek-file", str(other))
    assert (status, KEK.id in err) == (1, True)
    assert "The last round of the audit trail, 1, bears a MAC of it" in err
    assert "lancio audit seal --kek-file new.kek --old-kek-file lancio.kek" in err
    assert "Data keys" not in err
    both = ("--kek-file", str(other), "--old-kek-file", kek)
    assert lancio("seal", *both)[0] == 0
    assert lancio("verify", "--kek-file", str(other))[0] == 0
    # And back, where nothing is to be sealed.
    back = ("--kek-file", kek, "--old-kek-file", str(other))
    said = f"Nothing was to be sealed; round 3 vouches with the key {KEK.id} for all before.\n"
    assert lancio("seal", *back)[:2] == (0, said)
    assert lancio("verify", "--kek-file", kek)[0] == 0
    assert json.loads(lancio("seal", *both, "--json")[1]) == {"entries": 0, "round": 4, "left": 0}
    status, _, err = lancio("seal")
    assert (status, "there is no key-encryption key" in err) == (1, True)


def test_a_dry_run_of_a_prune_refuses_what_the_prune_would(
    connection: psycopg.Connection, lancio: Lancio, kek: str, tmp_path: Path
) -> None:
    write(connection, 3)
    lancio("seal", "--kek-file", kek)
    words = ("prune", "--before", "0s", "--dry-run")
    assert lancio(*words)[0] == lancio(*words, "--kek-file", kek)[0] == 0
    other = tmp_path / "other.kek"
    keks.generate(other)
    status, _, err = lancio(*words, "--kek-file", str(other))
    assert (status, f"the key-encryption key {KEK.id} is not here" in err) == (1, True)
    spoil(connection, "DELETE FROM platform.audit_logs WHERE seq = (SELECT max(seq) FROM platform.audit_logs)")
    status, _, err = lancio("prune", "--before", "0s", "--yes", "--kek-file", kek)
    assert (status, "nothing was pruned" in err, "was removed" in err) == (1, True, True)
    for more in ((), ("--kek-file", kek)):
        assert lancio(*words, *more) == (1, "", err)


def test_pages_filters_and_one_entry(connection: psycopg.Connection, lancio: Lancio) -> None:
    write(connection, 5, actor_email="ann@acme.dev", action="secret.open", target_type="database", target_id=str(ACME))
    write(connection, 3, actor_email="bob\x1b[31m@acme.dev", action="a" * 300)
    status, out, err = lancio("list", "--limit", "4", "--action", "secret.*")
    assert (status, len(out.splitlines())) == (0, 5)
    before = re.search(r"the same with --before ([0-9]+)", err)
    assert before is not None
    _, rest, err = lancio("list", "--limit", "4", "--action", "secret.*", "--before", before[1])
    assert (len(rest.splitlines()), err) == (2, "")
    assert len({line.split()[0] for line in (out + rest).splitlines()} - {"NUMBER"}) == 5
    _, out, _ = lancio("list")
    assert "\x1b" not in out
    assert "a" * 300 in out  # no terminal, nothing is cut
    assert "database 0b5d2a64" in out
    assert " acme" in out
    found = json.loads(
        lancio(
            "list",
            "--json",
            "--actor",
            "ann@acme.dev",
            "--org",
            "acme",
            "--target",
            f"database:{ACME}",
            "--since",
            "1h",
        )[1]
    )
    assert (len(found["entries"]), found["before"]) == (5, None)
    first = found["entries"][0]
    assert (
        json.loads(lancio("show", str(first["seq"]), "--json")[1])
        == json.loads(lancio("show", first["id"], "--json")[1])
        == first
    )
    assert "secret.open" in lancio("show", first["id"])[1]
    assert lancio("list", "--until", "2001-01-01")[1] == "There are no such entries.\n"
    write(connection, 1, organization_id=None, action="plan.add")
    assert len(lancio("list", "--platform-only", "--action", "plan.add")[1].splitlines()) == 2
    status, _, err = lancio("show", "999999")
    assert (status, "there is no entry 999999" in err) == (1, True)


def test_an_id_is_never_cut_and_a_user_is_named_by_the_address(
    connection: psycopg.Connection, lancio: Lancio, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, gone = uuid4(), uuid4()
    connection.execute("INSERT INTO platform.users (id, primary_email) VALUES (%s, 'ann@acme.dev')", (user,))
    for actor in (user, gone):
        write(connection, actor_id=actor, action="secret.open", target_type="organization", target_id=str(ACME))
    for cells in (None, 150, 80, 40):
        monkeypatch.setattr("lancio.cli.audit.columns", lambda _, cells=cells: cells)
        out = lancio("list", "--action", "secret.open")[1]
        assert out.count(f"organization {ACME}") == 2
        assert all(len(line) <= 80 for line in out.splitlines()) or cells in (None, 150)
        assert ("ann@acme.dev" in out, f"user {gone}" in out) == (True, True)
        assert out.count("acme\n") == 2
    for actor in ("ann@acme.dev", "Ann@Acme.dev", str(user)):
        assert len(json.loads(lancio("list", "--actor", actor, "--action", "sec*", "--json")[1])["entries"]) == 1
    number = json.loads(lancio("list", "--actor", str(user), "--json")[1])["entries"][0]["seq"]
    assert "actor_email      ann@acme.dev\n" in lancio("show", str(number))[1]


REFUSED = [
    (("list", "--since", "soon"), 2, "is no time"),
    (("list", "--since", "999999w"), 2, "is no time"),
    (("list", "--until", "2026-13-01"), 2, "is no time"),
    (("list", "--org", "acme", "--platform-only"), 2, "both given"),
    (("list", "--org", "nobody"), 1, "there is no organization nobody"),
    (("list", "--project", "no\udcffbody"), 1, "there is no project"),
    (("list", "--actor", ""), 2, "--actor is no text"),
    (("list", "--action", "a\udcff*"), 2, "--action is no text"),
    (("list", "--before", "999999"), 1, "there is no entry 999999"),
    (("list", "--before", "1", "--follow"), 2, "both given"),
    (("show", "x"), 2, "neither the number nor the id"),
    (("export", "--json", "--format", "csv"), 2, "both given"),
    (("verify", "--anchor", "missing.jsonl"), 2, "cannot be read"),
    (("verify", "--org", "acme", "--resume", "x"), 2, "both given"),
    (("prune",), 2, "--before"),
]


def test_what_cannot_be_right_is_refused(lancio: Lancio) -> None:
    for words, status, said in REFUSED:
        found, out, err = lancio(*words)
        assert (found, said in out + err) == (status, True), (words, err)


def test_an_anchor_of_an_organization_says_nothing_of_the_whole(
    connection: psycopg.Connection, lancio: Lancio, kek: str, tmp_path: Path
) -> None:
    write(connection)
    lancio("seal", "--kek-file", kek)
    file = tmp_path / "acme.jsonl"
    file.write_text(lancio("anchor", "--org", "acme")[1])
    status, _, err = lancio("verify", "--anchor", str(file))
    assert (status, "has no anchor of the whole" in err) == (1, True)
    file.write_text("{}")
    assert "line 1 is not an anchor" in lancio("verify", "--anchor", str(file))[2]


def test_what_is_pruned_while_an_organization_is_verified_is_no_finding(
    connection: psycopg.Connection, url: str, lancio: Lancio, kek: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(connection)
    lancio("seal", "--kek-file", kek)
    between = datetime.now(UTC)
    write(connection)
    lancio("seal", "--kek-file", kek)
    asked = audit_seal._trail_seals

    def and_prune(*given: Any) -> list[audit_seal.Seal]:
        monkeypatch.setattr(audit_seal, "_trail_seals", asked)
        with psycopg.connect(url, autocommit=True) as other:
            assert len(list(audit_seal.prune(other, Ring(KEK), between, audit_seal.Pruned()))) == 1
        return asked(*given)

    monkeypatch.setattr(audit_seal, "_trail_seals", and_prune)
    assert lancio("verify", "--org", "acme", "--kek-file", kek)[0] == 0
    assert "Proved" in lancio("verify", "--org", "acme", "--kek-file", kek)[1]


def test_an_export_is_json_lines_or_csv_and_no_formula(connection: psycopg.Connection, lancio: Lancio) -> None:
    for text in ("=HYPERLINK(1)", "plain", "two\nlines"):
        write(connection, 1, user_agent=text)
    lines = lancio("export", "--org", "acme", "--action", "test.write")[1].splitlines()
    assert [json.loads(each)["user_agent"] for each in lines] == ["=HYPERLINK(1)", "plain", "two\nlines"]
    rows = list(
        csv.DictReader(io.StringIO(lancio("export", "--format", "csv", "--action", "test.write")[1], newline=""))
    )
    assert [each["user_agent"] for each in rows] == ["'=HYPERLINK(1)", "plain", "two\nlines"]


def test_following_shows_what_comes_and_what_commits_late(connection: psycopg.Connection, url: str, kek: str) -> None:
    assert kek
    with psycopg.connect(url) as slow:
        write(slow, 1, action="late.entry")
        write(connection, 1, action="first.entry")
        process = subprocess.Popen(
            [sys.executable, "-m", "lancio", "audit", "list", "--follow", "--json", "--limit", "1", "--database", url],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            assert json.loads(process.stdout.readline())["action"] == "first.entry"
            write(connection, 1, action="second.entry")
            assert json.loads(process.stdout.readline())["action"] == "second.entry"
            slow.commit()
            assert json.loads(process.stdout.readline())["action"] == "late.entry"
        finally:
            process.terminate()
            process.wait()
            process.stdout.close()


def test_a_sealer_that_runs_on_seals_again_and_again(connection: psycopg.Connection, url: str, kek: str) -> None:
    write(connection)
    process = subprocess.Popen(
        [sys.executable, "-m", "lancio", "audit", "seal", "--every", "1", "--kek-file", kek, "--json",
         "--database", url],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        assert json.loads(process.stdout.readline())["round"] == 1
        write(connection)
        until = time.monotonic() + 20
        while json.loads(process.stdout.readline())["round"] != 2:
            assert time.monotonic() < until
        # What the owner of the database cuts off meanwhile, with the entries, is not sealed over by who has seen it.
        with connection.transaction():
            connection.execute("SET LOCAL session_replication_role = replica")
            connection.execute("DELETE FROM platform.audit_rounds WHERE number = 2")
            connection.execute("DELETE FROM platform.audit_seals WHERE round = 2")
        assert "round 2 is not here as the anchor knows it" in process.stdout.read() + process.stderr.read()
        assert process.wait() == 1
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def test_a_database_without_010_says_what_to_do(server: TestServer, kek: str) -> None:
    url = server.create_database()
    for words in (
        ["list"],
        ["verify"],
        ["seal", "--kek-file", kek],
        ["prune", "--before", "1d"],
        ["anchor"],
        ["export"],
        ["show", "1"],
    ):
        out, err = io.StringIO(), io.StringIO()
        assert main.run(["audit", *words, "--database", url], Terminal(out, err, {})) == 1
        assert "Migration 010 is not applied here" in " ".join(err.getvalue().split())
        assert "lancio apply --platform" in err.getvalue()
    server.drop_database(url)
