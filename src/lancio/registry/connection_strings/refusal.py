"""What is said of a connection string that is none: why, and how to write it; never a word of it."""

from __future__ import annotations

from typing import Final, Literal

from lancio.errors import LancioError

Kind = Literal["postgresql", "redis", "mongodb"]

Reason = Literal[
    "empty", "too-long", "text", "reference", "scheme", "syntax", "percent", "space", "misread",
    "user", "host", "port", "database", "option", "conflict",
]  # fmt: skip
"""Why a connection string is refused: a closed list, for programs; `error.reason` and `reason` in `as_dict()`."""

NAMES: Final[dict[Kind, str]] = {"postgresql": "PostgreSQL", "redis": "Redis", "mongodb": "MongoDB"}

ENCODE: Final = (
    "Write special characters of user and password percent-encoded: %40 for @, %3A for :, %2F for /, %3F for ?, "
    "%23 for #, %25 for %, %2B for +, %20 for a space."
)


class ConnectionStringRefused(LancioError):  # noqa: N818  (a refusal, named as those of lancio.errors)
    """A text that is no connection string by the rules of its kind of database.

    Neither the message nor anything else of it holds any of the text: where a part was misread, that part may be a
    password. Options are named only if they are known ones.
    """

    code = "connection-string"

    def __init__(
        self, reason: Reason, problem: str, *, kind: Kind | None = None, what: str = "", cause: str, remedy: str
    ) -> None:
        what = what or (f"a {NAMES[kind]} connection string" if kind else "a connection string")
        super().__init__(f"not {what}: {problem}", cause=cause, remedy=remedy)
        self.reason: Reason = reason
        self.more["reason"] = reason
