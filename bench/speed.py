"""How long does a whole history take, against one psql session that runs each file in its own transaction?

    python bench/speed.py [FOLDER…] [--preamble FILE]… [--var NAME=VALUE]… [--split N] [--rounds 8] [--flush-ms MS]
                          [--database URL]

Each FOLDER is a history of migrations; `--preamble`, given once a folder or not at all (`-` for none), is SQL that runs
before it. Without a folder an invented application's history is taken: 1,000 small statements in 333 files (`--seed`
draws another one). `--split N` makes of each history's first N statements a file each.

Turn by turn (A B C, then C B A), each in a fresh database of one server with fsync on: psql as one session of a
script that holds `BEGIN; \\i FILE COMMIT;` for each file, its start-up taken away (measured each turn, with an empty
script); `runner.apply` with small steps under way together; and the same one by one. Both of the runner's times are the
whole of `runner.apply`: its lock, session reset, verification and ledger row of every step, events; the ledger's tables
are made before, and the plan as well. psql gets the statements alone, without the comments. Printed are medians,
quartiles and the ratios of each turn to the psql beside it. With `--flush-ms` each commit that waits for the disk waits
so much longer, psql's as well as Lancio's (PostgreSQL's commit_delay), as on a slower disk than this machine's. The
status is 1 where a median ratio with steps together is above 0.9.
"""

from __future__ import annotations

import argparse
import contextlib
import platform
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from apply import by_psql, fresh, own_server
from plans import facts, plan
from psycopg import conninfo

from lancio.catalog import profile
from lancio.executor import runner
from lancio.executor.composed import body
from lancio.planner import graph
from lancio.planner.model import Plan, Step
from lancio.planner.segments import cut
from lancio.reading import source

if TYPE_CHECKING:
    from lancio.planner.model import FileFacts

LIMIT = 0.9
STATEMENTS = 1000
NOUNS = ("account", "address", "article", "asset", "audit", "badge", "basket", "bill", "booking", "branch", "budget",
         "campaign", "channel", "claim", "comment", "contract", "coupon", "course", "delivery", "device", "document",
         "event", "export", "feature", "folder", "grant", "group", "holiday", "import", "invoice", "job", "label",
         "ledger", "lesson", "license", "message", "note", "offer", "order", "parcel", "payment", "policy", "price",
         "product", "project", "quote", "rating", "refund", "region", "report", "review", "role", "route", "shipment",
         "shop", "stock", "subscription", "survey", "tag", "task", "team", "ticket", "token", "upload", "vendor",
         "visit", "voucher", "wallet", "webhook", "worker")  # fmt: skip
COLUMNS = (
    "title text", "state text NOT NULL DEFAULT 'new'", "amount numeric(12,2)", "note text", "seen_at timestamptz",
    "rank integer NOT NULL DEFAULT 0", "data jsonb NOT NULL DEFAULT '{}'", "active boolean NOT NULL DEFAULT true",
    "external_id uuid", "email varchar(320)",
)  # fmt: skip


