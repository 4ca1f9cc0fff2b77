"""What Railway hands over: names of variables, and references that are not values yet."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lancio.registry.connection_strings.refusal import ConnectionStringRefused

if TYPE_CHECKING:
    from lancio.registry.connection_strings.refusal import Kind

_WHOLE: Final = re.compile(r"\s*\$\{\{\s*(?:(\w[\w .-]{0,63})\.)?([A-Za-z_][A-Za-z0-9_]{0,63})\s*\}\}\s*")
_WITHIN: Final = re.compile(r"\$\{\{\s*\w[\w .-]{0,127}\}\}")
"""Closed, and with a name in it: a password may hold ${{ by itself."""

URLS: Final[dict[str, tuple[Kind, bool]]] = {
    "DATABASE_URL": ("postgresql", False),
    "DATABASE_PUBLIC_URL": ("postgresql", True),
    "DATABASE_PRIVATE_URL": ("postgresql", False),
    "POSTGRES_URL": ("postgresql", False),
    "REDIS_URL": ("redis", False),
    "REDIS_PUBLIC_URL": ("redis", True),
    "REDIS_PRIVATE_URL": ("redis", False),
    "MONGO_URL": ("mongodb", False),
    "MONGO_PUBLIC_URL": ("mongodb", True),
    "MONGO_PRIVATE_URL": ("mongodb", False),
    "MONGODB_URL": ("mongodb", False),
    "MONGODB_URI": ("mongodb", False),
}
"""Variables that hold a connection string: its kind, and whether it is the address on the public network."""

PARTS: Final[dict[Kind, dict[str, str]]] = {
    "postgresql": {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD",
                   "database": "PGDATABASE"},
    "redis": {"host": "REDISHOST", "port": "REDISPORT", "user": "REDISUSER", "password": "REDISPASSWORD"},
    "mongodb": {"host": "MONGOHOST", "port": "MONGOPORT", "user": "MONGOUSER", "password": "MONGOPASSWORD"},
}  # fmt: skip
"""Variables that hold a part of one."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A value that Railway puts in when it deploys: ${{service.variable}}. It holds no secret."""

    service: str
    """The service's name, or `shared`; empty for a variable of the service itself."""
    variable: str

    def __str__(self) -> str:
        return f"${{{{{self.service}{'.' if self.service else ''}{self.variable}}}}}"


def reference(text: str) -> Reference | None:
    """The reference that the text is, and nothing else besides; None if it is none."""
    found = _WHOLE.fullmatch(text)
    return Reference(found[1] or "", found[2]) if found else None


def refuse_references(text: str) -> None:
    """Refuse a text with a reference that was not put in.

    Raises:
        ConnectionStringRefused: it has one. If it is one as a whole, the refusal names it, also as `reference` in
            `as_dict()`.
    """
    if not _WITHIN.search(text):
        return
    whole = reference(text)
    problem = f"{whole} is a reference of Railway's" if whole else "there is a reference of Railway's (${{…}}) in it"
    refused = ConnectionStringRefused(
        "reference",
        f"{problem}, not a value",
        cause="Railway puts the value in when it deploys the service; here it is still to be resolved.",
        remedy="Copy the value from the service's variables, where Railway shows it resolved, or run the command "
        "where Railway has put it in (railway run).",
    )
    if whole:
        refused.more["reference"] = str(whole)
    raise refused
