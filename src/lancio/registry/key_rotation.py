"""How does one key take another's place while programs go on reading and writing?

Two rotations. Of the key-encryption key: each data key is wrapped anew, and nothing else is touched. Of an
organization's data key: a new one seals from now on, the old one is retired, and what is sealed with it is sealed again
in small transactions of locked rows. Both go on where they were killed, and two of the same kind share the work.

An old data key stays and opens what it has sealed, until somebody destroys it.

Each function gives its progress as it goes; what it gave is in the database. Rows that a policy would hide are an
error, never left out: row_security is off in these sessions.
"""

from __future__ import annotations

import functools
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.rows import class_row, namedtuple_row, tuple_row

from lancio.errors import LancioError
from lancio.postgres import named_queries
from lancio.registry import data_keys, secrets
from lancio.registry.context import OWN_NAMES, pin
from lancio.registry.data_keys import LIFE_SECONDS, DataKeys, Stored
from lancio.registry.key_encryption_key import Ring, WrapBroken, wrong
from lancio.registry.secrets import KeyRefused, SealBroken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from uuid import UUID

BATCH: Final = 500
"""How many rows are locked and sealed again in one transaction."""

PATIENCE_SECONDS: Final = 10.0
"""How long rows that others hold are waited for when nothing else is left to do."""

QUERIES: Final = named_queries("lancio.registry", "key_rotation.sql")
"""Of this module, and of those beside it that need the same."""


class RotationRefused(LancioError):  # noqa: N818  (a refusal, named as those of lancio.errors)
    """Keys cannot be rotated or destroyed as asked; what was done until then stays, and holds."""

    code = "rotation"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is: after each transaction."""

    what: str
    """`data keys`, `databases`, `credentials`."""
    done: int
    """In this run."""
    of: int
    """How many there are to do, as far as is known now."""


@dataclass(frozen=True, slots=True)
class Place:
    """A column of envelopes."""

    table: str
    column: str
    """The full name that stands in the MAC."""
    shown: bool
    """Whether a display form stands beside it, in `connection_string`."""


PLACES: Final = (
    Place("databases", secrets.CONNECTION_STRING, shown=True),
    Place("credentials", secrets.CREDENTIAL, shown=False),
)


@dataclass(frozen=True, slots=True)
class Organization:
    """An organization that was named."""

    id: UUID
    slug: str
    name: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A data key, and since when it is retired."""

    stored: Stored
    retired_for: float | None
    """Seconds."""


@dataclass(slots=True)
class Tally:
    """What a run could not do; it goes on with the rest."""

    unopened: dict[str, list[UUID]] = field(default_factory=dict)
    """Rows whose envelope does not open, by table: changed, moved or sealed with a lost key."""
    refused: dict[str, dict[UUID, str]] = field(default_factory=dict)
    """Rows that could not be changed, by table, with why: they are older than a check of it, or others hold them."""

    def __bool__(self) -> bool:
        return bool(self.unopened or self.refused)

    def add(self, table: str, row: UUID) -> None:
        """Note a row that does not open, once."""
        if row not in (rows := self.unopened.setdefault(table, [])):
            rows.append(row)

    def waited(self, table: str, rows: Sequence[UUID], since: float) -> float:
        """Wait a moment for rows that others hold; after `PATIENCE_SECONDS` without any done, note them as refused."""
        if not (held := set(rows) - self.left(table)):
            return since
        if time.monotonic() - since > PATIENCE_SECONDS:
            said = f"another session has held it for {PATIENCE_SECONDS:g} seconds"
            self.refused.setdefault(table, {}).update(dict.fromkeys(held, said))
        time.sleep(0.2)
        return since

    def left(self, table: str) -> set[UUID]:
        """The rows of a table that are not tried again."""
        return {*self.unopened.get(table, ()), *self.refused.get(table, ())}

    def refuse(self) -> None:
        """Return if nothing is there.

        Raises:
            SealBroken: some do not open; with the first rows by name, and those that the table refuses beside them.
            RotationRefused: none of the former, but some of the latter.
        """
        refused = [(table, row, said) for table, rows in self.refused.items() for row, said in rows.items()]
        beside = "; ".join(f"platform.{table} {row}: {said}" for table, row, said in refused[:5])
        if any(self.unopened.values()):
            named = "; ".join(f"platform.{table}: {_some(rows, 5)}" for table, rows in self.unopened.items())
            raise SealBroken(
                f"{sum(map(len, self.unopened.values()))} secrets do not open; all others are done",
                cause=f"They were changed, moved from another row, or sealed with a key that is not here. {named}."
                f"{f' Besides, rows that cannot be changed: {beside}.' if beside else ''}",
                remedy="Write them anew, or restore those rows from a backup; then run it again.",
            )
        if refused:
            raise RotationRefused(
                f"{len(refused)} rows cannot be changed as they are; all others are done",
                cause=f"{beside}{f' and {len(refused) - 5} more' if len(refused) > 5 else ''}.",
                remedy="Mend those rows, or end the sessions that hold them (pg_stat_activity); then run it again.",
            )


