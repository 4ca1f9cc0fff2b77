"""How are the data keys kept outside of the database, and given back to it?

A backup is a file of JSON with each data key as it is wrapped, the check values, and a SHA-256 over all of it, which
tells a cut or damaged file. Without the key-encryption key it is useless; with it, it opens every secret of every dump
from its time on. So the two are kept apart.

A restore writes only what is missing or damaged. What was destroyed stays destroyed, and a key that is there as another
one, or wrapped by a key-encryption key that is not at hand, is an error before anything is written. Every key is opened
first.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from psycopg.rows import class_row, tuple_row

from lancio.errors import LancioError
from lancio.postgres import named_queries
from lancio.registry import key_rotation
from lancio.registry.data_keys import Stored
from lancio.registry.key_encryption_key import WRAPPED_BYTES, Ring, WrapBroken, read_private, write_private, wrong
from lancio.registry.secrets import KeyRefused

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import psycopg

FORMAT: Final = "lancio data keys 1"
_LONGEST: Final = 1 << 30
_QUERIES = named_queries("lancio.registry", "key_backup.sql")


class BackupRefused(LancioError):  # noqa: N818  (a refusal, named as those of lancio.errors)
    """A backup of keys that is none, or does not belong to this database."""

    code = "key-backup"


@dataclass(frozen=True, slots=True)
class Saved:
    """A data key in a backup."""

    key_id: int
    organization_id: UUID | None
    wrapped: bytes
    kek_id: str
    check_value: bytes
    state: str
    created_at: datetime
    retired_at: datetime | None

    @property
    def stored(self) -> Stored:
        """As the row of platform.data_keys that it was."""
        return Stored(self.key_id, self.organization_id, self.wrapped, self.kek_id, self.check_value, self.state)


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did, or would do."""

    added: int
    mended: int
    """Rows that were there, with a wrapped key that did not open."""
    there: int
    destroyed: int
    """Left alone: they were destroyed here."""
    without_organization: int
    """Left out: their organizations are not in this database."""


def backup(connection: psycopg.Connection[Any], path: Path) -> tuple[int, tuple[str, ...]]:
    """Write all data keys to a new file that only its owner may read; how many, and the KEKs that open them.

    Raises:
        KeyRefused: the file exists or cannot be written.
    """
    key_rotation.prepare(connection)
    with connection.cursor(row_factory=class_row(Saved)) as cursor:
        keys = cursor.execute(_QUERIES["all"]).fetchall()
    lines = [json.dumps(_plain(each), sort_keys=True) for each in keys]
    keks = tuple(sorted({each.kek_id for each in keys}))
    head = {"format": FORMAT, "made_at": datetime.now(UTC).isoformat(), "keys": len(keys), "keks": keks}
    text = "\n".join((json.dumps(head), *lines)) + "\n"
    text += json.dumps({"sha256": hashlib.sha256(text.encode()).hexdigest()}) + "\n"
    write_private(path, text.encode("ascii"), "A backup is never written over: it may be the only one of its time.")
    return len(keys), keks


def read(path: Path) -> list[Saved]:
    """The keys of a backup.

    Raises:
        KeyRefused: it cannot be read, or others than its owner may read it.
        BackupRefused: it is cut, damaged, or no backup of keys.
    """
    content = read_private(path, "the backup of keys", longest=_LONGEST)
    body, _, last = content.rstrip(b"\n").rpartition(b"\n")
    try:
        head, *lines = body.decode("ascii").splitlines()
        said = json.loads(head)
        if not isinstance(said, dict) or said.get("format") != FORMAT:
            raise ValueError
        if json.loads(last) != {"sha256": hashlib.sha256(body + b"\n").hexdigest()} or len(lines) != said["keys"]:
            raise BackupRefused(
                f"the backup of keys {path} is damaged",
                cause="Its end is missing, or it was changed: its SHA-256 is another.",
                remedy="Take another copy of it.",
            )
        return [_saved(json.loads(line)) for line in lines]
    except (ValueError, KeyError, TypeError) as error:
        raise BackupRefused(
            f"{path} is no backup of keys",
            cause="It does not have the lines that lancio keys backup writes, or was cut.",
            remedy="Name another file.",
        ) from error


