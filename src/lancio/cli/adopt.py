"""`lancio adopt`: what ran here without Lancio comes into the ledger, on the catalog's proof or another tool's word."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from lancio.cli.options import database_options, folder_options, json_option, source, terminal_of
from lancio.errors import HistoryRefused, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lancio.cli import work
    from lancio.cli.options import Source
    from lancio.cli.terminal import Terminal
    from lancio.planner.adoption import Adoption
    from lancio.planner.model import Graph, Plan

P = ParamSpec("P")
R = TypeVar("R")

ORIGINS = ("facts", "alembic", "dbmate", "diesel", "django", "flyway", "golang-migrate", "goose", "graphile-migrate",
           "liquibase", "prisma", "sqitch", "sqlx", "supabase", "yoyo")  # fmt: skip
"""What --from takes; written again, because a command line is parsed before anything heavy is imported."""


def proof_options(command: Callable[P, R]) -> Callable[P, R]:
    """`--from`, `--implied`, `--by-order`, `--trust-history`: what counts as proof."""
    for decorate in reversed(
        (
            click.option(
                "--from", "origin", type=click.Choice(ORIGINS), help="Whose word counts.  [default: recognized]"
            ),
            click.option("--implied", is_flag=True, help="Also what only a later file, or an absence, speaks for."),
            click.option("--by-order", is_flag=True, help="Also what nothing proves, where it stands before what ran."),
            click.option(
                "--trust-history", is_flag=True, help="The tool's history is right where the catalog differs."
            ),
        )
    ):
        command = decorate(command)
    return command


@click.command(
    epilog="""\b
Examples:
  lancio adopt migrations --dry-run
  lancio adopt migrations --from flyway
  lancio adopt migrations --only 004_fill.sql
  lancio adopt migrations --edited 002_platform_billing_schema.sql
