"""`lancio demo`: the whole of it on the embedded PostgreSQL, whatever the environment says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lancio.cli.backup import NO_BACKUP
from lancio.cli.options import Source, json_option, platform_folder, terminal_of
from lancio.errors import NoGo, ServerError

if TYPE_CHECKING:
    from lancio.postgres import Target

DATABASE = "lancio_demo"


@click.command(
    epilog="""\b
Examples:
  lancio demo
  lancio demo --json --yes
""",
)
@click.option("-y", "--yes", is_flag=True, help="Accepted for scripts; the demo asks nothing.")
@json_option
@click.pass_context
def demo(context: click.Context, yes: bool, json_: bool) -> int:
    """Launch the platform's migrations in a database of their own on the embedded PostgreSQL.

    DATABASE_URL, the PG* variables, REDIS_URL, MONGO_URL and keys are left alone: the databases it registers are
    placeholders. Run again, it says that nothing is to do. A database that other versions of these files made is kept
    under another name.
    """
    del yes, json_  # the terminal's
    status = _launched(context, _target())
    if status is None:
        kept = _set_aside()
        terminal_of(context).talk(f"Other versions of these files had made {DATABASE}: it is kept as {kept}.")
        status = _launched(context, _target())
    return NoGo.exit_status if status is None else status


def _launched(context: click.Context, target: Target) -> int | None:
    """The whole of it, and its exit status; None where the database was made by other versions of the files."""
    from lancio.cli import apply, verify, work
    from lancio.cli.checklist import checklist_of
    from lancio.render import checklist as checklists
    from lancio.render import json, text

    terminal = terminal_of(context)
    where = Source(platform_folder(), "--platform", platform=True)
    with work.session(None, None, target=target) as session:
        graph = work.graph_of(where, major=session.major)
        context.meta[NO_BACKUP] = True  # what is in the demo's own database can be made again
        plan = work.plan_of(graph, session, where, environ={}, look="all")
        if not plan.go and any(each.edited for each in plan.states):
            return None
        if not terminal.json:
            terminal.data(f"Lancio demo: {session.said}\n\n")
        if not plan.steps and plan.go:
            state = verify.state_of(session)
            if terminal.json:
                terminal.data(
                    f"{json.line({'event': 'nothing-to-do', 'done': list(plan.done), 'state': state.stands})}\n"
                )
            else:
                terminal.data(text.plan(plan, terminal.cells))
                terminal.data(f"State: {state.stands}\n")
            return 0
        if not terminal.json:
            terminal.data(f"{text.graph(graph, terminal.cells, plan)}\n")
            terminal.data(f"{text.preflight(plan, terminal.cells, server=session.said)}\n")
        if not plan.go:
            if terminal.json:
                terminal.data(f"{json.line({'event': 'no-go', **json.preflight(plan)})}\n")
            return NoGo.exit_status
        status = apply.launch(plan, session, where.words, {}, terminal)
        state = verify.state_of(session)
        listed = checklist_of(graph, work.plan_of(graph, session, where, environ={}), session)
        if terminal.json:
            shown = {**json.plain(state), "checklist": checklists.data(listed)["phases"], "stands": state.stands}
            terminal.data(f"{json.line({'event': 'state', **shown})}\n")
        else:
            drawn = text.joined(checklists.phases(listed, terminal.cells))
            terminal.data(f"\n{drawn}\n{text.diagram(state, terminal.cells)}")
        return status


def _set_aside() -> str:
    """Give the demo's database another name, which comes back: what is in it may be somebody's."""
    from datetime import UTC, datetime

    import psycopg
    from psycopg import sql

    from lancio import embedded

    kept = f"{DATABASE}_{datetime.now(UTC):%Y%m%d_%H%M%S}"
    with psycopg.connect(**embedded.start().parameters(), autocommit=True) as connection:  # type: ignore[arg-type]
        try:
            connection.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(DATABASE), sql.Identifier(kept))
            )
        except psycopg.errors.ObjectInUse:
            raise ServerError(
                f"other versions of these files made {DATABASE}, and somebody is connected to it",
                cause="It would be kept under another name, and a new one made.",
                remedy="End these connections, or wait for them, and run it again.",
                commands=("lancio demo",),
            ) from None
    return kept


def _target() -> Target:
    """The demo's own database on the embedded server, made if it is not there."""
    import psycopg

    from lancio import embedded, postgres

    server = embedded.start()
    with psycopg.connect(**server.parameters(), autocommit=True) as connection:  # type: ignore[arg-type]
        found = connection.execute("SELECT FROM pg_catalog.pg_database WHERE datname = %s", (DATABASE,)).fetchone()
        if found is None:
            try:
                connection.execute(f"CREATE DATABASE {DATABASE}")
            except psycopg.errors.DuplicateDatabase:
                # Another demo was quicker; its database is as good.
                connection.rollback()
    return postgres.embedded_target(server, DATABASE)
