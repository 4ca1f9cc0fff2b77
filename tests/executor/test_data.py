"""Rows that stand in the way are named before the run, none is invented, and PostgreSQL agrees."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import psycopg
import pytest
from rows_in_the_way import CASES, LEFT, OTHERS, TABLE, TABLES, UNSAID, Case

import servers
from lancio.catalog import profile
from lancio.executor import data, snapshot
from lancio.planner import graph, plan
from lancio.reading.source import read_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Pool
    from lancio.planner.model import Plan

VERSIONS = sorted({18, 10} & {*servers.DEFAULT_VERSIONS} | {int(word) for word in
                  os.environ.get("LANCIO_TEST_VERSIONS", "").split(",") if word.isdigit()}, reverse=True)  # fmt: skip
LIMITS = data.Limits()
PROOF = os.environ.get("LANCIO_PROOF") == "1"
BIG = 1_000_000
SEEN_IN_BIG = frozenset((
    "set-not-null", "unique", "foreign-key", "check", "exclude-equal", "type-number", "add-not-null", "type-length",
    "unique-index-expression", "updated-before", "deleted-before", "validate-of-the-plan",
))  # fmt: skip
"""What is asked of a million rows in every run; all of it with LANCIO_PROOF=1."""


class Planted(NamedTuple):
    url: str
    connection: psycopg.Connection


def _planted(pool: Pool, version: int, sizes: dict[str, int]) -> Iterator[Planted]:
    server = pool.get(version)
    url = server.create_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLES)
        connection.execute(OTHERS)
        connection.execute("CREATE TABLE loose AS SELECT i AS id, i AS n FROM generate_series(1, 50) AS i")
        connection.execute("ALTER TABLE loose ALTER id SET NOT NULL")
        connection.execute(
            "CREATE TABLE listed AS SELECT i AS id, chr(97 + i % 3) AS n FROM generate_series(1, 50) AS i"
        )
        connection.execute("ALTER TABLE listed ALTER id SET NOT NULL")
        for name, rows in sizes.items():
            connection.execute(TABLE.format(t=name, rows=rows))
            connection.execute(f"ALTER TABLE {name} ADD PRIMARY KEY (id)")
            connection.execute(f"ALTER TABLE {name} SET (autovacuum_enabled = off)")  # its locks are not ours
            connection.execute(f"ANALYZE {name}")
        yield Planted(url, connection)
    server.drop_database(url)


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda version: f"pg{version}")
def small(request: pytest.FixtureRequest, pool: Pool) -> Iterator[Planted]:
    yield from _planted(pool, request.param, {"small": 50})


@pytest.fixture(scope="module", params=VERSIONS if PROOF else [18], ids=lambda version: f"pg{version}")
def big(request: pytest.FixtureRequest, pool: Pool) -> Iterator[Planted]:
    yield from _planted(pool, request.param, {"big": BIG})


def planned(planted: Planted, folder: Path, *texts: str, limits: data.Limits | None = LIMITS) -> Plan:
    folder.mkdir(exist_ok=True)
    for number, text in enumerate(texts, 1):
        (folder / f"{number:03}_step.sql").write_text(text, encoding="utf-8")
    connection = planted.connection
    major = connection.info.server_version // 10000
    bound = graph.build(read_folder(folder), profile.load(major))
    live = snapshot.take(connection, bound)
    made = plan.make(bound, live, ledger={}, durations={}, environ={})
    return data.look(made, connection, live, limits, folder="migrations", psql="psql")


def in_the_way(made: Plan) -> list[str]:
    assert not [each for each in made.missing if each.requirement.kind != "data"]
    return [each.message for each in made.missing]


def notes(made: Plan) -> list[str]:
    return [each.message for each in made.findings if each.rule == "data"]


def fails_for_real(planted: Planted, case: Case, sql: str) -> bool:
    """Whether PostgreSQL fails with it; nothing stays of it."""
    try:
        if case.alone:
            try:
                planted.connection.execute(sql)
            finally:
                planted.connection.execute("DROP INDEX IF EXISTS k")
        else:
            with planted.connection.transaction(force_rollback=True):
                planted.connection.execute(sql)
    except (psycopg.errors.DataError, psycopg.errors.IntegrityError):
        return True
    return False


def check(planted: Planted, folder: Path, case: Case, table: str, rows: int) -> None:
    if planted.connection.info.server_version < case.since * 10000:
        return  # its syntax is not there
    dirty, clean = (text.replace("{t}", table) for text in (case.sql, case.twin))
    begun = time.monotonic()
    found = planned(planted, folder / "dirty", dirty)
    assert time.monotonic() - begun < 70
    messages = in_the_way(found)
    assert not found.go
    # Rows that exclude each other are counted for a part of the limit only; then they are named all the same.
    counted, named = case.says.replace("{rows}", f"{rows:,}"), case.says.replace(" of {rows}", "")
    assert any(counted in each or f"at least {named}" in each for each in messages), messages
    twin = planned(planted, folder / "clean", clean)
    assert in_the_way(twin) == []
    assert notes(twin) == []
    assert twin.go
    assert fails_for_real(planted, case, dirty)
    assert not fails_for_real(planted, case, clean)


@pytest.mark.postgres
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rows_in_the_way_are_named_and_none_is_invented(small: Planted, tmp_path: Path, case: Case) -> None:
    check(small, tmp_path, case, "small", 50)


@pytest.mark.postgres
@pytest.mark.parametrize(
    "case", [case for case in CASES if case.sized and (PROOF or case.name in SEEN_IN_BIG)], ids=lambda case: case.name
)
def test_rows_in_the_way_are_named_among_a_million(big: Planted, tmp_path: Path, case: Case) -> None:
    check(big, tmp_path, case, "big", BIG)


def test_there_are_forty_of_them() -> None:
    assert len(CASES) >= 40
    assert len({case.name for case in CASES}) == len(CASES)
    assert len(SEEN_IN_BIG & {case.name for case in CASES}) == len(SEEN_IN_BIG)


# What is said where something is not known.


@pytest.mark.parametrize(("text", "note"), UNSAID)
@pytest.mark.postgres
def test_what_cannot_be_said_before_the_run_is_a_note_and_no_verdict(
    small: Planted, tmp_path: Path, text: str, note: str
) -> None:
    made = planned(small, tmp_path / "m", text)
    assert [each for each in made.missing if each.requirement.kind == "data"] == []
    assert any(part in message for message in notes(made) for part in note.split("|")), notes(made)


@pytest.mark.parametrize("text", LEFT)
@pytest.mark.postgres
def test_what_earlier_statements_leave_is_what_is_looked_at(small: Planted, tmp_path: Path, text: str) -> None:
    made = planned(small, tmp_path / "m", text)
    assert in_the_way(made) == []
    assert notes(made) == []
    with small.connection.transaction(force_rollback=True):
        small.connection.execute(text)


# The limits: time, locks, rights.


@pytest.mark.postgres
def test_past_the_limit_the_answer_is_unknown_and_never_go(big: Planted, tmp_path: Path) -> None:
    text = (
        "ALTER TABLE big ADD CONSTRAINT c CHECK (length(repeat(name, 2000)) > 0);" * 2
        + "ALTER TABLE big ADD UNIQUE (n)"
    )
    begun = time.monotonic()
    made = planned(big, tmp_path / "m", text, limits=data.Limits(0.3, 0.5))
    assert time.monotonic() - begun < 10
    assert not made.go
    assert len(made.missing) == 3
    assert all("not known, the time limit was over" in each.message for each in made.missing)
    assert made.missing[0].commands[0] == "lancio preflight migrations --data-limit 3"
    assert "SELECT" in made.missing[0].commands[1]


@pytest.mark.postgres
def test_rows_that_were_found_in_time_are_told_though_they_were_not_counted(big: Planted, tmp_path: Path) -> None:
    text = "ALTER TABLE big ADD CONSTRAINT c CHECK (id > 10 AND length(repeat(name, 2000)) > 0)"
    made = planned(big, tmp_path / "m", text, limits=data.Limits(2, 2))
    assert [each.message for each in made.missing] == ["CHECK c of big: at least 4 rows break it (id 1, 2, 3 …)"]


@pytest.mark.postgres
def test_no_lock_beyond_access_share_is_taken(big: Planted, tmp_path: Path) -> None:
    """Another session reads pg_locks all the while, and writes to the table."""
    texts = [case.sql.replace("{t}", "big") for case in CASES if case.sized and case.name in SEEN_IN_BIG]
    pid = big.connection.info.backend_pid
    modes: set[tuple[str, str]] = set()
    done = threading.Event()

    def watch() -> None:
        with psycopg.connect(big.url, autocommit=True) as other:
            other.execute("SET lock_timeout = '5s'")
            while not done.is_set():
                held = other.execute("SELECT locktype, mode FROM pg_locks WHERE pid = %s", (pid,)).fetchall()
                modes.update((kind, mode) for kind, mode in held)
                other.execute("UPDATE others SET code = code WHERE id = 1")
                with other.transaction(force_rollback=True):
                    other.execute("LOCK TABLE big IN EXCLUSIVE MODE")

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for number, text in enumerate(texts):
            assert not planned(big, tmp_path / str(number), text).go
    finally:
        done.set()
        watcher.join()
    assert {mode for kind, mode in modes if kind == "relation"} == {"AccessShareLock"}
    assert not {(kind, mode) for kind, mode in modes} - {
        ("relation", "AccessShareLock"),
        ("virtualxid", "ExclusiveLock"),
    }


@pytest.mark.postgres
def test_a_table_that_somebody_holds_is_not_waited_for_long(small: Planted, tmp_path: Path) -> None:
    with psycopg.connect(small.url) as other:
        other.execute("LOCK TABLE kept IN ACCESS EXCLUSIVE MODE")
        made = planned(small, tmp_path / "m", "ALTER TABLE kept VALIDATE CONSTRAINT kept_n")
    assert not made.go
    assert in_the_way(made) == ["what the rows say is not known, a table of this plan is locked by another session"]
    with psycopg.connect(small.url) as other:
        other.execute("LOCK TABLE small IN ACCESS EXCLUSIVE MODE")
        made = planned(small, tmp_path / "n", "ALTER TABLE small ALTER d_null SET NOT NULL")
    assert in_the_way(made) == ["SET NOT NULL small.d_null: not known, public.small is locked by another session"]


@pytest.mark.postgres
def test_a_filtered_answer_is_an_error_and_never_a_fact(small: Planted, tmp_path: Path) -> None:
    connection = small.connection
    connection.execute("SET ROLE veiler")
    try:
        assert connection.execute("SELECT count(*) FROM veiled").fetchone() == (0,)
        made = planned(small, tmp_path / "m", "ALTER TABLE veiled ALTER a SET NOT NULL")
    finally:
        connection.execute("RESET ROLE")
    assert in_the_way(made) == ["SET NOT NULL veiled.a: not known, this role may not read all of the rows"]
    assert not made.go


@pytest.mark.postgres
def test_no_value_but_a_key_that_is_a_number_a_date_or_a_uuid_is_shown(small: Planted, tmp_path: Path) -> None:
    made = planned(
        small,
        tmp_path / "m",
        "ALTER TABLE safe ALTER secret TYPE int USING secret::int; ALTER TABLE pairs ADD CHECK (a > 7);"
        "ALTER TABLE pairs ALTER secret TYPE int USING secret::int",
    )
    assert "hunter" not in repr((made.missing, made.findings))
    assert in_the_way(made) == [
        "ALTER COLUMN safe.secret TYPE int: 1 of 1 rows fails (ctid (0,1))",
        "CHECK of pairs: 1 of 1 rows breaks it ((a, b) (7, 2020-02-03))",
        "ALTER COLUMN pairs.secret TYPE int: 1 of 1 rows fails ((a, b) (7, 2020-02-03))",
    ]


@pytest.mark.postgres
def test_nothing_is_written_whatever_a_function_of_the_database_tries(small: Planted, tmp_path: Path) -> None:
    made = planned(small, tmp_path / "m", "ALTER TABLE small ADD CHECK (sneaky(n))")
    assert notes(made) == ["CHECK of small: not known before the run, the server cannot be asked (SQLSTATE 25006)"]
    assert small.connection.execute("SELECT count(*) FROM trace").fetchone() == (0,)


@pytest.mark.postgres
def test_rows_left_alone_on_request_are_said_to_be(small: Planted, tmp_path: Path) -> None:
    made = planned(small, tmp_path / "m", "ALTER TABLE small ALTER d_null SET NOT NULL", limits=None)
    assert made.go
    assert notes(made) == ["the rows were not looked at (--no-data): a statement may fail on them"]
    assert notes(planned(small, tmp_path / "n", "CREATE TABLE fresh (a int)", limits=None)) == []
