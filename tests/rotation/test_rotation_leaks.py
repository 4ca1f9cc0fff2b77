"""No password of a rotation is anywhere but in the sealed envelopes and in the programs' own hands."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import threading
from typing import TYPE_CHECKING

import psycopg
import redis
from rotating import OLD, RedisServer, a_role, rotate

from lancio.registry import connection_strings

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

    from rotating import Desk

    from conftest import Pool
    from servers import TestServer


class Watcher(threading.Thread):
    """Reads what pg_stat_activity shows, over and over."""

    def __init__(self, server: TestServer) -> None:
        super().__init__(daemon=True)
        self._server, self._over, self.seen = server, threading.Event(), set()

    def run(self) -> None:
        with self._server.connect() as connection:
            while not self._over.is_set():
                self.seen.update(row[0] for row in connection.execute("SELECT query FROM pg_stat_activity").fetchall())

    def stop(self) -> str:
        self._over.set()
        self.join()
        return "\n".join(each for each in self.seen if each)


def secrets_of(desk: Desk, database: UUID, more: list[str]) -> set[str]:
    password = desk.now(database).password
    assert password is not None
    return {OLD, password.reveal(), *more}


def is_of(password: str, rounds: str, salt: str, server_key: str) -> bool:
    """Whether it is the verifier of this password (RFC 5802)."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(rounds))
    return hmac.digest(salted, b"Server Key", "sha256") == base64.b64decode(server_key)


def rows_of(url: str) -> str:
    """All that is in the registry, as text."""
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'platform'").fetchall()
        return "\n".join(
            str(row) for (table,) in tables for row in connection.execute(f"SELECT t::text FROM platform.{table} t")
        )


def test_no_password_reaches_postgresqls_log_its_views_or_the_registry(desk: Desk, pool: Pool) -> None:
    server = pool.get(18)
    assert server.log_file is not None
    drawn: list[str] = []
    with server.connect() as connection:
        connection.execute("ALTER SYSTEM SET log_statement = 'all'")
        connection.execute("ALTER SYSTEM SET log_min_duration_statement = 0")
        connection.execute("SELECT pg_reload_conf()")
        began = server.log_file.stat().st_size
        watcher = Watcher(server)
        try:
            with a_role(server) as role, a_role(server) as other:
                began = server.log_file.stat().st_size  # behind what the test itself has said
                watcher.start()
                said: list[str] = []
                for place, way, administrator in (
                    (role, "two-logins", role.administrator), (other, "same-login", None)
                ):  # fmt: skip
                    database = desk.add(place.url)
                    machine = desk.machine(administrator, told=said.append)
                    for _ in range(2):
                        rotation = rotate(machine, database, way=way, keep_seconds=None)  # type: ignore[arg-type]
                        drawn.extend(secrets_of(desk, database, []))
                        said.append(repr(rotation))
                        said.append(repr(machine.go_on(rotation, end_now=True)))
                    machine.abandon(machine.begin(database, way=way))  # type: ignore[arg-type]
                views = watcher.stop()
                rows = rows_of(desk.url)
        finally:
            connection.execute("ALTER SYSTEM RESET log_statement")
            connection.execute("ALTER SYSTEM RESET log_min_duration_statement")
            connection.execute("SELECT pg_reload_conf()")
    log = server.log_file.read_bytes()[began:].decode(errors="replace")
    # The detectors see what there is to see: the statements themselves.
    assert "ALTER ROLE" in log
    assert "SCRAM-SHA-256$" in log
    assert len(set(drawn)) == 5
    # A password that people chose could be guessed from its verifier.
    verifiers = re.findall(r"SCRAM-SHA-256\$(\d+):([^$]+)\$[^:]+:([A-Za-z0-9+/=]+)", log)
    assert len(verifiers) > 5
    assert not any(is_of(OLD, *each) for each in verifiers)
    assert any(is_of(secret, *each) for each in verifiers for secret in drawn)
    for secret in drawn:
        for where, text in {"log": log, "views": views, "rows": rows, "words": "\n".join(said)}.items():
            assert secret not in text, where


def test_no_password_reaches_a_monitor_the_slow_log_or_the_log_of_redis(desk: Desk, tmp_path: Path) -> None:
    with RedisServer(tmp_path, "requirepass") as server:
        root = redis.Redis.from_url(server.url, decode_responses=True)
        root.config_set("slowlog-log-slower-than", 0)
        root.config_set("loglevel", "debug")
        drawn: list[str] = []
        database = desk.add(server.url)
        seen: list[str] = []
        with root.monitor() as monitor:
            rotate(desk.machine(), database)
            drawn.extend(secrets_of(desk, database, []))
            desk.machine(desk.now(database).build()).abandon(desk.machine().begin(database))
            current = redis.Redis.from_url(desk.now(database).build())
            current.echo("the-end")
            while not any("the-end" in each for each in seen):
                seen.append(str(monitor.next_command()))
        slow = str(current.slowlog_get(1000))
        current.close()
        root.close()
        assert "SETUSER" in slow
        for secret in drawn:
            for where, text in {"monitor": "\n".join(seen), "slow log": slow,
                                "log": (tmp_path / "redis.log").read_text()}.items():  # fmt: skip
                assert secret not in text, where
        # The configuration file is where Redis itself keeps requirepass; the new one alone.
        assert OLD not in server.config.read_text()


def test_what_is_shown_of_a_refusal_holds_no_password(desk: Desk) -> None:
    from lancio.rotation.model import CredentialRotationRefused

    for url in (f"postgresql://u:{OLD}@127.0.0.1:1/x", f"redis://u:{OLD}@127.0.0.1:1", f"mongodb://u:{OLD}@127.0.0.1/x",
                f"redis+cluster://u:{OLD}@127.0.0.1:1"):  # fmt: skip
        database = desk.add(url)
        administrator = None if url.startswith("mongodb") else connection_strings.parse(url).build()
        try:
            rotate(desk.machine(administrator), database)
        except CredentialRotationRefused as refused:
            text = str(refused.as_dict())
            assert OLD not in text
            assert "u:" not in text
        else:
            raise AssertionError("nobody answers there")