# --- the key-encryption key -------------------------------------------------------------------------------------------


def rewrap(connection: psycopg.Connection[Any], ring: Ring, *, batch: int = BATCH) -> Iterator[Progress]:
    """Wrap every data key with the ring's current KEK; the others of the ring open those that are not yet.

    Programs that have both KEKs read and write all the while. Each transaction leaves an entry in the audit trail.

    Raises:
        KeyRefused: a KEK that wraps some data key is not in the ring; nothing was changed.
        WrapBroken: data keys do not open. All others are done.
        RotationRefused: a session has held some for `PATIENCE_SECONDS`. All others are done.
    """
    prepare(connection)
    here = [each.id for each in ring]
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        foreign = [kek for (kek,) in cursor.execute(QUERIES["foreign_keks"], {"here": here}).fetchall()]
    if foreign:
        raise wrong(ring, foreign)
    new, done = ring.current, 0
    broken: list[int] = []
    yield Progress("data keys", 0, left := _left(connection, new.id, broken))
    since = time.monotonic()
    while left or (left := _ended(connection, new.id, here, broken)):
        with connection.transaction():
            stored = _stored(connection, "wrapped_otherwise", kek_id=new.id, broken=broken, batch=batch)
            wrapped: list[tuple[int, bytes]] = []
            for each in stored:
                try:
                    key = each.open(ring)
                except WrapBroken:
                    broken.append(each.key_id)
                    continue
                wrapped.append((each.key_id, new.wrap(key)))
            if wrapped:
                ids, fresh = map(list, zip(*wrapped, strict=True))
                connection.execute(QUERIES["wrap"], {"kek_id": new.id, "ids": ids, "new": fresh})
                audit(connection, "data_key.rewrap", None, None, {"keys": len(ids), "kek_id": new.id})
        done += len(wrapped)
        left = _left(connection, new.id, broken)
        if stored:
            since = time.monotonic()
        elif left:
            if time.monotonic() - since > PATIENCE_SECONDS:
                raise _held(f"{left} data keys")
            time.sleep(0.05)  # another rotation holds the rest
        yield Progress("data keys", done, done + left)
    _refuse_broken(broken)


def _ended(connection: psycopg.Connection[Any], kek_id: str, here: Sequence[str], broken: Sequence[int]) -> int:
    """Let nobody wrap with the KEKs that are left; 0, or how many keys were wrapped with them meanwhile.

    A key that does not open keeps no KEK alive: nobody knows whether it is wrapped with that one at all.
    """
    with connection.transaction() as transaction:
        connection.execute(QUERIES["writers_first"], {"wait": f"{PATIENCE_SECONDS * 1000:.0f}ms"})
        try:
            connection.execute(QUERIES["forget_keks"], {"here": list(here), "kek_id": kek_id})
        except psycopg.errors.LockNotAvailable as error:
            raise _held("a data key that is being made") from error
        if left := _left(connection, kek_id, broken):
            raise psycopg.Rollback(transaction)
    return left


def _held(what: str) -> RotationRefused:
    return RotationRefused(
        f"another session holds {what}",
        cause=f"Its transaction has not ended for {PATIENCE_SECONDS:g} seconds; all others are done.",
        remedy="Run it again when that session has finished; pg_stat_activity shows it.",
    )


