"""`lancio verify` and `lancio status`: does it still stand, and where do we stand?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lancio.cli.options import database_options, folder_options, json_option, source, terminal_of

if TYPE_CHECKING:
    from lancio.cli import work
    from lancio.planner.model import Graph
    from lancio.proof.verify import Result
    from lancio.registry.state import State


@click.command(
    epilog="""\b
Examples:
  lancio verify migrations
  lancio verify --platform --json
""",
)
@folder_options
@database_options
@json_option
@click.pass_context
def verify(
    context: click.Context,
    folder: str | None,
    platform: bool,
    order: str,
    database: str | None,
    role: str | None,
    json_: bool,
) -> int:
    """Ask the database whether what was applied still stands: all that the files create, and their `verify` lines.

    What a later file drops or renames is not asked, nor what was to hold at the step only. Changes nothing. Exit
    status 1 if something does not hold.
    """
    from lancio.cli import work
    from lancio.render import json
    from lancio.render.lines import counted, wrap

    terminal = terminal_of(context)
    way: work.Order = "graph" if order == "graph" else "name"
    where = source(folder, platform=platform)
    with work.session(database, role) as session:
        graph = work.graph_of(where, order=way, major=session.major)
        found = asked(graph, session)
        begun = half_way(graph, session)
    failed = [each for each in found if not each.held]
    if json_:
        terminal.data(json.document({"holds": not failed, "checks": found, "begun": begun}))
        return 1 if failed else 0
    for each in found:
        mark = "✓" if each.held else "✗"
        for line in wrap(f"{each.migration}: {each.says}", terminal.cells, first=f"{mark} "):
            terminal.data(f"{line}\n")
        for line in wrap(each.why, terminal.cells, first="    ") if each.why else []:
            terminal.data(f"{line}\n")
    for name, says in begun.items():
        for line in wrap(f"{name} is begun: {says}; it is verified at its end", terminal.cells, first="· "):
            terminal.data(f"{line}\n")
    if not found:
        terminal.data("Nothing of this folder is in the ledger of this database, so there is nothing to verify.\n")
    elif failed:
        terminal.data(f"{counted(len(failed), 'check')} of {len(found)} failed.\n")
    else:
        terminal.data("The one check holds.\n" if len(found) == 1 else f"All {len(found):,} checks hold.\n")
    return 1 if failed else 0


def half_way(graph: Graph, session: work.Session) -> dict[str, str]:
    """How far the files are that were begun and are not applied whole, by their names."""
    from lancio.executor import ledger, remains
    from lancio.planner import segments

    files = {facts.name: facts for facts in graph.files}
    rows = remains.settled(session.connection, files, ledger.in_progress(session.connection), {})
    return {name: segments.begun(files[name], ran).says for name, ran in rows.items() if name in files}


def asked(graph: Graph, session: work.Session) -> list[Result]:
    """The standing checks of every file in the ledger, asked now; what a later file takes away is not asked."""
    from lancio.executor import ledger
    from lancio.proof import verify as proof

    applied = ledger.read(session.connection)
    files = [facts for facts in graph.files if facts.name in applied]
    return list(proof.verify(session.connection, files))


@click.command(
    epilog="""\b
Examples:
  lancio status migrations
  lancio status --platform          the specification's state diagram and checklist as well
  lancio status --platform --json
  lancio status migrations --since-run
""",
)
@folder_options
@click.option("--since-run", "since_run_", is_flag=True, help="What went wrong since the latest run as well.")
@database_options
@json_option
@click.pass_context
def status(
    context: click.Context,
    folder: str | None,
    platform: bool,
    order: str,
    since_run_: bool,
    database: str | None,
    role: str | None,
    json_: bool,
) -> None:
    """Show how each file stands in the database, asked from its catalog, beside what the ledger says.

    For the platform's own migrations also the state diagram and the checklist of the specification, each line ticked
    from a fact or unticked with its reason. With --since-run what the server has counted since the latest run, and
    which checks of what was applied do not hold any more. Changes nothing.
    """
    from lancio.cli import adopt as adopting
    from lancio.cli import work
    from lancio.cli.checklist import checklist_of
    from lancio.executor import counters, doubt, ledger
    from lancio.registry import state as states
    from lancio.render import checklist as checklists
    from lancio.render import json, text
    from lancio.render import states as drawn
    from lancio.render.lines import counted, wrap

    terminal = terminal_of(context)
    way: work.Order = "graph" if order == "graph" else "name"
    where = source(folder, platform=platform)
    with work.session(database, role) as session:
        graph = work.graph_of(where, order=way, major=session.major)
        plan = work.plan_of(graph, session, where)
        of_platform = any(facts.name == states.STEP_1 for facts in graph.files)
        state = state_of(session) if of_platform else None
        listed = checklist_of(graph, plan, session) if of_platform else None
        since = counters.since_run(session.connection) if since_run_ else None
        without_end = doubt.unfinished(session.connection) if ledger.exists(session.connection) else []
        failed = [each for each in asked(graph, session) if not each.held] if since_run_ else []
        command, doubts = adopting.command(plan, session, where.words)
        command = "".join(session.here((command,))) if command else ""
        said = session.said
    not_here = [each.message for each in plan.findings if each.rule in ("unknown", "renamed")]
    if json_:
        shown: dict[str, object] = {
            "files": [json.state(each) for each in plan.states],
            "to_run": [step.facts.name for step in plan.steps],
            "go": plan.go,
            "finish": command,
            "doubts": list(doubts),
            "unfinished_runs": [json.plain(each) for each in without_end],
            "not_in_folder": not_here,
        }
        if state is not None:
            shown |= {"stands": state.stands, "ready": state.ready, "to_do": state.to_do}
            shown |= {"stages": state.stages}
        if listed is not None:
            shown |= {"checklist": checklists.data(listed)["phases"]}
        if since is not None:
            shown |= {"since_run": {**json.plain(since), "failed_checks": failed, "says_not": counters.SAYS_NOT}}
        terminal.data(json.document(shown))
        return
    terminal.data(f"{said}\n\n{drawn.table(plan.states, terminal.cells)}\n")
    if state is not None and listed is not None:
        phases = text.joined(checklists.phases(listed, terminal.cells))
        terminal.data(f"{phases}\n{text.diagram(state, terminal.cells)}\n")
    if since is not None:
        lost = [f"{each.migration}: {each.says}{f' ({each.why})' if each.why else ''}" for each in failed]
        terminal.data(f"{checklists.since(since, lost, counters.SAYS_NOT, terminal.cells)}\n")
    more = [f"{len(not_here) - 3} more are recorded and not in this folder"] if len(not_here) > 3 else []
    for each in (*not_here[:3], *more, *without_end):
        terminal.data(f"{text.joined(wrap(f'{each}.', terminal.cells, first='! '))}")
    if plan.steps:
        # Of rights, room, locks and backups it knows nothing.
        verdict = (
            "GO, as far as objects tell: lancio preflight asks the rest." if plan.go else "NO-GO: see lancio preflight."
        )
        terminal.data(text.joined(wrap(f"To run: {counted(len(plan.steps), 'file')}. {verdict}", terminal.cells)))
    else:
        terminal.data("Nothing to do.\n" if plan.go else "NO-GO: see lancio preflight.\n")
    terminal.data(drawn.ending(command, doubts, terminal.cells))


def state_of(session: work.Session) -> State:
    """The specification's state diagram of a database, from its catalog and its rows."""
    from lancio.registry import state

    return state.judge(state.ask(session.connection))
