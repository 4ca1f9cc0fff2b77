"""`lancio.connect`: the ready client of a registered database, opened through the broker, for whom it concerns."""

from __future__ import annotations

import asyncio
import random
import re
import subprocess
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import mongod
import psycopg
import pytest
from isolation import PROOF
from keys import KEK
from psycopg import sql
from registering import Desk, made, project, redis_server
from test_databases import PRINTABLE, hostile

import lancio
from lancio import broker
from lancio.drivers import DatabaseRefused
from lancio.errors import ServerError, UsageError
from lancio.registry import connection_strings, databases
from lancio.registry.acting import ActingRefused, NotAllowed
from lancio.registry.connection_strings import MongoDB, PostgreSQL, Redis
from lancio.registry.connection_strings.model import Host
from lancio.registry.databases import Ambiguous, Change, Placeholder
from lancio.registry.opening import OpeningRefused
from lancio.registry.refusal import NotThere
from lancio.registry.secrets import KeyRefused, Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import TestServer

SECRET = "Can4ry/of the %broker@:?#"
VARIABLES = ("LANCIO_USER", "LANCIO_ORG", "LANCIO_KEY_FILE", "LANCIO_KEK", "LANCIO_KEK_FILE", "LANCIO_KEK_COMMAND",
             "LANCIO_OLD_KEK", "LANCIO_OLD_KEK_FILE", "LANCIO_OLD_KEK_COMMAND")  # fmt: skip

HOSTILE = 1000 if PROOF else 5
CANARY = "Can4ry-of-the-broker"


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


def test_a_program_has_a_login_of_its_own(desk: Desk, server: TestServer, monkeypatch: pytest.MonkeyPatch) -> None:
    redis(desk)
    page = Path(__file__).parents[2] / "docs" / "how-to" / "use-a-registered-database.md"
    [made] = re.findall(r"^CREATE ROLE broker (LOGIN BYPASSRLS .*);$", page.read_text(encoding="utf-8"), re.MULTILINE)
    name = f"{desk.connection.info.dbname}_broker"
    password = server.password or "not-asked-for"
    monkeypatch.setenv(
        "DATABASE_URL", f"postgresql://{name}:{password}@{server.host}:{server.port}/{desk.connection.info.dbname}"
    )
    monkeypatch.setenv("LANCIO_USER", "dev@acme.test")
    for rights, refused in ((made, None), ("LOGIN BYPASSRLS IN ROLE lancio_service", ServerError)):
        desk.connection.execute(f"CREATE ROLE {name} {rights} PASSWORD '{password}'")  # type: ignore[call-overload]
        try:
            if refused is None:
                assert broker.opened("cache", project="shop").build() == "redis://default:pw@cache.test:6379/0"
                monkeypatch.setenv("LANCIO_USER", "looker@acme.test")
                with pytest.raises(NotAllowed):
                    broker.opened("cache", project="shop")
            else:
                with pytest.raises(refused):
                    broker.opened("cache", project="shop")
        finally:
            desk.connection.execute(f"DROP ROLE {name}")  # type: ignore[call-overload]


def test_a_destroyed_key_is_told_as_one(desk: Desk) -> None:
    redis(desk)
    desk.connection.execute("SELECT platform.destroy_data_keys(%s)", (made("acme"),))
    with pytest.raises(OpeningRefused) as refused, lancio.connect("cache", project="shop"):
        pass
    assert "was destroyed" in refused.value.message


def test_the_module_is_light_until_it_is_used() -> None:
    code = "import sys, lancio; lancio.connect; sys.exit('psycopg' in sys.modules or 'click' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def hidden(client: object, secret: str) -> bool:
    """Nothing that a program would print of a client shows the password."""
    inside = [client, getattr(client, "connection_pool", None), getattr(client, "options", None)]
    return not any(secret in repr(each) + str(each) for each in inside)


@pytest.fixture
def login(desk: Desk) -> Iterator[str]:
    """A login of PostgreSQL that may be given any password."""
    name = f"{desk.connection.info.dbname}_app"
    desk.connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
    yield name
    desk.connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_a_hostile_password_of_postgresql_is_registered_opened_and_connects(
    desk: Desk, server: TestServer, login: str
) -> None:
    dice = random.Random(11)
    there = None
    for _ in range(HOSTILE):
        password = Secret(hostile(dice))
        desk.connection.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(login), sql.Literal(password.reveal()))
        )
        value = PostgreSQL((Host(server.host, server.port),), login, password, desk.connection.info.dbname)
        if there is None:
            there = add(desk, "main", value)
        else:
            with desk.work() as work:
                there = databases.update(work, desk.keys, there, Change(value=value), version=there.version)
        with lancio.connect("main", project="shop") as client:
            assert client.execute("SELECT current_user::text").fetchone() == (login,)
            assert hidden(client, password.reveal())
    assert client.closed


