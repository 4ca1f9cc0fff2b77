"""Sixteen runners at once on a database that has no ledger yet: each step once, and all of them end well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import psycopg

PROGRAM = Path(__file__).with_name("cli_process.py")
RUNNERS = 16
STARTS = int(os.environ.get("LANCIO_TEST_STARTS") or (500 if os.environ.get("LANCIO_PROOF") == "1" else 2))

FILES = {
    "001_accounts.sql": "CREATE TABLE account (id int PRIMARY KEY, name text NOT NULL);\n"
    "CREATE TABLE ran (file text NOT NULL);\nINSERT INTO ran VALUES ('001');",
    "002_orders.sql": "CREATE TABLE orders (id int PRIMARY KEY, account int REFERENCES account);\n"
    "INSERT INTO ran VALUES ('002');",
    "003_name.sql": "ALTER TABLE account ADD COLUMN email text;\nINSERT INTO ran VALUES ('003');",
    "004_index.sql": "CREATE INDEX account_email ON account (email);\nINSERT INTO ran VALUES ('004');",
    "005_view.sql": "CREATE VIEW active AS SELECT id, email FROM account;\nINSERT INTO ran VALUES ('005');",
}


@contextmanager
def processes():
    """Runners that wait for a command line."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "DATABASE_URL"))}
    started = [
        subprocess.Popen(
            [sys.executable, str(PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        for _ in range(RUNNERS)
    ]
    try:
        for process in started:
            assert process.stdout.readline() == "ready\n"
        yield started
    finally:
        for process in started:
            process.stdin.close()
            process.wait(timeout=30)
            process.stdout.close()


def test_sixteen_runners_at_once_apply_each_step_once_and_all_end_well(server, tmp_path):
    folder = tmp_path / "migrations"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    waited = worked = 0
    with processes() as runners:
        for _ in range(STARTS):
            url = server.create_database()
            words = ["apply", str(folder), "--yes", "--no-backup", "--database", url, "--lock-wait", "2m"]
            for process in runners:
                process.stdin.write(json.dumps(words) + "\n")
            for process in runners:
                process.stdin.flush()
            ended = [json.loads(process.stdout.readline()) for process in runners]
            for status, out, err in ended:
                assert status == 0, out + err
                talk = [line for line in err.splitlines() if not line.startswith("waiting for another runner of")]
                assert talk == [], err
            waited += sum("waiting for another runner" in err for _, _, err in ended)
            with psycopg.connect(url) as connection:
                ran = connection.execute("SELECT file FROM ran ORDER BY file").fetchall()
                rows = connection.execute("SELECT migration FROM lancio.step ORDER BY id").fetchall()
                runs = connection.execute("SELECT DISTINCT outcome FROM lancio.run").fetchall()
                worked += connection.execute("SELECT count(DISTINCT run) FROM lancio.step").fetchone()[0]
            assert ran == [("001",), ("002",), ("003",), ("004",), ("005",)]
            assert rows == [(name,) for name in FILES]
            assert runs == [("done",)]
            server.drop_database(url)
    assert waited, "nobody ever waited, so this proved nothing"
    assert worked >= STARTS
