"""How do secrets from before organizations had keys become secrets like all others?

Two kinds are taken over, while programs go on reading:

- rows sealed with the first single key: its file is read once more, the key is kept wrapped like the others (so that
  every row opens at every moment), and each row is sealed again with its organization's key;
- copies in clear that an older 006 left, a `connection_string` or a `password`: they are sealed, and the table is
  written anew at the end, since the old versions of its rows stay in its file until then.

Nothing is lost: a `password` that is not the one in the connection string is sealed into platform.credentials, and so
is the content of an envelope that says something else than the clear text beside it.

Whatever was in clear stays in the write-ahead log, in backups, on standbys and in the free blocks of the disk: those
secrets are to be changed where they are used.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import class_row, namedtuple_row, tuple_row

from lancio.postgres import named_queries
from lancio.registry import data_keys, key_rotation, secrets
from lancio.registry.data_keys import DataKeys, Stored
from lancio.registry.key_rotation import BATCH, PLACES, Progress, Tally
from lancio.registry.secrets import Key, KeyRefused, SealBroken

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

_QUERIES = named_queries("lancio.registry", "key_takeover.sql")
_CREDENTIAL: Final = PLACES[1].column


@dataclass(frozen=True, slots=True)
class Outlook:
    """What there is to take over."""

    single: int
    """Secrets sealed with a first single key."""
    plain: int
    """Rows of platform.databases with something in clear."""
    rewrite: bool
    """Whether the table's file has, or may have, old versions of rows in clear."""


@dataclass(slots=True)
class Taken:
    """What was done."""

    single: int = 0
    plain: int = 0
    kept: int = 0
    """Second secrets of a row, sealed into platform.credentials."""
    rewritten: bool = False
    statistics: bool = True
    """False: the planner's old statistics could not be written anew with the table; it takes a superuser."""
    tally: Tally = field(default_factory=Tally)


def outlook(connection: psycopg.Connection[Any], keys: DataKeys, single: Key | None) -> Outlook:
    """What there is to take over; nothing is changed.

    Raises:
        KeyRefused: the number of the single key is that of an organization's key, or of another single one.
    """
    key_rotation.prepare(connection)
    ids = _single_ids(connection, keys, single)
    sealed = sum(key_rotation.sealed_with(connection, ids, None).values()) if ids else 0
    clear = len(plain(connection))
    return Outlook(sealed, clear, clear > 0 or due(connection))


def take_over(
    connection: psycopg.Connection[Any],
    keys: DataKeys,
    single: Key | None,
    taken: Taken,
    *,
    batch: int = BATCH,
    write_anew: bool = True,
    waits: int = 50,
) -> Iterator[Progress]:
    """Seal with their organizations' keys what is sealed with the single one or not at all.

    `taken` is filled as it goes. Without `write_anew` the table's file keeps the old versions; the next run that has it
    writes it anew.

    Raises:
        KeyRefused: the number of the single key is taken, or a KEK is not at hand.
        SealBroken: some secrets do not open; all others are done.
        RotationRefused: the table could not be locked to be written anew; all else is done.
    """
    key_rotation.prepare(connection)
    keys.single = single if single is not None else keys.single
    _register(connection, keys, single)
    yield from key_rotation.make_missing(connection, keys.ring)
    ids = _single_ids(connection, keys, single)
    for place in PLACES if ids else ():
        before = 0
        for step in key_rotation.seal_again(connection, keys, place, ids, None, taken.tally, batch=batch):
            taken.single += step.done - before
            before = step.done
            yield step
    yield from _seal_plain(connection, keys, taken, batch)
    # Whatever was left: what the key has sealed it opens still, and every organization has one of its own to seal with.
    connection.execute(key_rotation.QUERIES["retire_single"])
    if write_anew and (since := _due_since(connection)) is not None:
        yield Progress("the table's file", 0, 1)
        key_rotation.rewrite(connection, "platform.databases", waits=waits)
        # The planner's statistics held values of the column, and their old versions are rows as well.
        try:
            key_rotation.rewrite(connection, "pg_catalog.pg_statistic", waits=waits)
        except key_rotation.RotationRefused:
            taken.statistics = False
        with connection.transaction():
            connection.execute(_QUERIES["rewritten"], {"since": since})
            _note(connection, "data_key.rewritten", {})
        taken.rewritten = True
        yield Progress("the table's file", 1, 1)
    taken.tally.refuse()


