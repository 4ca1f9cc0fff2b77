"""`lancio.connect`: the ready client of a registered database, opened through the broker, for whom it concerns."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import psycopg
import pytest
from keys import KEK
from registering import Desk, made, project

import lancio
from lancio import broker, drivers
from lancio.errors import LancioError, UsageError
from lancio.registry import connection_strings, databases
from lancio.registry.acting import ActingRefused, NotAllowed
from lancio.registry.connection_strings import PostgreSQL
from lancio.registry.connection_strings.model import Host
from lancio.registry.databases import Ambiguous, Placeholder
from lancio.registry.opening import OpeningRefused
from lancio.registry.refusal import NotThere
from lancio.registry.secrets import KeyRefused, Secret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers import TestServer

SECRET = "Can4ry/of the %broker@:?#"
VARIABLES = ("LANCIO_USER", "LANCIO_ORG", "LANCIO_KEY_FILE", "LANCIO_KEK", "LANCIO_KEK_FILE", "LANCIO_KEK_COMMAND",
             "LANCIO_OLD_KEK", "LANCIO_OLD_KEK_FILE", "LANCIO_OLD_KEK_COMMAND")  # fmt: skip

needs_drivers = pytest.mark.skipif(not hasattr(drivers, "client"), reason="the drivers are not here")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, registry: str) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    kek = tmp_path / "lancio.kek"
    kek.write_text(f"kek = {KEK.secret.hex()}\n")
    kek.chmod(0o600)
    monkeypatch.setenv("LANCIO_KEK_FILE", str(kek))
    monkeypatch.setenv("LANCIO_ORG", "acme")
    monkeypatch.setenv("DATABASE_URL", registry)


@pytest.fixture
def desk(registry: str) -> Iterator[Desk]:
    with psycopg.connect(registry, autocommit=True) as connection:
        yield Desk(connection)


def add(desk: Desk, name: str, value: connection_strings.ConnectionString, to: str = "shop") -> databases.Database:
    with desk.work() as work:
        return databases.add(work, desk.keys, project(work, to), name, value)


def redis(desk: Desk, name: str = "cache", to: str = "shop") -> databases.Database:
    return add(desk, name, connection_strings.parse("redis://default:pw@cache.test:6379/0"), to)


def test_the_string_is_opened_for_the_operator_and_written_down(desk: Desk) -> None:
    there = redis(desk)
    assert broker.opened("cache", project="shop").build() == "redis://default:pw@cache.test:6379/0"
    assert broker.opened(str(there.id), organization="acme").build() == "redis://default:pw@cache.test:6379/0"
    told = desk.connection.execute(
        "SELECT action, count(*) FROM platform.audit_logs WHERE target_id = %s::text GROUP BY 1 ORDER BY 1", (there.id,)
    ).fetchall()
    assert told == [("database.add", 1), ("database.open", 2), ("secret.open", 2)]


def test_what_cannot_be_is_refused_before_anything_is_connected_to(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    redis(desk)
    redis(desk, to="blog")
    with pytest.raises(Ambiguous), lancio.connect("cache"):
        pass
    with pytest.raises(NotThere), lancio.connect("cash", project="shop"):
        pass
    with pytest.raises(NotThere), lancio.connect("cache", project="elsewhere"):
        pass
    with pytest.raises(Placeholder), lancio.connect("Railway Redis", organization="lancio"):
        pass
    with pytest.raises(ActingRefused), lancio.connect("cache", organization="nowhere"):
        pass
    monkeypatch.setenv("LANCIO_USER", "looker@acme.test")
    with pytest.raises(NotAllowed), lancio.connect("cache", project="shop"):
        pass
    monkeypatch.setenv("LANCIO_USER", "dev@other.test")
    with pytest.raises(ActingRefused), lancio.connect("cache", project="shop"):
        pass
    with pytest.raises(NotThere), lancio.connect("cache", organization="other"):
        pass
    monkeypatch.setenv("LANCIO_USER", "nobody@acme.test")
    with pytest.raises(ActingRefused), lancio.connect("cache", project="shop"):
        pass
    monkeypatch.delenv("LANCIO_USER")
    monkeypatch.delenv("LANCIO_ORG")
    with pytest.raises(UsageError) as refused, lancio.connect("cache", project="shop"):
        pass
    assert "acme, lancio, other" in refused.value.cause
    other = tmp_path / "other.kek"
    other.write_text(f"kek = {bytes(32).hex()}\n")
    other.chmod(0o600)
    monkeypatch.setenv("LANCIO_KEK_FILE", str(other))
    with pytest.raises(KeyRefused), lancio.connect("cache", project="shop", organization="acme"):
        pass
    monkeypatch.delenv("LANCIO_KEK_FILE")
    with pytest.raises(KeyRefused), lancio.connect("cache", project="shop", organization="acme"):
        pass


def test_a_destroyed_key_is_told_as_one(desk: Desk) -> None:
    redis(desk)
    desk.connection.execute("SELECT platform.destroy_data_keys(%s)", (made("acme"),))
    with pytest.raises(OpeningRefused) as refused, lancio.connect("cache", project="shop"):
        pass
    assert "was destroyed" in refused.value.message


def test_the_module_is_light_until_it_is_used() -> None:
    code = "import sys, lancio; lancio.connect; sys.exit('psycopg' in sys.modules or 'click' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@needs_drivers
def test_a_postgresql_client_is_ready_and_shows_no_password(desk: Desk, server: TestServer, registry: str) -> None:
    from psycopg import sql

    name = f"{desk.connection.info.dbname}_app"
    desk.connection.execute(
        sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), sql.Literal(SECRET))
    )
    try:
        value = PostgreSQL((Host(server.host, server.port),), name, Secret(SECRET), desk.connection.info.dbname)
        add(desk, "main", value)
        with lancio.connect("main", project="shop") as client:
            assert client.execute("SELECT current_user::text").fetchone() == (name,)
            assert SECRET not in repr(client) + str(client)
        assert client.closed
        wrong = PostgreSQL((Host(server.host, server.port),), name, Secret("wrong"), desk.connection.info.dbname)
        add(desk, "wrong", wrong)
        with pytest.raises(LancioError) as refused, lancio.connect("wrong"):
            pass
        assert refused.value.as_dict()["finding"] == "login-failed" or "login-failed" in str(refused.value.as_dict())
    finally:
        desk.connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
