"""What do steps side by side gain where they are heavy?

    python bench/jobs.py [--tables 6] [--rows 200000] [--jobs 1,2,4] [--rounds 4] [--database URL]

Each table is there with its rows; three files a table add a column, fill it, and build an index on it. The whole of
`runner.apply` is timed (lock, verification, ledger rows, events; the graph's bonds, which `--jobs` asks for, too), turn
by turn in a copy of one filled database. Catalog and ledger must be those of one job, and no deadlock counted, or the
status is 1.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from apply import fresh, own_server
from psycopg import conninfo
from speed import planned, written

from lancio.executor import fingerprint, runner

if TYPE_CHECKING:
    from lancio.planner.model import Plan, Step


def files(tables: int) -> list[tuple[str, str]]:
    """The tables' own file, which has run already, and three for each table."""
    made = [("000_tables.sql", "".join(f"CREATE TABLE t{n} (id int PRIMARY KEY, note text);\n" for n in range(tables)))]
    for n in range(tables):
        made += [
            (f"{n + 1:03}_a.sql", f"ALTER TABLE t{n} ADD COLUMN word text;\n"),
            (f"{n + 1:03}_b.sql", f"UPDATE t{n} SET word = md5(note);\n"),
            (f"{n + 1:03}_c.sql", f"CREATE INDEX t{n}_word_idx ON t{n} (word, note);\n"),
        ]
    return made


def copied(url: str, name: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}".encode())
        connection.execute(f"CREATE DATABASE {name} TEMPLATE bench_filled".encode())
        connection.execute("CHECKPOINT")
    return conninfo.make_conninfo(url, dbname=name)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tables", type=int, default=6)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--jobs", default="1,2,4")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--database", help="a superuser's URL; databases bench_… are made anew there")
    given = parser.parse_args()
    jobs = [int(each) for each in given.jobs.split(",")]
    taken: dict[int, list[float]] = {each: [] for each in jobs}
    left = {}
    deadlocks = 0
    with tempfile.TemporaryDirectory() as home, contextlib.ExitStack() as stack:
        url = given.database or stack.enter_context(own_server())
        made, _ = planned(written(Path(home) / "m", files(given.tables)), 18, {})
        first, rest = made.steps[:1], made.steps[1:]
        target = fresh(url, "bench_filled")
        with psycopg.connect(target, autocommit=True) as connection:
            for _ in runner.apply(_some(made, first), connection):
                pass
            for n in range(given.tables):
                connection.execute(
                    f"INSERT INTO t{n} SELECT i, md5(i::text) FROM generate_series(1, {given.rows}) AS i".encode()
                )
            connection.execute("VACUUM ANALYZE")
        for turn in range(given.rounds):
            for each in jobs[:: 1 if turn % 2 == 0 else -1]:
                with psycopg.connect(copied(url, "bench_jobs"), autocommit=True) as connection:
                    started = time.perf_counter()
                    for _ in runner.apply(_some(made, rest), connection, jobs=each):
                        pass
                    taken[each].append(time.perf_counter() - started)
                    steps = connection.execute("SELECT position, migration, checksum FROM lancio.step ORDER BY 1, 2")
                    left[turn, each] = (fingerprint.take(connection), steps.fetchall())
                    counted = connection.execute(
                        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
                    ).fetchone()
                    deadlocks += counted[0] if counted is not None else 0
    print(f"{given.tables} tables of {given.rows:,} rows, {len(rest)} steps, {given.rounds} rounds, "
          f"{os.cpu_count()} cores, {platform.machine()}")  # fmt: skip
    for each, times in taken.items():
        ratios = [one / other for one, other in zip(times, taken[jobs[0]], strict=True)]
        spread = f"median of the turns; {min(ratios):.2f} to {max(ratios):.2f}"
        print(f"  --jobs {each}: median {statistics.median(times):6.2f} s   best {min(times):6.2f} s   of --jobs "
              f"{jobs[0]} {statistics.median(ratios):.2f} ({spread})")  # fmt: skip
    same = all(each == left[0, jobs[0]] for each in left.values())
    print(f"  catalog and ledger {'equal' if same else 'DIFFER'}, {deadlocks} deadlocks")
    return 0 if same and not deadlocks else 1


def _some(made: Plan, steps: tuple[Step, ...]) -> Plan:
    return replace(made, steps=tuple(replace(step, position=at) for at, step in enumerate(steps, 1)))


if __name__ == "__main__":
    sys.exit(main())
