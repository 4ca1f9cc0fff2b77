"""`lancio history` and `lancio commute`: one object's life, and whether two files may swap places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lancio.cli.options import folder_options, json_option, source, terminal_of
from lancio.errors import UsageError

if TYPE_CHECKING:
    from lancio.planner.chronicle import Chronicle

SERVER = click.option(
    "--server-version", type=click.IntRange(10, 18), help="Bind for this major version.  [default: 18]"
)


@click.command(
    epilog="""\b
Examples:
  lancio history migrations users
  lancio history migrations public.users.email
  lancio history migrations "function touch_updated_at"
  lancio history --platform platform.databases --json
""",
)
@folder_options
@click.argument("named", metavar="OBJECT", required=False)
@SERVER
@json_option
@click.pass_context
def history(
    context: click.Context,
    folder: str | None,
    platform: bool,
    order: str,
    named: str | None,
    server_version: int | None,
    json_: bool,
) -> None:
    """Show each statement that made, changed, granted on, renamed, dropped or re-created OBJECT, in order.

    A renamed object is followed under all its names; columns, indexes, policies and triggers of a table are told with
    it. OBJECT is written as in SQL, with a word for its kind where the name alone means several.
    """
    from lancio.planner import history as histories
    from lancio.render import json, uses

    terminal = terminal_of(context)
    folder, (asked,) = _words((folder, named), 1, asked="OBJECT")
    chronicle = _chronicle(folder, platform=platform, order=order, major=server_version)
    told = histories.history(chronicle, histories.find(chronicle, asked))
    terminal.data(json.document(uses.history_data(told)) if json_ else uses.history(told, terminal.cells))


@click.command(
    epilog="""\b
Examples:
  lancio commute migrations 012_add_flag.sql 015_add_index.sql
  lancio commute migrations 012 015 --json
""",
)
@folder_options
@click.argument("one", metavar="A", required=False)
@click.argument("other", metavar="B", required=False)
@SERVER
@json_option
@click.pass_context
def commute(
    context: click.Context,
    folder: str | None,
    platform: bool,
    order: str,
    one: str | None,
    other: str | None,
    server_version: int | None,
    json_: bool,
) -> int:
    """Tell whether the files A and B may swap places: the proof, or the object in the way with both places.

    Exit status 0 if they may, 1 if not.
    """
    from lancio.planner import bonds
    from lancio.planner.history import the_file
    from lancio.render import json, uses

    terminal = terminal_of(context)
    folder, files = _words((folder, one, other), 2, asked="A and B")
    chronicle = _chronicle(folder, platform=platform, order=order, major=server_version)
    first, second = (the_file(chronicle.graph, said) for said in files)
    if first == second:
        raise UsageError(
            f"A and B are both {first}",
            cause="A file has one place.",
            remedy="Name two files.",
        )
    told = bonds.commute(bonds.bonds(chronicle), first, second)
    terminal.data(json.document(uses.commute_data(told)) if json_ else uses.commute(told, terminal.cells))
    return 0 if told.may else 1


def _words(given: tuple[str | None, ...], wanted: int, *, asked: str) -> tuple[str | None, tuple[str, ...]]:
    """DIR, if it is there, and the words behind it.

    Raises:
        UsageError: too few of them.
    """
    words = tuple(word for word in given if word is not None)
    if len(words) < wanted:
        raise UsageError(
            f"{asked} {'is' if wanted == 1 else 'are'} not given",
            cause="The last words of the command line name what is asked about; DIR before them may be left out.",
            remedy="Look at the help of the command.",
        )
    folder = words[0] if len(words) > wanted else None
    return folder, words[-wanted:]


def _chronicle(folder: str | None, *, platform: bool, order: str, major: int | None) -> Chronicle:
    from lancio.catalog import profile
    from lancio.cli import work
    from lancio.planner import chronicle

    way: work.Order = "graph" if order == "graph" else "name"
    graph = work.graph_of(source(folder, platform=platform), order=way, major=major or work.NEWEST)
    return chronicle.of(graph, profile.load(graph.server_version))
