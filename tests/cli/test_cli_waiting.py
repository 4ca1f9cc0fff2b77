"""How long a run waits, as a command line and lancio.toml say it, and what of it is shown."""

from __future__ import annotations

import io
import json
import threading
import time

import click
import psycopg
import pytest

from lancio.cli import main, options, progress
from lancio.cli.terminal import Terminal
from lancio.errors import UsageError
from lancio.executor import events


def lancio(*words):
    out, err = io.StringIO(), io.StringIO()
    status = main.run(words, Terminal(out, err, {}))
    return status, out.getvalue(), err.getvalue()


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def folder(tmp_path):
    there = tmp_path / "migrations"
    there.mkdir()
    (there / "001.sql").write_text("ALTER TABLE a ADD COLUMN b int;")
    return str(there)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("10s", 10), ("10m", 600), ("2 h", 7200), ("7", 7), ("0.5s", 0.5), ("1min", 60)],
)
def test_times_are_written_as_people_write_them(text, seconds):
    assert options.duration("--lock-wait", text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1s", "5d", "1e3s", "8000h", "10 m s", "٣s x", "9" * 400])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(UsageError):
        options.duration("--lock-wait", text)


@pytest.mark.parametrize(
    "words",
    [
        ["--lock-timeout", "0s"],
        ["--lock-timeout", "2h"],
        ["--lock-timeout", "x"],
        ["--retries", "-1"],
        ["--retries", "many"],
        ["--pooler", "transaction"],
    ],
)
def test_terms_that_cannot_be_right_are_refused_before_anything_is_connected_to(folder, words):
    status, _, err = lancio("apply", folder, "--database", "postgresql://nobody@127.0.0.1:1/x", *words)
    assert status == 2
    assert words[0] in err


def test_lancio_toml_says_how_long_to_wait_and_the_command_line_goes_before_it(folder, tmp_path):
    (tmp_path / "lancio.toml").write_text(
        'lock_wait = "3m"\ndefault = "live"\n[environments.live]\nlock_timeout = "250ms"\nretries = 4\n'
    )
    seen = {}

    @click.command()
    @options.folder_options
    @options.waiting_options
    def probe(**_):
        seen.update(options.patience())

    probe.main([folder], standalone_mode=False)
    assert seen == {"lock_timeout_ms": 250, "lock_wait_s": 180.0, "retries": 4}
    probe.main([folder, "--lock-timeout", "1s", "--retries", "0"], standalone_mode=False)
    assert seen == {"lock_timeout_ms": 1000, "lock_wait_s": 180.0, "retries": 0}


@pytest.mark.parametrize("line", ['retries = "4"', "retries = true", "lock_timeout = 5", 'pooler = "session"'])
def test_a_key_of_another_kind_is_refused_with_its_line(folder, tmp_path, line):
    (tmp_path / "lancio.toml").write_text(f"\n{line}\n")
    status, _, err = lancio("status", folder, "--database", "postgresql://nobody@127.0.0.1:1/x")
    assert status == 2
    assert "lancio.toml:2" in err


def test_on_the_terminal_the_holder_is_named_and_the_run_goes_on_when_it_is_gone(database, folder):
    with psycopg.connect(database, application_name="nightly") as holder:
        pid = holder.info.backend_pid
        holder.execute("CREATE TABLE a (id int)")
        holder.commit()
        holder.execute("SELECT 'a secret' FROM a")

        def release():
            waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'a'::regclass AND NOT granted)"
            until = time.monotonic() + 20
            while not holder.execute(waits).fetchone()[0] and time.monotonic() < until:
                time.sleep(0.02)
            time.sleep(0.6)
            holder.execute("SELECT 'a secret' FROM a")
            holder.commit()

        thread = threading.Thread(target=release)
        thread.start()
        status, out, err = lancio(
            "apply", folder, "--database", database, "--yes", "--no-backup", "--lock-timeout", "300ms"
        )
        thread.join()
    assert status == 0, out + err
    assert f"held by process {pid} (nightly) of postgres at 127.0.0.1 since" in err
    assert "tried again in" in err
    assert "a secret" not in out + err


def test_a_step_that_never_gets_its_lock_is_given_up_as_asked(database, folder):
    with psycopg.connect(database) as holder:
        holder.execute("CREATE TABLE a (id int)")
        holder.commit()
        holder.execute("SELECT FROM a")
        status, out, err = lancio(
            "apply", folder, "--database", database, "--yes", "--no-backup",
            "--lock-timeout", "100ms", "--retries", "1",
            "--json",
        )  # fmt: skip
    assert (status, err) == (1, "")
    told = [json.loads(line) for line in out.splitlines()]
    assert told[-1]["error"]["rule"] == "lock-timeout"
    assert any("was tried 2 times" in each.get("message", "") for each in told)


def test_a_deadlock_is_no_lock_on_a_name():
    event = events.Waiting(number=1, what="a lock", holders=(), waited_s=1.0, migration="x", retry_in_s=2.0,
                           why="deadlock detected")  # fmt: skip
    assert progress.waiting(event).startswith("waiting for a lock (deadlock detected), 1 second so far")
