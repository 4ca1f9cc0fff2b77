"""How much of what may an organization have, by its plan?

`limits` of a plan names what it limits: `{"databases": 10, "projects": 3, "members": 5}`. What it does not name is not
limited, nor is an organization without a plan.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from psycopg.rows import dict_row

from lancio.postgres import named_queries
from lancio.registry.refusal import LimitReached

if TYPE_CHECKING:
    from lancio.registry.acting import Acting

Limited = Literal["databases", "projects", "members"]

LIMITED: Final[tuple[Limited, ...]] = ("databases", "projects", "members")
"""What a plan can limit."""

_QUERIES: Final = named_queries("lancio.registry", "limits.sql")


@dataclass(frozen=True, slots=True)
class Usage:
    """How much there is of one thing, and how much there may be."""

    what: Limited
    used: int
    limit: int | None
    """None is as many as one likes."""


def usage(work: Acting) -> tuple[Usage, ...]:
    """What the organization has of all that a plan can limit."""
    allowed = _limits(work)[1]
    return tuple(Usage(each, _count(work, each), allowed.get(each)) for each in LIMITED)


def require(work: Acting, what: Limited, adding: int = 1) -> None:
    """Return if so many more may be added; to be asked before each adding, in its transaction.

    Two that add at once in one organization go one after the other from here on, so that they do not both take the
    last place.

    Raises:
        LimitReached: the plan allows fewer.
    """
    work.connection.execute(_QUERIES["plan_stays"], {"key": _key(work, "plan")})
    plan, allowed = _limits(work)
    if (limit := allowed.get(what)) is None:
        return
    work.connection.execute(_QUERIES["one_by_one"], {"key": _key(work, "count")})
    used = _count(work, what)
    if used + adding > limit:
        raise LimitReached(
            f"the plan {plan} allows {limit} {what if limit != 1 else what[:-1]}",
            cause=f"{work.slug} has {used}" + (f", and {adding} more are asked for." if adding != 1 else " already."),
            remedy="Remove what is not needed, or take a larger plan.",
            commands=("lancio billing plans", f"lancio billing subscribe PLAN --org {work.slug}"),
        )


def hold(work: Acting) -> None:
    """The plan changes: wait for those who are adding something, and let nobody begin until the transaction ends."""
    work.connection.execute(_QUERIES["plan_changes"], {"key": _key(work, "plan")})


def _key(work: Acting, what: str) -> int:
    """The number of an advisory lock. (The broker's role may not lock the organization's row.)"""
    name = f"lancio limits {what} {work.organization}".encode()
    return int.from_bytes(hashlib.sha256(name).digest()[:8], "big", signed=True)


def _limits(work: Acting) -> tuple[str, dict[str, int]]:
    with work.connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_QUERIES["of_organization"], {"organization": work.organization}).fetchone()
    if row is None:
        return "", {}
    limits = row["limits"] if isinstance(row["limits"], dict) else {}
    return row["code"], {each: limits[each] for each in LIMITED if type(limits.get(each)) is int}


def _count(work: Acting, what: Limited) -> int:
    row = work.connection.execute(_QUERIES[what], {"organization": work.organization}).fetchone()
    assert row is not None  # noqa: S101  an aggregate has one row
    count: int = row[0]
    return count
