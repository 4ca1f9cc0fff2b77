"""Connection strings of PostgreSQL, Redis and MongoDB, by the rules of the drivers that are to read them.

`parse()` takes a string apart into validated parts; `display` is made from these parts, never cut out of the text, and
`build()` writes a string that the driver reads as the same parts:

    postgresql   libpq's URI and keyword form
    redis        redis-py's URLs, sentinels, clusters
    mongodb      pymongo's URLs, mongodb+srv too
    listed       the databases that a .env, a table or a service file lists
    railway      its variables, and its references that are no values yet
    model        the parts: hosts, credentials, options
    pieces       what the three have in common
    refusal      why a text is none, without a word of it

Nothing here opens a socket, reads a file or asks DNS.
"""

from __future__ import annotations

from typing import Final

from lancio.registry.connection_strings import mongodb, pieces, postgresql, redis
from lancio.registry.connection_strings.model import ConnectionString, Host, Tls
from lancio.registry.connection_strings.mongodb import MongoDB
from lancio.registry.connection_strings.postgresql import PostgreSQL
from lancio.registry.connection_strings.railway import Reference, reference, refuse_references
from lancio.registry.connection_strings.redis import Redis
from lancio.registry.connection_strings.refusal import NAMES, ConnectionStringRefused, Kind

__all__ = [
    "ConnectionString",
    "ConnectionStringRefused",
    "Host",
    "Kind",
    "MongoDB",
    "PostgreSQL",
    "Redis",
    "Reference",
    "Tls",
    "parse",
    "reference",
]

_READERS: Final = {"postgresql": postgresql.read, "redis": redis.read, "mongodb": mongodb.read}
_SCHEMES: Final[dict[Kind, tuple[str, ...]]] = {
    "postgresql": postgresql.SCHEMES,
    "redis": redis.SCHEMES,
    "mongodb": mongodb.SCHEMES,
}


def parse(text: str, kind: Kind | None = None) -> ConnectionString:
    """The validated parts of a connection string.

    Without a kind the scheme tells it; keyword=value is PostgreSQL's. White space around a URL is dropped.

    Raises:
        ConnectionStringRefused: it is no connection string (of that kind), or holds a reference that is to be resolved.
            `reason` tells why; message, cause and remedy hold nothing of the text.
    """
    if not text.strip(pieces.SPACES):
        raise ConnectionStringRefused(
            "empty", "it is empty", kind=kind, cause="There is nothing to read.", remedy="Give the connection string."
        )
    if len(text) > pieces.LONGEST:
        raise ConnectionStringRefused(
            "too-long", f"it has more than {pieces.LONGEST} characters", kind=kind,
            cause="No connection string is that long.", remedy="Give the connection string alone.",
        )  # fmt: skip
    refuse_references(text)
    if not _encodable(text):
        raise ConnectionStringRefused(
            "text", "it is not a text in UTF-8", kind=kind,
            cause="It was read from bytes that are no UTF-8.", remedy="Write special characters percent-encoded.",
        )  # fmt: skip
    return _READERS[kind or _kind(text)](text)


def _kind(text: str) -> Kind:
    bare = text.strip(pieces.SPACES)
    for kind, schemes in _SCHEMES.items():
        if bare.startswith(schemes):
            return kind
    lowered = bare[:24].lower()
    for kind, schemes in _SCHEMES.items():
        if lowered.startswith(schemes):
            raise ConnectionStringRefused(
                "scheme", "the scheme has capital letters", kind=kind,
                cause=f"The driver of {NAMES[kind]} reads small ones only.",
                remedy=f"Write it in small letters: {schemes[0]}.",
            )  # fmt: skip
    if "://" not in bare.split("=", 1)[0] and "=" in bare:
        return "postgresql"
    raise ConnectionStringRefused(
        "scheme",
        "it does not begin with the scheme of a database that is known",
        cause="Known are postgresql://, redis://, rediss://, unix://, redis+sentinel://, redis+cluster://, mongodb:// "
        "and mongodb+srv://, and libpq's keyword=value.",
        remedy="Write one of them; without what other programs put before or into the scheme (jdbc:, +psycopg).",
    )


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
