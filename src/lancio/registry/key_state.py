"""Which keys are there, what is sealed with which, and what is left to do? Nothing is opened or changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row, tuple_row

from lancio.postgres import named_queries
from lancio.registry import data_keys, key_rotation, key_takeover

if TYPE_CHECKING:
    import psycopg

_QUERIES = named_queries("lancio.registry", "key_state.sql")


@dataclass(frozen=True, slots=True)
class Count:
    """How many data keys there are of a kind."""

    kek_id: str | None
    """None: destroyed, or a single key that is in its file only."""
    state: str
    single: bool
    keys: int


@dataclass(frozen=True, slots=True)
class State:
    """All that can be told without a key."""

    counts: tuple[Count, ...]
    organizations: int
    without_key: int
    secrets: dict[str, int]
    """How many secrets are sealed with a key that is `active`, `retired`, `destroyed`, `single` (the first one, of no
    organization), `lost` (not in this database) or `misplaced` (another organization's), or are `foreign` (no envelope
    of Lancio's)."""
    plain: int
    """Rows of platform.databases with something in clear."""
    rewrite: bool
    """Whether old versions of such rows may be in the table's file."""
    unfinished: tuple[tuple[str, int], ...]
    """Rotations that were not finished: an organization, and the old key."""
    lost: int | None
    """The number of a key that is not here, as an example."""

    @property
    def keks(self) -> dict[str, int]:
        """How many data keys each KEK wraps."""
        found: dict[str, int] = {}
        for each in self.counts:
            if each.kek_id is not None:
                found[each.kek_id] = found.get(each.kek_id, 0) + each.keys
        return found


def state(connection: psycopg.Connection[Any]) -> State:
    """Ask the database; it reads platform.databases and platform.credentials once.

    Raises:
        KeyRefused: migration 008 is not applied.
    """
    data_keys.refuse_unready(connection)
    key_rotation.prepare(connection)
    with connection.transaction():
        with connection.cursor(row_factory=class_row(Count)) as cursor:
            counts = tuple(cursor.execute(_QUERIES["keys"]).fetchall())
        with connection.cursor(row_factory=tuple_row) as cursor:
            organizations = cursor.execute(_QUERIES["organizations"]).fetchone()
            sealed = cursor.execute(_QUERIES["secrets"]).fetchall()
            unfinished = cursor.execute(_QUERIES["unfinished"]).fetchall()
        plain = key_takeover.plain(connection)
        due = key_takeover.due(connection)
    assert organizations is not None  # noqa: S101  a count
    return State(
        counts,
        organizations[0],
        organizations[1],
        {kind: count for kind, count, _ in sealed},
        len(plain),
        due or bool(plain),
        tuple((slug, key_id) for slug, key_id in unfinished),
        next((example for kind, _, example in sealed if kind == "lost"), None),
    )
