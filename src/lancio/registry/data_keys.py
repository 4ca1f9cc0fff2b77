"""Which key seals an organization's secrets, and which one opens those that are sealed already?

Each organization has a data key of its own: 64 random bytes, in platform.data_keys, wrapped by the key-encryption key
of registry/key_encryption_key.py. One is *active* and seals; those that a rotation left are *retired* and open what is
still sealed with them; of a *destroyed* one nothing is left but its number.

    keys = DataKeys(ring)
    keys.refuse_wrong(connection)                      # once, as the program starts
    with context(connection, user=alice, organization=acme):
        keys.give(connection, keys.active(connection, acme))
        connection.execute("INSERT INTO platform.databases …")
"""

from __future__ import annotations

import hmac
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from psycopg.pq import TransactionStatus
from psycopg.rows import class_row, tuple_row

from lancio.postgres import named_queries
from lancio.registry.key_encryption_key import WrapBroken, check_value, wrong
from lancio.registry.secrets import Key, KeyRefused

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    import psycopg

    from lancio.registry.key_encryption_key import Ring

T = TypeVar("T")

LIFE_SECONDS: Final = 30.0
"""How long a program may use a key without asking whether it is still the active one, or still there."""

_MOST: Final = 10_000
_QUERIES = named_queries("lancio.registry", "data_keys.sql")


@dataclass(frozen=True, slots=True)
class Stored:
    """A row of platform.data_keys."""

    key_id: int
    organization_id: UUID | None
    """None for the first single key, with which all was sealed before organizations had keys."""
    wrapped: bytes | None = field(repr=False)
    """None once it is destroyed."""
    kek_id: str | None
    check_value: bytes | None
    state: str
    settled: bool = True
    """Committed, for all that this transaction can tell."""

    def open(self, ring: Ring) -> Key:
        """The key itself.

        Raises:
            KeyRefused: it was destroyed, or the KEK that it is wrapped with is not at hand.
            WrapBroken: it does not open, or is another key than the one whose check value is kept.
        """
        if self.wrapped is None or self.kek_id is None:
            raise KeyRefused(
                f"data key {self.key_id} was destroyed",
                cause="What was sealed with it cannot be opened again, by anyone.",
                remedy="Write the secret anew.",
            )
        key = ring.unwrap(bytes(self.wrapped), self.kek_id, self.key_id, self.organization_id)
        if self.check_value is None or not hmac.compare_digest(check_value(key), bytes(self.check_value)):
            raise WrapBroken(
                f"data key {self.key_id} is not the one that its check value speaks of",
                cause="One of the two was changed.",
                remedy="Restore it from a backup of the keys.",
                commands=("lancio keys restore keys.backup",),
            )
        return key


