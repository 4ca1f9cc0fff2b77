"""What can be subscribed to, and to what has an organization subscribed?

Plans are the platform's: the operator adds them, and archives what nobody is to take any more; who has it keeps it. A
plan is not changed, since it was agreed on. What it limits is held to by registry/limits.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, Literal

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from lancio.postgres import named_queries
from lancio.registry import audit_entry, limits, names, organizations
from lancio.registry.acting import Actor, NotAllowed, shown, storable
from lancio.registry.refusal import LimitReached, NameRefused, RegistryRefused, Taken, not_there

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from lancio.registry.acting import Acting

Interval = Literal["monthly", "yearly"]

_QUERIES: Final = named_queries("lancio.registry", "billing.sql")
_PERIODS: Final = {"monthly": "1 month", "yearly": "1 year"}

_WHOLE = frozenset("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split())  # noqa: SIM905
_THOUSANDTHS = frozenset("BHD IQD JOD KWD LYD OMR TND".split())  # noqa: SIM905
"""Currencies whose smallest unit is not a hundredth (ISO 4217)."""

MOST_MINOR: Final = 10**15


@dataclass(frozen=True, slots=True)
class Plan:
    """A row of platform.billing_plans."""

    id: UUID
    code: str
    name: str
    price_minor: int
    """In the smallest unit of the currency."""
    currency: str
    interval: Interval
    limits: Mapping[str, Any]
    features: Mapping[str, Any]
    is_public: bool
    valid_from: datetime | None
    valid_to: datetime | None
    archived: bool
    created_at: datetime
    updated_at: datetime

    @property
    def price(self) -> str:
        """`19.00 USD a month`, or `free`."""
        if not self.price_minor:
            return "free"
        digits = _digits(self.currency)
        amount = Decimal(self.price_minor).scaleb(-digits)
        return f"{amount:,.{digits}f} {self.currency} a {'month' if self.interval == 'monthly' else 'year'}"


@dataclass(frozen=True, slots=True)
class Subscription:
    """A row of platform.subscriptions that holds."""

    id: UUID
    plan: str
    status: str
    current_period_start: datetime | None
    current_period_end: datetime | None
    next_invoice_at: datetime | None
    cancel_at: datetime | None
    created_at: datetime
    updated_at: datetime


def plans(connection: psycopg.Connection[Any], *, archived: bool = False) -> tuple[Plan, ...]:
    """Those that can be taken, the cheapest first; with `archived` the others too."""
    with connection.cursor(row_factory=class_row(Plan)) as cursor:
        return tuple(cursor.execute(_QUERIES["plans"], {"all": archived}).fetchall())


def plan(connection: psycopg.Connection[Any], code: str) -> Plan:
    """The plan of that code, archived or not.

    Raises:
        NotThere: there is none.
    """
    with connection.cursor(row_factory=class_row(Plan)) as cursor:
        found = cursor.execute(_QUERIES["plan"], {"code": code}).fetchone() if storable(code) else None
    if found is None:
        codes = [each for (each,) in connection.execute(_QUERIES["codes"]).fetchall()]
        not_there("plan", code, among=codes, list_="lancio billing plans")
    return found


def add(
    connection: psycopg.Connection[Any],
    actor: Actor,
    *,
    code: str,
    name: str,
    price_minor: int = 0,
    currency: str = "USD",
    interval: Interval = "monthly",
    allows: Mapping[str, int] | None = None,
    features: Mapping[str, Any] | None = None,
    is_public: bool = True,
) -> Plan:
    """A new plan; `allows` says how many of what, as in registry/limits.py. Within `operating`.

    Raises:
        NotAllowed: the actor is not the operator.
        NameRefused: code, name, price, currency or a limit cannot be.
        Taken: another plan has or had this code.
    """
    _operator_only(actor)
    code, name = names.code(code), names.name(name)
    if not (len(currency) == 3 and currency.isascii() and currency.isupper()):
        raise NameRefused(
            f"{shown(currency, 20)} is no currency",
            cause="A currency is its three letters of ISO 4217.",
            remedy="Write it as USD or EUR.",
        )
    if not 0 <= price_minor <= MOST_MINOR:
        raise NameRefused("that is no price", cause="It is below nothing, or beyond all money.", remedy="Mend it.")
    for what, most in (allows or {}).items():
        if what not in limits.LIMITED or most < 0:
            raise NameRefused(
                f"a plan does not limit {shown(what)} to {most}",
                cause=f"It limits {', '.join(limits.LIMITED)}, to a number.",
                remedy="Leave it out: what is not limited is not named.",
            )
    try:
        with connection.transaction():
            connection.execute(
                _QUERIES["add"],
                {
                    "code": code, "name": name, "price_minor": price_minor, "currency": currency, "interval": interval,
                    "limits": Jsonb(dict(allows or {})), "features": Jsonb(dict(features or {})),
                    "is_public": is_public,
                },
            )  # fmt: skip
    except psycopg.errors.UniqueViolation as error:
        raise Taken(
            f"there is a plan {code} already",
            cause="Codes of plans are not used twice, not those of archived ones either.",
            remedy="Take another code.",
            commands=("lancio billing plans --archived",),
        ) from error
    made = plan(connection, code)
    audit_entry.insert(
        connection, actor, "billing_plan.add", "billing_plan", made.id, organization=None, after=_told(made)
    )  # fmt: skip
    return made


def archive(connection: psycopg.Connection[Any], actor: Actor, code: str) -> Plan:
    """Let nobody take the plan any more; who has it keeps it. Within `operating`.

    Raises:
        NotAllowed: the actor is not the operator.
        NotThere: there is none.
        RegistryRefused: it was archived before.
    """
    _operator_only(actor)
    before = plan(connection, code)
    if before.archived:
        raise RegistryRefused(
            f"the plan {before.code} was archived before",
            cause=f"Nobody can take it since {before.valid_to:%Y-%m-%d}.",
            remedy="There is nothing left to do.",
        )
    connection.execute(_QUERIES["archive"], {"id": before.id})
    after = plan(connection, code)
    audit_entry.insert(
        connection, actor, "billing_plan.archive", "billing_plan", after.id, organization=None, before=_told(before),
        after=_told(after),
    )  # fmt: skip
    return after


def subscription(work: Acting) -> Subscription | None:
    """What the organization has subscribed to; None where it has no plan.

    Raises:
        NotAllowed: the actor may not see it.
    """
    work.require("billing.read")
    with work.connection.cursor(row_factory=class_row(Subscription)) as cursor:
        return cursor.execute(_QUERIES["subscription"], {"organization": work.organization}).fetchone()


def subscribe(work: Acting, code: str) -> Subscription:
    """Take a plan from now on, instead of the one that there was. No money is asked for here.

    Raises:
        NotAllowed: the actor may not.
        NotThere: there is no such plan, or it is not public and not the operator acts.
        RegistryRefused: it is archived, or is the one that the organization has.
        LimitReached: the organization has more than the plan allows.
    """
    work.require("billing.change")
    organizations.lock(work)
    limits.hold(work)
    before = subscription(work)
    wanted = plan(work.connection, code)
    if not wanted.is_public and work.role is not None:
        not_there("plan", code, list_="lancio billing plans")
    if before is not None and before.plan == wanted.code:
        raise RegistryRefused(
            f"{work.slug} has the plan {wanted.code} already",
            cause="There is nothing to change.",
            remedy="Look at it.",
            commands=(f"lancio billing show --org {work.slug}",),
        )
    if wanted.archived:
        raise RegistryRefused(
            f"the plan {wanted.code} is archived",
            cause="Who has it keeps it, and nobody takes it any more.",
            remedy="Take another.",
            commands=("lancio billing plans",),
        )
    values = {"organization": work.organization, "plan": wanted.id, "period": _PERIODS[wanted.interval]}
    work.connection.execute(_QUERIES["put_plan"], values)
    over = [each for each in limits.usage(work) if each.limit is not None and each.used > each.limit]
    if over:
        raise LimitReached(
            f"{work.slug} has more than the plan {wanted.code} allows",
            cause=f"{'; '.join(f'{each.used} {each.what}, of which it allows {each.limit}' for each in over)}.",
            remedy="Remove what is not needed, or take a larger plan.",
            commands=("lancio billing plans", f"lancio billing show --org {work.slug}"),
        )
    work.connection.execute(_QUERIES["end_subscriptions"], values)
    work.connection.execute(_QUERIES["subscribe"], values)
    after = subscription(work)
    assert after is not None  # noqa: S101  this transaction has just written it
    audit_entry.insert(
        work.connection, work.actor, "billing.subscribe", "subscription", after.id, organization=work.organization,
        before=None if before is None else _subscribed(before), after=_subscribed(after),
    )  # fmt: skip
    return after


def minor(text: str, currency: str) -> int:
    """`19.00` in the smallest unit of its currency.

    Raises:
        NameRefused: it is no amount of it.
    """
    try:
        amount = Decimal(text.strip()).scaleb(_digits(currency)) if len(text) <= 30 else Decimal("nan")
        whole = int(amount)
    except (InvalidOperation, ValueError, OverflowError):
        amount, whole = Decimal(0), -1
    if whole < 0 or whole != amount or whole > MOST_MINOR:
        raise NameRefused(
            f"{shown(text, 30)} is no price in {shown(currency, 10)}",
            cause=f"A price has digits, and at most {_digits(currency)} behind a point.",
            remedy="Write it as 19 or 19.50." if _digits(currency) else "Write it as 1900.",
        )
    return whole


def _digits(currency: str) -> int:
    return 0 if currency in _WHOLE else 3 if currency in _THOUSANDTHS else 2


def _operator_only(actor: Actor) -> None:
    if actor.kind in ("user", "api_key"):
        raise NotAllowed(
            f"{actor.said} may not change plans",
            cause="Plans are the platform's, not an organization's: the operator keeps them.",
            remedy="Let the operator do it, without --as and LANCIO_USER.",
        )


def _told(of: Plan) -> dict[str, Any]:
    return {
        "code": of.code, "name": of.name, "price_minor": of.price_minor, "currency": of.currency,
        "billing_interval": of.interval, "limits": of.limits, "features": of.features, "is_public": of.is_public,
        "valid_to": of.valid_to,
    }  # fmt: skip


def _subscribed(of: Subscription) -> dict[str, Any]:
    return {
        "plan": of.plan, "status": of.status, "current_period_start": of.current_period_start,
        "current_period_end": of.current_period_end, "cancel_at": of.cancel_at,
    }  # fmt: skip
