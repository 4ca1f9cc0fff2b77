"""`lancio new`: the next migration's file, called as the folder calls its files."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lancio.cli.options import LAYOUTS, USUAL, json_option, terminal_of
from lancio.errors import SourceError

if TYPE_CHECKING:
    from lancio.reading.layouts import Name
    from lancio.reading.numbering import New
    from lancio.reading.source import Folder

HEADER = """\
-- {purpose}
--
-- What the SQL shows need not be said. Take the # away where a line is needed:
--# lancio: requires row app.roles (name = 'owner')
--# lancio: verify SELECT count(*) = 1 FROM app.roles
--# lancio: impact none for those who read and write
--# lancio: duration 1s

"""
"""Above the first statement; `--#` is no directive until the # is gone."""


@click.command(
    epilog="""\b
Examples:
  lancio new add_invoices
  lancio new 'add invoices' db/migrations
  lancio new add_invoices db/migrations --layout goose
  $EDITOR "$(lancio new add_invoices)"
""",
)
@click.argument("name")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=str))
@click.option(
    "--layout", type=click.Choice(LAYOUTS), help="How DIR is laid out.  [default: recognized; flat where it is empty]"
)
@click.option("--purpose", metavar="TEXT", help="The header's first line.  [default: NAME]")
@json_option
@click.pass_context
def new(
    context: click.Context, name: str, folder: str | None, layout: Name | None, purpose: str | None, json_: bool
) -> None:
    """Make the file of the next migration and print its path.

    Its number or timestamp, its width and what stands around it are as in the folder's other files; layouts with a
    way back get that file too. No file is ever overwritten. DIR is ./migrations where it is not given, and is made
    where it is not there.
    """
    from datetime import UTC, datetime

    from lancio.reading import numbering
    from lancio.render import json

    terminal = terminal_of(context)
    root = Path(folder) if folder is not None else USUAL
    made = numbering.following(name, _there(root, layout), layout, datetime.now(UTC))
    paths = write(root, made, " ".join((purpose or name).split()))
    if made.note:
        terminal.talk(made.note)
    if json_:
        terminal.data(json.document({"path": paths[0], "files": paths, "layout": made.layout}))
    else:
        terminal.data("".join(f"{path}\n" for path in paths))


def _there(root: Path, layout: Name | None) -> Folder | None:
    """The folder as it is; None where it has no migration yet."""
    from lancio.reading.source import read_folder

    if not root.exists() or (root.is_dir() and next(root.rglob("*.sql"), None) is None):
        return None if not (root / "sqitch.plan").exists() else read_folder(root, layout="sqitch")
    return read_folder(root, layout=layout)


def write(root: Path, made: New, purpose: str) -> list[Path]:
    """Write the files of a migration: all of them or none.

    Raises:
        SourceError: one of them is there already, or the folder cannot be written to.
    """
    written: list[Path] = []
    try:
        for number, (name, text) in enumerate(made.files):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            body = HEADER.format(purpose=purpose) + text if number == 0 else f"-- Takes back: {purpose}\n\n"
            with path.open("x", encoding="utf-8") as file:
                written.append(path)
                file.write(body)
    except OSError as error:
        for path in written:
            with contextlib.suppress(OSError):
                path.unlink()
        there = isinstance(error, FileExistsError)
        raise SourceError(
            f"{error.filename} {'is there already' if there else 'cannot be written'}",
            cause="No file is overwritten." if there else f"{error.strerror}.",
            remedy="Take another name." if there else "Check the rights of the folder, or name another one.",
        ) from error
    return written
