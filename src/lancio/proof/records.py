"""A baseline as a file: what was measured, when, where and by whom, so that a later measurement can be held against it.

The file holds the queries' texts, their times and plans, and no connection string.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lancio import __version__
from lancio.errors import UsageError
from lancio.proof import chosen
from lancio.proof.baseline import Recorded, Relation, Sample, Taken
from lancio.proof.chosen import Chosen, LeftOut, Query
from lancio.proof.shape import Look

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was measured at one moment."""

    made_at: str
    database: str
    server_version: str
    queries: tuple[Recorded, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def chosen(self) -> Chosen:
        """The queries alone."""
        return Chosen(tuple(each.query for each in self.queries), self.left_out, f"the baseline of {self.made_at[:19]}")


def make(database: str, server_version: str, queries: Sequence[Recorded], left_out: Sequence[LeftOut]) -> Baseline:
    """A baseline of now; `database` is its masked form."""
    return Baseline(datetime.now(UTC).isoformat(), database, server_version, tuple(queries), tuple(left_out))


def data(baseline: Baseline) -> dict[str, Any]:
    """JSON-able; `read` gives it back."""
    return {
        "format": FORMAT,
        "lancio_version": __version__,
        "made_at": baseline.made_at,
        "database": baseline.database,
        "server_version": baseline.server_version,
        "queries": [_query(each) for each in baseline.queries],
        "left_out": [{"name": each.name, "why": each.why} for each in baseline.left_out],
    }


def _query(each: Recorded) -> dict[str, Any]:
    look = each.look
    return {
        "name": each.query.name,
        "text": each.query.text,
        "writes": each.query.writes,
        "generic": each.query.generic,
        "failed": each.failed,
        "times": each.times,
        "plan": None
        if look is None
        else {
            "lines": list(look.lines),
            "relations": list(look.relations),
            "indexes": list(look.indexes),
            "parallel": look.parallel,
            "cost": look.cost,
            "buffers": look.buffers,
        },
        "relations": [
            {name: getattr(relation, name) for name in Relation.__dataclass_fields__ if name != "indexes"}
            | {"indexes": list(relation.indexes)}
            for relation in each.relations
        ],
        "samples": [
            {
                "elapsed_ms": taken.query.elapsed,
                "cpu_ms": taken.query.cpu,
                "yardstick_elapsed_ms": taken.yardstick.elapsed,
                "yardstick_cpu_ms": taken.yardstick.cpu,
            }
            for taken in each.samples
        ],
    }


def read(path: Path) -> Baseline:
    """A baseline from its file.

    Raises:
        UsageError: it cannot be read, or is none.
    """
    remedy = "Record it anew."
    commands = ("lancio baseline record --queries FILE.sql --out baseline.json",)
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read", cause=f"{error.strerror}.", remedy="Check the path and its rights."
        ) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} is no baseline", cause=f"It is no JSON: {error}.", remedy=remedy, commands=commands
        ) from None
    version = found.get("format") if isinstance(found, dict) else None
    if version != FORMAT:
        known = isinstance(version, int) and version > FORMAT
        raise UsageError(
            f"{path} is no baseline",
            cause=f"A newer Lancio wrote it, in format {version}." if known else "It has no format that is known.",
            remedy="Upgrade Lancio on this machine." if known else remedy,
            commands=("pip install --upgrade lancio",) if known else commands,
        )
    try:
        return Baseline(
            str(found["made_at"]),
            str(found["database"]),
            str(found["server_version"]),
            tuple(_recorded(each) for each in found["queries"]),
            tuple(LeftOut(str(each["name"]), str(each["why"])) for each in found["left_out"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"{path} is no baseline",
            cause=f"Something in it is not as Lancio writes it ({type(error).__name__}: {error}).",
            remedy=remedy,
            commands=commands,
        ) from None


def _recorded(found: dict[str, Any]) -> Recorded:
    plan = found["plan"]
    look = None
    query = Query(str(found["name"]), str(found["text"]), bool(found["writes"]), bool(found["generic"]))
    if not chosen.sound(query):
        raise ValueError(f"{query.name} is not a query of the kind that it says")
    if plan is not None:
        look = Look(
            tuple(map(str, plan["lines"])),
            tuple(map(str, plan["relations"])),
            tuple(map(str, plan["indexes"])),
            bool(plan["parallel"]),
            float(plan["cost"]),
            None if plan["buffers"] is None else int(plan["buffers"]),
        )
    elif not found["failed"]:
        raise ValueError("a query without a plan that did not fail")
    return Recorded(
        query,
        look,
        tuple(Relation(**{**each, "indexes": tuple(each["indexes"])}) for each in found["relations"]),
        tuple(
            Taken(
                _sample(each["elapsed_ms"], each["cpu_ms"]),
                _sample(each["yardstick_elapsed_ms"], each["yardstick_cpu_ms"]),
            )
            for each in found["samples"]
        ),
        str(found["failed"]),
        int(found["times"]),
    )


def _sample(elapsed: float, cpu: float | None) -> Sample:
    if not all(0 <= float(each) < math.inf for each in (elapsed, cpu) if each is not None):
        raise ValueError("a time that is none")
    return Sample(float(elapsed), None if cpu is None else float(cpu))