def restore(
    connection: psycopg.Connection[Any], saved: list[Saved], ring: Ring, *, write: bool = True, other_kek: bool = False
) -> Restored:
    """Give back the keys that are missing here, in one transaction; without `write` only what would be done.

    `other_kek`: also over those that are wrapped by a KEK which is not at hand.

    Raises:
        KeyRefused: a KEK that wraps some key of the backup is not at hand.
        WrapBroken: keys of the backup do not open.
        BackupRefused: a key of the same number is another one here, or wrapped by a KEK that is not at hand.
            Nothing was written in any of these cases.
    """
    key_rotation.prepare(connection)
    here_keks = {each.id for each in ring}
    if missing := sorted({each.kek_id for each in saved} - here_keks):
        raise wrong(ring, missing, where="the backup")
    _open_all(saved, ring)
    with connection.transaction():
        if write:
            connection.execute(_QUERIES["lock"])
        here = _here(connection, saved)
        others = [each.key_id for each in saved if each.key_id in here and not _same(each, here[each.key_id])]
        if others:
            raise BackupRefused(
                f"{len(others)} keys of the backup are other keys here",
                cause=f"The same numbers were given to others: {', '.join(map(str, others[:8]))}. The backup is of "
                "another database, or of a time after this one's dump was made and others were made since.",
                remedy="Name the backup of this database.",
            )
        if not other_kek:
            _refuse_rotated(saved, here, ring)
        organizations = _ids(connection, "organizations", {each.organization_id for each in saved} - {None})
        active = _ids(connection, "active")
        counts = {"added": 0, "mended": 0, "there": 0, "destroyed": 0, "without_organization": 0}
        for each in saved:
            stored = here.get(each.key_id)
            if stored is None and each.organization_id is not None and each.organization_id not in organizations:
                counts["without_organization"] += 1
                continue
            kind = _kind(stored, ring)
            counts[kind] += 1
            if not write or kind in ("there", "destroyed"):
                continue
            if kind == "added" and each.state == "active" and each.organization_id in active:
                # The organization was given another key since: what this one sealed is opened, nothing is sealed.
                each = replace(each, state="retired", retired_at=datetime.now(UTC))
            connection.execute(_QUERIES["add" if kind == "added" else "mend"], asdict(each))
        if write and counts["added"] + counts["mended"]:
            key_rotation.audit(connection, "data_key.restore", None, None, counts)
    return Restored(**counts)


def _open_all(saved: Iterable[Saved], ring: Ring) -> None:
    broken: list[int] = []
    for each in saved:
        try:
            each.stored.open(ring)
        except WrapBroken:
            broken.append(each.key_id)
    if broken:
        raise WrapBroken(
            f"{len(broken)} keys of the backup do not open",
            cause=f"They were changed or swapped: {', '.join(map(str, broken[:8]))}. Nothing was written.",
            remedy="Take another copy of the backup.",
        )


def _here(connection: psycopg.Connection[Any], saved: list[Saved]) -> dict[int, Stored]:
    with connection.cursor(row_factory=class_row(Stored)) as cursor:
        rows = cursor.execute(_QUERIES["here"], {"ids": [each.key_id for each in saved]}).fetchall()
    return {each.key_id: each for each in rows}


def _same(saved: Saved, stored: Stored) -> bool:
    value = stored.check_value
    return stored.organization_id == saved.organization_id and (value is None or bytes(value) == saved.check_value)


def _kind(stored: Stored | None, ring: Ring) -> str:
    if stored is None:
        return "added"
    if stored.state == "destroyed":
        return "destroyed"
    try:
        stored.open(ring)
    except (WrapBroken, KeyRefused):
        return "mended"
    return "there"


def _refuse_rotated(saved: list[Saved], here: dict[int, Stored], ring: Ring) -> None:
    """A key under another KEK is in use, as far as can be told: programs with that KEK would stop."""
    at_hand = {each.id for each in ring}
    rotated = [
        each
        for each in here.values()
        if each.wrapped is not None and each.kek_id not in at_hand and len(each.wrapped) == WRAPPED_BYTES
    ]
    if not rotated:
        return
    old = sorted({each.kek_id for each in saved if each.key_id in {one.key_id for one in rotated}})
    new = sorted({str(each.kek_id) for each in rotated})
    raise BackupRefused(
        f"{len(rotated)} data keys of the backup are here under another key-encryption key, {', '.join(new)}",
        cause=f"In the backup {', '.join(old)} wraps them: it was made before a rotation. Written over, they would not "
        f"open in programs that have {', '.join(new)}. Nothing was written.",
        remedy="Give both key-encryption keys: what opens stays, what is missing or damaged is given back, and "
        "rotate-kek wraps that with the newer one. Only if that one is lost, write over them with --other-kek.",
        commands=(
            "lancio keys restore keys.backup --kek-file new.kek --old-kek-file lancio.kek",
            "lancio keys rotate-kek --kek-file new.kek --old-kek-file lancio.kek",
        ),
    )


def _ids(connection: psycopg.Connection[Any], query: str, ids: set[Any] | None = None) -> set[Any]:
    values = {} if ids is None else {"ids": list(ids)}
    with connection.cursor(row_factory=tuple_row) as cursor:
        return {each for (each,) in cursor.execute(_QUERIES[query], values).fetchall()}


def _plain(saved: Saved) -> dict[str, object]:
    return {
        name: value.hex() if isinstance(value, bytes) else value.isoformat() if isinstance(value, datetime)
        else str(value) if isinstance(value, UUID) else value
        for name, value in asdict(saved).items()
    }  # fmt: skip


def _saved(plain: dict[str, Any]) -> Saved:
    if plain["state"] not in ("active", "retired") or not 1 <= plain["key_id"] <= 999_999_999:
        raise ValueError(plain["state"])
    return Saved(
        plain["key_id"],
        UUID(plain["organization_id"]) if plain["organization_id"] is not None else None,
        bytes.fromhex(plain["wrapped"]),
        str(plain["kek_id"]),
        bytes.fromhex(plain["check_value"]),
        plain["state"],
        datetime.fromisoformat(plain["created_at"]),
        datetime.fromisoformat(plain["retired_at"]) if plain["retired_at"] is not None else None,
    )