def _register(connection: psycopg.Connection[Any], keys: DataKeys, single: Key | None) -> None:
    """Keep the single key wrapped, so that programs open with it what is not taken over yet."""
    if single is None:
        return
    stored = data_keys.one(connection, "by_id", key_id=single.id)
    if stored is not None and stored.check_value is not None:
        _same(stored, single)
    if stored is not None and (stored.wrapped is not None or stored.state == "destroyed"):
        return
    with connection.transaction():
        if stored is None or stored.check_value is None:
            data_keys.give(connection, single)
            try:
                connection.execute(_QUERIES["register"])
            except psycopg.errors.ObjectNotInPrerequisiteState as error:
                raise KeyRefused(
                    f"the single key {single.id} is not the one that secrets are sealed with",
                    cause=f"{error.diag.message_primary}. {error.diag.message_hint or ''}".strip(),
                    remedy="Let LANCIO_KEY_FILE name the file of the key that they were sealed with.",
                ) from error
        kek = keys.ring.current
        connection.execute(
            _QUERIES["wrap_single"], {"key_id": single.id, "wrapped": kek.wrap(single), "kek_id": kek.id}
        )


def _same(stored: Stored, single: Key) -> None:
    """Return if the row is this key's.

    Raises:
        KeyRefused: it is another's.
    """
    if stored.organization_id is None and stored.check_value in (None, single.check_value()):
        return
    raise KeyRefused(
        f"the number {single.id} of the single key belongs to another key here",
        cause="What is sealed with the one could be taken for sealed with the other.",
        remedy="Look whether LANCIO_KEY_FILE names the right file.",
        commands=("lancio keys status",),
    )


def _single_ids(connection: psycopg.Connection[Any], keys: DataKeys, single: Key | None) -> list[int]:
    """The numbers of the single keys of before that secrets are sealed with.

    Raises:
        KeyRefused: one of them is neither wrapped here nor the one that was given.
    """
    with connection.cursor(row_factory=class_row(Stored)) as cursor:
        found = cursor.execute(_QUERIES["single"]).fetchall()
    used = [each for each in found if any(key_rotation.sealed_with(connection, [each.key_id], None).values())]
    for each in used:
        if single is not None and each.key_id == single.id:
            _same(each, single)
        else:
            each.open(keys.ring)
    return [each.key_id for each in used]


