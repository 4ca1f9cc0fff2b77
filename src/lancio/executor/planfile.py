"""A plan that was looked at: is everything that it was made from still the same?

It is kept as data: the files and their order, the database that it was made for, the facts of its catalog and what its
ledger held. Of a catalog's facts only hashes are kept, one an object, so that what changed can be named and nothing of
a database's definitions leaves it. There is no secret in it.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
import psycopg
from psycopg.rows import dict_row

from lancio import __version__
from lancio.errors import LancioError, UsageError
from lancio.executor import fingerprint, ledger
from lancio.postgres import named_queries

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from lancio.executor.fingerprint import Fingerprint
    from lancio.executor.session import Connection
    from lancio.planner.model import Plan

QUERIES = named_queries("lancio.executor", "planfile.sql")

FORMAT = 1
SHOWN = 12
"""So many changes are named in a refusal; the others are counted."""


class PlanChanged(LancioError):  # noqa: N818  (named as the other refusals)
    """What a kept plan was made from is not the same any more."""

    code = "plan-changed"
    exit_status = 3


@dataclass(frozen=True, slots=True)
class Choice:
    """What of the folder the plan is of, as the command line said it."""

    folder: str
    to: str | None = None
    only: tuple[str, ...] = ()
    minimal: bool = False
    order: str = "name"


@dataclass(frozen=True, slots=True)
class Identity:
    """A database that can be told from every other: `system` is "" where this role may not ask the server for it."""

    name: str
    oid: int
    system: str
    version: str
    number: int


@dataclass(frozen=True)
class PlanFile:
    """A plan as data. `files` holds digest and place by name; `catalog` and `ledger` a hash or a state by name."""

    choice: Choice
    said: str
    """The database in words."""
    identity: Identity
    steps: tuple[str, ...]
    files: Mapping[str, str]
    catalog: Mapping[str, str]
    ledger: Mapping[str, str]
    made_at: str = ""
    made_by: str = field(default=__version__)

    @property
    def hash(self) -> str:
        """SHA-256 over all that it was made from, in hex; when it was made is no part of it."""
        said = {name: value for name, value in _plain(self).items() if name not in ("made_at", "made_by", "database")}
        return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()


def take(plan: Plan, connection: Connection, choice: Choice, said: str) -> PlanFile:
    """What a plan was made from, asked anew; nothing is written.

    Raises:
        ServerError: catalog or ledger cannot be read.
    """
    return PlanFile(
        choice,
        said,
        identity(connection),
        tuple(step.facts.name for step in plan.steps),
        {
            facts.name: f"{position} {facts.migration.digest}"
            for position, facts in enumerate(plan.graph.files, 1)
        },
        objects(fingerprint.take(connection)),
        {name: f"{row.state} {row.checksum}" for name, row in ledger.read(connection).items()},
        datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip


def identity(connection: Connection) -> Identity:
    """Which database this is."""
    with psycopg.RawCursor(connection, row_factory=dict_row) as cursor:
        found = cursor.execute(QUERIES["identity"].encode()).fetchone()
    if found is None:
        raise AssertionError("the own database is in pg_database")
    system = ""
    try:
        with connection.transaction(), psycopg.RawCursor(connection) as cursor:
            row = cursor.execute(QUERIES["system"].encode()).fetchone()
            system = str(row[0]) if row is not None else ""
    except psycopg.errors.InsufficientPrivilege:
        pass  # a managed server that keeps it to itself; name and number of the database are compared all the same
    return Identity(found["name"], found["oid"], system, found["version"], found["number"])


def objects(catalog: Fingerprint) -> dict[str, str]:
    """A hash for each object that the catalog tells of: "view public.v" to 16 hex digits of SHA-256."""
    found: dict[str, Any] = {}
    for fact in catalog.facts:  # sorted, so that several facts of one object give one hash
        name = f"{fact.kind} {fact.identity}"
        digest = found.setdefault(name, hashlib.sha256())
        digest.update(fact.definition.encode() + b"\0")
    return {name: digest.hexdigest()[:16] for name, digest in found.items()}


def changes(kept: PlanFile, now: PlanFile) -> tuple[str, ...]:
    """Everything in which a kept plan and the present differ, in words; the gravest first."""
    here, there = now.identity, kept.identity
    told = []
    if (here.name, here.oid) != (there.name, there.oid) or (
        here.system and there.system and here.system != there.system
    ):
        # Whatever else differs says nothing then.
        return (f"another database: it was made for {kept.said}, this is {now.said}",)
    if here.number // 10000 != there.number // 10000:
        told.append(f"the server runs PostgreSQL {here.version} and ran {there.version}")
    told += _differences("file", kept.files, now.files)
    told += _differences("in the ledger,", kept.ledger, now.ledger)
    told += _differences("", kept.catalog, now.catalog)
    if not told and kept.steps != now.steps:
        told.append(f"the steps are {', '.join(now.steps) or 'none'} and were {', '.join(kept.steps) or 'none'}")
    return tuple(told)


def _differences(what: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterable[str]:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            word = "is new" if name not in before else "is gone" if name not in after else "changed"
            yield f"{what} {name} {word}".lstrip()


def refuse_changed(kept: PlanFile, now: PlanFile, path: str) -> None:
    """Go on only where nothing changed since the plan was kept.

    Raises:
        PlanChanged: with the name of what did.
    """
    told = changes(kept, now)
    if not told:
        return
    more = f"; and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    error = PlanChanged(
        f"{path} is a plan for what is not so any more",
        cause=f"Since it was made: {'; '.join(told[:SHOWN])}{more}.",
        remedy="Make the plan anew, look at it, and apply that one. Nothing was changed.",
        commands=(f"lancio plan {kept.choice.folder} --save {path}",),
    )
    error.more["changes"] = list(told)
    raise error


# --- as a file --------------------------------------------------------------------------------------------------------


def write(kept: PlanFile, path: Path) -> None:
    """Write it whole or not at all; what is there under that name is replaced.

    Raises:
        UsageError: it cannot be written there.
    """
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        try:
            fresh.write_bytes(
                orjson.dumps(_plain(kept) | {"hash": kept.hash}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
            )
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(
            f"the plan cannot be written to {path}", cause=f"{error.strerror}.", remedy="Name another file by --save."
        ) from error


def read(path: Path) -> PlanFile:
    """A plan that was kept.

    Raises:
        UsageError: there is none, or it is not one.
    """
    try:
        data = orjson.loads(path.read_bytes())
        if data["lancio_plan"] != FORMAT:
            raise UsageError(
                f"{path} has another format",
                cause=f"It is a plan of format {data['lancio_plan']!s:.20}; this Lancio knows {FORMAT}.",
                remedy="Make it with the Lancio that applies it.",
            )
        kept = PlanFile(
            Choice(**(data["choice"] | {"only": tuple(data["choice"]["only"])})),
            data["database"], Identity(**data["identity"]), tuple(data["steps"]), data["files"],
            data["catalog"], data["ledger"], data["made_at"], data["made_by"],
        )  # fmt: skip
        whole = kept.hash == data["hash"]
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read", cause=f"{error.strerror}.", remedy="Check its path and its rights."
        ) from error
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError):
        raise UsageError(
            f"{path} is no plan",
            cause="It is not what `lancio plan --save` writes.",
            remedy="Make one, and name it here.",
            commands=(f"lancio plan migrations --save {path}",),
        ) from None
    if not whole:
        raise UsageError(
            f"{path} was changed by hand",
            cause="What is in it does not have the hash that is written beside it.",
            remedy="Make the plan anew.",
        )
    return kept


def _plain(kept: PlanFile) -> dict[str, Any]:
    choice, there = kept.choice, kept.identity
    return {
        "lancio_plan": FORMAT,
        "made_at": kept.made_at,
        "made_by": kept.made_by,
        "database": kept.said,
        "choice": {
            "folder": choice.folder, "to": choice.to, "only": list(choice.only), "minimal": choice.minimal,
            "order": choice.order,
        },
        "identity": {
            "name": there.name, "oid": there.oid, "system": there.system, "version": there.version,
            "number": there.number,
        },
        "steps": list(kept.steps),
        "files": dict(kept.files),
        "ledger": dict(kept.ledger),
        "catalog": dict(kept.catalog),
    }  # fmt: skip