def check(connection: psycopg.Connection[Any], ring: Ring) -> int:
    """Open every data key; returns how many there are.

    Raises:
        KeyRefused: a KEK is not at hand.
        WrapBroken: with the numbers of all that do not open.
    """
    prepare(connection)
    after, count = 0, 0
    broken: list[int] = []
    while found := _stored(connection, "all_wrapped", after=after):
        for each in found:
            try:
                each.open(ring)
            except WrapBroken:
                broken.append(each.key_id)
        after, count = found[-1].key_id, count + len(found)
    _refuse_broken(broken)
    return count


def _left(connection: psycopg.Connection[Any], kek_id: str, broken: Sequence[int]) -> int:
    return int(_number(connection, "left_to_wrap", kek_id=kek_id, broken=list(broken))[0])


def _refuse_broken(broken: Sequence[int]) -> None:
    if broken:
        shown = _some(broken, 8)
        raise WrapBroken(
            f"{len(broken)} data keys do not open",
            cause=f"They were changed, or stand in another row than theirs: {shown}. All others are as they should be.",
            remedy="Restore them from a backup of the keys.",
            commands=("lancio keys restore keys.backup",),
        )


# --- an organization's data key ---------------------------------------------------------------------------------------


def organization(connection: psycopg.Connection[Any], named: str) -> Organization:
    """The organization with that slug or id.

    Raises:
        RotationRefused: there is none.
    """
    prepare(connection)
    with connection.cursor(row_factory=class_row(Organization)) as cursor:
        # What is no text is no name either.
        asked = {"named": named.encode("utf-8", "replace").decode()}
        found = cursor.execute(QUERIES["organization"], asked).fetchone()
    if found is None:
        raise RotationRefused(
            f"there is no organization {named}",
            cause="Neither a slug nor an id is so.",
            remedy="Look at its slug in platform.organizations.",
        )
    return found


def make_missing(connection: psycopg.Connection[Any], ring: Ring, *, batch: int = BATCH) -> Iterator[Progress]:
    """A data key for each organization that has none."""
    prepare(connection)
    with connection.cursor(row_factory=tuple_row) as cursor:
        without = [each for (each,) in cursor.execute(QUERIES["organizations_without_a_key"]).fetchall()]
    yield Progress("data keys", 0, len(without))
    for start in range(0, len(without), batch):
        with connection.transaction():
            for each in without[start : start + batch]:
                data_keys.make(connection, ring, each)
        yield Progress("data keys", min(start + batch, len(without)), len(without))


def rotate(
    connection: psycopg.Connection[Any],
    keys: DataKeys,
    of: UUID,
    *,
    batch: int = BATCH,
    settle_s: float = LIFE_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Progress]:
    """A new data key for an organization, and every secret of it sealed again.

    Where an earlier rotation was not finished, this goes on with it and makes no other key; unless all that it had left
    are secrets that do not open. Programs may seal with the old key for `settle_s` seconds more
    (`data_keys.LIFE_SECONDS`), so the last look comes after that.

    Raises:
        KeyRefused: a KEK is not at hand. WrapBroken: a data key does not open.
        SealBroken: some secrets do not open; all others are done.
    """
    prepare(connection)
    begun, tally, done = begin(connection, keys, of), Tally(), 0
    for step in _all_sealed_again(connection, keys, of, tally, batch=batch, settle_s=settle_s, sleep=sleep):
        done += step.done
        yield step
    if tally and not begun and not done:
        begin(connection, keys, of, unfinished=False)
        yield from _all_sealed_again(connection, keys, of, tally, batch=batch, settle_s=settle_s, sleep=sleep)
    tally.refuse()


def begin(connection: psycopg.Connection[Any], keys: DataKeys, of: UUID, *, unfinished: bool = True) -> bool:
    """Make the new key active and the old one retired; False where an `unfinished` rotation is gone on with."""
    before = kept(connection, of)
    retired = [each.stored.key_id for each in before if each.stored.state == "retired"]
    if unfinished and retired and any(sealed_with(connection, retired, of).values()):
        return False
    active = next((each.stored for each in before if each.stored.state == "active"), None)
    if active is not None:
        active.open(keys.ring)  # one that cannot be opened is not retired: what it sealed could not be moved
    with connection.transaction():
        new = data_keys.make(connection, keys.ring, of, replaces=None if active is None else active.key_id)
    keys.forget()
    return new is not None  # else another rotation was there first


