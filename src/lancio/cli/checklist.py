"""`lancio checklist`: what is to be verified, run and done, ticked from facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lancio.cli.options import database_options, folder_options, json_option, source, terminal_of
from lancio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lancio.cli import work
    from lancio.planner.checklist import Checklist
    from lancio.planner.model import Graph, Plan


@click.command(
    epilog="""\b
Examples:
  lancio checklist migrations
  lancio checklist --platform
  lancio checklist migrations --step 012_add_flag.sql --step 013_fill_flag.sql
  lancio checklist migrations --format markdown >> pull-request.md
""",
)
@folder_options
@click.option("--step", "steps", metavar="FILE", multiple=True, help="A file of phase 2; may be given again.")
@click.option(
    "--format", "format_", type=click.Choice(["text", "markdown", "json"]), help="How it is written.  [default: text]"
)
@database_options
@json_option
@click.pass_context
def checklist(
    context: click.Context,
    folder: str | None,
    platform: bool,
    order: str,
    steps: tuple[str, ...],
    format_: str | None,
    database: str | None,
    role: str | None,
    json_: bool,
) -> None:
    """Print what is to be verified, run and done, each line ticked from a fact of the database or with its reason.

    Phase 1 is what the steps stand on, phase 2 the steps with what verifies them, phase 3 what comes after; then the
    critical path. The steps are those of --step; else the files that share the last number; else those that are not in
    place; else those of the latest run. Changes nothing.
    """
    from lancio.cli import work
    from lancio.render import checklist as rendered
    from lancio.render import json

    if json_ and format_ not in (None, "json"):
        raise UsageError(
            f"--json and --format {format_} are both given",
            cause="They ask for two forms of one document.",
            remedy="Give one of them.",
        )
    terminal = terminal_of(context)
    way: work.Order = "graph" if order == "graph" else "name"
    where = source(folder, platform=platform)
    with work.session(database, role) as session:
        graph = work.graph_of(where, order=way, major=session.major)
        if unknown := [name for name in steps if name not in {facts.name for facts in graph.files}]:
            raise UsageError(
                f"there is no file {unknown[0]} in {graph.folder}",
                cause="--step takes a file's path relative to the folder.",
                remedy=f"Name one of: {', '.join(facts.name for facts in graph.files[:12])}",
            )
        made = checklist_of(graph, work.plan_of(graph, session, where), session, steps)
        said = session.said
    if json_ or format_ == "json":
        terminal.data(json.document(rendered.data(made)))
    elif format_ == "markdown":
        terminal.data(rendered.markdown(made))
    else:
        terminal.data(f"{said}\n\n{rendered.text(made, terminal.cells)}")


def checklist_of(graph: Graph, plan: Plan, session: work.Session, steps: Sequence[str] = ()) -> Checklist:
    """The checklist of a folder in a database; for the platform's own files in the specification's words."""
    from lancio.cli.verify import asked
    from lancio.executor import ledger
    from lancio.planner import checklist as checklists
    from lancio.proof import evidence
    from lancio.registry import state

    connection = session.connection
    of_platform = any(facts.name == state.STEP_1 for facts in graph.files)
    words = state.words(state.ask(connection)) if of_platform else checklists.PLAIN
    latest = ledger.runs(connection, 1)
    last_run = [each.migration for each in ledger.steps(connection, latest[0].id)] if latest else []
    parts = checklists.parts(graph, plan.states, steps, last_run)
    failed = [each for each in asked(graph, session) if not each.held]
    return checklists.make(parts, plan, evidence.gather(connection, parts, plan.states, words, failed), words)
