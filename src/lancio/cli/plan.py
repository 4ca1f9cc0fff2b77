"""`lancio plan` and `lancio preflight`: what would run, and whether it may."""

from __future__ import annotations

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
from lancio.errors import NoGo, UsageError

if TYPE_CHECKING:
    from lancio.cli import work
    from lancio.planner.model import Plan


@click.command(
    epilog="""\b
Examples:
  lancio plan migrations
  lancio plan migrations --to 005_create_audit_logs.sql
  lancio plan migrations --to 005_create_audit_logs.sql --minimal
  lancio plan --platform --json
""",
)
@folder_options
@choice_options
@click.option("--minimal", is_flag=True, help="With --to: that file and what it needs, and nothing else.")
@database_options
@json_option
@click.pass_context
def plan(
    context: click.Context,
    folder: str | None,
    platform: bool,
    order: str,
    to: str | None,
    only: tuple[str, ...],
    minimal: bool,
    database: str | None,
    role: str | None,
    json_: bool,
) -> int:
    """Show what would run in the database: order, expected time, locks and risk of each step. Changes nothing.

    Exit status 3 if something required is missing; `lancio preflight` shows it with its evidence.
    """
    from lancio.render import json, text

    terminal = terminal_of(context)
    if minimal and (to is None or only):
        raise UsageError(
            "--minimal goes with --to alone",
            cause="It leaves out what one file does not need, and --to names that file.",
            remedy="Name it: --to FILE --minimal.",
        )
    made, session = _planned(folder, platform, order, to, only, database, role, minimal=minimal)
    if json_:
        terminal.data(json.document(json.plan(made)))
    else:
        terminal.data(text.plan(made, terminal.cells))
        if not made.go:
            terminal.talk(f"NO-GO on {session}: see lancio preflight.")
    return 0 if made.go else NoGo.exit_status


@click.command(
    epilog="""\b
Examples:
  lancio preflight migrations
  lancio preflight migrations --only 006_register_railway_databases.sql
  lancio preflight --platform --database postgresql://postgres@localhost/app
""",
)
@folder_options
@choice_options
@database_options
@json_option
@click.pass_context
def preflight(
    context: click.Context,
    folder: str | None,
    platform: bool,
    order: str,
    to: str | None,
    only: tuple[str, ...],
    database: str | None,
    role: str | None,
    json_: bool,
) -> int:
    """Tell go from no-go: every requirement, who provides it, how that stands here, and the command that helps.

    Changes nothing. Exit status 0 for go, 3 for no-go.
    """
    from lancio.render import json, text

    terminal = terminal_of(context)
    made, session = _planned(folder, platform, order, to, only, database, role)
    if json_:
        terminal.data(json.document(json.plan(made)))
    else:
        terminal.data(text.preflight(made, terminal.cells, server=session))
    return 0 if made.go else NoGo.exit_status


def _planned(
    folder: str | None,
    platform: bool,
    order: str,
    to: str | None,
    only: tuple[str, ...],
    database: str | None,
    role: str | None,
    *,
    minimal: bool = False,
) -> tuple[Plan, str]:
    from lancio.cli import work

    way: work.Order = "graph" if order == "graph" else "name"
    where = source(folder, platform=platform)
    with work.session(database, role) as session:
        graph = work.graph_of(where, order=way, major=session.major)
        return work.plan_of(graph, session, where, to=to, only=only, minimal=minimal, order=way), session.said
