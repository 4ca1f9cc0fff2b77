"""A runner as a process of its own, to be killed or interrupted: `runner_process.py URL COUNT SLEEP`."""

from __future__ import annotations

import sys

import psycopg
from plans import facts, plan

from lancio.errors import LancioError
from lancio.executor import ledger, runner


def files(count, sleep):
    return [
        facts(
            f"{n:03}.sql",
            f"CREATE TABLE t{n} (id int);\nINSERT INTO t{n} SELECT generate_series(1, 50);\n"
            f"SELECT pg_sleep({sleep});\nCREATE INDEX t{n}_id ON t{n} (id);\nINSERT INTO t{n} VALUES ({n});",
        )
        for n in range(count)
    ]


def main():
    url, count, sleep = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    with psycopg.connect(url, autocommit=True) as connection:
        done = ledger.read(connection)
        left = [each for each in files(count, sleep) if each.name not in done]
        try:
            for event in runner.apply(plan(*left), connection):
                print(event.kind, getattr(event, "migration", ""), flush=True)
        except LancioError as error:
            print(error.code, error.message, error.remedy, sep="\n", flush=True)
            return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
