"""What the drivers themselves read in a connection string, in the words of `lancio.registry.connection_strings`."""

from __future__ import annotations

import contextlib
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import pymongo.errors
import pymongo.synchronous.srv_resolver
import redis.asyncio.connection
import redis.connection
from psycopg.conninfo import conninfo_to_dict
from pymongo.uri_parser import parse_uri

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lancio.registry.connection_strings import ConnectionString


class DriverRefuses(Exception):  # noqa: N818
    """The driver takes no such string."""


@dataclass(frozen=True)
class Reading:
    """What is read: hosts as (name, address, port), and the rest with '' for nothing."""

    hosts: tuple[tuple[str, str, int | None], ...]
    user: str
    password: str
    database: str
    more: tuple[tuple[str, str], ...]


def read(kind: str, text: str) -> Reading:
    """By the kind's own driver.

    Raises:
        DriverRefuses: it refuses the text.
    """
    return {"postgresql": _postgresql, "redis": _redis, "mongodb": _mongodb}[kind](text)


def agrees(value: ConnectionString, text: str) -> bool:
    """Whether the driver reads in the text, and in the string that is built from the value, what the value says.

    MongoDB's options are compared as pymongo reads them in both, since it makes other values of them.

    Raises:
        DriverRefuses: it refuses one of them.
    """
    given, built = read(value.kind, text), read(value.kind, value.build())
    return given == built == ours(value, given.more if value.kind == "mongodb" else None)


def ours(value: ConnectionString, more: tuple[tuple[str, str], ...] | None = None) -> Reading:
    """The same of a value of ours."""
    kind = value.kind
    if more is None:
        more = tuple(
            sorted((name, _typed(kind, name, v if isinstance(v, str) else v.reveal())) for name, v in value.options)
        )
        if kind == "redis":
            more = (("tls", str(value.tls != "off")), *more)
    return Reading(
        tuple((host.name, host.address, host.port) for host in value.hosts),
        value.user or "",
        value.password.reveal() if value.password else "",
        value.database or "",
        more,
    )


@contextlib.contextmanager
def dns_that_knows_all() -> Iterator[None]:
    """mongodb+srv names are answered by two hosts below the name, without a TXT record; nothing else is changed."""

    class Record:
        def __init__(self, host: str) -> None:
            self.target, self.port = self, 27017
            self._host = host

        def to_text(self, **_options: object) -> str:
            return self._host

    class Answer(list[Record]):
        class rrset:  # noqa: N801
            ttl = 60

    def resolve(name: str, kind: str, **_options: object) -> Answer:
        if kind != "SRV":
            from dns import resolver

            raise resolver.NoAnswer
        base = re.sub(r"^_[^.]+\._tcp\.", "", name)
        return Answer([Record(f"a.{base}"), Record(f"b.{base}")])

    module: Any = pymongo.synchronous.srv_resolver
    before = module._resolve
    module._resolve = resolve
    try:
        yield
    finally:
        module._resolve = before


def _postgresql(text: str) -> Reading:
    try:
        given = conninfo_to_dict(text)
    except (psycopg.Error, UnicodeError) as error:
        raise DriverRefuses(type(error).__name__) from None
    names = str(given.pop("host", "") or "").split(",")
    addresses = str(given.pop("hostaddr", "") or "")
    listed = addresses.split(",") if addresses else [""] * len(names)
    if names == [""]:
        names = [""] * len(listed)
    ports = str(given.pop("port", "") or "").split(",")
    if len(ports) == 1:
        ports *= len(names)
    # What libpq looks at when it connects: "could not match 3 port numbers to 2 hosts", "invalid port number".
    if len(ports) != len(names) or len(listed) != len(names):
        raise DriverRefuses("counts")
    try:
        numbers = [int(port or 5432) for port in ports]
    except ValueError:
        raise DriverRefuses("port") from None
    if not all(0 < number < 65536 for number in numbers):
        raise DriverRefuses("port")
    user, password, database = (str(given.pop(name, "") or "") for name in ("user", "password", "dbname"))
    return Reading(
        tuple(zip(names, listed, numbers, strict=True)),
        user,
        password,
        database,
        tuple(sorted((name, str(value)) for name, value in given.items() if value)),
    )


def _redis(text: str) -> Reading:
    try:
        given = redis.connection.parse_url(text)
        again = redis.asyncio.connection.parse_url(text)
    except ValueError as error:
        raise DriverRefuses(type(error).__name__) from None
    kind = given.pop("connection_class", None)
    again.pop("connection_class", None)
    assert given == again, "redis-py's two ways of reading differ"
    secured = kind is redis.connection.SSLConnection
    host: tuple[str, str, int | None]
    if kind is redis.connection.UnixDomainSocketConnection:
        if not given.get("path"):
            raise DriverRefuses("path")
        host = (given.pop("path"), "", None)
    else:
        # Python lowers a host up to its first percent sign only; names are alike in any case, zones are not.
        bare, percent, zone = str(given.pop("host", "localhost")).partition("%")
        host = (bare.lower() + percent + zone, "", int(given.pop("port", 6379)))
    given.pop("family", None)
    return Reading(
        (host,),
        given.pop("username", ""),
        given.pop("password", ""),
        str(given.pop("db", 0)),
        (("tls", str(secured)), *sorted((name, _shown(name, value)) for name, value in given.items())),
    )


def _mongodb(text: str) -> Reading:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            given = parse_uri(text)
    except (pymongo.errors.PyMongoError, ValueError, TypeError, OSError, KeyError) as error:
        raise DriverRefuses(type(error).__name__) from None
    options = tuple(sorted((name, str(value)) for name, value in given["options"].items()))
    if given["fqdn"]:
        hosts: tuple[tuple[str, str, int | None], ...] = ((given["fqdn"], "", None),)
    else:
        hosts = tuple((name, "", port) for name, port in given["nodelist"])
    database = ".".join(part for part in (given["database"], given["collection"]) if part)
    return Reading(hosts, given["username"] or "", given["password"] or "", database, options)


def _typed(kind: str, name: str, value: str) -> str:
    if kind == "redis" and (parser := redis.connection.URL_QUERY_ARGUMENT_PARSERS.get(name)):
        return _shown(name, parser(value))
    return _shown(name, value) if kind == "redis" else value


def _shown(name: str, value: object) -> str:
    # redis-py takes any text here for true; ours is in small letters.
    return str(value).lower() if name == "decode_responses" else str(value)
