"""A Redis user is rotated while programs log in, on real servers that keep users in each of the ways that there are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import redis
from rotating import OLD, Program, RedisServer, logs_in, rotate
from test_rotation_postgresql import refused

from lancio.registry import connection_strings

if TYPE_CHECKING:
    from pathlib import Path

    from rotating import Desk


def test_no_login_fails_while_a_second_password_takes_over(desk: Desk, redis_server: RedisServer) -> None:
    database = desk.add(redis_server.url)
    machine = desk.machine()
    fresh = desk.__class__(desk.url, desk.project)
    with (
        Program(lambda: fresh.now(database)) as current,
        Program(lambda: connection_strings.parse(redis_server.url)) as copy,
    ):
        rotation = rotate(machine, database, keep_seconds=3600)
        assert rotation.state == "registered"
        assert rotation.kept == pytest.approx(3600, abs=60)
        current.more()
        copy.more()
        assert copy.refused == 0
        done = machine.go_on(rotation, end_now=True)
        assert done.state == "done"
        current.more()
    fresh.close()
    assert (current.refused, current.times > 10) == (0, True)
    assert not logs_in(redis_server.url)
    assert desk.credentials() == 0

    redis_server.restart()
    new, old = logs_in(desk.now(database)), logs_in(redis_server.url)
    if redis_server.way == "memory":
        # It has forgotten, and this was said.
        assert (new, old) == (False, True)
        assert any("restart" in note for note in done.notes)
    else:
        assert (new, old) == (True, False)
        assert not any("restart" in note for note in done.notes)
        assert OLD not in redis_server.config.read_text()


def test_it_is_taken_back_from_every_state(desk: Desk, redis_server: RedisServer) -> None:
    database = desk.add(redis_server.url)
    before = connection_strings.parse(redis_server.url).build()
    for stop in ("make the new login", "prove the new login", "register the new login", "end the old login", None):

        class Stopped(Exception):  # noqa: N818
            pass

        def told(what: str, stop: str | None = stop, stopped: type[Exception] = Stopped) -> None:
            if what == stop:
                raise stopped

        rotation = desk.machine().begin(database, keep_seconds=3600 if stop is None else 0)
        if stop is None:
            rotation = desk.machine().go_on(rotation)
            assert rotation.state == "registered"
        else:
            with pytest.raises(Stopped):
                desk.machine(told=told).go_on(rotation)
        _, new = desk.registry.strings(rotation)
        assert desk.machine().abandon(rotation).state == "abandoned"
        assert desk.now(database).build() == before
        assert not logs_in(new)
        assert desk.credentials() == 0
        redis_server.restart()
        assert logs_in(redis_server.url)
        assert not logs_in(new)


def test_a_user_without_the_right_is_rotated_by_an_administrator(desk: Desk, tmp_path: Path) -> None:
    with RedisServer(tmp_path, "requirepass") as server:
        root = redis.Redis.from_url(server.url)
        root.execute_command("ACL", "SETUSER", "few", "on", ">few-rights", "~*", "+@read", "+ping")
        url = f"redis://few:few-rights@127.0.0.1:{server.port}/0"
        database = desk.add(url)
        refused(lambda: rotate(desk.machine(), database), "no-rights")
        refused(lambda: rotate(desk.machine(server.url.replace("Old-", "Wrong-")), database), "administrator")
        assert desk.registry.unfinished() == ()
        assert rotate(desk.machine(server.url), database).state == "done"
        assert logs_in(desk.now(database))
        assert not logs_in(url)
        # What it may do is what it was.
        user = root.execute_command("ACL", "GETUSER", "few")
        assert b"+@read" in user[b"commands"]
        assert b"+acl" not in user[b"commands"]
        root.close()


def test_what_cannot_be_rotated_is_said_with_what_to_do(desk: Desk, tmp_path: Path) -> None:
    with RedisServer(tmp_path, "memory") as server:
        port = server.port
        refused(lambda: rotate(desk.machine(), desk.add(f"redis://127.0.0.1:{port}/0")), "no-password")
        # A user that takes any password: it is nopass. Of the default user Redis says so by itself.
        with redis.Redis(port=port) as client:
            client.execute_command("ACL", "SETUSER", "open", "on", "nopass", "~*", "+@all")
        refused(lambda: rotate(desk.machine(), desk.add(f"redis://open:anything@127.0.0.1:{port}/0")), "no-password")
        refused(lambda: rotate(desk.machine(), desk.add(f"redis://:any@127.0.0.1:{port}/0")), "old-login")
        refused(lambda: rotate(desk.machine(), desk.add(f"redis://app:wrong@127.0.0.1:{port}/0")), "old-login")
        refused(lambda: rotate(desk.machine(), desk.add(server.url), way="two-logins"), "way")
        refused(lambda: rotate(desk.machine(), desk.add(server.url), login="other"), "way")
    refused(lambda: rotate(desk.machine(), desk.add(server.url)), "unreachable")
    refused(lambda: rotate(desk.machine(), desk.add("redis+cluster://a:b@127.0.0.1:1")), "unsupported")
    refused(lambda: rotate(desk.machine(), desk.add("redis+sentinel://a:b@127.0.0.1:1/main")), "unsupported")
    refusal = refused(lambda: rotate(desk.machine(), desk.add("mongodb://a:b@127.0.0.1/x")), "unsupported")
    assert "updateUser" in refusal.remedy
    assert any("lancio db update" in command for command in refusal.commands)


def test_the_files_are_left_alone_when_asked(desk: Desk, tmp_path: Path) -> None:
    with RedisServer(tmp_path, "config") as server:
        before = server.config.read_text()
        done = rotate(desk.machine(persist=False), desk.add(server.url))
        assert server.config.read_text() == before
        assert any("--no-persist" in note for note in done.notes)


def test_a_file_that_cannot_be_written_is_said(desk: Desk, tmp_path: Path) -> None:
    with RedisServer(tmp_path, "aclfile") as server:
        client = redis.Redis.from_url(server.url)
        (tmp_path / "users.acl").rename(tmp_path / "moved")
        (tmp_path / "users.acl").mkdir()
        database = desk.add(server.url)
        refusal = refused(lambda: rotate(desk.machine(), database), "refused")
        assert "ACL SAVE was refused" in refusal.message
        client.close()
        assert logs_in(server.url)
        rotation = desk.registry.unfinished()[0]
        back = desk.machine().abandon(rotation)
        assert "may still have the new password" in back.notes[-1]
        rotation = desk.machine(persist=False).begin(database)
        assert desk.machine(persist=False).go_on(rotation).state == "done"
        assert logs_in(desk.now(database))

        # A file that is lost later is said.
        (tmp_path / "users.acl").rmdir()
        rotation = rotate(desk.machine(), database, keep_seconds=60)
        assert rotation.state == "registered"
        (tmp_path / "users.acl").unlink()
        (tmp_path / "users.acl").mkdir()
        done = desk.machine().go_on(rotation, end_now=True)
        assert done.state == "done"
        assert any("ACL SAVE was refused" in note for note in done.notes)


def test_databases_of_one_server_are_not_shut_out_unasked(desk: Desk, tmp_path: Path) -> None:
    with RedisServer(tmp_path, "requirepass") as server:
        database = desk.add(server.url)
        desk.add(server.url.replace("://:", "://default:").replace("/0", "/1"))
        refused(lambda: rotate(desk.machine(), database), "shared")
        assert rotate(desk.machine(), database, keep_seconds=60).state == "registered"


def test_other_passwords_of_the_default_user_stay(desk: Desk, tmp_path: Path) -> None:
    with RedisServer(tmp_path, "requirepass") as server:
        client = redis.Redis.from_url(server.url)
        client.execute_command("ACL", "SETUSER", "default", ">somebody-else's")
        done = rotate(desk.machine(), desk.add(server.url))
        assert done.state == "done"
        assert logs_in(f"redis://:somebody-else%27s@127.0.0.1:{server.port}")
        assert any("requirepass" in note for note in done.notes)
        client.close()


def test_replicas_are_told_of(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "replica").mkdir()
    with RedisServer(tmp_path, "requirepass") as server, RedisServer(tmp_path / "replica", "memory") as replica:
        with redis.Redis.from_url(server.url) as client:
            client.config_set("repl-diskless-sync-delay", 0)
        with redis.Redis(port=replica.port, decode_responses=True) as client:
            client.config_set("masterauth", OLD)
            client.replicaof("127.0.0.1", server.port)
            until = time.monotonic() + 30
            while client.info("replication")["master_link_status"] != "up" and time.monotonic() < until:
                time.sleep(0.1)
        planned = desk.machine().plan(desk.add(server.url))
        assert any("1 replica is connected" in note and "masterauth" in note for note in planned.outlook.notes)
