"""`lancio billing`: what can be subscribed to, and what an organization has subscribed to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lancio.cli import acting
from lancio.cli.call import Call, takes, with_version

if TYPE_CHECKING:
    from lancio.registry.billing import Interval, Plan


@click.group(
    epilog="""\b
Examples:
  lancio billing add-plan team --name Team --price 19 --databases 50 --members 10
  lancio billing plans
  lancio billing subscribe team --org acme
  lancio billing show --org acme
"""
)
def billing() -> None:
    """Show, add and archive billing plans, and subscribe an organization to one.

    Not to be confused with `lancio plan`, which shows what migrations would run.
    """


@billing.command(
    epilog="""\b
Examples:
  lancio billing plans
  lancio billing plans --archived --json
""",
)
@click.option("--archived", is_flag=True, help="Those too that nobody can take any more.")
@takes
def plans(call: Call, archived: bool) -> None:
    """List the plans that can be taken, the cheapest first."""
    from lancio.registry import billing as plans_of
    from lancio.registry.pages import Page

    with call.choosing() as (connection, who):
        found = plans_of.plans(connection, archived=archived)
    kept = tuple(each for each in found if each.is_public or who.kind != "user")
    call.page(
        Page(kept, None), name="plans",
        heading=("CODE", "NAME", "PRICE", "DATABASES", "PROJECTS", "MEMBERS", ""),
        row=lambda each: (each.code, each.name, each.price, *_limits(each), _marks(each)),
        cut=(1,), none="No plan.",
    )  # fmt: skip


def _limits(of: Plan) -> tuple[str, str, str]:
    databases, projects, members = (str(of.limits.get(each, "any")) for each in ("databases", "projects", "members"))
    return databases, projects, members


def _marks(of: Plan) -> str:
    return ", ".join(said for said, is_so in (("archived", of.archived), ("not public", not of.is_public)) if is_so)


@billing.command(
    epilog="""\b
Examples:
  lancio billing plan team
""",
)
@click.argument("code", metavar="CODE")
@takes
def plan(call: Call, code: str) -> None:
    """Show a plan."""
    from lancio.registry import billing as plans_of
    from lancio.registry.refusal import not_there

    with call.choosing() as (connection, who):
        found = plans_of.plan(connection, code)
        if not found.is_public and who.kind == "user":
            not_there("plan", code, list_="lancio billing plans")
    call.one(f"{found.code}: {found.name}", found, _lines(found))


def _lines(found: Plan) -> list[tuple[str, str | None]]:
    databases, projects, members = _limits(found)
    return [
        ("price", found.price),
        ("databases", databases),
        ("projects", projects),
        ("members", members),
        ("features", ", ".join(sorted(found.features))),
        ("public", None if found.is_public else "no"),
        ("archived", acting.utc(found.valid_to) if found.archived else None),
    ]


@billing.command(
    name="add-plan",
    epilog="""\b
Examples:
  lancio billing add-plan free --name Free --databases 3 --projects 1 --members 1
  lancio billing add-plan team --name Team --price 19.50 --currency EUR --databases 50
""",
)
@click.argument("code", metavar="CODE")
@click.option("--name", metavar="NAME", help="What people call it.  [default: the code]")
@click.option("--price", metavar="AMOUNT", default="0", show_default=True, help="What it costs in a period.")
@click.option("--currency", metavar="CODE", default="USD", show_default=True, help="In which currency: three letters.")
@click.option("--yearly", is_flag=True, help="The period is a year.  [default: a month]")
@click.option("--databases", metavar="N", type=int, help="So many databases at most.  [default: any]")
@click.option("--projects", metavar="N", type=int, help="So many projects at most.  [default: any]")
@click.option("--members", metavar="N", type=int, help="So many members at most.  [default: any]")
@click.option("--feature", "features", metavar="NAME", multiple=True, help="What it has besides; may be given again.")
@click.option("--not-public", is_flag=True, help="Only the operator can give it to an organization.")
@acting.changes
@takes
def add_plan(
    call: Call, code: str, name: str | None, price: str, currency: str, yearly: bool, features: tuple[str, ...],
    not_public: bool, **limits: int | None,
) -> None:  # fmt: skip
    """Add a plan. What it limits is held to; it is not changed later, since it was agreed on."""
    from lancio.registry import billing as plans_of

    allows = {what: most for what, most in limits.items() if most is not None}
    interval: Interval = "yearly" if yearly else "monthly"
    with call.operating() as (connection, who):
        made = plans_of.add(
            connection, who, code=code, name=code if name is None else name,
            price_minor=plans_of.minor(price, currency), currency=currency, interval=interval,
            allows=allows, features=dict.fromkeys(features, True), is_public=not not_public,
        )  # fmt: skip
    call.done(f"Added the plan {made.code}: {made.price}.", made)


@billing.command(
    name="archive-plan",
    epilog="""\b
Examples:
  lancio billing archive-plan team
""",
)
@click.argument("code", metavar="CODE")
@acting.changes
@takes
def archive_plan(call: Call, code: str) -> None:
    """Let nobody take a plan any more; who has it keeps it."""
    from lancio.registry import billing as plans_of

    with call.operating() as (connection, who):
        after = plans_of.archive(connection, who, code)
    call.done(f"Archived the plan {after.code}; who has it keeps it.", after)


@billing.command(
    epilog="""\b
Examples:
  lancio billing subscribe team --org acme
  lancio billing subscribe team --org acme --dry-run
""",
)
@click.argument("code", metavar="CODE")
@acting.changes
@acting.org_option
@takes
def subscribe(call: Call, code: str) -> None:
    """Put an organization on a plan, from now on. No money is asked for here."""
    from lancio.registry import billing as plans_of

    with call.work() as work:
        made = plans_of.subscribe(work, code)
        of = work.slug
    said = f"{of} has the plan {made.plan}, this period until {acting.moment(made.current_period_end)} UTC."
    call.done(said, made)


@billing.command(
    epilog="""\b
Examples:
  lancio billing show --org acme
""",
)
@acting.org_option
@takes
def show(call: Call) -> None:
    """Show the plan of an organization, and how much it has of what the plan limits."""
    from lancio.registry import billing as plans_of
    from lancio.registry import limits

    with call.work() as work:
        found = plans_of.subscription(work)
        usage = limits.usage(work)
        of = work.slug
    used = {each.what: {"used": each.used, "limit": each.limit} for each in usage}
    value = {"organization": of, "subscription": found and with_version(found), "usage": used}
    lines = [(each.what, f"{each.used} of {'any' if each.limit is None else each.limit}") for each in usage]
    if found is None:
        call.one(f"{of} has no plan: nothing is limited.", value, lines)
        return
    period = f"{acting.moment(found.current_period_start)} to {acting.moment(found.current_period_end)} UTC"
    call.one(f"{of} has the plan {found.plan}.", value, [("status", found.status), ("period", period), *lines])
