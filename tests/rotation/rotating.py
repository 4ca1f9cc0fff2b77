"""A registry with databases to rotate, servers of which they are, and programs that log in all the time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self
from urllib.parse import quote
from uuid import UUID, uuid4

import psycopg
import redis
from keys import ACME, RING, an_organization
from psycopg import sql
from redis.backoff import NoBackoff
from redis.retry import Retry

from lancio.registry import connection_strings, data_keys, secrets
from lancio.registry.acting import BROKER, acting, operator
from lancio.registry.data_keys import DataKeys
from lancio.registry.opening import open_connection_string
from lancio.rotation.machine import Machine
from lancio.rotation.registry import Registry
from servers import database_of, redis_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lancio.registry.connection_strings import ConnectionString
    from lancio.rotation.model import Rotation, Way
    from servers import TestServer

PROOF = os.environ.get("LANCIO_PROOF") == "1"

OLD = "Old-Pa55word-of-the-canary"
"""The password that is rotated; never to be found anywhere."""


@dataclass
class Desk:
    """Somebody who rotates: a session of the registry's database, and keys."""

    url: str
    project: UUID
    patience_s: float = 10.0
    connection: psycopg.Connection = field(init=False)
    registry: Registry = field(init=False)

    def __post_init__(self) -> None:
        self.connection = psycopg.connect(self.url, autocommit=True)
        actor = operator()
        self.keys = DataKeys(RING)
        self.registry = Registry(
            self.connection,
            self.keys,
            lambda: acting(self.connection, actor, organization=ACME, works_as=BROKER),
            actor,
            patience_s=self.patience_s,
        )

    def close(self) -> None:
        self.connection.close()

    def machine(
        self,
        administrator: str | None = None,
        *,
        persist: bool = True,
        told: Callable[[str], None] = lambda _: None,
    ) -> Machine:
        string = None if administrator is None else connection_strings.parse(administrator)
        return Machine(self.registry, administrator=string, persist=persist, told=told)

    def add(self, url: str, *, organization: UUID = ACME, project: UUID | None = None) -> UUID:
        """Register a database by its connection string, in this project or another organization's."""
        string = connection_strings.parse(url)
        row, host = uuid4(), string.hosts[0]
        port = host.port or string.default_port
        with self.connection.transaction():
            key = self.keys.active(self.connection, organization)
            envelope = secrets.seal(url, row_id=row, key=key)
            self.connection.execute(
                "INSERT INTO platform.databases (id, project_id, name, type, host, port, username, connection_string,"
                " connection_string_encrypted) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                (
                    row, project or self.project, f"db-{row.hex[:8]}", string.kind, host.name, port, string.user,
                    secrets.sealed_form(envelope, string.kind, host.name, port), envelope,
                ),
            )  # fmt: skip
        return row

    def now(self, database: UUID) -> ConnectionString:
        """What is registered at this moment."""
        with self.connection.transaction():
            found = open_connection_string(self.connection, database, self.keys.unwrap)
        assert found is not None
        return connection_strings.parse(found.reveal())

    def credentials(self) -> int:
        row = self.connection.execute("SELECT count(*) FROM platform.credentials").fetchone()
        assert row is not None
        return int(row[0])


def rotate(
    machine: Machine, database: UUID, *, way: Way | None = None, keep_seconds: int | None = 0, login: str | None = None
) -> Rotation:
    """A rotation from its beginning as far as it goes."""
    return machine.go_on(machine.begin(database, way=way, keep_seconds=keep_seconds, login=login))


def desk_of(url: str) -> Desk:
    """The organization, its project and its data key are made in the database first."""
    with psycopg.connect(url, autocommit=True) as connection:
        project = an_organization(connection, ACME)
        with connection.transaction():
            data_keys.make(connection, RING, ACME)
    return Desk(url, project)


# --- logging in -------------------------------------------------------------------------------------------------------


def logs_in(string: ConnectionString | str) -> bool:
    """Whether a program that has this string gets in, asked of the drivers themselves."""
    text = string if isinstance(string, str) else string.build()
    if text.startswith("postgres"):
        try:
            with psycopg.connect(text, connect_timeout=60) as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.OperationalError:
            return False
    client = redis.Redis.from_url(text, retry=Retry(NoBackoff(), 0), socket_timeout=60)
    try:
        return bool(client.ping())
    except redis.AuthenticationError:
        return False
    finally:
        client.close()


class Program(threading.Thread):
    """Logs in without a pause, each time with what `string` gives; keeps when it was refused."""

    def __init__(self, string: Callable[[], ConnectionString]) -> None:
        super().__init__(daemon=True)
        self._string, self._over = string, threading.Event()
        self.times, self.refused = 0, 0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._over.is_set():
                self.refused += not logs_in(self._string())
                self.times += 1
        except BaseException as error:
            self.error = error

    def __enter__(self) -> Self:
        self.start()
        while self.times == 0 and self.error is None:
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join(30)
        if self.error is not None:
            raise self.error

    def more(self, logins: int = 5) -> None:
        """Wait until it has logged in some times more."""
        until, seconds = self.times + logins, time.monotonic() + 60
        while self.times < until and self.error is None and time.monotonic() < seconds:
            time.sleep(0.01)


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


