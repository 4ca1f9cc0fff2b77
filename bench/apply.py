"""How long do 300 small files take, against one psql session that runs each in its own transaction?

    python bench/apply.py [--rounds 9] [--files 300] [--database URL]

Both run on the same server with fsync on, turn by turn, each in a fresh database. Lancio's time is the whole of
`runner.apply`: lock, session reset, verification and ledger row of every step, events; the ledger's tables are made
before. psql's is one session with an -f for each file; start-up of the program is taken away (measured with an empty
file in each turn).
Without --database a throw-away server of the embedded PostgreSQL is started, on 127.0.0.1.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import conninfo, sql

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "executor"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import plans

import servers
from lancio import embedded
from lancio.catalog.model import BEFORE, Catalog, Name
from lancio.executor import runner
from lancio.planner import checks

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 1.1


def files(count: int, kind: str) -> list[tuple[str, str, str]]:
    """Name, text and the table that it makes or changes."""
    made = []
    for number in range(count):
        table = f"t{number // 3 if kind == 'mixed' else number}"
        create = f"CREATE TABLE {table} (id integer PRIMARY KEY, name text NOT NULL, made timestamptz DEFAULT now())"
        change = (create, f"ALTER TABLE {table} ADD COLUMN note text", f"CREATE INDEX {table}_name ON {table} (name)")
        body = change[number % 3] if kind == "mixed" else create
        made.append((f"{number + 1:04}_{table}.sql", f"BEGIN;\n{body};\nCOMMIT;\n", table))
    return made


def plan(count: int, kind: str = "tables") -> object:
    """The same files with what Lancio would verify of each."""
    made = []
    for name, text, table in files(count, kind):
        # As the planner writes them.
        catalog = Catalog()
        relation = catalog.add(Name("relation", "public", table), "table", BEFORE)
        columns = [
            catalog.add(Name("column", "public", each, table), "column", BEFORE, relation)
            for each in ("id", "name", "made")
        ]
        asked = checks.created([relation, *columns], ())
        made.append(
            plans.facts(
                name,
                text,
                checks=asked,
            )
        )
    return plans.plan(*made)


@contextlib.contextmanager
def own_server() -> Iterator[str]:
    """A throw-away server of the embedded PostgreSQL with its usual settings, fsync on among them."""
    account = embedded.ordinary_account() if os.geteuid() == 0 else None
    home = Path(tempfile.mkdtemp(prefix="lb-", dir="/tmp"))
    data = home / "data"
    try:
        if account is not None:
            os.chown(home, account.uid, account.gid)
        installation = servers._installation(servers.EMBEDDED, account, home)
        embedded.initialise(installation, data, account=account, superuser="postgres", password="bench")
        running = embedded.launch(
            installation,
            data,
            sockets=embedded.socket_folder(home / "run", account),
            log=home / "log",
            account=account,
        )
        yield conninfo.make_conninfo(
            "", host="127.0.0.1", port=running.port, user="postgres", password="bench", dbname="postgres"
        )
    finally:
        embedded.halt(data)
        shutil.rmtree(home, ignore_errors=True)


def fresh(url: str, name: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return conninfo.make_conninfo(url, dbname=name)


def by_psql(url: str, scripts: list[Path], empty: Path) -> float:
    program, environment = servers.psql_program()
    parts = {key: str(value) for key, value in conninfo.conninfo_to_dict(url).items()}
    environment = environment | {"PGPASSWORD": parts.pop("password", "")}
    taken = []
    for given in ([empty], scripts):
        named = [word for file in given for word in ("-f", str(file))]
        started = time.perf_counter()
        subprocess.run(
            [program, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", conninfo.make_conninfo("", **parts), *named],
            check=True,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # notices; what fails ends the bench by its status
        )
        taken.append(time.perf_counter() - started)
    return taken[1] - taken[0]


def by_lancio(url: str, made: object, first: object) -> float:
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in runner.apply(first, connection):  # makes the ledger, once in a database's life
            pass
        started = time.perf_counter()
        for _ in runner.apply(made, connection):
            pass
        return time.perf_counter() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--database", help="a superuser's URL; databases bench_psql and bench_lancio are made anew")
    parser.add_argument(
        "--kind",
        choices=("tables", "mixed"),
        default="tables",
        help="tables: one CREATE TABLE a file; mixed: CREATE TABLE, ADD COLUMN and CREATE INDEX in turn",
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        empty = Path(folder) / "empty.sql"
        empty.write_text("")
        scripts = []
        for name, text, _ in files(arguments.files, arguments.kind):
            scripts.append(Path(folder) / name)
            scripts[-1].write_text(text)
        first = plans.plan(plans.facts("0000_first.sql", "SELECT 1;"))
        url = arguments.database or stack.enter_context(own_server())
        with psycopg.connect(url) as connection:
            fsync = connection.execute("SHOW fsync").fetchone()[0]
            version = connection.execute("SHOW server_version").fetchone()[0]
        made = plan(arguments.files, arguments.kind)
        psql, lancio = [], []
        for turn in range(arguments.rounds):
            # Who goes first changes: the second finds warmer caches.
            for which in ("psql", "lancio") if turn % 2 == 0 else ("lancio", "psql"):
                target = fresh(url, f"bench_{which}")
                if which == "psql":
                    psql.append(by_psql(target, scripts, empty))
                else:
                    lancio.append(by_lancio(target, made, first))
        for name in ("bench_psql", "bench_lancio"):
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
    # Turn by turn, so that a machine whose speed drifts tells the same.
    ratio = statistics.median(one / other for one, other in zip(lancio, psql, strict=True))
    print(f"{arguments.files} files ({arguments.kind}), {arguments.rounds} rounds, "
          f"PostgreSQL {version}, fsync {fsync}, "
          f"{platform.machine()}, Python {platform.python_version()}")  # fmt: skip
    for name, taken in (("psql", psql), ("lancio", lancio)):
        print(f"{name:7} median {statistics.median(taken) * 1000:7.0f} ms   best {min(taken) * 1000:7.0f} ms   "
              f"worst {max(taken) * 1000:7.0f} ms")  # fmt: skip
    of_medians = statistics.median(lancio) / statistics.median(psql)
    print(f"ratio: median of the turns {ratio:.2f}, of medians {of_medians:.2f}, "
          f"of best {min(lancio) / min(psql):.2f} (limit {LIMIT})")  # fmt: skip
    return 0 if ratio <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