def kept(connection: psycopg.Connection[Any], of: UUID) -> list[Kept]:
    """All keys of an organization, oldest first."""
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        return [_kept(row) for row in cursor.execute(QUERIES["keys_of"], {"organization": of}).fetchall()]


def sealed_with(connection: psycopg.Connection[Any], key_ids: Sequence[int], of: UUID | None) -> dict[str, int]:
    """How many secrets of an organization, or of all, are sealed with one of these keys, by table."""
    found = _number(connection, "sealed_count", organization=of, keys=list(key_ids))
    return dict(zip((place.table for place in PLACES), found, strict=True))


def _all_sealed_again(
    connection: psycopg.Connection[Any], keys: DataKeys, of: UUID, tally: Tally, *, batch: int, settle_s: float,
    sleep: Callable[[float], None],
) -> Iterator[Progress]:  # fmt: skip
    sealed = dict.fromkeys((place.table for place in PLACES), 0)
    while True:
        retired = [each for each in kept(connection, of) if each.stored.state == "retired"]
        if not retired:
            return
        ids = [each.stored.key_id for each in retired]
        youngest = min(each.retired_for or 0.0 for each in retired)
        for place in PLACES:
            before = sealed[place.table]
            for step in seal_again(connection, keys, place, ids, of, tally, batch=batch):
                sealed[place.table] = before + step.done
                yield Progress(step.what, before + step.done, before + step.of)
        if youngest >= settle_s:
            return  # all that was sealed with the old key is committed, and has been looked at
        sleep(max(0.05, settle_s - youngest))


def seal_again(
    connection: psycopg.Connection[Any],
    keys: DataKeys,
    place: Place,
    key_ids: Sequence[int],
    of: UUID | None,
    tally: Tally,
    *,
    batch: int = BATCH,
) -> Iterator[Progress]:
    """Seal with its organization's active key whatever is sealed with one of `key_ids`, until nothing is.

    A row that somebody else holds is left for a later look, and for `tally` when that has gone on. Writers wait for one
    batch at most, readers for nothing.
    """
    named, done, since = list(key_ids), 0, time.monotonic()
    while True:
        skip = tally.left(place.table)
        with connection.cursor(row_factory=tuple_row) as cursor:
            found = cursor.execute(QUERIES[f"{place.table}_sealed_with"], {"organization": of, "keys": named})
            rows = [row for (row,) in found.fetchall() if row not in skip]
        if not rows:
            return
        before = done
        for start in range(0, len(rows), batch):
            work = functools.partial(_batch, connection, keys, place, named=named, tally=tally)
            done += carefully(connection, place.table, rows[start : start + batch], work, tally)
            yield Progress(place.table, done, before + len(rows))
        since = tally.waited(place.table, rows, since if done == before else time.monotonic())


def carefully(
    connection: psycopg.Connection[Any],
    table: str,
    rows: Sequence[UUID],
    work: Callable[[Sequence[UUID]], int],
    tally: Tally,
) -> int:
    """Do the work for some rows in one transaction; where the table refuses one of them, for the others.

    Returns how many were done. A row of an older time may not pass a check that any change of it has to pass.
    """
    try:
        with connection.transaction():
            return work(rows)
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        if len(rows) == 1:
            said = error.diag.message_primary or type(error).__name__
            tally.refused.setdefault(table, {})[rows[0]] = said
            return 0
    middle = len(rows) // 2
    return sum(carefully(connection, table, half, work, tally) for half in (rows[:middle], rows[middle:]))


def _batch(
    connection: psycopg.Connection[Any],
    keys: DataKeys,
    place: Place,
    ids: Sequence[UUID],
    *,
    named: list[int],
    tally: Tally,
) -> int:
    locked: list[Any]
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        locked = list(cursor.execute(QUERIES[f"{place.table}_lock"], {"ids": list(ids), "keys": named}))
    sealed: list[tuple[UUID, bytes, str]] = []
    opening = functools.cache(functools.partial(keys.opening, connection))
    active = functools.cache(functools.partial(keys.active, connection))
    for row in locked:
        try:
            old = opening(secrets.key_id_of(bytes(row.envelope)))
            plain = secrets.open_sealed(bytes(row.envelope), row_id=row.id, key=old, column=place.column)
        except (SealBroken, KeyRefused):
            tally.add(place.table, row.id)
            continue
        key = active(row.organization_id)
        envelope = secrets.seal(plain, row_id=row.id, key=key, column=place.column)
        shown = secrets.sealed_form(envelope, row.type, row.host, row.port) if place.shown else ""
        sealed.append((row.id, envelope, shown))
    write(connection, place, sealed)
    return len(sealed)