def test_a_hostile_password_of_redis_is_registered_opened_and_connects(desk: Desk, tmp_path: Path) -> None:
    dice = random.Random(12)
    there = None
    password = hostile(dice)
    with redis_server(tmp_path, password) as port:
        for _ in range(HOSTILE):
            value = Redis((Host("127.0.0.1", port),), None, Secret(password), "0")
            if there is None:
                there = add(desk, "cache", value)
            else:
                with desk.work() as work:
                    there = databases.update(work, desk.keys, there, Change(value=value), version=there.version)
            with lancio.connect("cache", project="shop") as client:
                assert client.set("greeting", "hello")
                assert hidden(client, password)
                password = hostile(dice)
                client.config_set("requirepass", password)


def test_a_hostile_password_of_mongodb_is_registered_opened_and_connects(desk: Desk) -> None:
    dice = random.Random(13)
    for number in range(HOSTILE):
        # SASLprep, by which SCRAM-SHA-256 takes passwords, has no place for some characters beyond ASCII.
        password = "".join(dice.sample(PRINTABLE, len(PRINTABLE)))
        ada = mongod.User.with_password("ada", password)
        with mongod.Mongod(mongod.Script(users=(ada,))) as server:
            where = Host("127.0.0.1", server.port)
            value = MongoDB((where,), "ada", Secret(password), "app", (("authSource", "admin"),))
            add(desk, f"events-{number}", value)
            with lancio.connect(f"events-{number}", project="shop") as client:
                assert client.admin.command("ping")["ok"] == 1
                assert hidden(client, password)


def test_each_kind_has_its_asynchronous_client_too(desk: Desk, server: TestServer, login: str, tmp_path: Path) -> None:
    desk.connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(login), sql.Literal(SECRET)))
    ada = mongod.User.with_password("ada", SECRET)
    with redis_server(tmp_path, SECRET) as port, mongod.Mongod(mongod.Script(users=(ada,))) as mongo:
        secret = Secret(SECRET)
        main = (Host(server.host, server.port),)
        add(desk, "main", PostgreSQL(main, login, secret, desk.connection.info.dbname))
        add(desk, "cache", Redis((Host("127.0.0.1", port),), None, secret, "0"))
        where = (Host("127.0.0.1", mongo.port),)
        add(desk, "events", MongoDB(where, "ada", secret, "app", (("authSource", "admin"),)))

        async def use() -> None:
            async with lancio.connect_async("main", project="shop") as connection:
                found = await connection.execute("SELECT current_user::text")
                assert await found.fetchone() == (login,)
                assert hidden(connection, SECRET)
            assert connection.closed
            async with lancio.connect_async("cache", project="shop") as client:
                assert await client.set("greeting", "hello")
                assert hidden(client, SECRET)
            async with lancio.connect_async("events", project="shop") as client:
                assert (await client.admin.command("ping"))["ok"] == 1
                assert hidden(client, SECRET)
            with pytest.raises(NotThere):
                async with lancio.connect_async("cash", project="shop"):
                    pass

        asyncio.run(use())
    told = desk.connection.execute("SELECT count(*) FROM platform.audit_logs WHERE action = 'database.open'").fetchone()
    assert told == (3,)


def test_what_cannot_be_reached_is_told_by_its_code_and_without_the_secret(
    desk: Desk, server: TestServer, login: str
) -> None:
    value = PostgreSQL((Host(server.host, server.port),), login, Secret(SECRET), desk.connection.info.dbname)
    add(desk, "wrong", value)
    with pytest.raises(DatabaseRefused) as refused, lancio.connect("wrong"):
        pass
    assert refused.value.finding.code in ("login-failed", "login-required")
    add(desk, "nobody", connection_strings.parse(f"redis://:{CANARY}@127.0.0.1:1/0"))
    with pytest.raises(DatabaseRefused) as refused_too, lancio.connect("nobody"):
        pass
    assert refused_too.value.finding.code == "refused"
    for error in (refused.value, refused_too.value):
        told = "".join(traceback.format_exception(error))
        assert SECRET not in told
        assert CANARY not in told


def test_a_block_that_fails_closes_its_client_and_the_error_is_the_block_s(desk: Desk, tmp_path: Path) -> None:
    with redis_server(tmp_path, SECRET) as port:
        add(desk, "cache", Redis((Host("127.0.0.1", port),), None, Secret(SECRET), "0"))
        with pytest.raises(ZeroDivisionError), lancio.connect("cache") as client:
            raise ZeroDivisionError
        assert client.connection_pool is not None
