"""Which page of a list is this, and where does the next one begin?

Lists are paged by the keys they are sorted by, not by a number of rows to skip: a page costs the same wherever it is,
and a row that is added or removed in between neither comes twice nor is left out.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from lancio.registry.acting import storable
from lancio.registry.refusal import NameRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

USUAL: Final = 50
MOST: Final = 1000
"""Rows of a page."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows of a list, in its order."""

    rows: tuple[T, ...]
    next: str | None
    """The mark from which the next page goes on; None at the end."""


def cut(rows: Sequence[T], limit: int, key: Callable[[T], tuple[str, ...]]) -> Page[T]:
    """A page of rows of which one more than `limit` was asked for; `key` is what they are sorted by."""
    kept = tuple(rows[:limit])
    return Page(kept, mark(key(kept[-1])) if len(rows) > limit and kept else None)


def every(page: Callable[[str | None], Page[T]], after: str | None = None) -> tuple[T, ...]:
    """The rows of all pages, from a mark on; `page` gives the one behind a mark."""
    found: list[T] = []
    while True:
        one = page(after)
        found += one.rows
        if (after := one.next) is None:
            return tuple(found)


def mark(key: tuple[str, ...]) -> str:
    """The keys of a row as one word."""
    text = json.dumps(key, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def key_of(given: str | None, parts: int) -> tuple[str, ...] | None:
    """The keys that a mark holds; None for none.

    Raises:
        NameRefused: it is not one that `mark` made for such a list.
    """
    if given is None:
        return None
    try:
        found = json.loads(base64.b64decode(given + "=" * (-len(given) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, UnicodeError, ValueError, RecursionError):
        found = None
    if (
        not isinstance(found, list)
        or len(found) != parts
        or not all(isinstance(each, str) and storable(each) and len(each) <= 500 for each in found)
    ):
        raise no_mark()
    return tuple(found)


def no_mark() -> NameRefused:
    """The refusal of what is not a mark of such a list."""
    return NameRefused(
        "this is no mark of a page",
        cause="It is not what a list of this kind gives as the place where it goes on.",
        remedy="Begin at the first page, without it.",
    )


def like(text: str | None) -> str | None:
    """A pattern for LIKE that finds the text anywhere, whatever is in it.

    Raises:
        NameRefused: it is longer than a name can be, or has a zero byte.
    """
    if text is None:
        return None
    if len(text) > 200 or not storable(text):
        raise NameRefused(
            "nothing can be called so", cause="It is longer than names are, or is no text.", remedy="Shorten it."
        )
    escaped = text.lower().replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    return f"%{escaped}%"