class DataKeys:
    """The data keys of one program, each kept unwrapped for a short time. May be shared by threads."""

    def __init__(
        self, ring: Ring, *, life_s: float = LIFE_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.ring = ring
        self._life, self._clock = life_s, clock
        self._lock = threading.Lock()
        self._active: dict[UUID, tuple[float, Key]] = {}
        self._by_id: dict[int, tuple[float, Key]] = {}

    def __repr__(self) -> str:
        return f"DataKeys({self.ring.current.id}, {len(self._by_id)} unwrapped)"

    def active(self, connection: psycopg.Connection[Any], organization: UUID) -> Key:
        """The key that seals for an organization; made if it has none. Of several that make it at once one wins.

        Made in a transaction it is there for others when that commits, and gone if it is rolled back.

        Raises:
            KeyRefused: the KEK that it is wrapped with is not at hand.
            WrapBroken: it does not open.
        """
        if (kept := self._kept(self._active, organization)) is not None:
            return kept
        with connection.transaction():
            stored = one(connection, "active", organization=organization)
            if stored is None:
                make(connection, self.ring, organization)
                stored = one(connection, "active", organization=organization)
            if stored is None:
                raise KeyRefused(
                    "this organization has no key that this session may see",
                    cause="The organization is not there, or it is not the one in the session's context.",
                    remedy="Set the context of the organization first.",
                )
        settled = stored.settled or connection.info.transaction_status == TransactionStatus.IDLE
        key = stored.open(self.ring)
        if settled:
            self._keep(self._active, organization, key)
            self._keep(self._by_id, key.id, key)
        return key

    def opening(self, connection: psycopg.Connection[Any], key_id: int) -> Key:
        """The key with this number, as an envelope names it (`secrets.key_id_of`).

        Raises:
            KeyRefused: it is not in this database or not for this session's organization, it was destroyed, or its KEK
                is not at hand.
            WrapBroken: it does not open.
        """
        if (kept := self._kept(self._by_id, key_id)) is not None:
            return kept
        with connection.transaction():
            stored = one(connection, "by_id", key_id=key_id)
        if stored is None:
            raise unknown(key_id)
        key = stored.open(self.ring)
        if stored.settled or connection.info.transaction_status == TransactionStatus.IDLE:
            self._keep(self._by_id, key_id, key)
        return key

    def give(self, connection: psycopg.Connection[Any], key: Key) -> None:
        """Let SQL seal and open with this key until the transaction ends; sent as bound parameters.

        Raises:
            KeyRefused: no transaction is open; the key would be gone before it is used.
        """
        if connection.info.transaction_status != TransactionStatus.INTRANS:
            raise KeyRefused(
                "a key is given to a transaction, and none is open on this connection",
                cause="It is local to the transaction, so that a pooled connection carries none to the next user.",
                remedy="Begin one: with connection.transaction(), or with context(connection, …).",
            )
        give(connection, key)

    def forget(self) -> None:
        """Drop all that is kept unwrapped."""
        with self._lock:
            self._active.clear()
            self._by_id.clear()

    def refuse_wrong(self, connection: psycopg.Connection[Any]) -> None:
        """Return if the KEKs at hand open this database's data keys; to be called as a program starts.

        One data key is tried for each KEK that wraps any; `lancio keys check` tries them all.

        Raises:
            KeyRefused: a KEK is not at hand.
            WrapBroken: a data key does not open with the KEK that it names.
        """
        with connection.transaction(), connection.cursor(row_factory=class_row(Stored)) as cursor:
            tried = cursor.execute(_QUERIES["kek_ids"]).fetchall()
        here = {each.id for each in self.ring}
        if missing := [each.kek_id for each in tried if each.kek_id is not None and each.kek_id not in here]:
            raise wrong(self.ring, missing)
        for each in tried:
            each.open(self.ring)

    def _kept(self, of: dict[T, tuple[float, Key]], name: T) -> Key | None:
        with self._lock:
            if (kept := of.get(name)) is None:
                return None
            if self._clock() < kept[0]:
                return kept[1]
            del of[name]
            return None

    def _keep(self, of: dict[T, tuple[float, Key]], name: T, key: Key) -> None:
        with self._lock:
            if len(of) >= _MOST:
                of.clear()
            of[name] = (self._clock() + self._life, key)


def one(connection: psycopg.Connection[Any], query: str, **values: object) -> Stored | None:
    """The row that a query of data_keys.sql finds."""
    with connection.cursor(row_factory=class_row(Stored)) as cursor:
        return cursor.execute(_QUERIES[query], values).fetchone()


def make(
    connection: psycopg.Connection[Any], ring: Ring, organization: UUID | None, *, state: str = "active"
) -> Key | None:
    """A new data key; None if the organization has an active one already, which then stays."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        found = cursor.execute(_QUERIES["next_id"]).fetchone()
    assert found is not None  # noqa: S101  a SELECT without FROM has one row
    key = Key.random(found[0])
    return key if add(connection, ring, key, organization, state=state) else None


def add(
    connection: psycopg.Connection[Any], ring: Ring, key: Key, organization: UUID | None, *, state: str = "active"
) -> bool:
    """Wrap a key and keep it; False if its number is taken or the organization has an active one."""
    kek = ring.current
    with connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(
            _QUERIES["add"],
            {
                "key_id": key.id,
                "organization": organization,
                "wrapped": kek.wrap(key, organization),
                "kek_id": kek.id,
                "check_value": check_value(key),
                "state": state,
            },
        )
        return cursor.fetchone() is not None


def give(connection: psycopg.Connection[Any], key: Key) -> None:
    """The key for SQL, until the transaction ends."""
    settings = {name: secret.reveal() for name, secret in key.settings().items()}
    connection.execute(
        _QUERIES["give"], {"key_id": settings["lancio.key_id"], "key": settings["lancio.key"]}, prepare=False
    )


def unknown(key_id: int) -> KeyRefused:
    """The refusal for an envelope whose key is not there: a dump that was restored without its keys, for one."""
    return KeyRefused(
        f"data key {key_id} is not in this database",
        cause="A secret is sealed with it. The dump was restored without platform.data_keys, the secret was copied "
        "from another database, or this session may not see the organization that the key belongs to.",
        remedy="Restore the keys from their backup. What was sealed with the first single key is taken over with its "
        "file.",
        commands=("lancio keys restore keys.backup", "LANCIO_KEY_FILE=lancio.key lancio keys take-over"),
    )