""",
)
@folder_options
@click.option("--only", metavar="FILE", multiple=True, help="This file alone, though it cannot be proved; repeatable.")
@click.option("--edited", metavar="FILE", help="A file that ran in another version: its new text is accepted.")
@proof_options
@click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask before a protected environment is touched.")
@database_options
@json_option
@click.pass_context
def adopt(
    context: click.Context,
    folder: str | None,
    platform: bool,
    order: str,
    only: tuple[str, ...],
    edited: str | None,
    origin: str | None,
    implied: bool,
    by_order: bool,
    trust_history: bool,
    dry_run: bool,
    yes: bool,
    database: str | None,
    role: str | None,
    json_: bool,
) -> None:
    """Write into the ledger what ran here without Lancio. No file is run, and nothing is written from silence.

    A file counts as applied where the catalog shows all that it makes, or where a later file has replaced it. The
    history of another tool is recognized, and its entries are held against the catalog: what contradicts it is refused.
    Each row keeps where it comes from.
    """
    from lancio.cli import work

    del yes  # looked at where the database is reached
    terminal = terminal_of(context)
    where = source(folder, platform=platform)
    if edited is not None and (only or origin or implied or by_order or trust_history):
        raise UsageError(
            "--edited goes alone",
            cause="It takes one file's new text as what ran, whatever else is proved.",
            remedy="Give it without --only, --from, --implied, --by-order and --trust-history.",
        )
    way: work.Order = "graph" if order == "graph" else "name"
    with work.session(database, role) as session:
        if edited is not None:
            _edited(terminal, where, session, way, edited, dry_run=dry_run, json_=json_)
            return
        graph = work.graph_of(where, order=way, major=session.major)
        plan = work.plan_of(graph, session, where)
        _known(graph, only)
        proposed = proposal(
            plan, session, where.words, origin,
            implied=implied, by_order=by_order, trust=trust_history, only=only, besides=False,
        )  # fmt: skip
        if not dry_run:
            stand(plan, session)
            write(graph, session, proposed)
        words = where.words
        then = _then(plan, proposed, words)
        tell(terminal, proposed, session.here(then), dry_run=dry_run, json_=json_)


def proposal(
    plan: Plan,
    session: work.Session,
    folder: str,
    origin: str | None,
    *,
    implied: bool,
    by_order: bool,
    trust: bool,
    only: Sequence[str] = (),
    besides: bool = True,
) -> Adoption:
    """What may be adopted; `folder` is how a command names it.

    Raises:
        UsageError: the history that is named is not there, or several are.
        HistoryRefused: it has a failed entry, or contradicts the catalog.
    """
    from lancio.planner import adoption
    from lancio.proof import history

    told = None
    if origin != adoption.FACTS:
        found = history.chosen(history.find(session.connection), origin)
        files = [facts.migration for facts in plan.graph.files]
        told = history.read(session.connection, found, files) if found is not None else None
        # A table of that name without an entry for this folder is somebody else's, unless it was asked for.
        if told is not None and not told.files and origin is None:
            told = None
    proposed = adoption.propose(
        plan.graph, plan.states, told, implied=implied, by_order=by_order, only=only, besides=besides, trust=trust
    )
    try:
        history.refuse(proposed, folder)
    except HistoryRefused as refused:
        refused.commands = session.here(refused.commands)
        raise
    return proposed


def doubted(plan: Plan, session: work.Session, proposed: Adoption, folder: str) -> Plan:
    """The plan, refused where it would run what may have run already, or what ran in another version."""
    from lancio.planner.model import Finding

    pending = {step.facts.name for step in plan.steps}
    doubts = [name for name in proposed.doubts if name in pending]
    changed = [each.name for each in plan.states if each.state == "changed since" and each.name in pending]
    because = {each.name: each.because for each in plan.states}
    found = [
        Finding(
            "doubt",
            "refusal",
            f"whether {name} ran here cannot be told: {because[name]}",
            None,
            "If it ran, take it over; if not, run it by itself first:",
            session.here((f"lancio adopt {folder} --only {name}", f"lancio apply {folder} --only {name}")),
        )
        for name in doubts
    ]
    found += [
        Finding(
            "changed",
            "refusal",
            f"{name} ran here in another version, and would run again",
            None,
            "Write what it lacks as a new migration, and take the file as it is:",
            session.here((f"lancio adopt {folder} --edited {name}",)),
        )
        for name in changed
    ]
    kept = tuple(each for each in plan.findings if not (changed and each.rule == "changed"))
    return replace(plan, findings=(*kept, *found))


def write(graph: Graph, session: work.Session, proposed: Adoption) -> tuple[str, ...]:
    """Record it; the names that were new in the ledger."""
    from lancio.executor import ledger

    migrations = {facts.name: facts.migration for facts in graph.files}
    rows = [ledger.Adopted(migrations[row.file], row.position, row.origin, row.at) for row in proposed.rows]
    return ledger.adopt(session.connection, rows)


def stand(plan: Plan, session: work.Session) -> tuple[str, ...]:
    """Record the baselines all of whose files ran here; the names that were new in the ledger.

    Raises:
        ServerError, LockHeld: as when applying.
    """
    from lancio.executor import ledger
    from lancio.planner import squashed

    recorded = {each.name for each in plan.states if each.recorded}
    rows = [
        ledger.Adopted(facts.migration, position, squashed.ORIGIN)
        for position, facts in enumerate(plan.graph.files, 1)
        if facts.migration.replaces and facts.name in plan.done and facts.name not in recorded
    ]
    return ledger.adopt(session.connection, rows)


def tell(terminal: Terminal, proposed: Adoption, then: Sequence[str], *, dry_run: bool, json_: bool) -> None:
    """What was, or would be, written, what is left, and what comes next."""
    from lancio.render import json, states

    if json_:
        terminal.data(json.document({"dry_run": dry_run, **states.adoption_data(proposed), "next": list(then)}))
    else:
        terminal.data(states.adoption(proposed, then, terminal.cells, dry_run=dry_run))


def command(plan: Plan, session: work.Session, folder: str) -> tuple[str, tuple[str, ...]]:
    """The one command that finishes a database, "" if nothing is to do; and files of which it can't be told.

    It adopts what ran there, and runs what is missing.
    """
    from lancio.errors import LancioError
    from lancio.planner import adoption
    from lancio.proof import history

    told = None
    try:
        found = history.chosen(history.find(session.connection), None)
        if found is not None:
            told = history.read(session.connection, found, [facts.migration for facts in plan.graph.files])
    except LancioError:
        told = None  # `lancio adopt` says what is wrong with it
    proposed, flags = adoption.least(plan.graph, plan.states, told)
    pending = len(_left(plan, proposed))
    if not proposed.rows:
        return (f"lancio apply {folder}" if pending else ""), proposed.doubts
    said = "".join(f" {flag}" for flag in flags)
    return (f"lancio apply {folder} --adopt{said}" if pending else f"lancio adopt {folder}{said}"), proposed.doubts


def _left(plan: Plan, proposed: Adoption) -> list[str]:
    taken = {row.file for row in proposed.rows}
    return [step.facts.name for step in plan.steps if step.facts.name not in taken]


def _then(plan: Plan, proposed: Adoption, folder: str) -> tuple[str, ...]:
    """What is to be done next."""
    return (f"lancio apply {folder}",) if _left(plan, proposed) else ()


def _known(graph: Graph, names: Sequence[str]) -> None:
    known = [facts.name for facts in graph.files]
    for name in names:
        if name not in known:
            raise _no_file(name, known)


def _no_file(name: str, known: Sequence[str]) -> UsageError:
    return UsageError(
        f"there is no file {name} in the folder",
        cause="--only and --edited take a file's path relative to the folder.",
        remedy=f"Name one of: {', '.join(known[:12])}",
    )


def _edited(
    terminal: Terminal,
    where: Source,
    session: work.Session,
    way: work.Order,
    name: str,
    *,
    dry_run: bool,
    json_: bool,
) -> None:
    """Take a file's new text as what ran: one that the ledger has, or one that the catalog shows in another version."""
    from lancio.cli import work
    from lancio.executor import ledger
    from lancio.planner.adoption import FACTS
    from lancio.render import json

    found = {each.name: each for each in where.read().migrations}
    if name not in found:
        raise _no_file(name, list(found))
    known = ledger.read(session.connection).get(name)
    if known is None:
        graph = work.graph_of(where, order=way, major=session.major)
        plan = work.plan_of(graph, session, where)
        position, state = next((at, each) for at, each in enumerate(plan.states, 1) if each.name == name)
        if state.state != "changed since":
            raise UsageError(
                f"{name} is not in the ledger, and is {state.state}",
                cause="Only a file that ran here can have been edited since.",
                remedy="Apply it." if state.state == "not applied" else "Look at it with lancio status.",
                commands=session.here((f"lancio status {where.words}",)),
            )
        if not dry_run:
            ledger.adopt(session.connection, [ledger.Adopted(found[name], position, FACTS)])
    elif not dry_run:
        known = ledger.adopt_edited(session.connection, found[name])
    if json_:
        state_ = "adopted" if known is None else "edited"
        terminal.data(json.document({"adopted": name, "state": state_, "checksum": found[name].checksum}))
    else:
        terminal.data(f"{name}: its new text {'would be' if dry_run else 'is'} accepted; it was not run.\n")
