"""Scratch databases: made, copied, and gone at the end whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from lancio.errors import ConnectionLost, ServerError
from lancio.proof import scratch


def databases(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'lancio%scratch%'")
        return {row[0] for row in rows}


def test_every_database_is_dropped_at_the_end(server):
    with scratch.server(server.url()) as made:
        first = made.create()
        with made.connect(first) as connection:
            connection.execute("CREATE TABLE t ()")
        second = made.create(first)
        with made.connect(second) as connection:
            assert connection.execute("SELECT 't'::regclass::text").fetchone() == ("t",)
        assert {first, second} <= databases(server.url())
    assert not databases(server.url()) & {first, second}


def test_they_are_dropped_after_an_interruption_though_somebody_is_connected(server):
    def interrupted(connections: list[psycopg.Connection]) -> None:
        with scratch.server(server.url()) as made:
            connections.append(psycopg.connect(server.url(made.create())))
            raise KeyboardInterrupt

    connections: list[psycopg.Connection] = []
    before = databases(server.url())
    with pytest.raises(KeyboardInterrupt):
        interrupted(connections)
    assert databases(server.url()) <= before
    connections[0].close()


def test_those_of_another_process_of_the_family_are_dropped_too(server):
    with scratch.server(server.url()) as made:
        theirs = scratch.at(server.url(), made.family).create()
        stranger = scratch.at(server.url())
        other = stranger.create()
    assert theirs not in databases(server.url())
    assert other in databases(server.url())
    stranger.clear()
    assert other not in databases(server.url())


def test_a_role_that_may_not_make_databases_is_told_so(server):
    with server.connect() as connection:
        connection.execute("DROP ROLE IF EXISTS scratch_nobody")
        connection.execute("CREATE ROLE scratch_nobody LOGIN PASSWORD 'nothing-to-see'")
    try:
        with (
            pytest.raises(ServerError) as refusal,
            scratch.server(server.url(user="scratch_nobody", password="nothing-to-see")) as made,
        ):
            made.create()
        assert refusal.value.cause == "permission denied to create database"
        assert "--scratch" in refusal.value.remedy
    finally:
        with server.connect() as connection:
            connection.execute("DROP ROLE scratch_nobody")


def test_a_connection_that_is_lost_is_an_error_of_ours(server):
    def killed() -> None:
        with scratch.server(server.url()) as made, made.connect(made.create()) as connection:
            connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(ConnectionLost):
        killed()


def left_behind() -> set[Path]:
    return {found for place in (Path("/tmp"), scratch.MEMORY) for found in place.glob("lancio-scratch-*")}


@pytest.mark.embedded
def test_a_server_of_its_own_is_there_and_then_gone():
    before = left_behind()
    with scratch.server() as made:
        assert made.version // 10000 == int(scratch.version_of().split(".")[0])
        with made.connect(made.create()) as connection:
            assert connection.execute("SHOW fsync").fetchone() == ("off",)
            port = connection.info.port
        assert len(left_behind() - before) == 1
    assert left_behind() <= before
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(host="127.0.0.1", port=port, dbname="postgres", user="postgres", connect_timeout=3)


@pytest.mark.embedded
def test_the_next_one_removes_the_server_of_a_killed_process():
    code = (
        "import time\nfrom lancio.proof import scratch\nwith scratch.server():\n print(1, flush=True)\n time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=dict(os.environ))
    try:
        assert process.stdout.readline() == b"1\n"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    assert any(f"-{process.pid}-" in found.name for found in left_behind())
    with scratch.server():
        deadline = time.monotonic() + 10
        while any(f"-{process.pid}-" in found.name for found in left_behind()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(f"-{process.pid}-" in found.name for found in left_behind())
