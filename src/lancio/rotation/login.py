"""One attempt to log in, by the driver's own client; what stands in the way is told by a probe's finding."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psycopg

from lancio import drivers
from lancio.drivers import DatabaseRefused, Limits
from lancio.rotation.model import CredentialRotationRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import redis

    from lancio.registry.connection_strings import PostgreSQL, Redis

T = TypeVar("T")

LIMITS: Final = Limits(connect_s=10.0, total_s=20.0)

_STATEMENT: Final = "30s"
_LOCK: Final = "10s"
_SETTINGS: Final = (
    "SELECT pg_catalog.set_config('statement_timeout', %s, true), pg_catalog.set_config('lock_timeout', %s, true)"
)
_LATER: Final = frozenset(("timeout", "starting", "stopping", "too-many-connections", "closed", "no-primary"))
"""What says nothing about the login: the server may let it in another time."""


def answered(refused: DatabaseRefused) -> bool:
    """Whether a server has said no to this login, rather than that nobody answered or that it is no time for it."""
    return refused.finding.layer not in ("name", "reach") and refused.finding.code not in _LATER


@contextlib.contextmanager
def postgresql(string: PostgreSQL, *, files: bool = False) -> Iterator[psycopg.Connection[Any]]:
    """A session with one transaction for the block, whose statements end within their limits; closed behind it.

    What is set in it is to be set for the transaction alone: a pooler would hand it on to programs. With `files` the
    string may name files and Unix sockets of this machine.

    Raises:
        DatabaseRefused: there is none to be had.
        CredentialRotationRefused: what the server refuses in it, without its own words, which may hold a statement.
    """
    with drivers.client(string, LIMITS, local_files=files) as connection:
        try:
            connection.autocommit = True
            with connection.transaction():
                connection.execute(_SETTINGS, (_STATEMENT, _LOCK))
                yield connection
        except psycopg.errors.InsufficientPrivilege:
            raise CredentialRotationRefused(
                "no-rights",
                "this login may not change roles as it is needed",
                cause="Making a role takes CREATEROLE, and from PostgreSQL 16 on the ADMIN OPTION of the role that it "
                "is to work as; so does changing another role's password. Some attributes and settings of a login only "
                "a superuser may give to another one.",
                remedy="Give an administrator's connection string, or change the login's own password.",
                commands=("lancio db rotate NAME --admin-file FILE", "lancio db rotate NAME --way same-login"),
            ) from None
        except psycopg.Error as error:
            if connection.closed:
                raise CredentialRotationRefused(
                    "unreachable",
                    "the connection to the server broke",
                    cause="It was stopped, or somebody ended the session.",
                    remedy="Try again.",
                ) from None
            raise CredentialRotationRefused(
                "refused",
                f"PostgreSQL refuses it (SQLSTATE {error.sqlstate or 'none'})",
                cause="Its log tells why; what it said is not shown, since it may quote a statement.",
                remedy="Look at the server's log, mend it, and go on or take the rotation back.",
            ) from None


@contextlib.contextmanager
def redis_(string: Redis, *, files: bool = False) -> Iterator[redis.Redis]:
    """A client that has logged in, and answers in text; closed behind the block.

    Raises:
        DatabaseRefused: there is none to be had.
    """
    others = tuple(option for option in string.options if option[0] != "decode_responses")
    text = replace(string, options=(*others, ("decode_responses", "true")))
    with drivers.client(text, LIMITS, local_files=files) as client:
        yield client


@contextlib.contextmanager
def first(attempts: Sequence[contextlib.AbstractContextManager[T]]) -> Iterator[T]:
    """The session of the first of several logins that is let in.

    Raises:
        DatabaseRefused: none is; told of the first.
    """
    failed: DatabaseRefused | None = None
    for attempt in attempts:
        with contextlib.ExitStack() as stack:
            try:
                session = stack.enter_context(attempt)
            except DatabaseRefused as refused:
                failed = failed or refused
                continue
            yield session
            return
    assert failed is not None  # noqa: S101  there is at least one
    raise failed


@contextlib.contextmanager
def patiently(string: PostgreSQL, *, files: bool, seconds: float) -> Iterator[psycopg.Connection[Any]]:
    """As `postgresql`, tried again for a while: a replica hears of a new role a moment later.

    Raises:
        DatabaseRefused: not within that time.
    """
    until = time.monotonic() + seconds
    with contextlib.ExitStack() as stack:
        while True:
            try:
                session = stack.enter_context(postgresql(string, files=files))
                break
            except DatabaseRefused as refused:
                if not answered(refused) or time.monotonic() >= until:
                    raise
            time.sleep(0.25)
        yield session
