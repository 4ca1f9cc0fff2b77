"""`lancio graph`: what each migration needs and makes."""

from __future__ import annotations

import click

from lancio.cli.options import folder_options, json_option, source, terminal_of


@click.command(
    epilog="""\b
Examples:
  lancio graph migrations                      the execution graph, in boxes
  lancio graph migrations --tree               every file with what it creates
  lancio graph migrations --format mermaid     for a README or a pull request
  lancio graph migrations --json | jq .edges   for other programs
  lancio graph --platform --database "$URL"    with each file's state in that database
""",
)
@folder_options
@click.option("--format", "format_", type=click.Choice(["text", "json", "mermaid"]), default="text", show_default=True)
@click.option("--tree", is_flag=True, help="Every file with what it creates and needs, as a tree.")
@click.option("--server-version", type=click.IntRange(10, 18), help="Bind for this major version.  [default: 18]")
@click.option("--database", metavar="URL", help="Show each file's state in this database.")
@click.option("--role", metavar="NAME", help="Become this role (SET ROLE) once connected.")
@json_option
@click.pass_context
def graph(
    context: click.Context,
    folder: str | None,
    platform: bool,
    order: str,
    format_: str,
    tree: bool,
    server_version: int | None,
    database: str | None,
    role: str | None,
    json_: bool,
) -> None:
    """Draw the migrations of DIR: what each requires and creates, and why they can't run side by side.

    Only files are read; a database is asked only where --database names one.
    """
    from lancio.cli import work
    from lancio.errors import UsageError
    from lancio.render import json, mermaid, text

    terminal = terminal_of(context)
    if json_ or format_ == "json":
        format_, terminal.json = "json", True
    if tree and format_ != "text":
        raise UsageError(
            f"--tree and {format_} do not go together",
            cause="--tree is a form of the text.",
            remedy="Give one of them.",
        )
    where = source(folder, platform=platform)
    way: work.Order = "graph" if order == "graph" else "name"
    plan = None
    if database is not None:
        with work.session(database, role) as session:
            found = work.graph_of(where, order=way, major=server_version or session.major)
            plan = work.plan_of(found, session, where, order=way)
    else:
        found = work.graph_of(where, order=way, major=server_version or work.NEWEST)
    if format_ == "json":
        terminal.data(json.document(json.graph(found)))
    elif format_ == "mermaid":
        terminal.data(mermaid.graph(found))
    elif tree:
        terminal.data(text.tree(found, terminal.cells, plan))
    else:
        terminal.data(text.graph(found, terminal.cells, plan))
