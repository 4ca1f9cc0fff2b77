"""`lancio server`: the embedded PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lancio.cli.options import json_option, terminal_of

if TYPE_CHECKING:
    from lancio.embedded import EmbeddedServer


@click.group(
    epilog="""\b
Examples:
  lancio server status
  lancio server start
  lancio server stop
""",
)
def server() -> None:
    """Start, stop or look at the embedded PostgreSQL: one a user, its data kept between runs."""


@server.command()
@json_option
@click.pass_context
def status(context: click.Context, json_: bool) -> int:
    """Say whether the embedded PostgreSQL runs, and where. Exit status 1 if it does not."""
    from lancio import embedded

    running = embedded.status()
    _show(context, running, "The embedded PostgreSQL is not running.", json_=json_)
    return 0 if running is not None else 1


@server.command()
@json_option
@click.pass_context
def start(context: click.Context, json_: bool) -> None:
    """Start the embedded PostgreSQL, or find it running."""
    from lancio import embedded

    _show(context, embedded.start(), "", json_=json_)


@server.command()
@json_option
@click.pass_context
def stop(context: click.Context, json_: bool) -> None:
    """Stop the embedded PostgreSQL; its data stays."""
    from lancio import embedded

    stopped = embedded.stop()
    terminal = terminal_of(context)
    if json_:
        from lancio.render import json

        terminal.data(json.document({"stopped": stopped}))
    else:
        terminal.data("Stopped.\n" if stopped else "The embedded PostgreSQL was not running.\n")


def _show(context: click.Context, running: EmbeddedServer | None, otherwise: str, *, json_: bool) -> None:
    terminal = terminal_of(context)
    facts: dict[str, Any] = {"running": running is not None}
    if running is not None:
        facts |= {"version": running.version, "url": running.url, "port": running.port, "data": str(running.data)}
    if json_:
        from lancio.render import json

        terminal.data(json.document(facts))
    elif running is None:
        terminal.data(f"{otherwise}\n")
    else:
        from lancio.render import text

        terminal.data(text.table([[f"{name}:", str(value)] for name, value in facts.items() if name != "running"]))
