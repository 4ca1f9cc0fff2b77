"""`lancio squash`: a long history becomes one baseline file, proved equal."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from lancio.cli.options import folder_options, json_option, source, terminal_of
from lancio.errors import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lancio.planner.model import FileFacts, Graph
    from lancio.proof.squash import Baseline


@click.command(
    epilog="""\b
Examples:
  lancio squash migrations --to 0120_invoices.sql --out 0120_baseline.sql
  lancio squash migrations --to 0120_invoices.sql --out 0120_baseline.sql --archive old_migrations
""",
)
@folder_options
@click.option("--to", metavar="FILE", required=True, help="The last file of the history that becomes one.")
@click.option("--out", metavar="NAME", required=True, help="The baseline's name in DIR; it must not be there.")
@click.option("--archive", metavar="FOLDER", help="Move the files that it stands for there.")
@click.option("--before", metavar="FILE", help="SQL that makes what is there before the first file.")
@click.option("--scratch", metavar="URL", help="The scratch server.  [default: one of our own, for this alone]")
@json_option
@click.pass_context
def squash(
    context: click.Context,
    folder: str | None,
    platform: bool,
    order: str,
    to: str,
    out: str,
    archive: str | None,
    before: str | None,
    scratch: str | None,
    json_: bool,
) -> None:
    """Make one file of all files up to one of them, and prove on a scratch server that it makes the same.

    The history runs there and is dumped, rows included; the dump becomes a file that runs alone on a second database.
    Only where both are equal, catalog and rows, is the file written. A new database then runs the baseline alone; on
    one where all that it stands for ran, `apply` records it without running it; where a part of it ran, it is refused.
    No database of yours is touched.
    """
    from lancio.cli import work
    from lancio.proof import scratch as servers
    from lancio.proof import squash as proof
    from lancio.render import json
    from lancio.render.lines import counted

    terminal = terminal_of(context)
    where = source(folder, platform=platform)
    preamble = _preamble(before)
    with servers.server(scratch) as server:
        graph = work.graph_of(where, order="graph" if order == "graph" else "name", major=server.major)
        chosen = _chosen(graph, to, out)
        goes = _moves(where.path, chosen, archive) if archive is not None else []
        path = where.path / out
        terminal.talk(f"Running {counted(len(chosen), 'file')} on {server.said} …")
        made = proof.make(server, chosen, out, path, layout=graph.layout, preamble=preamble)
    _in_place(graph, chosen, where.path, made, archived=archive is not None)
    _put(path, made.text, goes)
    for parent in {old.parent for old, _ in goes} - {where.path}:
        if not any(parent.iterdir()):
            parent.rmdir()  # of a layout with a folder for each migration
    if json_:
        terminal.data(
            json.document(
                {
                    "baseline": out,
                    "replaces": list(made.replaces),
                    "objects": made.objects,
                    "tables_with_rows": made.tables,
                    "unsteady": list(made.unsteady),
                    "server": made.version,
                    "archived": [str(new) for _, new in goes],
                }
            )
        )
        return
    terminal.data(_told(made, path, archive, terminal.cells))


def _told(made: Baseline, path: Path, archive: str | None, cells: int) -> str:
    from lancio.render.lines import counted, listed, wrap

    out = [
        *wrap(f"{path} stands for {counted(len(made.replaces), 'file')}, and makes the same: "
              f"{counted(made.objects, 'object')}, rows of {counted(made.tables, 'table')}.", cells),
        *wrap(f"It was made on PostgreSQL {made.version}: for older servers name one of them by --scratch.", cells),
    ]  # fmt: skip
    if made.unsteady:
        out += wrap(
            f"Rows of {listed(made.unsteady, 6)} are others each time the history runs (moments, random values); the "
            "file has those of today.",
            cells,
        )
    if archive is None:
        out += wrap("The files that it stands for are not read any more where they lie; they may be removed.", cells)
    else:
        out.append(f"They are in {archive} now.")
    return "\n".join(out) + "\n"


def _chosen(graph: Graph, to: str, out: str) -> list[FileFacts]:
    from lancio.planner import history

    last = history.the_file(graph, to)
    chosen: list[FileFacts] = []
    for facts in graph.files:
        chosen.append(facts)
        if facts.name == last:
            break
    wrong = ""
    if chosen[-1].migration.repeatable:
        wrong = f"{last} is repeatable, and such files stay as they are"
    elif graph.layout == "sqitch":
        wrong = "the order of a Sqitch project stands in its plan, which is Sqitch's to change"
    elif out in {facts.name for facts in graph.files} or (Path(graph.folder) / out).exists():
        wrong = f"{out} is there already"
    elif not out.endswith(".sql") or PurePosixPath(out).is_absolute() or ".." in PurePosixPath(out).parts:
        wrong = f"--out {out} is no name of a .sql file below the folder"
    if wrong:
        raise UsageError(
            f"the history cannot be squashed: {wrong}",
            cause="A baseline is a file of the folder itself, in the place of those that it stands for.",
            remedy="Name another file.",
        )
    return chosen


def _moves(folder: Path, chosen: Sequence[FileFacts], archive: str) -> list[tuple[Path, Path]]:
    """Which files go where; what takes them back goes with them."""
    target = Path(archive)
    inside = target.absolute().is_relative_to(folder.absolute())
    hidden = inside and any(part[0] in "._" for part in target.absolute().relative_to(folder.absolute()).parts)
    if inside and not hidden:
        raise UsageError(
            f"--archive {archive} lies in the folder of migrations",
            cause="All .sql files below it are read as migrations, but for those in folders that begin with . or _.",
            remedy=f"Name a folder beside it, or {folder}/_archive.",
        )
    names = {facts.name for facts in chosen}
    names |= {facts.migration.down.name for facts in chosen if facts.migration.down is not None}
    moves = [(folder / name, target / name) for name in sorted(names)]
    taken = [new for _, new in moves if new.exists()]
    if taken:
        raise UsageError(
            f"{taken[0]} is there already", cause="An archived file is not overwritten.", remedy="Name another folder."
        )
    return moves


def _put(path: Path, text: bytes, goes: Sequence[tuple[Path, Path]]) -> None:
    """Write the baseline and move the files that it stands for: all of it, or nothing.

    Raises:
        SourceError: something cannot be written; all is as it was then.
    """
    moved: list[tuple[Path, Path]] = []
    written = False
    try:
        for folder in {new.parent for _, new in goes} | {path.parent}:
            folder.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            written = True
            file.write(text)
        for old, new in goes:
            shutil.move(old, new)
            moved.append((old, new))
    except OSError as error:
        for old, new in reversed(moved):
            shutil.move(new, old)
        if written:
            path.unlink()
        raise SourceError(
            f"{error.filename or path} cannot be written",
            cause=f"{error.strerror}.",
            remedy="Check its rights. The folder is as it was.",
        ) from error


def _in_place(graph: Graph, chosen: Sequence[FileFacts], folder: Path, made: Baseline, *, archived: bool) -> None:
    """Whether the baseline's name puts it where the files stood that it stands for: tried in a copy of the folder.

    Raises:
        UsageError: it does not.
    """
    from lancio.reading.source import read_folder

    gone = {facts.name for facts in chosen}
    rest = [facts.name for facts in graph.files if facts.name not in gone]
    with tempfile.TemporaryDirectory(prefix="lancio-squash-") as copy:
        root = Path(copy) / folder.name
        shutil.copytree(folder, root, ignore=shutil.ignore_patterns(".*", "_*"))
        for name in gone if archived else ():
            (root / name).unlink()
        (root / made.name).parent.mkdir(parents=True, exist_ok=True)
        (root / made.name).write_bytes(made.text)
        found = read_folder(root, layout=graph.layout, variables=_variables())
        names = [each.name for each in found.migrations]
    if names != [made.name, *rest]:
        where = "is not read as a migration" if made.name not in names else "would not come first"
        raise UsageError(
            f"{made.name} {where} in this folder",
            cause=f"Its layout ({graph.layout}) goes by the files' names.",
            remedy=f"Give it a name like that of {chosen[-1].name}, with its number or one below that of "
            f"{rest[0] if rest else 'the next file'}.",
        )


def _variables() -> dict[str, str]:
    from lancio.cli.options import VARIABLES

    return dict(click.get_current_context().meta.get(VARIABLES, {}))


def _preamble(before: str | None) -> bytes:
    try:
        return b"" if before is None else Path(before).read_bytes()
    except OSError as error:
        raise UsageError(
            f"{before} cannot be read", cause=f"{error.strerror}.", remedy="Name by --before a file of SQL."
        ) from error
