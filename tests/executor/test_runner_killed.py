"""What is left when the runner is killed, interrupted, or asked to end."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import plans
import psycopg
import pytest

import servers
from lancio import embedded
from lancio.errors import ConnectionLost
from lancio.executor import events, lane, ledger, lock, runner

PROGRAM = Path(__file__).with_name("runner_process.py")
KILLS = int(os.environ.get("LANCIO_TEST_KILLS", "6"))
STEPS = 12


def start(url, count=STEPS, sleep=0.01):
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), url, str(count), str(sleep)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until_free(connection):
    """Wait for the killed runner's server process to end: below 14 only when its statement does."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        held = connection.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = "
            "(SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchone()[0]
        if not held:
            return
        time.sleep(0.02)
    pytest.fail("the killed runner's server process still holds the lock")


def standing(connection):
    """Per step: is it in the ledger, and how much of it is in the database (0 none, 4 all)?"""
    applied = set(ledger.read(connection))
    found = {}
    for n in range(STEPS):
        table = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (f"t{n}",)).fetchone()[0]
        index = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (f"t{n}_id",)).fetchone()[0]
        rows = connection.execute(f"SELECT count(*) FROM t{n}").fetchone()[0] if table else 0
        found[f"{n:03}.sql"] = (f"{n:03}.sql" in applied, table, index, rows)
    return found


WHOLE = (True, True, True, 51)
NOTHING = (False, False, False, 0)


def test_kill_9_at_any_moment_leaves_each_step_whole_or_not_at_all(every_database):
    """LANCIO_TEST_KILLS kills, each at a moment between two that were drawn; then the run is completed."""
    dice = random.Random(os.environ.get("LANCIO_TEST_SEED", "7"))
    between = 0
    with psycopg.connect(every_database, autocommit=True) as connection:
        for _ in range(KILLS):
            process = start(every_database)
            for _ in range(dice.randint(1, 12)):
                if not process.stdout.readline():
                    break
            time.sleep(dice.random() * 0.03)
            process.kill()
            process.communicate()
            until_free(connection)
            found = standing(connection)
            assert set(found.values()) <= {WHOLE, NOTHING}, found
            order = [state == WHOLE for state in found.values()]
            assert order == sorted(order, reverse=True), "a step ran before the one it stands behind"
            between += any(order) and not all(order)
            if all(order):
                connection.execute("DROP SCHEMA lancio CASCADE")
                for n in range(STEPS):
                    connection.execute(f"DROP TABLE t{n}")
        process = start(every_database)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, out + err
        assert set(standing(connection).values()) == {WHOLE}
    assert between, "no kill hit the middle of a run, so this proved nothing"


def test_ctrl_c_cancels_on_the_server_rolls_back_and_says_where_things_stand(every_database):
    process = start(every_database, count=3, sleep=60)
    with psycopg.connect(every_database, autocommit=True) as connection:
        asleep = (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE query LIKE '%pg_sleep(60%' AND state = 'active' AND pid <> pg_backend_pid()"
        )
        until = time.monotonic() + 20
        while not connection.execute(asleep).fetchone()[0] and time.monotonic() < until:
            time.sleep(0.05)
        asked = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert time.monotonic() - asked < 5
        assert process.returncode == 130, out + err
        assert err == ""
        assert "stopped by SIGINT: 0 of 3 steps are applied; 000.sql was rolled back, nothing of it is left" in out
        assert "Run the same command again to go on." in out
        assert connection.execute(asleep).fetchone()[0] == 0
        assert connection.execute("SELECT to_regclass('t0') IS NULL").fetchone()[0]
        run = ledger.runs(connection)[0]
        assert run.outcome == "interrupted"
        assert [event["event"] for event in ledger.events(connection, run.id)][-2:] == ["interrupted", "run-finished"]


def test_sigterm_between_and_inside_steps_ends_the_run_whole(database):
    process = start(database, sleep=0.1)
    while "step-applied 001.sql" not in process.stdout.readline():
        assert process.poll() is None
    process.terminate()
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, out + err
    with psycopg.connect(database, autocommit=True) as connection:
        found = standing(connection)
        assert set(found.values()) == {WHOLE, NOTHING}


def test_the_runners_lock_is_named_after_database_and_ledger():
    assert lock.key("one") != lock.key("two")
    assert -(2**63) <= lock.key("one") < 2**63


@pytest.mark.embedded
def test_a_crash_of_the_server_takes_back_what_was_not_on_the_disk_and_says_so(monkeypatch):
    """Commits that wait for the disk together: those told before the crash are looked up behind it, one by one."""
    monkeypatch.setattr(lane, "TOGETHER_S", 60)
    names = [f"{n:03}.sql" for n in range(40)]
    files = [plans.facts(name, f"CREATE TABLE t{n} (id int);") for n, name in enumerate(names)]
    server = servers.start(servers.EMBEDDED)
    account = embedded.ordinary_account() if os.geteuid() == 0 else None

    def crash():
        with server.connect() as connection:
            writer = connection.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'").fetchone()
        os.kill(writer[0], signal.SIGSTOP)  # what it has not written until now, nobody writes
        yield
        os.kill(embedded.read_postmaster(server.data).pid, signal.SIGQUIT)
        os.kill(writer[0], signal.SIGCONT)
        yield

    def again():
        embedded.launch(server.installation, server.data, sockets=server.socket, log=server.log_file, account=account,
                        port=server.port)  # fmt: skip
        return psycopg.connect(server.url(), autocommit=True)

    try:
        told, crashing = [], crash()
        with (  # noqa: PT012
            psycopg.connect(server.url(), autocommit=True) as connection,
            pytest.raises(ConnectionLost) as raised,
        ):
            # No further ahead: where a commit waits for the disk does not hang on how fast it goes then.
            for event in runner.apply(plans.plan(*files), connection, reconnect=again, ahead=3):
                if isinstance(event, events.StepApplied):
                    told.append(event.migration)
                    lane.TOGETHER_S = 0 if len(told) == 10 else 60
                    if len(told) in (1, 17):
                        next(crashing)
        with again() as connection:
            kept = list(ledger.read(connection))
            there = [connection.execute("SELECT to_regclass(%s) IS NOT NULL", (f"t{n}",)) for n in range(len(names))]
            tables = [name for name, found in zip(names, there, strict=True) if found.fetchone()[0]]
            lost = [name for name in told if name not in kept]
            assert kept == tables == names[: len(kept)]
            assert lost, "the crash came too late to take anything back"
            assert told.index(lost[0]) >= 11, "a commit that had waited for the disk was taken back"
            assert all(name in raised.value.cause for name in lost)
            assert list(runner.apply(plans.plan(*files), connection))[-1].applied == len(names) - len(kept)
            assert sorted(ledger.read(connection)) == names
    finally:
        server.stop()