@dataclass
class Roles:
    """A role with a database of its own on a server, under names that no other test has."""

    server: TestServer
    name: str
    database: str

    @property
    def url(self) -> str:
        return f"postgresql://{self.name}:{quote(OLD)}@{self.server.host}:{self.server.port}/{self.database}"

    @property
    def administrator(self) -> str:
        return self.server.url()

    def run(self, statement: str) -> None:
        """A statement by the superuser, in that database; `{role}` is the role."""
        with self.server.connect(self.database) as connection:
            connection.execute(sql.SQL(statement).format(role=sql.Identifier(self.name)))  # type: ignore[arg-type]

    def roles(self) -> set[str]:
        """The names of all roles that begin with this one's."""
        with self.server.connect() as connection:
            found = connection.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE %s", (f"{self.name}%",))
            return {row[0] for row in found.fetchall()}


_FREE: dict[tuple[str, int], list[str]] = {}
"""Databases that a role has had, by server: making one takes longer than most tests."""


@contextlib.contextmanager
def a_role(server: TestServer, *, encryption: str = "scram-sha-256", attributes: str = "") -> Iterator[Roles]:
    """A role that logs in with OLD and owns a database; gone with all that a rotation made at the end."""
    free = _FREE.setdefault((server.host, server.port), [])
    place = Roles(server, f"app_{uuid4().hex[:8]}", free.pop() if free else database_of(server.create_database()))
    with server.connect(place.database) as connection:
        connection.execute(sql.SQL("SET password_encryption = {}").format(sql.Literal(encryption)))
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN {} PASSWORD {}").format(
                sql.Identifier(place.name), sql.SQL(attributes), sql.Literal(OLD)
            )
        )
        connection.execute(
            sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(place.database), sql.Identifier(place.name))
        )
        connection.execute(sql.SQL("CREATE SCHEMA own AUTHORIZATION {}").format(sql.Identifier(place.name)))
    try:
        yield place
    finally:
        with server.connect(place.database) as connection:
            connection.execute(
                sql.SQL("ALTER DATABASE {} OWNER TO CURRENT_USER").format(sql.Identifier(place.database))
            )
            for statement in ("DROP OWNED BY {} CASCADE", "DROP ROLE {}"):
                for role in sorted(place.roles(), key=len, reverse=True):
                    connection.execute(sql.SQL(statement).format(sql.Identifier(role)))  # type: ignore[arg-type]
        free.append(place.database)


@contextlib.contextmanager
def hba(server: TestServer, *lines: str) -> Iterator[None]:
    """Lines before all others in pg_hba.conf, for a while."""
    assert server.data is not None
    path = server.data / "pg_hba.conf"
    before = path.read_text()

    def load(text: str) -> None:
        path.write_text(text)
        with server.connect() as connection:
            connection.execute("SELECT pg_reload_conf()")
        time.sleep(0.3)  # until the postmaster has read it

    load("\n".join(lines) + "\n" + before)
    try:
        yield
    finally:
        load(before)


# --- Redis ------------------------------------------------------------------------------------------------------------


class RedisServer:
    """Debian's redis-server in a folder of its own. `way` is where its user and password are."""

    WAYS = ("requirepass", "config", "aclfile", "memory")

    def __init__(self, folder: Path, way: str) -> None:
        self.folder, self.way = folder, way
        self.port = _port()
        user = f"user app on #{hashlib.sha256(OLD.encode()).hexdigest()} ~* &* +@all"
        lines = [f"port {self.port}", "bind 127.0.0.1", "save ''", f"dir {folder}", f"logfile {folder}/redis.log"]
        if way == "requirepass":
            lines.append(f"requirepass {OLD}")
        elif way == "config":
            lines.append(user)
        elif way == "aclfile":
            (folder / "users.acl").write_text(f"user default on nopass ~* &* +@all\n{user}\n")
            lines.append(f"aclfile {folder}/users.acl")
        self.config = folder / "redis.conf"
        self.config.write_text("\n".join(lines) + "\n")
        self._options = [word for line in lines for word in _option(line)]
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        user = "" if self.way == "requirepass" else "app"
        return f"redis://{user}:{quote(OLD)}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        program = redis_program()
        # Without a file it has nothing to remember users in.
        words = self._options if self.way == "memory" else [str(self.config)]
        self._process = subprocess.Popen([program, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                break
            time.sleep(0.02)
        if self.way == "memory":
            with redis.Redis(port=self.port) as client:
                client.execute_command("ACL", "SETUSER", *self._user.split()[1:])

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(20)

    def restart(self) -> None:
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _port() -> int:
    """A port that nothing listens on, below those that the system gives to who connects: it is not taken meanwhile."""
    while True:
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port := random.SystemRandom().randrange(15000, 32000)))
            return port


def _option(line: str) -> list[str]:
    name, _, value = line.partition(" ")
    return [f"--{name}", "" if value == "''" else value]


# --- kills ------------------------------------------------------------------------------------------------------------


def killed(desk: Desk, work: Callable[[Desk, Callable[[str], None]], object], *, at: int) -> tuple[bool, str]:
    """Do the work in a process of its own, which kills itself the `at`th time that it tells what comes next.

    Returns whether it came so far, and what was to come next.
    """
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        status = 3
        try:
            os.close(ours)
            count = 0

            def told(what: str) -> None:
                nonlocal count
                count += 1
                if count == at:
                    os.write(theirs, what.encode())
                    os.kill(os.getpid(), signal.SIGKILL)

            work(Desk(desk.url, desk.project), told)
            status = 0
        finally:
            os._exit(status)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        said = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the work failed, see above"
    return os.WIFSIGNALED(status), said