def invented(seed: int) -> list[tuple[str, str]]:
    """Name and text of the files: tables with keys, and what an application changes about them over the years."""
    dice = random.Random(seed)
    tables: dict[str, list[str]] = {}
    made: list[str] = []
    free = [f"{first}_{second}s" for first in NOUNS for second in NOUNS]
    dice.shuffle(free)

    def table() -> list[str]:
        name = free.pop()
        columns = dice.sample(COLUMNS, 3)
        parents = dice.sample(sorted(tables), min(len(tables), dice.choice((0, 0, 1, 1, 2))))
        keys = [f"{each}_id bigint REFERENCES {each}" for each in parents]
        tables[name] = [each.split()[0] for each in columns] + [f"{each}_id" for each in parents]
        lines = ["id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "made_at timestamptz NOT NULL DEFAULT now()"]
        indexes = [f"CREATE INDEX {name}_{each}_id_idx ON {name} ({each}_id)" for each in parents]
        return [f"CREATE TABLE {name} (\n  " + ",\n  ".join([*lines, *columns, *keys]) + "\n)", *indexes]

    def change() -> list[str]:
        name = dice.choice(sorted(tables))
        left = [each for each in COLUMNS if each.split()[0] not in tables[name]]
        kind = dice.choice(("column", "column", "column", "index", "rows", "comment", "default", "check", "view"))
        column = dice.choice(tables[name])
        at = len(made)
        if kind == "column" and left:
            column = dice.choice(left)
            tables[name].append(column.split()[0])
            return [f"ALTER TABLE {name} ADD COLUMN {column}"]
        return {
            "rows": [f"INSERT INTO {name} (made_at) SELECT now() FROM generate_series(1, 3)"],
            "comment": [f"COMMENT ON TABLE {name} IS 'What is known of each, as of file {at}'"],
            "default": [f"ALTER TABLE {name} ALTER COLUMN made_at SET DEFAULT clock_timestamp()"],
            "check": [f"ALTER TABLE {name} ADD CONSTRAINT {name}_{at}_check CHECK (id > 0)"],
            "view": [
                f"CREATE VIEW {name}_{at} AS SELECT id, made_at FROM {name} WHERE made_at > now() - interval '1 d'"
            ],
        }.get(kind, [f"CREATE INDEX {name}_{at}_idx ON {name} ({column}, made_at)"])

    files = []
    while len(made) < STATEMENTS:
        new = []
        while len(new) < 3:
            new += table() if len(tables) < 12 or dice.random() < 0.15 else change()
        new = new[: STATEMENTS - len(made)]
        made += new
        files.append((f"{len(files) + 1:04}_change.sql", "".join(f"{each};\n" for each in new)))
    return files


def written(folder: Path, files: list[tuple[str, str]]) -> Path:
    folder.mkdir()
    for name, text in files:
        (folder / name).write_text(text)
    return folder


def planned(folder: Path, major: int, variables: dict[str, str]) -> tuple[Plan, tuple[FileFacts, ...]]:
    """All files of a folder as a plan for an empty database."""
    found = graph.build(source.read_folder(folder, variables=variables), profile.load(major))
    steps = tuple(Step(each, position) for position, each in enumerate(found.files, 1))
    return Plan(found, steps, (), (), (), ()), found.files


def split(files: tuple[FileFacts, ...], many: int) -> list[tuple[str, str]]:
    said = [each.sql for file in files for each in body(file.statements)][:many]
    return [(f"{at:05}.sql", f"{text};\n") for at, text in enumerate(said, 1)]


def script(folder: Path, files: tuple[FileFacts, ...]) -> Path:
    """What psql runs: a file for each migration, in a transaction of its own where it may be in one."""
    folder.mkdir()
    lines = []
    for at, each in enumerate(files):
        one = folder / f"{at:05}.sql"
        one.write_text("".join(f"{statement.sql};\n" for statement in body(each.statements)))
        lines.append(f"\\i {one}" if cut(each, 18).apart else f"BEGIN;\n\\i {one}\nCOMMIT;")
    whole = folder / "all.sql"
    whole.write_text("\n".join(lines) + "\n")
    return whole


def by_lancio(url: str, made: Plan, *, ahead: int) -> float:
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in runner.apply(plan(facts("0000_first.sql", "SELECT 1;")), connection):
            pass  # makes the ledger, once in a database's life
        started = time.perf_counter()
        for _ in runner.apply(made, connection, ahead=ahead):
            pass
        return time.perf_counter() - started


def measure(url: str, made: Plan, whole: Path, preamble: bytes, rounds: int, empty: Path) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = {"psql": [], "together": [], "one by one": []}
    for turn in range(rounds):
        for which in list(taken)[:: 1 if turn % 2 == 0 else -1]:
            target = fresh(url, f"bench_{which.split()[0]}")
            if preamble:
                with psycopg.connect(target, autocommit=True) as connection:
                    connection.execute(preamble)
            if which == "psql":
                taken[which].append(by_psql(target, [whole], empty))
            else:
                taken[which].append(by_lancio(target, made, ahead=runner.AHEAD if which == "together" else 0))
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--preamble", action="append", default=[])
    parser.add_argument("--var", action="append", default=[])
    parser.add_argument("--split", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--flush-ms", type=float, default=0.0)
    parser.add_argument("--database", help="a superuser's URL; databases bench_… are made anew there")
    given = parser.parse_args()
    if given.preamble and len(given.preamble) != len(given.folders):
        parser.error("--preamble is given once a folder, or not at all")
    variables = dict(each.split("=", 1) for each in given.var)
    worst = 0.0
    with tempfile.TemporaryDirectory() as home, contextlib.ExitStack() as stack:
        empty = Path(home) / "empty.sql"
        empty.write_text("")
        folders = given.folders or [written(Path(home) / "invented", invented(given.seed))]
        url = given.database or stack.enter_context(own_server())
        if given.flush_ms:
            slower = f"-c commit_siblings=0 -c commit_delay={given.flush_ms * 1000:.0f}"
            url = conninfo.make_conninfo(url, options=slower)
        with psycopg.connect(url) as connection:
            said = connection.execute("SELECT current_setting('server_version'), current_setting('fsync')").fetchone()
            version, fsync = said if said is not None else ("?", "?")
        print(f"PostgreSQL {version}, fsync {fsync}, {platform.machine()}, Python {platform.python_version()}, "
              f"{given.rounds} rounds, a flush {given.flush_ms:g} ms later")  # fmt: skip
        for number, folder in enumerate(folders):
            preamble = Path(given.preamble[number]).read_bytes() if given.preamble[number : number + 1] not in (
                [], ["-"]) else b""  # fmt: skip
            major = int(version.split(".")[0])
            made, files = planned(folder, major, variables)
            if given.split:
                made, files = planned(written(Path(home) / f"split{number}", split(files, given.split)), major, {})
            whole = script(Path(home) / f"psql{number}", files)
            taken = measure(url, made, whole, preamble, given.rounds, empty)
            print(
                f"\n{folder.name}: {len(files)} files, {sum(len(body(each.statements)) for each in files)} statements"
            )
            for name, each in taken.items():
                low, middle, high = statistics.quantiles(each, n=4)
                print(f"  {name:10} median {middle * 1000:7.0f} ms   quartiles {low * 1000:7.0f} {high * 1000:7.0f}")
            for name in ("together", "one by one"):
                ratios = sorted(one / other for one, other in zip(taken[name], taken["psql"], strict=True))
                of_medians = statistics.median(taken[name]) / statistics.median(taken["psql"])
                print(f"  {name:10} of psql {statistics.median(ratios):.2f} (median of the turns; {ratios[0]:.2f} to "
                      f"{ratios[-1]:.2f}), of medians {of_medians:.2f}")  # fmt: skip
                worst = max(worst, statistics.median(ratios)) if name == "together" else worst
    return 0 if worst <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
