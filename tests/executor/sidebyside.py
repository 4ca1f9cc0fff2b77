"""Folders whose files depend on each other by chance, and a runner of them to be killed: `sidebyside.py URL FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

import psycopg

from lancio.catalog import profile
from lancio.errors import LancioError
from lancio.executor import ledger, runner
from lancio.planner import graph
from lancio.planner.model import Plan, Step
from lancio.reading import source


def written(folder, files):
    """The folder with these files in it."""
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def planned(folder, without=()):
    """A plan of all the folder's files but some, for a database that has those and nothing else."""
    found = graph.build(source.read_folder(Path(folder)), profile.load(18))
    left = [each for each in found.files if each.name not in without]
    return Plan(found, tuple(Step(each, at) for at, each in enumerate(left, 1)), tuple(without), (), (), ())


def random_folder(dice, count=14):
    """Files that make tables, refer to others', change, fill, index and drop them, and look at them from views."""
    tables, views, files = [], [], {}
    for number in range(count):
        lines = []
        for _ in range(dice.randint(1, 3)):
            at = f"{number}_{len(lines)}"
            kind = dice.choice(["table"] * 4 + ["key", "column", "index", "rows", "copy", "view", "type", "drop", "do"])
            table = dice.choice(tables) if tables else ""
            other = dice.choice(tables) if tables else ""
            if kind == "table" or not tables:
                refers = f", other int REFERENCES {table}" if table and dice.random() < 0.5 else ""
                lines.append(f"CREATE TABLE t{at} (id int PRIMARY KEY, note text{refers})")
                tables.append(f"t{at}")
            elif kind == "key":
                lines.append(f"ALTER TABLE {table} ADD COLUMN k{at} int REFERENCES {other}")
            elif kind == "column":
                lines.append(f"ALTER TABLE {table} ADD COLUMN c{at} text DEFAULT 'x'")
            elif kind == "index":
                lines.append(f"CREATE INDEX ON {table} (note)")
            elif kind == "rows":
                rows = f"SELECT {number * 1000 + len(lines) * 10} + n, 'n' FROM generate_series(1, 9) AS n"
                lines.append(f"INSERT INTO {table} (id, note) {rows}")
            elif kind == "copy":
                rows = f"SELECT {number * 1000 + 500} + id % 400 FROM {other}"
                lines.append(f"INSERT INTO {table} (id) {rows} ON CONFLICT DO NOTHING")
            elif kind == "view":
                lines.append(f"CREATE VIEW v{at} AS SELECT id, note FROM {table}")
                views.append(f"v{at}")
            elif kind == "type":
                lines.append(f"CREATE TYPE e{at} AS ENUM ('a', 'b')")
                lines.append(f"ALTER TABLE {table} ADD COLUMN e{at} e{at}")
            elif kind == "drop" and views:
                lines.append(f"DROP VIEW {views.pop(dice.randrange(len(views)))}")
            else:
                lines.append(f"DO $$ BEGIN PERFORM count(*) FROM {table}; END $$")
        files[f"{number:03}.sql"] = "".join(f"{each};\n" for each in lines)
    return files


def beside(connection, text, what):
    """`what` ("count", or a function of a process id) over the sessions whose statement, now running, has the text."""
    wanted = "count(*)" if what == "count" else f"{what}(pid)"
    found = connection.execute(
        f"SELECT {wanted} FROM pg_stat_activity WHERE state = 'active' AND strpos(query, %s) > 0 "
        "AND pid <> pg_backend_pid()",
        (text,),
    ).fetchall()
    return found[0][0] if found else 0


def main():
    url, folder = sys.argv[1:]
    with psycopg.connect(url, autocommit=True) as connection:
        plan = planned(folder, without=tuple(ledger.read(connection)))
        try:
            for event in runner.apply(plan, connection, jobs=4):
                print(event.kind, getattr(event, "migration", ""), flush=True)
        except LancioError as error:
            print(error.code, error.message, error.remedy, sep="\n", flush=True)
            return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
