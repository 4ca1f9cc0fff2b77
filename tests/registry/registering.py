"""Organizations, projects and people for the tests of registered databases, and who works in their names."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from isolation import SPACE
from keys import RING

from lancio.registry import projects
from lancio.registry.acting import Acting, Actor, acting, operator
from lancio.registry.data_keys import DataKeys
from servers import redis_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psycopg

ACME, OTHER = "acme", "other"
PROJECTS = {"shop": ACME, "blog": ACME, "elsewhere": OTHER}
MEMBERS = {
    "dev@acme.test": (ACME, "developer"),
    "looker@acme.test": (ACME, "read_only"),
    "dev@other.test": (OTHER, "developer"),
}


def made(what: str) -> UUID:
    """A UUID that is the same in every run."""
    return uuid5(SPACE, f"registering/{what}")


def people(connection: psycopg.Connection[Any]) -> None:
    """Two organizations with projects and members, by a session that policies do not bind."""
    for slug in (ACME, OTHER):
        connection.execute(
            "INSERT INTO platform.organizations (id, slug, name) VALUES (%s, %s, %s)", (made(slug), slug, slug)
        )
    for slug, of in PROJECTS.items():
        connection.execute(
            "INSERT INTO platform.projects (id, organization_id, slug, name) VALUES (%s, %s, %s, %s)",
            (made(slug), made(of), slug, slug),
        )
    for email, (of, role) in MEMBERS.items():
        connection.execute("INSERT INTO platform.users (id, primary_email) VALUES (%s, %s)", (made(email), email))
        connection.execute(
            "INSERT INTO platform.organization_members (organization_id, user_id, role) VALUES (%s, %s, %s)",
            (made(of), made(email), role),
        )


def user(email: str) -> Actor:
    return Actor("user", made(email), email)


DEV, LOOKER, STRANGER = user("dev@acme.test"), user("looker@acme.test"), user("dev@other.test")


class Desk:
    """Somebody who works on the registry in acme, with the keys."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection, self.keys = connection, DataKeys(RING)

    @contextmanager
    def work(self, actor: Actor | None = None, organization: str = ACME) -> Iterator[Acting]:
        with acting(self.connection, actor or operator(), organization=organization) as work:
            yield work


def project(work: Acting, slug: str = "shop") -> projects.Project:
    return projects.one(work, slug)


@contextmanager
def redis_server(folder: Path, password: str) -> Iterator[int]:
    """Debian's redis-server with this password; gives its port."""
    program = redis_program()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    escaped = "".join(f"\\x{byte:02x}" for byte in password.encode())
    (folder / "redis.conf").write_text(
        f'port {port}\nbind 127.0.0.1\nsave ""\ndir {folder}\nlogfile redis.log\nrequirepass "{escaped}"\n'
    )
    process = subprocess.Popen([program, str(folder / "redis.conf")], stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(20)
