"""Random kills of the runner, of its connection and of the server, over files that are one transaction and are not.

Afterwards `lancio status` says what is so, and one more `lancio apply` completes: no repair by hand, each step once, a
catalog and rows like those of a run that nobody disturbed. A seeded sample runs always, LANCIO_PROOF=1 makes 200 kills.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg
import pytest
from forks import Forks
from proxy import Proxy

import servers
from lancio import embedded
from lancio.executor import fingerprint, ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROOF = os.environ.get("LANCIO_PROOF") == "1"
KILLS = int(os.environ.get("LANCIO_TEST_FAULTS", "200" if PROOF else "8"))
SEED = os.environ.get("LANCIO_TEST_SEED", "11")
TEMPLATE = "faults_template"

FILES = {
    "001_tables.sql": (
        "CREATE SCHEMA shop;\nCREATE TYPE shop.kind AS ENUM ('a');\n"
        "CREATE TABLE shop.item (id integer, kind shop.kind, note text);\n"
        "INSERT INTO shop.item SELECT n, 'a', 'x' FROM generate_series(1, 3000) AS n;\n"
    ),
    "002_indexes.sql": (
        "ALTER TABLE shop.item ADD COLUMN more integer;\nCREATE INDEX CONCURRENTLY item_id ON shop.item (id);\n"
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS item_note ON shop.item (note);\nVACUUM ANALYZE shop.item;\n"
        "SET search_path = shop;\nCREATE TABLE line (item integer, at timestamptz);\n"
        "INSERT INTO line SELECT n, now() FROM generate_series(1, 500) AS n;\n"
        "CREATE INDEX CONCURRENTLY ON line (item);\nALTER TABLE line ADD CONSTRAINT positive CHECK (item > 0);\n"
    ),
    "003_kinds.sql": (
        "ALTER TYPE shop.kind ADD VALUE 'b';\nINSERT INTO shop.item (id, kind) VALUES (-1, 'b');\n"
        "CREATE INDEX CONCURRENTLY item_kind ON shop.item (kind);\n"
    ),
    "004_one_by_one.sql": (
        "-- lancio: no-transaction\nINSERT INTO shop.item (id, note) VALUES (-2, 'once');\n"
        "INSERT INTO shop.item (id, note) VALUES (-3, 'once');\nDROP INDEX CONCURRENTLY shop.item_note;\n"
        "INSERT INTO shop.item (id, note) VALUES (-4, 'once');\nREINDEX TABLE CONCURRENTLY shop.line;\n"
    ),
    "005_pairs.sql": (
        "CREATE TABLE shop.pair (id integer);\nBEGIN ISOLATION LEVEL SERIALIZABLE;\nSET LOCAL work_mem = '1MB';\n"
        "INSERT INTO shop.pair SELECT count(*) FROM shop.item;\nCOMMIT;\nCREATE INDEX pair_id ON shop.pair (id);\n"
    ),
    "006_gate.sql": (
        "-- lancio: verify-once SELECT EXISTS (SELECT FROM public.gate)\nCREATE TABLE shop.last (id integer);\n"
        "INSERT INTO shop.last VALUES (1);\n"
    ),
}
FILES["007_behind.sql"] = "".join(f"CREATE TABLE shop.t{n} (id integer);\n" for n in range(20))

TABLE = "SELECT to_regclass('{}') IS NOT NULL"
VALID = "SELECT coalesce((SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('{}')), false)"
ROW = "SELECT count(*) FROM shop.item WHERE {}"
PROBES: dict[str, list[str | None]] = {
    "001_tables.sql": [
        "SELECT to_regnamespace('shop') IS NOT NULL", "SELECT to_regtype('shop.kind') IS NOT NULL",
        TABLE.format("shop.item"), "SELECT count(*) FROM shop.item WHERE id > 0 HAVING count(*) = 3000",
    ],
    "002_indexes.sql": [
        "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('shop.item') AND attname = 'more'",
        VALID.format("shop.item_id"), None, None, None, TABLE.format("shop.line"),
        "SELECT count(*) FROM shop.line", VALID.format("shop.line_item_idx"),
        "SELECT count(*) FROM pg_constraint WHERE conname = 'positive'",
    ],
    "003_kinds.sql": [
        "SELECT count(*) FROM pg_enum WHERE enumtypid = to_regtype('shop.kind') AND enumlabel = 'b'",
        ROW.format("id = -1"), VALID.format("shop.item_kind"),
    ],
    "004_one_by_one.sql": [
        ROW.format("id = -2"), ROW.format("id = -3"), "SELECT to_regclass('shop.item_note') IS NULL",
        ROW.format("id = -4"), None,
    ],
    "005_pairs.sql": [TABLE.format("shop.pair"), None, "SELECT count(*) FROM shop.pair", VALID.format("shop.pair_id")],
    "006_gate.sql": [TABLE.format("shop.last"), "SELECT count(*) FROM shop.last"],
    "007_behind.sql": [TABLE.format(f"shop.t{n}") for n in range(20)],
}  # fmt: skip
"""Of each statement, whether its effect is there; None where nothing shows it."""


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    helper = Forks()
    yield helper
    helper.close()


@pytest.fixture(scope="module")
def victim() -> Iterator[servers.TestServer]:
    """A server that may be killed."""
    server = servers.start(int(os.environ.get("LANCIO_TEST_SERVER") or servers.EMBEDDED))
    url = server.create_database(name=TEMPLATE)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE public.gate (id integer)")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("faults")
    for name, text in FILES.items():
        (made / name).write_text(text)
    return made


def apply(forks: Forks, folder: Path, url: str, output: Path):
    return forks.start(output, "apply", str(folder), "--database", url, "--yes", "--no-backup", "--no-data", "--json")


def open_gate(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO public.gate VALUES (1)")


def facts(url: str):
    """The catalog, and the rows that a statement sent twice would make twice."""
    with psycopg.connect(url, autocommit=True) as connection:
        counts = tuple(
            connection.execute(f"SELECT count(*) FROM shop.{table}").fetchone()[0]
            for table in ("item", "line", "pair", "last")
        )
        return fingerprint.take(connection).hash, counts


def alive(server: servers.TestServer) -> None:
    """Start it again where it was killed, and wait until it takes sessions."""
    account = embedded.ordinary_account() if os.geteuid() == 0 else None
    running = embedded.launch(server.installation, server.data, sockets=server.socket, log=server.log_file,
                              account=account, port=server.port, settings={"fsync": "off"})  # fmt: skip
    server.port = running.port


def until_free(url: str) -> None:
    """Until the server has noticed that the killed runner is gone."""
    until = time.monotonic() + 30
    with psycopg.connect(url, autocommit=True) as connection:
        while time.monotonic() < until:
            held = connection.execute(
                "SELECT count(*) FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database "
                "WHERE l.locktype = 'advisory' AND d.datname = current_database()"
            ).fetchone()[0]
            if not held:
                return
            time.sleep(0.02)
    pytest.fail("the runner's lock is still held")


def effects(connection, name: str) -> list[bool | None]:
    found: list[bool | None] = []
    for probe in PROBES[name]:
        if probe is None:
            found.append(None)
            continue
        try:
            row = connection.execute(probe).fetchone()
            found.append(bool(row and row[0]))
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidTextRepresentation):
            found.append(False)
    return found


def check_status(forks: Forks, folder: Path, url: str, output: Path) -> str:
    """`lancio status` against the catalog; how far it was, in a word."""
    child = forks.start(output, "status", str(folder), "--database", url, "--json")
    status = child.wait(60)
    assert status in (0, 1, 3), child.said + child.talked
    said = json.loads(child.said)
    states = {each["file"]: each for each in said["files"]}
    assert said["go"], said
    assert said["to_run"] == [name for name in FILES if not states[name]["recorded"]]
    assert not said["finish"] or said["finish"].startswith(f"lancio apply {folder}"), said["finish"]
    assert "--adopt" not in said["finish"], said["finish"]
    began = 0
    with psycopg.connect(url, autocommit=True) as connection:
        recorded = ledger.read(connection)
        for name in FILES:
            told, seen = states[name], effects(connection, name)
            assert told["recorded"] == (name in recorded), name
            # The index that 004 drops is not there before 002 either.
            known = [(at, each) for at, each in enumerate(seen, 1) if each is not None]
            if name == "004_one_by_one.sql" and not told["recorded"] and not told["begun"]:
                known = [(at, each) for at, each in known if at != 3]
            there = max((at for at, each in known if each), default=0)
            absent = min((at for at, each in known if not each), default=len(seen) + 1)
            assert there < absent, f"{name}: a statement ran before the one it stands behind: {seen}"
            if told["recorded"]:
                assert absent == len(seen) + 1, (name, seen)
            elif match := re.match(r"(\d+) of (\d+) statements ran", told["begun"]):
                began += 1
                assert there <= int(match[1]) < absent, (name, told["begun"], seen)
                assert int(match[2]) == len(seen)
            else:
                assert there == 0, (name, told, seen)
    return f"{len(recorded)}+{began}"


def disturb(dice: random.Random, how: str, server: servers.TestServer, url: str, child, proxy: Proxy | None) -> None:
    if how == "runner":
        child.kill()
    elif how == "terminate":
        with suppress(psycopg.Error), psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lancio apply' "
                "AND datname = current_database()"
            )
    elif how == "cut":
        proxy.cut()
    else:
        running = embedded.read_postmaster(server.data)
        os.kill(running.pid, signal.SIGQUIT)  # an immediate stop
        until = time.monotonic() + 30
        while embedded._is_alive(running.pid) and time.monotonic() < until:
            time.sleep(0.02)
        alive(server)


@pytest.mark.embedded
@pytest.mark.slow
def test_after_a_kill_status_is_right_and_one_command_completes(forks, victim, folder, tmp_path):
    dice = random.Random(SEED)
    undisturbed = victim.create_database(TEMPLATE)
    open_gate(undisturbed)
    child = apply(forks, folder, undisturbed, tmp_path / "first")
    assert child.wait(120) == 0, child.said + child.talked
    told = [json.loads(line) for line in child.said.splitlines()]
    expected = facts(undisturbed)
    stood: list[str] = []
    for trial in range(5 * KILLS):
        if trial >= KILLS and any(each.endswith("+1") for each in stood):
            break  # a kill that comes between two files proves less than one in the middle of one
        how = ("runner", "terminate", "server", "cut")[trial % 4]
        database = servers.database_of(victim.create_database(TEMPLATE))
        url = victim.url(database)
        gated = dice.random() < 0.8
        if gated:
            open_gate(url)
        proxy = Proxy(url) if how == "cut" else None
        output = tmp_path / "trial"
        child = apply(forks, folder, proxy.url if proxy is not None else url, output)
        # A moment behind one of the run's events: by the clock, most kills on a busy machine would come too late.
        seen = dice.randint(1, len(told) - 1)
        until = time.monotonic() + 60
        while child.said.count("\n") < seen and not child.ended.is_set() and time.monotonic() < until:
            time.sleep(0.001)
        time.sleep(dice.random() * 0.03)
        disturb(dice, how, victim, url, child, proxy)
        child.wait(90)
        if proxy is not None:
            proxy.close()
        url = victim.url(database)
        if not gated:
            open_gate(url)
        until_free(url)
        stood.append(f"{how} {check_status(forks, folder, url, output)}")
        child = apply(forks, folder, url, output)
        assert child.wait(120) == 0, f"trial {trial}, {stood[-1]}: {child.said}{child.talked}"
        assert facts(url) == expected, f"trial {trial}, {stood[-1]}"
        with psycopg.connect(url, autocommit=True) as connection:
            steps = connection.execute("SELECT migration, count(*) FROM lancio.step GROUP BY 1 ORDER BY 1").fetchall()
            assert steps == [(name, 1) for name in sorted(FILES)]
            assert connection.execute("SELECT count(*) FROM lancio.begun").fetchone() == (0,)
            assert connection.execute("SELECT count(*) FROM pg_index WHERE NOT indisvalid").fetchone() == (0,)
        victim.drop_database(url)
    print(f"\n{len(stood)} kills; steps applied + files begun behind them: {sorted(stood)}")
    assert any(each.endswith("+1") for each in stood), "no kill hit the middle of a file, so this proved nothing"


@pytest.mark.embedded
@pytest.mark.slow
def test_eight_runners_with_concurrently_do_not_wait_for_each_other(forks, victim, tmp_path):
    """A runner that waited inside of the lock would hold a snapshot, which CONCURRENTLY waits for."""
    trials = 100 if PROOF else 3
    made = tmp_path / "files"
    made.mkdir()
    (made / "001.sql").write_text("CREATE TABLE a (id integer);\nCREATE TABLE b (id integer);\n")
    (made / "002.sql").write_text("".join(f"CREATE INDEX CONCURRENTLY a{n} ON a (id);\n" for n in range(3)))
    (made / "003.sql").write_text("CREATE INDEX CONCURRENTLY b1 ON b (id);\nSELECT 1;\nDROP INDEX CONCURRENTLY a1;\n")
    for trial in range(trials):
        url = victim.url(servers.database_of(victim.create_database()))
        children = [apply(forks, made, url, tmp_path / f"runner{n}") for n in range(8)]
        for child in children:
            assert child.wait(120) == 0, f"trial {trial}: {child.said}{child.talked}"
        applied = [
            json.loads(line)["migration"]
            for child in children
            for line in child.said.splitlines()
            if json.loads(line)["event"] == "step-applied"
        ]
        assert sorted(applied) == ["001.sql", "002.sql", "003.sql"]
        with psycopg.connect(url, autocommit=True) as connection:
            assert connection.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
                                      ).fetchone() == (0,)  # fmt: skip
        victim.drop_database(url)
