"""Rows that stand in the way are named before the run, none is invented, and PostgreSQL agrees."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

import psycopg
import pytest
from rows_in_the_way import CASES, TABLE, TABLES, Case

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
        connection.execute("CREATE TABLE loose AS SELECT i AS id, i AS n FROM generate_series(1, 50) AS i")
        connection.execute("ALTER TABLE loose ALTER id SET NOT NULL")
        connection.execute(
            "CREATE TABLE listed AS SELECT i AS id, chr(97 + i % 3) AS n FROM generate_series(1, 50) AS i"
        )
        connection.execute("ALTER TABLE listed ALTER id SET NOT NULL")
        for name, rows in sizes.items():
            connection.execute(TABLE.format(t=name, rows=rows))
            connection.execute(f"ALTER TABLE {name} ADD PRIMARY KEY (id)")
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
    dirty, clean = (text.replace("{t}", table) for text in (case.sql, case.twin))
    begun = time.monotonic()
    found = planned(planted, folder / "dirty", dirty)
    assert time.monotonic() - begun < 70
    messages = in_the_way(found)
    assert not found.go
    assert any(case.says.replace("{rows}", f"{rows:,}") in message for message in messages), messages
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
