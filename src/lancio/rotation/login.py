"""One attempt to log in, ended within its limit and told without a word of the driver's.

What a driver says when it fails holds hosts, users, and now and then more. Here it is one of three: nobody answered,
who answered did not let us in, or it let us in.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any, Final

import psycopg

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

    from lancio.registry.connection_strings import ConnectionString, Host, PostgreSQL, Redis

CONNECT_S: Final = 10
STATEMENT_S: Final = 30
LOCK_S: Final = 10

_LIMITS: Final = (
    "SELECT pg_catalog.set_config('statement_timeout', %s, false), pg_catalog.set_config('lock_timeout', %s, false)"
)


class LoginFailed(Exception):  # noqa: N818  (a fact, which the caller turns into a refusal)
    """Not let in. `answered` tells whether somebody answered at all; `kind` is the class of the driver's error."""

    def __init__(self, *, answered: bool, kind: str) -> None:
        super().__init__(kind)
        self.answered, self.kind = answered, kind


def answers(host: Host, default_port: int) -> bool:
    """Whether a connection to this host is taken."""
    if host.socket:
        return True  # its driver knows the file's name; what it says is then an answer
    try:
        with socket.create_connection((host.address or host.name or "localhost", host.port or default_port), CONNECT_S):
            return True
    except OSError:
        return False


def postgresql(string: PostgreSQL, **options: Any) -> psycopg.Connection[Any]:
    """A session of its own, in autocommit, whose statements end within their limits.

    Raises:
        LoginFailed: there is none to be had.
    """
    try:
        connection = psycopg.connect(
            string.build(), autocommit=True, connect_timeout=CONNECT_S, tcp_user_timeout=STATEMENT_S * 1000, **options
        )
    except psycopg.Error as error:
        raise _failed(string, error) from None
    try:
        connection.execute(_LIMITS, (f"{STATEMENT_S}s", f"{LOCK_S}s"))
    except psycopg.Error as error:
        connection.close()
        raise _failed(string, error) from None
    return connection


def redis_(string: Redis) -> redis.Redis:
    """A client whose one connection is logged in.

    Raises:
        LoginFailed: there is none to be had.
    """
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    client = redis.Redis.from_url(
        string.build(),
        socket_connect_timeout=CONNECT_S,
        socket_timeout=STATEMENT_S,
        retry=Retry(NoBackoff(), 0),
        single_connection_client=False,
        max_connections=1,
        decode_responses=True,
    )
    try:
        client.ping()
    except redis.ResponseError as error:
        client.close()
        if type(error) is redis.exceptions.NoPermissionError:
            return client  # logged in; it may not even PING
        raise LoginFailed(answered=True, kind=type(error).__name__) from None
    except (redis.RedisError, OSError) as error:
        client.close()
        raise LoginFailed(answered=_any_answers(string), kind=type(error).__name__) from None
    return client


def first(strings: Sequence[PostgreSQL]) -> tuple[psycopg.Connection[Any], int]:
    """The session of the first of several logins that is let in, and which it was.

    Raises:
        LoginFailed: none is; told of the first.
    """
    failed: LoginFailed | None = None
    for number, string in enumerate(strings):
        try:
            return postgresql(string), number
        except LoginFailed as error:
            failed = failed or error
    assert failed is not None  # noqa: S101  there is at least one
    raise failed


def patiently(string: PostgreSQL, *, seconds: float) -> psycopg.Connection[Any]:
    """As `postgresql`, tried again for a while: a replica hears of a new role a moment later.

    Raises:
        LoginFailed: not within that time.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            return postgresql(string)
        except LoginFailed as error:
            if not error.answered or time.monotonic() >= until:
                raise
        time.sleep(0.25)


def _failed(string: ConnectionString, error: Exception) -> LoginFailed:
    return LoginFailed(answered=_any_answers(string), kind=type(error).__name__)


def _any_answers(string: ConnectionString) -> bool:
    return any(answers(host, string.default_port) for host in string.hosts)
