"""What is built logs in: hostile users and passwords at a real PostgreSQL and a real Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import redis
from made_strings import PRINTABLE, Maker
from psycopg import sql

from acceptance.services_outside import Redis as RedisServer
from lancio.registry.connection_strings import Host, PostgreSQL, Redis, parse
from lancio.registry.secrets import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from servers import TestServer

TIMES = 12


def hostile() -> list[tuple[str, str]]:
    """Users and passwords; what libpq's SASLprep or a server would change is not in them."""
    maker = Maker(5)
    found = [(f"x{n}{maker.nasty()[:20]}", maker.password(maker.canary()) or "p") for n in range(TIMES)]
    found.append(("x" + PRINTABLE[:50], PRINTABLE))
    return [("".join(c for c in user if c >= " "), password) for user, password in found]


def test_hostile_users_and_passwords_log_in_at_postgresql(server: TestServer) -> None:
    given = parse(server.url())
    with server.connect() as administrator:
        for user, password in hostile():
            name = user.encode()[:63].decode(errors="ignore")
            create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), sql.Literal(password))
            administrator.execute(create)
            value = PostgreSQL(given.hosts, name, Secret(password), given.database)
            try:
                for text in (value.build(), parse(value.build()).single(value.hosts[0]).build()):
                    with psycopg.connect(text) as connection:
                        assert connection.execute("SELECT current_user").fetchone() == (name,)
            finally:
                administrator.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_hostile_users_and_passwords_log_in_at_redis(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "start") as running:
        administrator = redis.Redis(port=running.port, password="start")
        for n, (user, password) in enumerate(hostile()):
            # Redis allows no spaces in the name of a user.
            name = user.replace(" ", "_")
            administrator.execute_command("ACL", "SETUSER", name, "on", f">{password}", "~*", "+@all")
            value = Redis((Host("127.0.0.1", running.port),), name, Secret(password), str(n % 16))
            client = redis.Redis.from_url(value.build())
            assert client.execute_command("ACL", "WHOAMI").decode() == name
            client.set("written", n)
            client.close()
            with redis.Redis(port=running.port, password="start", db=n % 16) as looked:
                assert looked.get("written") == str(n).encode()
        administrator.close()