def plain(connection: psycopg.Connection[Any]) -> list[UUID]:
    """The rows of platform.databases with something in clear."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        return [row for (row,) in cursor.execute(_QUERIES["plain"]).fetchall()]


def due(connection: psycopg.Connection[Any]) -> bool:
    """Whether rows in clear were sealed and their table was not written anew since."""
    return _due_since(connection) is not None


def _due_since(connection: psycopg.Connection[Any]) -> datetime | None:
    with connection.cursor(row_factory=tuple_row) as cursor:
        found = cursor.execute(_QUERIES["rewrite_due"]).fetchone()
    return found[0] if found is not None else None


def _seal_plain(connection: psycopg.Connection[Any], keys: DataKeys, taken: Taken, batch: int) -> Iterator[Progress]:
    def work(rows: Sequence[UUID]) -> int:
        done, kept = _plain_batch(connection, keys, rows, taken.tally)
        kept_now.append(kept)
        return done

    since = time.monotonic()
    while rows := [row for row in plain(connection) if row not in taken.tally.left("databases")]:
        if not due(connection):
            _note(connection, "data_key.take_over", {"rows": len(rows)})
        before = taken.plain
        for start in range(0, len(rows), batch):
            kept_now: list[int] = []
            taken.plain += key_rotation.carefully(
                connection, "databases", rows[start : start + batch], work, taken.tally
            )
            taken.kept += sum(kept_now)
            yield Progress("rows in clear", taken.plain, before + len(rows))
        since = taken.tally.waited("databases", rows, since if taken.plain == before else time.monotonic())


def _plain_batch(
    connection: psycopg.Connection[Any], keys: DataKeys, ids: Sequence[UUID], tally: Tally
) -> tuple[int, int]:
    locked: list[Any]
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        locked = list(cursor.execute(_QUERIES["plain_lock"], {"ids": list(ids)}))
    sealed: list[tuple[UUID, bytes, str]] = []
    kept: list[tuple[Key, Any, str]] = []
    for row in locked:
        if not row.password and (_is_sealed_form(row) or row.connection_string in ("", _address(row))):
            continue  # somebody else has sealed or emptied it meanwhile
        key = keys.active(connection, row.organization_id)
        opened = _opened(connection, keys, row)
        if opened is None and _is_sealed_form(row):
            # A password beside a secret that cannot be opened: whether the two are one cannot be told.
            tally.add("databases", row.id)
            continue
        secret, second = merged(row, opened)
        if second is not None:
            kept.append((key, row, second))
        envelope = secrets.seal(secret, row_id=row.id, key=key)
        sealed.append((row.id, envelope, secrets.sealed_form(envelope, row.type, row.host, row.port)))
    if sealed:
        # In the same transaction: whoever goes on after a kill knows by it that the file is to be written anew.
        connection.execute(_QUERIES["make_due"])
        rows, envelopes, shown = map(list, zip(*sealed, strict=True))
        connection.execute(_QUERIES["plain_write"], {"ids": rows, "envelopes": envelopes, "shown": shown})
    for each in kept:
        _keep(connection, *each)
    return len(sealed), len(kept)


def merged(row: Any, opened: str | None) -> tuple[str, str | None]:
    """The secret of a row, and a second one that is not in it.

    `row` has type, host, port, database, username, password and connection_string; `opened` is what its envelope says,
    None where there is none of ours.
    """
    password = row.password or ""
    address = _address(row)
    if _is_sealed_form(row):
        assert opened is not None  # noqa: S101  asked before
        text = opened
    elif row.connection_string in ("", address):
        user = quote(row.username, safe="") if row.username else ""
        place = address.removeprefix(f"{row.type}://")
        name = f"/{quote(row.database, safe='')}" if row.database else ""
        return f"{row.type}://{user}:{quote(password, safe='')}@{place}{name}", None
    else:
        text = row.connection_string
        if opened is not None and opened != text:
            return text, opened if not password or _has(text, password) else f"{opened}\n{password}"
    return text, password if password and not _has(text, password) else None


def _address(row: Any) -> str:
    return secrets.display_form(row.type, row.host, row.port)


def _has(text: str, password: str) -> bool:
    """Whether a connection string has this password in it, spelled as it is or percent-encoded."""
    userinfo = text.partition("://")[2].rpartition("@")[0]
    given = userinfo.partition(":")[2]
    return password in (given, unquote(given))


def _is_sealed_form(row: Any) -> bool:
    return bool(row.connection_string.partition("://")[2].startswith("sealed:"))


def _opened(connection: psycopg.Connection[Any], keys: DataKeys, row: Any) -> str | None:
    """What the row's envelope says; None where there is none of ours that opens."""
    if row.envelope is None:
        return None
    try:
        key = keys.opening(connection, secrets.key_id_of(bytes(row.envelope)))
        return secrets.open_sealed(bytes(row.envelope), row_id=row.id, key=key).reveal()
    except (SealBroken, KeyRefused):
        return None  # made by something else: what stands beside it in clear is what programs have used


def _keep(connection: psycopg.Connection[Any], key: Key, row: Any, second: str) -> None:
    name = f"taken over from database {row.id}"
    with connection.cursor(row_factory=tuple_row) as cursor:
        found = cursor.execute(_QUERIES["kept_before"], {"project": row.project_id, "name": name}).fetchone()
    assert found is not None  # noqa: S101  a count
    own = uuid4()
    envelope = secrets.seal(second, row_id=own, key=key, column=_CREDENTIAL)
    connection.execute(
        _QUERIES["keep"],
        {
            "id": own,
            "organization": row.organization_id,
            "project": row.project_id,
            "name": name if not found[0] else f"{name} ({found[0] + 1})",
            "envelope": envelope,
        },
    )


def _note(connection: psycopg.Connection[Any], action: str, after: dict[str, object]) -> None:
    connection.execute(_QUERIES["note"], {"action": action, "after": json.dumps(after)})
