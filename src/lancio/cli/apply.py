"""`lancio apply` and `lancio adopt`: what changes a database."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from lancio.cli.options import (
    choice_options,
    database_options,
    folder_options,
    json_option,
    source,
    terminal_of,
)
from lancio.errors import LancioError, NoGo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lancio.cli import work
    from lancio.cli.terminal import Terminal
    from lancio.planner.model import Plan


@click.command(
    epilog="""\b
Examples:
  lancio apply migrations
  lancio apply migrations --to 005_create_audit_logs.sql
  lancio apply migrations --only 006_register_railway_databases.sql
  REDIS_URL=redis://:secret@cache:6379 LANCIO_KEY_FILE=lancio.key lancio apply --platform --yes
  lancio apply migrations --json --yes | jq -c 'select(.event == "step-applied")'
""",
)
@folder_options
@choice_options
@click.option("-y", "--yes", is_flag=True, help="Don't ask; without a terminal nothing is asked anyway.")
@database_options
@json_option
@click.pass_context
def apply(
    context: click.Context,
    folder: str | None,
    platform: bool,
    order: str,
    to: str | None,
    only: tuple[str, ...],
    yes: bool,
    database: str | None,
    role: str | None,
    json_: bool,
) -> int:
    """Run what is left to run: each step in a transaction, with its verification and its ledger row.

    Nothing is sent unless the preflight is a go. Addresses of services come from REDIS_URL and MONGO_URL, the key that
    seals their credentials from the file LANCIO_KEY_FILE; none of them is ever printed.

    Exit status 0 when all is applied, 1 when a step failed (it was rolled back, the ones before it stay), 3 for a
    no-go, 130 after Ctrl-C.
    """
    from lancio.cli import work
    from lancio.render import json, text

    terminal = terminal_of(context)
    way: work.Order = "graph" if order == "graph" else "name"
    where = source(folder, platform=platform)
    with work.session(database, role) as session:
        graph = work.graph_of(where, order=way, major=session.major)
        plan = work.plan_of(graph, session, where, to=to, only=only, order=way)
        settings = work.run_settings(plan)  # what the environment lacks is told first: it needs no database
        if not plan.go:
            if json_:
                terminal.data(f"{json.line({'event': 'no-go', **json.plan(plan)})}\n")
            else:
                terminal.data(text.preflight(plan, terminal.cells, server=session.said))
            return NoGo.exit_status
        if not plan.steps:
            if json_:
                terminal.data(f"{json.line({'event': 'nothing-to-do', 'done': list(plan.done)})}\n")
            else:
                terminal.data(text.plan(plan, terminal.cells))
            return 0
        if not (yes or json_) and sys.stdin.isatty() and terminal.err.isatty():
            terminal.data(text.plan(plan, terminal.cells))
            if not click.confirm(f"Run this on {session.said}?", err=True):
                terminal.talk("Nothing was changed.")
                return 1
        return launch(plan, session, where.words, settings, terminal)


def launch(plan: Plan, session: work.Session, folder: str, settings: Mapping[str, str], terminal: Terminal) -> int:
    """Run the plan, show its events, and return the exit status; `folder` is how a command line names it.

    Raises:
        LancioError: what the runner refuses, and how it ended if not well; its events were shown before.
    """
    from lancio import postgres
    from lancio.cli import progress
    from lancio.executor import runner
    from lancio.render import json

    stream = runner.apply(
        plan,
        session.connection,
        settings=settings,
        role=session.role,
        reconnect=lambda: postgres.connect(session.target),
        folder=folder,
        psql=session.target.psql,
    )
    try:
        if terminal.json:
            for event in stream:
                terminal.data(f"{json.line(event.as_dict())}\n")
        else:
            with progress.reporter(terminal) as lines:
                for event in stream:
                    lines.show(event)
    except LancioError as error:
        error.commands = session.here(error.commands)
        raise
    return 0


@click.command(
    epilog="""\b
Examples:
  lancio adopt migrations --edited 002_platform_billing_schema.sql
""",
)
@folder_options
@click.option("--edited", metavar="FILE", required=True, help="The applied file whose new text is accepted.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask before a protected environment is touched.")
@database_options
@json_option
@click.pass_context
def adopt(
    context: click.Context,
    folder: str | None,
    platform: bool,
    order: str,
    edited: str,
    yes: bool,
    database: str | None,
    role: str | None,
    json_: bool,
) -> None:
    """Accept that an applied file was edited: from now on its new text counts. The file is not run again.

    Comments, white space and line ends never need this: only the statements count.
    """
    from lancio.cli import work
    from lancio.errors import UsageError
    from lancio.executor import ledger
    from lancio.render import json

    del order, yes  # no order is of meaning for one file; `yes` is looked at where the database is reached
    terminal = terminal_of(context)
    found = {each.name: each for each in source(folder, platform=platform).read().migrations}
    if edited not in found:
        raise UsageError(
            f"there is no file {edited} in the folder",
            cause="--edited takes a file's path relative to the folder.",
            remedy=f"Name one of: {', '.join(list(found)[:12])}",
        )
    with work.session(database, role) as session:
        row = ledger.adopt_edited(session.connection, found[edited])
    if json_:
        terminal.data(json.document({"adopted": row.migration, "state": row.state, "checksum": row.checksum}))
    else:
        terminal.data(f"{edited}: its new text is accepted; it was not run.\n")
