"""`lancio drift`: is the database still what its files make?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lancio.cli.options import database_options, folder_options, json_option, source, terminal_of
from lancio.errors import EmbeddedError, UsageError

if TYPE_CHECKING:
    from lancio.cli import work
    from lancio.cli.terminal import Terminal
    from lancio.planner.drift import Drift
    from lancio.planner.model import FileFacts, Graph, Plan


@click.command(
    epilog="""\b
Examples:
  lancio drift migrations
  lancio drift migrations --scratch postgresql://postgres@localhost:5433/postgres
  lancio drift migrations --ignore audit --ignore 'index public.tmp_*'
  lancio drift migrations --read --json
""",
)
@folder_options
@click.option("--read", "read_", is_flag=True, help="Compare with what was read of the files; no scratch server.")
@click.option("--rehearse", is_flag=True, help="Compare with what the files make on a scratch server, or refuse.")
@click.option("--scratch", metavar="URL", help="The scratch server.  [default: one of our own, for this alone]")
@click.option("--before", metavar="FILE", help="SQL that makes what is there before the first file.")
@click.option("--ignore", metavar="PATTERN", multiple=True, help="A schema, or names with * and ?; may be given again.")
@database_options
@json_option
@click.pass_context
def drift(
    context: click.Context,
    folder: str | None,
    platform: bool,
    order: str,
    read_: bool,
    rehearse: bool,
    scratch: str | None,
    before: str | None,
    ignore: tuple[str, ...],
    database: str | None,
    role: str | None,
    json_: bool,
) -> int:
    """Compare the database with what its applied files make, object by object, and name who owns what differs.

    The files run on a scratch database of the same major version, and the two catalogs are compared: texts of views,
    functions, checks, policies and defaults, lengths, privileges and comments included. Where no scratch server is
    to be had, what was read of the files is compared instead, and what that cannot tell is said. Nothing is changed.
    Exit status 1 if anything differs.
    """
    from lancio.cli import work
    from lancio.render import drift as drawn
    from lancio.render import json

    terminal = terminal_of(context)
    if read_ and (rehearse or scratch is not None or before is not None):
        raise UsageError(
            "--read goes without a scratch server",
            cause="--rehearse, --scratch and --before are about running the files on one.",
            remedy="Give --read alone, or leave it away.",
        )
    preamble = _preamble(before)
    where = source(folder, platform=platform)
    way: work.Order = "graph" if order == "graph" else "name"
    with work.session(database, role) as session:
        graph = work.graph_of(where, order=way, major=session.major)
        plan = work.plan_of(graph, session, where)
        applied, notes = taken(plan)
        if read_:
            found = _read(graph, session, applied, ignore)
        else:
            found = _rehearsed(
                graph, session, applied, notes, scratch, preamble, ignore,
                terminal, needed=rehearse or scratch is not None or before is not None,
            )  # fmt: skip
        said = session.said
    if json_:
        terminal.data(json.document(drawn.data(found)))
    else:
        terminal.data(drawn.text(found, terminal.cells, said, where.words))
    return 1 if found.there else 0


def taken(plan: Plan) -> tuple[list[FileFacts], list[str]]:
    """The files that count as applied, and what is to be said of that.

    Those of the ledger; of files that it does not have those that the catalog shows, and those that leave nothing in it
    and stand before one that ran.
    """
    states = {each.name: each for each in plan.states}
    ran = [each.recorded or each.there or each.state == "partly applied" for each in plan.states]
    last = max((index for index, each in enumerate(ran) if each), default=-1)
    applied, notes = [], []
    for index, facts in enumerate(plan.graph.files):
        state = states[facts.name]
        if ran[index] or (state.state == "unprovable" and index < last):
            applied.append(facts)
            if state.edited:
                notes.append(f"{facts.name} was edited since it was applied; its text as it is now was taken")
            if not state.recorded and state.state == "partly applied":
                notes.append(f"{facts.name} is not in the ledger and ran in part only; all of it was taken")
    notes += [each.message for each in plan.findings if each.rule == "unknown"]
    return applied, notes


def _read(graph: Graph, session: work.Session, applied: list[FileFacts], ignore: tuple[str, ...]) -> Drift:
    from lancio.catalog import profile
    from lancio.executor import snapshot
    from lancio.planner import drift as drifting
    from lancio.planner import outcomes
    from lancio.reading import cache

    known = outcomes.kept(graph, profile.load(graph.server_version), cache.usual())
    live = snapshot.take(session.connection, graph)
    return drifting.read(graph, live, {facts.name for facts in applied}, known, [*ignore, *_others(session)])


def _rehearsed(
    graph: Graph,
    session: work.Session,
    applied: list[FileFacts],
    notes: list[str],
    url: str | None,
    preamble: bytes,
    ignore: tuple[str, ...],
    terminal: Terminal,
    *,
    needed: bool,
) -> Drift:
    from lancio.catalog import profile
    from lancio.executor import ledger
    from lancio.planner import chronicle, owners
    from lancio.proof import drift as proof
    from lancio.proof import replay, scratch

    scripts = [replay.script(facts.migration, facts.ops) for facts in applied]
    told = owners.Owners(chronicle.of(graph, profile.load(graph.server_version)))
    appliers = {run.who for run in ledger.runs(session.connection, 1000)}
    if session.role is not None:
        appliers.add(session.role)
    try:
        with scratch.server(url, major=session.major, named=session.connection.info.dbname) as server:
            return proof.rehearsed(
                server,
                session.connection,
                scripts,
                owners=told,
                appliers=appliers,
                ignore=[*ignore, *_others(session)],
                preamble=preamble,
                notes=notes,
                roles={effect.name for facts in applied for effect in facts.creates if effect.kind == "role"},
            )
    except (proof.OtherVersion, EmbeddedError) as error:
        if needed:
            raise
        terminal.talk(f"Not rehearsed: {error.message}.")
        found = _read(graph, session, applied, ignore)
        return replace(found, notes=(*notes, *found.notes))


def _others(session: work.Session) -> list[str]:
    """Patterns for the tables in which other tools write what they ran: no file makes them."""
    from lancio.proof import history

    return [f"{each.schema}.{each.table}" for each in history.find(session.connection)]


def _preamble(before: str | None) -> bytes:
    try:
        return b"" if before is None else Path(before).read_bytes()
    except OSError as error:
        raise UsageError(
            f"{before} cannot be read", cause=f"{error.strerror}.", remedy="Name by --before a file of SQL."
        ) from error