def write(connection: psycopg.Connection[Any], place: Place, sealed: Sequence[tuple[UUID, bytes, str]]) -> None:
    """Put envelopes into their rows, which are locked: (id, envelope, display form)."""
    if sealed:
        ids, envelopes, shown = map(list, zip(*sealed, strict=True))
        values = {"ids": ids, "envelopes": envelopes} | ({"shown": shown} if place.shown else {})
        connection.execute(QUERIES[f"{place.table}_write"], values)


# --- the end of a key -------------------------------------------------------------------------------------------------


def dying(connection: psycopg.Connection[Any], of: UUID) -> dict[str, int]:
    """How many secrets could not be opened any more if the keys of an organization were destroyed, by table.

    Raises:
        RotationRefused: it has no key, or some of its secrets would survive: they are sealed with a single key of
            before, or are in clear.
    """
    prepare(connection)
    ids = [each.stored.key_id for each in kept(connection, of) if each.stored.state != "destroyed"]
    if not ids:
        raise RotationRefused(
            "this organization has no key that could be destroyed",
            cause="It never had one, or they are destroyed already.",
            remedy="Look at the keys that are there.",
            commands=("lancio keys status",),
        )
    (surviving,) = _number(connection, "surviving", organization=of)
    if surviving:
        raise RotationRefused(
            f"{surviving} secrets of this organization would survive its keys",
            cause="They are sealed with the single key of before, or are in clear.",
            remedy="Take them over first.",
            commands=("LANCIO_KEY_FILE=lancio.key lancio keys take-over",),
        )
    return sealed_with(connection, ids, of)


def destroy(connection: psycopg.Connection[Any], of: UUID) -> dict[str, int]:
    """Destroy all keys of an organization: what they sealed cannot be opened again, by anyone. How many that are.

    The key's bytes are overwritten and the table is written anew, so that they do not stay in its file either. Copies
    in backups, in the write-ahead log and on standbys are wrapped, and open as long as the KEK is there.

    Raises:
        RotationRefused: as `dying`; or all is destroyed, but the table could not be locked to be written anew.
    """
    prepare(connection)
    with connection.transaction():
        count = dying(connection, of)
        _number(connection, "destroy_all", organization=of)
    forget_old_bytes(connection)
    return count


def destroy_retired(
    connection: psycopg.Connection[Any], key_id: int, *, settle_s: float = LIFE_SECONDS, wait_s: float = 5.0
) -> None:
    """Destroy a key that a rotation left and nothing is sealed with any more.

    Nobody writes a secret while it looks for the last time.

    Raises:
        RotationRefused: it is not there or not retired, it was retired a moment ago, secrets are sealed with it, or
            one is being written.
    """
    prepare(connection)
    with connection.transaction(), connection.cursor(row_factory=namedtuple_row) as cursor:
        row = cursor.execute(QUERIES["key"], {"key_id": key_id}).fetchone()
        if row is None:
            raise RotationRefused(
                f"there is no data key {key_id}", remedy="Look at them.", commands=("lancio keys status",)
            )
        found = _kept(row)
        if found.stored.state != "retired":
            raise RotationRefused(
                f"data key {key_id} is {found.stored.state}",
                cause="Only a key that a rotation left is destroyed by its number.",
                remedy="Rotate the organization's key first; or destroy all that it has sealed, by --organization.",
                commands=("lancio keys rotate ORGANIZATION",),
            )
        of = found.stored.organization_id
        _refuse_used(connection, key_id, of)
        if found.retired_for is not None and found.retired_for < settle_s:
            raise RotationRefused(
                f"data key {key_id} was retired {found.retired_for:.0f} seconds ago",
                cause=f"Programs may seal with it for {settle_s:.0f} seconds more.",
                remedy="Run it again in a moment.",
            )
        connection.execute(QUERIES["writers_first"], {"wait": f"{wait_s * 1000:.0f}ms"})
        try:
            connection.execute(QUERIES["no_writers"])
        except psycopg.errors.LockNotAvailable as error:
            raise RotationRefused(
                "the secrets are being written",
                cause=f"A transaction that may have sealed with this key has not ended for {wait_s:g} seconds.",
                remedy="Run it again when that session has finished; pg_stat_activity shows it.",
            ) from error
        _refuse_used(connection, key_id, of)
        connection.execute(QUERIES["destroy_one"], {"key_id": key_id})
        audit(connection, "data_key.destroy", key_id, of, {})
    forget_old_bytes(connection)


