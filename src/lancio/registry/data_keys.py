"""Which key seals an organization's secrets, and which one opens those that are sealed already?

Each organization has a data key of its own: 64 random bytes, in platform.data_keys, wrapped by the key-encryption key
of registry/key_encryption_key.py. One is *active* and seals; those that a rotation left are *retired* and open what is
still sealed with them; of a *destroyed* one nothing is left but its number.

    keys = DataKeys(ring)
    keys.refuse_wrong(connection)                      # once, as the program starts
    with context(connection, user=alice, organization=acme):
        keys.give(connection, acme)                    # for SQL, until this transaction ends
        connection.execute("INSERT INTO platform.databases …")
"""

from __future__ import annotations

import hmac
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import class_row, tuple_row

from lancio.postgres import named_queries
from lancio.registry.context import QUIET, pin
from lancio.registry.key_encryption_key import WrapBroken, wrong
from lancio.registry.secrets import Key, KeyRefused

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from lancio.registry.key_encryption_key import Ring
    from lancio.registry.opening import WrappedKey

LIFE_SECONDS: Final = 30.0
"""How long a program keeps a key unwrapped, and how long one that it was given may go on sealing."""

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
            KeyRefused: it was destroyed, it is a single key that is in its file only, or the KEK that it is wrapped
                with is not at hand.
            WrapBroken: it does not open, or is another key than the one whose check value is kept.
        """
        if self.state == "destroyed":
            raise KeyRefused(
                f"data key {self.key_id} was destroyed",
                cause="What was sealed with it cannot be opened again, by anyone.",
                remedy="Write the secret anew.",
            )
        if self.wrapped is None or self.kek_id is None:
            raise KeyRefused(
                f"key {self.key_id} is the single key of before, and is in its file only",
                cause="Secrets that are sealed with it are not taken over yet.",
                remedy="Let LANCIO_KEY_FILE name its file, and take them over.",
                commands=("LANCIO_KEY_FILE=lancio.key lancio keys take-over",),
            )
        key = ring.unwrap(bytes(self.wrapped), self.kek_id, self.key_id, self.organization_id)
        if self.check_value is None or not hmac.compare_digest(key.check_value(), bytes(self.check_value)):
            raise WrapBroken(
                f"data key {self.key_id} is not the one that its check value speaks of",
                cause="One of the two was changed.",
                remedy="Restore it from a backup of the keys.",
                commands=("lancio keys restore keys.backup",),
            )
        return key


class DataKeys:
    """The data keys of one program, each kept unwrapped for a short time. May be shared by threads.

    `single` is the key of before organizations had their own, where secrets may still be sealed with it.
    """

    def __init__(
        self,
        ring: Ring,
        *,
        single: Key | None = None,
        life_s: float = LIFE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ring, self.single = ring, single
        self._life, self._clock = life_s, clock
        self._lock = threading.Lock()
        self._by_id: dict[int, tuple[float, Key]] = {}

    def __repr__(self) -> str:
        return f"DataKeys({self.ring.current.id}, {len(self._by_id)} unwrapped)"

    def active(self, connection: psycopg.Connection[Any], organization: UUID) -> Key:
        """The key that seals for an organization; made if it has none. Of several that make it at once one wins.

        Made in a transaction it is there for others when that commits, and gone if it is rolled back. For sealing in
        Python: one that is retired after it was given may seal for `LIFE_SECONDS` more, and what it seals is accepted.

        Raises:
            KeyRefused: the KEK that it is wrapped with is not at hand, or the session does not see the organization.
            WrapBroken: it does not open.
        """
        with connection.transaction():
            stored = one(connection, "of_organization", organization=organization)
        if stored is not None and stored.state == "active":
            return self._opened(connection, stored)
        return self._all(connection, organization)[0]

    def give(self, connection: psycopg.Connection[Any], organization: UUID) -> None:
        """Let SQL seal and open for an organization until the transaction ends: its active key and its retired ones.

        They are sent as bound parameters. A rotation that begins between this and the statement that seals makes that
        one fail with SQLSTATE 55000; run the transaction again.

        Raises:
            KeyRefused: no transaction is open; or as `active`.
            WrapBroken: a key does not open.
        """
        if connection.info.transaction_status != TransactionStatus.INTRANS:
            raise KeyRefused(
                "a key is given to a transaction, and none is open on this connection",
                cause="It is local to the transaction, so that a pooled connection carries none to the next user.",
                remedy="Begin one: with connection.transaction(), or with context(connection, …).",
            )
        keys = self._all(connection, organization)
        give(connection, *keys, *((self.single,) if self.single is not None else ()))

    def opening(self, connection: psycopg.Connection[Any], key_id: int) -> Key:
        """The key with this number, as an envelope names it (`secrets.key_id_of`).

        Raises:
            KeyRefused: it is not in this database or not for this session's organization, it was destroyed, or its KEK
                is not at hand.
            WrapBroken: it does not open.
        """
        # Asked each time: whether this session sees the key is not a question to what another one was given.
        with connection.transaction():
            stored = one(connection, "by_id", key_id=key_id)
        if stored is not None and stored.wrapped is not None:
            return self._opened(connection, stored)
        if self.single is not None and self.single.id == key_id and (stored is None or stored.state != "destroyed"):
            return self.single
        if stored is None:
            raise unknown(key_id)
        return stored.open(self.ring)

    def unwrap(self, wrapped: WrappedKey) -> Key:
        """What `registry.opening` asks for: the key of an envelope that PostgreSQL has handed out.

        Raises:
            KeyRefused: its KEK is not at hand, or it is a single key that is in its file only.
            WrapBroken: it does not open.
        """
        if wrapped.wrapped is None and self.single is not None and self.single.id == wrapped.key_id:
            return self.single
        if (kept := self._kept(wrapped.key_id)) is not None:
            return kept
        return Stored(
            wrapped.key_id, wrapped.organization_id, wrapped.wrapped, wrapped.kek_id, wrapped.check_value,
            wrapped.state or "retired",
        ).open(self.ring)  # fmt: skip

    def _all(self, connection: psycopg.Connection[Any], organization: UUID) -> list[Key]:
        """The active key and the retired ones, as they are now; an active one is made if there is none."""
        with connection.transaction():
            found = rows(connection, "of_organization", organization=organization)
            if not found or found[0].state != "active":
                make(connection, self.ring, organization)
                found = rows(connection, "of_organization", organization=organization)
        if not found or found[0].state != "active":
            raise KeyRefused(
                "this organization has no key that this session may see",
                cause="The organization is not there, or it is not the one in the session's context.",
                remedy="Set the context of the organization first.",
            )
        return [self._opened(connection, each) for each in found]

    def _opened(self, connection: psycopg.Connection[Any], stored: Stored) -> Key:
        if (kept := self._kept(stored.key_id)) is not None:
            return kept
        key = stored.open(self.ring)
        if stored.settled or connection.info.transaction_status == TransactionStatus.IDLE:
            self._keep(key)
        return key

    def forget(self) -> None:
        """Drop all that is kept unwrapped."""
        with self._lock:
            self._by_id.clear()

    def refuse_wrong(self, connection: psycopg.Connection[Any]) -> None:
        """Return if the KEKs at hand are those of this database; to be called as a program starts.

        Any role of the platform may ask. `lancio keys check` opens every data key besides.

        Raises:
            KeyRefused: a KEK that wraps data keys is not at hand, or migration 008 is not applied.
        """
        refuse_wrong(connection, self.ring)

    def _kept(self, key_id: int) -> Key | None:
        with self._lock:
            if (kept := self._by_id.get(key_id)) is None:
                return None
            if self._clock() < kept[0]:
                return kept[1]
            del self._by_id[key_id]
            return None

    def _keep(self, key: Key) -> None:
        with self._lock:
            if len(self._by_id) >= _MOST:
                self._by_id.clear()
            self._by_id[key.id] = (self._clock() + self._life, key)


def there(connection: psycopg.Connection[Any]) -> bool:
    """Whether migration 008 is applied."""
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(_QUERIES["there"]).fetchone()
    return row is not None and bool(row[0])


def refuse_unready(connection: psycopg.Connection[Any]) -> None:
    """Return if migration 008 is applied.

    Raises:
        KeyRefused: it is not.
    """
    if not there(connection):
        raise KeyRefused(
            "organizations have no keys in this database",
            cause="Migration 008 is not applied here.",
            remedy="Apply it.",
            commands=("lancio apply --platform",),
        )


def refuse_wrong(connection: psycopg.Connection[Any], ring: Ring) -> None:
    """As `DataKeys.refuse_wrong`."""
    refuse_unready(connection)
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        wanted = [kek_id for (kek_id,) in cursor.execute(_QUERIES["kek_ids"]).fetchall()]
    here = {each.id for each in ring}
    if missing := [each for each in wanted if each not in here]:
        raise wrong(ring, missing)


def one(connection: psycopg.Connection[Any], query: str, **values: object) -> Stored | None:
    """The first row that a query of data_keys.sql finds."""
    return next(iter(rows(connection, query, **values)), None)


def rows(connection: psycopg.Connection[Any], query: str, **values: object) -> list[Stored]:
    """The rows that a query of data_keys.sql finds."""
    with connection.cursor(row_factory=class_row(Stored)) as cursor:
        return cursor.execute(_QUERIES[query], values).fetchall()


def make(
    connection: psycopg.Connection[Any], ring: Ring, organization: UUID, *, replaces: int | None = None
) -> Key | None:
    """A new active key that retires the one it replaces; None if the active one is another by now, which then stays.

    Raises:
        KeyRefused: the organization is not there, or not for this session.
    """
    with connection.cursor(row_factory=tuple_row) as cursor:
        found = cursor.execute(_QUERIES["next_id"]).fetchone()
        assert found is not None  # noqa: S101  a SELECT without FROM has one row
        # Between the day that programs are given a new KEK and its rotation, the operator's word is the old one still.
        kek = next((each for each in ring if each.id in found[1]), ring.current)
        key = Key.random(found[0], organization)
        values = {
            "key_id": key.id,
            "organization": organization,
            "wrapped": kek.wrap(key),
            "kek_id": kek.id,
            "check_value": key.check_value(),
            "replaces": replaces,
        }
        try:
            added = cursor.execute(_QUERIES["add"], values).fetchone()
        except psycopg.errors.NoDataFound as error:
            raise KeyRefused(
                "this organization has no key that this session may see",
                cause=error.diag.message_primary or "",
                remedy="Set the context of the organization first.",
            ) from error
        except psycopg.errors.InvalidParameterValue as error:
            raise KeyRefused(
                f"no data key can be made here with the key-encryption key {kek.id}",
                cause=f"{error.diag.message_primary}.",
                remedy="Let the operator make the first key with it, or give the one that keys are wrapped with.",
                commands=("lancio keys init",),
            ) from error
    return key if added is not None and added[0] else None


def give(connection: psycopg.Connection[Any], key: Key, *more: Key) -> None:
    """Keys for SQL, until the transaction ends; until then what fails is logged without its parameters."""
    pin(connection, QUIET)
    settings = {name: secret.reveal() for name, secret in key.settings(*more).items()}
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
