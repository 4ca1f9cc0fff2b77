"""`lancio plan` and `lancio preflight`: what would run, and whether it may."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from lancio.cli import work
from lancio.cli.backup import backup_options
from lancio.cli.options import (
    choice_options,
    data_limit,
    data_options,
    database_options,
    folder_options,
    jobs_option,
    json_option,
    source,
    terminal_of,
)
from lancio.errors import NoGo, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lancio.cli.options import Source
    from lancio.cli.terminal import Terminal
    from lancio.planner.model import Plan


@click.command(
    epilog="""\b
Examples:
  lancio plan migrations
  lancio plan migrations --to 005_create_audit_logs.sql
  lancio plan migrations --to 005_create_audit_logs.sql --minimal
  lancio plan migrations --jobs 4
  lancio plan migrations --rehearse
  lancio plan migrations --rehearse --copy
  lancio plan migrations --save plan.json
  lancio plan migrations --sql > plan.sql
  lancio plan --platform --json
""",
)
@folder_options
@choice_options
@data_options
@backup_options
@click.option("--minimal", is_flag=True, help="With --to: that file and what it needs, and nothing else.")
@click.option("--sql", is_flag=True, help="Print the steps as one SQL script that psql runs, for review.")
@click.option("--rehearse", is_flag=True, help="Run the steps on a scratch database, and compare with what was read.")
@click.option("--copy", is_flag=True, help="With --rehearse: on a copy of the database, with its rows.")
@click.option("--scratch", metavar="URL", help="With --rehearse: a server to make databases on, not one of our own.")
@click.option(
    "--save", metavar="FILE", help="Keep the plan; `apply --plan FILE` runs it if nothing has changed by then."
)
@jobs_option
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
    sql: bool,
    rehearse: bool,
    copy: bool,
    scratch: str | None,
    save: str | None,
    jobs: int,
    database: str | None,
    role: str | None,
    json_: bool,
) -> int:
    """Show what would run in the database: order, expected time, locks and risk of each step. Changes nothing.

    Exit status 3 if something required is missing; `lancio preflight` shows it with its evidence. Plans that an
    organization subscribes to are under `lancio billing`.
    """
    from lancio.render import abreast, json, text

    terminal = terminal_of(context)
    if minimal and (to is None or only):
        raise UsageError(
            "--minimal goes with --to alone",
            cause="It leaves out what one file does not need, and --to names that file.",
            remedy="Name it: --to FILE --minimal.",
        )
    if (scratch is not None or copy) and not rehearse:
        raise UsageError(
            f"{'--copy' if copy else '--scratch'} goes with --rehearse",
            cause="Nothing is tried without it.",
            remedy="Add --rehearse, or leave it away.",
        )
    if save is not None and (sql or rehearse):
        raise UsageError(
            f"--save and {'--sql' if sql else '--rehearse'} are both given",
            cause="--save keeps a plan that is shown as a plan.",
            remedy="Give one of them.",
        )
    if jobs > 1 and (sql or rehearse):
        raise UsageError(
            f"--jobs and {'--sql' if sql else '--rehearse'} are both given",
            cause=f"{'A script for psql runs' if sql else 'A rehearsal tries the steps'} one after the other.",
            remedy="Give one of them.",
        )
    if sql and (rehearse or json_):
        raise UsageError(
            f"--sql and {'--rehearse' if rehearse else '--json'} are both given",
            cause="--sql prints a script for psql, and nothing else.",
            remedy="Give one of them.",
        )
    way: work.Order = "graph" if order == "graph" else "name"
    where, choice = source(folder, platform=platform), work.Choice(to, only, minimal)
    if sql:
        return _script(terminal, where, way, choice, database, role)
    if rehearse:
        from lancio.cli import rehearsal

        with _asked(where, way, choice, database, role) as (made, there):
            return rehearsal.rehearse(terminal, made, there, scratch, json_=json_, copy=copy)
    with _asked(where, way, choice, database, role) as (made, there):
        session = there.said
        if save is not None:
            from lancio.cli import planfile

            planfile.save(made, there, where, way, choice, save)
            terminal.talk(f"Kept in {save}: `lancio apply --plan {save}` runs it if nothing has changed by then.")
    beside = None
    if jobs > 1 and made.steps:
        from lancio.planner import schedule

        beside = schedule.made(made)
        course = schedule.course(beside, jobs)
    if json_:
        whole = json.plan(made)
        terminal.data(json.document(whole | ({"side_by_side": abreast.data(beside, course)} if beside else {})))
    else:
        terminal.data(text.plan(made, terminal.cells))
        if beside is not None:
            terminal.data(abreast.text(beside, course, terminal.cells))
        if not made.go:
            terminal.talk(f"NO-GO on {session}: see lancio preflight.")
    return 0 if made.go else NoGo.exit_status


def _script(
    terminal: Terminal,
    where: Source,
    order: work.Order,
    choice: work.Choice,
    database: str | None,
    role: str | None,
) -> int:
    """Print the plan as a script; a plan that is no go has none."""
    from lancio.executor import waiting
    from lancio.render import script, text

    with _asked(where, order, choice, database, role) as (made, session):
        if not made.go:
            terminal.talk(text.preflight(made, terminal.cells, server=session.said))
            return NoGo.exit_status
        terminal.data(
            script.script(
                made,
                said=session.said,
                role=session.role,
                lock_timeout_ms=waiting.LOCK_TIMEOUT_MS,
                variables=work.environment_settings(),
            )
        )
    return 0


@click.command(
    epilog="""\b
Examples:
  lancio preflight migrations
  lancio preflight migrations --only 006_register_railway_databases.sql
  lancio preflight migrations --all
  lancio preflight migrations --backup-age 2h
  lancio preflight --platform --database postgresql://postgres@localhost/app
""",
)
@folder_options
@choice_options
@data_options
@backup_options
@click.option("--all", "all_", is_flag=True, help="Every line: nothing is folded into a count.")
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
    all_: bool,
    database: str | None,
    role: str | None,
    json_: bool,
) -> int:
    """Tell go from no-go: every requirement, who provides it, how that stands here, and the command that helps.

    Besides objects and rows it asks for the server's version, rights, settings, locks and who holds them now, room on
    the disk, services outside, a backup, and the connection itself. Changes nothing; what cannot be known from here is
    said to be unknown. Exit status 0 for go, 3 for no-go.
    """
    from lancio.render import json, text

    terminal = terminal_of(context)
    way: work.Order = "graph" if order == "graph" else "name"
    with _asked(source(folder, platform=platform), way, work.Choice(to, only), database, role) as (made, there):
        session = there.said
    if json_:
        terminal.data(json.document(json.preflight(made)))
    else:
        terminal.data(text.preflight(made, terminal.cells, server=session, unfold=all_))
    return 0 if made.go else NoGo.exit_status


@contextlib.contextmanager
def _asked(
    where: Source, order: work.Order, choice: work.Choice, database: str | None, role: str | None
) -> Iterator[tuple[Plan, work.Session]]:
    """The plan, and the session that it was made in."""

    with work.session(database, role) as session:
        graph = work.graph_of(where, order=order, major=session.major)
        yield work.plan_of(graph, session, where, choice, data=data_limit(), look="all"), session