def _refuse_used(connection: psycopg.Connection[Any], key_id: int, of: UUID | None) -> None:
    used = sealed_with(connection, [key_id], of)
    if any(used.values()):
        raise RotationRefused(
            f"{sum(used.values())} secrets are sealed with data key {key_id}",
            cause="They could not be opened again.",
            remedy="Finish the rotation or the takeover first.",
            commands=("lancio keys status",),
        )


def forget_old_bytes(connection: psycopg.Connection[Any]) -> None:
    """Write platform.data_keys anew, so that old versions of its rows are not in its file any more.

    ACCESS EXCLUSIVE on that small table for the moment it takes: 0.1 s for 10,000 keys (bench/keys.py).

    Raises:
        RotationRefused: the lock could not be had, or this role may not.
    """
    rewrite(connection, "platform.data_keys", waits=20)


def rewrite(connection: psycopg.Connection[Any], table: str, *, waits: int, pause_s: float = 1.0) -> None:
    """VACUUM FULL and ANALYZE a table of the platform, without making others wait long behind a lock that is not had.

    Raises:
        RotationRefused: the lock was not had in `waits` tries of 1.5 seconds (where deadlock_timeout is a second), or
            this role may not.
    """
    statement = f"VACUUM (FULL, ANALYZE) {table}"
    warnings: list[str] = []

    def noticed(said: psycopg.errors.Diagnostic) -> None:
        if said.severity_nonlocalized == "WARNING":
            warnings.append(said.message_primary or "")

    connection.add_notice_handler(noticed)
    try:
        for _ in range(waits):
            connection.execute(QUERIES["patience"])
            try:
                connection.execute(statement.encode())
            except psycopg.errors.LockNotAvailable:
                time.sleep(pause_s)
                continue
            if warnings:  # who may not is told so by a warning, and nothing is done
                raise RotationRefused(
                    f"{table} may not be written anew by this role",
                    cause=f"{warnings[0]}. Its file still has the old bytes; all else that was asked for is done.",
                    remedy="Let its owner, or a superuser, do it.",
                    commands=(f'psql "$DATABASE_URL" -c "{statement}"',),
                )
            return
    finally:
        connection.remove_notice_handler(noticed)
        if not connection.closed:
            connection.execute(QUERIES["no_patience"])
    raise RotationRefused(
        f"{table} could not be locked to write it anew",
        cause="Other sessions hold it. Its file still has the old bytes; all else that was asked for is done.",
        remedy="Run it in a quiet moment.",
        commands=(f'psql "$DATABASE_URL" -c "{statement}"',),
    )


def audit(
    connection: psycopg.Connection[Any], action: str, key_id: int | None, of: UUID | None, after: Mapping[str, object]
) -> None:
    """Note what was done with a key; without a number, with several."""
    target = None if key_id is None else str(key_id)
    connection.execute(
        QUERIES["audit"], {"organization": of, "action": action, "target": target, "after": json.dumps(after)}
    )


def prepare(connection: psycopg.Connection[Any]) -> None:
    """Make an error of rows that a policy would hide, in this session."""
    pin(connection, {"row_security": "off"} | OWN_NAMES, session=True)


def _stored(connection: psycopg.Connection[Any], query: str, **values: object) -> list[Stored]:
    with connection.cursor(row_factory=class_row(Stored)) as cursor:
        return cursor.execute(QUERIES[query], values).fetchall()


def _number(connection: psycopg.Connection[Any], query: str, **values: object) -> Any:
    with connection.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(QUERIES[query], values).fetchone()


def _kept(row: Any) -> Kept:
    stored = Stored(row.key_id, row.organization_id, row.wrapped, row.kek_id, row.check_value, row.state)
    return Kept(stored, row.retired_for)


def _some(items: Sequence[object], most: int) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(map(str, items[:most])) + more
