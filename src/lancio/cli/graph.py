"""`lancio graph`: what each migration needs and makes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lancio.cli.options import folder_options, json_option, source, terminal_of

if TYPE_CHECKING:
    from lancio.cli.terminal import Terminal
    from lancio.planner.model import Graph
    from lancio.planner.neighbourhood import Neighbourhood


@click.command(
    epilog="""\b
Examples:
  lancio graph migrations                      the execution graph, in boxes
  lancio graph migrations --tree               every file with what it creates
  lancio graph migrations --of users.email     what stands around one object or file
  lancio graph migrations --waves              which files may run side by side
  lancio graph migrations --witness            each edge with PostgreSQL's own sentence for it
  lancio graph migrations --format svg > graph.svg
  lancio graph migrations --format mermaid     for a README or a pull request
  lancio graph migrations --json | jq .edges   for other programs
  lancio graph --platform --database "$URL"    with each file's state in that database
""",
)
@folder_options
@click.option(
    "--format", "format_", type=click.Choice(["text", "json", "mermaid", "svg"]), default="text", show_default=True
)
@click.option("--tree", is_flag=True, help="Every file with what it creates and needs, as a tree.")
@click.option("--of", metavar="FILE|OBJECT", help="What it needs and what needs it: 003, users, public.users.email.")
@click.option("--waves", is_flag=True, help="Which files may run side by side, and why the others may not.")
@click.option("--witness", is_flag=True, help="Prove the edges on a scratch server: one file is run without the other.")
@click.option("--scratch", metavar="URL", help="With --witness: a server to make databases on, not one of our own.")
@click.option("--before", metavar="FILE", help="With --witness: SQL that makes what is there before the first file.")
@click.option("--all-edges", is_flag=True, help="Draw also what follows from other edges.")
@click.option("--unfold", is_flag=True, help="Draw each of many files by itself.")
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
    of: str | None,
    waves: bool,
    witness: bool,
    scratch: str | None,
    before: str | None,
    all_edges: bool,
    unfold: bool,
    server_version: int | None,
    database: str | None,
    role: str | None,
    json_: bool,
) -> None:
    """Draw the migrations of DIR: what each requires and creates, and why they can't run side by side.

    Only files are read; a database is asked only where --database names one. Of more than 60 files a summary is
    shown, with files that hang together on one line; --unfold shows each of them.
    """
    from lancio.cli import work
    from lancio.render import json, mermaid, svg, text, uses
    from lancio.render.outline import MANY

    terminal = terminal_of(context)
    if json_ or format_ == "json":
        format_, terminal.json = "json", True
    _together(tree=tree, of=of, waves=waves, format_=format_, database=database)
    alone = not (tree or waves or of is not None or database is not None)
    _provable(witness=witness, scratch=scratch, before=before, alone=alone and format_ in ("text", "json"))
    where = source(folder, platform=platform)
    way: work.Order = "graph" if order == "graph" else "name"
    plan = None
    if database is not None:
        with work.session(database, role) as session:
            found = work.graph_of(where, order=way, major=server_version or session.major)
            plan = work.plan_of(found, session, where)
    else:
        found = work.graph_of(where, order=way, major=server_version or work.NEWEST)
    if witness:
        from lancio.cli import witnesses

        witnesses.show(terminal, found, scratch, None if before is None else Path(before))
        return
    if waves:
        _waves(found, format_, terminal)
        return
    around = _around(found, of) if of is not None else None
    only, center = (around.files, around.center) if around is not None else (None, ())
    if format_ == "svg":
        title = f"{around.said} in {found.folder}" if around is not None else ""
        terminal.data(svg.graph(found, title, only=only, center=center, all_edges=all_edges, unfold=unfold))
    elif format_ == "mermaid":
        terminal.data(mermaid.graph(found, only=only, center=center, all_edges=all_edges, unfold=unfold))
    elif around is not None:
        terminal.data(
            json.document(uses.neighbourhood_data(around))
            if format_ == "json"
            else uses.neighbourhood(around, terminal.cells)
        )
    elif format_ == "json":
        terminal.data(json.document(json.graph(found)))
    elif tree:
        terminal.data(text.tree(found, terminal.cells, plan))
    elif len(found.files) > MANY and not unfold:
        terminal.data(uses.overview(found, terminal.cells, plan, all_edges=all_edges))
    else:
        terminal.data(text.graph(found, terminal.cells, plan))


def _together(*, tree: bool, of: str | None, waves: bool, format_: str, database: str | None) -> None:
    """Refuse options of which one would be left without effect."""
    from lancio.errors import UsageError

    asked = [name for name, given in (("--tree", tree), ("--of", of is not None), ("--waves", waves)) if given]
    if len(asked) > 1:
        raise UsageError(
            f"{' and '.join(asked)} do not go together",
            cause="Each of them asks for another picture.",
            remedy="Give one of them.",
        )
    if tree and format_ != "text":
        raise UsageError(
            f"--tree and {format_} do not go together",
            cause="--tree is a form of the text.",
            remedy="Give one of them.",
        )
    if waves and format_ not in ("text", "json"):
        raise UsageError(
            f"--waves and {format_} do not go together",
            cause="Waves are told as text or as JSON.",
            remedy="Give one of them.",
        )
    if database is not None and (waves or of is not None or format_ in ("svg", "mermaid")):
        raise UsageError(
            f"--database does not go with {asked[0] if asked else f'--format {format_}'}",
            cause="This picture has no place for the state of the files in a database.",
            remedy="Leave --database away, or take the usual picture or --tree.",
        )


def _provable(*, witness: bool, scratch: str | None, before: str | None, alone: bool) -> None:
    """Refuse what --witness has no place for, and what has no place without it."""
    from lancio.errors import UsageError

    if not witness and (scratch is not None or before is not None):
        raise UsageError(
            f"{'--scratch' if scratch is not None else '--before'} goes with --witness",
            cause="Nothing is tried without it.",
            remedy="Add --witness, or leave the other option away.",
        )
    if witness and not alone:
        raise UsageError(
            "--witness goes with --json alone",
            cause="It tells every edge with PostgreSQL's sentence, as text or as JSON, and nothing else.",
            remedy="Leave the other option away.",
        )


def _around(found: Graph, said: str) -> Neighbourhood:
    """The neighbourhood of a file, or else of an object."""
    from lancio.catalog import profile
    from lancio.planner import chronicle, history, neighbourhood

    name = history.file_of(found, said)
    if name is not None:
        return neighbourhood.of_file(found, name)
    return neighbourhood.of_object(chronicle.of(found, profile.load(found.server_version)), said)


def _waves(found: Graph, format_: str, terminal: Terminal) -> None:
    from lancio.catalog import profile
    from lancio.planner import bonds, chronicle
    from lancio.render import json, uses

    told = bonds.waves(bonds.bonds(chronicle.of(found, profile.load(found.server_version))))
    terminal.data(json.document(uses.waves_data(told)) if format_ == "json" else uses.waves(told, terminal.cells))
