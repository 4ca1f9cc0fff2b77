"""What does a preflight of five hundred requirements cost, and how much of it is the snapshot?

A throw-away PostgreSQL 18 gets a schema with a hundred tables; a folder of 100 files asks for 501 things that are not
there (tables, settings, a backup) and for some four hundred that are (rights on the tables, locks). Processor time of
this process, medians: the snapshot of the catalog, making the plan, reading what the steps ask for, asking the
surroundings, judging, drawing.

    python bench/preflight.py [--turns N]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import servers
from lancio.cli import work
from lancio.cli.options import Source
from lancio.executor import snapshot, surroundings
from lancio.planner import asked, plan, preflight
from lancio.render import text

if TYPE_CHECKING:
    from collections.abc import Callable

GOAL_S = 1.0
FILES = 100

T = TypeVar("T")


def write(folder: Path) -> None:
    for number in range(FILES):
        lines = [f"SELECT count(*) FROM app.absent_{number}_{part};" for part in range(4)]
        lines += [f"SELECT current_setting('app.absent_{number}');"]
        lines += [f"UPDATE app.there_{number} SET n = n + 1;", f"ALTER TABLE app.there_{number} ADD COLUMN m bigint;"]
        folder.joinpath(f"{number:03}.sql").write_text("\n".join(lines))


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--turns", type=int, default=9)
    turns = arguments.parse_args().turns
    os.environ["LANCIO_CACHE"] = "off"
    server = servers.start(servers.EMBEDDED)
    try:
        url = server.create_database()
        with server.connect(servers.database_of(url)) as connection:
            connection.execute("CREATE SCHEMA app")
            for number in range(FILES):
                connection.execute(f"CREATE TABLE app.there_{number} (id int PRIMARY KEY, n int)")
                connection.execute(f"INSERT INTO app.there_{number} VALUES (1, 1)")
        with tempfile.TemporaryDirectory(prefix="lancio-bench-") as scratch:
            write(Path(scratch))
            return measure(Source(Path(scratch), scratch, platform=False), url, turns)
    finally:
        server.stop()


class Clock:
    """Processor seconds by the name of what they went to."""

    def __init__(self) -> None:
        self.taken: dict[str, list[float]] = {}

    def __call__(self, name: str, do: Callable[..., T], *given: object, **named: object) -> T:
        began = time.process_time()
        value = do(*given, **named)
        self.taken.setdefault(name, []).append(time.process_time() - began)
        return value


def measure(where: Source, url: str, turns: int) -> int:
    graph = work.graph_of(where)
    clock = Clock()
    with work.session(url, None) as session:
        for _ in range(turns):
            live = clock("snapshot", snapshot.take, session.connection, graph)
            made = clock("plan", plan.make, graph, live, ledger={}, durations={}, environ={})
            needs = clock("what is asked", asked.read, made.steps, live)
            around = clock("surroundings", surroundings.take, session.connection, needs, {})
            judged = clock("judging", preflight.judge, made, needs, around, preflight.Terms())
            clock("drawing", text.preflight, judged, 80)
    taken = clock.taken
    missing = sum(item.blocking for item in judged.missing)
    met = sum(item.mark == "met" for item in judged.items)
    print(f"{missing} requirements not met, {met} met, {len(needs.rights)} rights asked in one query")
    for name, each in taken.items():
        print(f"{name:14} {statistics.median(each) * 1000:8.1f} ms")
    whole = [sum(turn) for turn in zip(*taken.values(), strict=True)]
    print(f"{'all of it':14} {statistics.median(whole) * 1000:8.1f} ms of processor time (goal {GOAL_S * 1000:.0f})")
    return 0 if statistics.median(whole) < GOAL_S else 1


if __name__ == "__main__":
    sys.exit(main())
