"""`lancio restore`: what a backup has, given back."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lancio.cli.options import database_options, json_option, terminal_of
from lancio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lancio.cli.terminal import Terminal
    from lancio.cli.work import Session
    from lancio.proof.dump import Manifest
    from lancio.proof.restore import Outlook

SHOWN = 12


@click.command(
    epilog="""\b
Examples:
  lancio restore lancio-backups/app-20261126T120000-plan.dump
  lancio restore before-005.dump --only public.invoices --yes
  lancio restore app.dump --into postgresql://postgres@localhost/app_restored
""",
)
@click.argument("archive", metavar="BACKUP")
@click.option("--into", metavar="URL", help="Restore all of it into this database: a new or an empty one.")
@click.option("--only", multiple=True, metavar="TABLE", help="Only this table, as schema.table; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Show what would be replaced, and change nothing.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@database_options
@json_option
@click.pass_context
def restore(
    context: click.Context,
    archive: str,
    into: str | None,
    only: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    database: str | None,
    role: str | None,
    json_: bool,
) -> int:
    """Give back the rows and definitions of a backup's tables, as they were, in one transaction.

    First it is shown what would be replaced, and of which tables rows that came since would be lost. A backup of what a
    plan touches undoes that plan: the ledger then says that its files are not applied any more. Where something else
    would be changed or lost, nothing is done, and it is named. A backup of the whole database goes into a new or an
    empty one, by --into.
    """
    from lancio.cli import work
    from lancio.cli.signals import cleaning
    from lancio.proof import dump
    from lancio.proof import restore as restoring
    from lancio.render import json

    terminal = terminal_of(context)
    if into is not None and only:
        raise UsageError(
            "--into and --only are both given",
            cause="Into another database all of a backup is restored.",
            remedy="Give one of them.",
        )
    path = Path(archive)
    manifest = dump.read(path)
    if into is not None:
        from lancio.proof import elsewhere

        with cleaning():
            there = elsewhere.restore(manifest, path, into)
        if json_:
            terminal.data(json.document({"restored": True, "into": there}))
        else:
            rows = sum(table.rows for table in manifest.tables)
            terminal.data(f"Restored into {there}: {len(manifest.tables)} tables with {rows} rows, compared: equal.\n")
        return 0
    with work.session(database, role) as session:
        seen = restoring.outlook(session.connection, manifest, only)
        if seen.nothing or dry_run:
            _tell(terminal, seen, json_=json_, done=False, only=bool(only))
            return 0
        if not yes:
            if json_ or not (sys.stdin.isatty() and terminal.err.isatty()):
                _tell(terminal, seen, json_=False, done=False, only=bool(only)) if not json_ else None
                raise UsageError(
                    "a restore replaces rows, and nobody was asked",
                    cause="There is no terminal to ask on.",
                    remedy="Look at it with --dry-run, then say --yes.",
                )
            _tell(terminal, seen, json_=False, done=False, only=bool(only))
            if not click.confirm(f"Restore this on {session.said}?", err=True):
                terminal.talk("Nothing was changed.")
                return 1
        with cleaning():
            done = _restored(session, manifest, path, only)
        _tell(terminal, done, json_=json_, done=True, only=bool(only))
    return 0


def _restored(session: Session, manifest: Manifest, path: Path, only: tuple[str, ...]) -> Outlook:
    from lancio.proof import restore as restoring

    return restoring.restore(session.connection, manifest, path, only, role=session.role)


def _tell(terminal: Terminal, seen: Outlook, *, json_: bool, done: bool, only: bool) -> None:
    from lancio.render import json, lines, text

    if json_:
        terminal.data(json.document({"restored": done, **json.plain(seen)}))
        return
    if seen.nothing:
        terminal.data("Nothing is to be restored: all is as in the backup.\n")
        return
    rows = [("TABLE", "ROWS NOW", "IN THE BACKUP", "")]
    for each in seen.tables:
        now, then = ("none" if count is None else str(count) for count in (each.now, each.then))
        word = "the same rows" if each.same else "replaced" if each.then is not None else "dropped"
        rows.append((lines.clean(each.table), now, then, word if each.now is not None else "made again"))
    said = [] if not seen.tables else [text.table(rows)]
    lost = sum(max(0, (each.now or 0) - (each.then or 0)) for each in seen.tables)
    if lost and not done:
        said.append(f"At least {lines.counted(lost, 'row')} would be lost: there are more now than in the backup.\n")
    if not done and any(each.now and not each.same for each in seen.tables):
        fate = "Rows that were inserted or changed since the backup would be lost, also where there are fewer now."
        said += [f"{line}\n" for line in lines.wrap(fate, terminal.cells)]
    if seen.definitions:
        names = lines.listed([lines.clean(each) for each in _gravest(seen.definitions)], SHOWN)
        verb = "Again as in the backup" if done else "To be as in the backup again"
        said += [f"{line}\n" for line in lines.wrap(f"{verb}: {names}.", terminal.cells)]
    if seen.undone:
        verb = "Not applied any more, says the ledger" if done else "Not applied any more then, in the ledger"
        said += [f"{line}\n" for line in lines.wrap(f"{verb}: {lines.listed(seen.undone, SHOWN)}.", terminal.cells)]
    if seen.later:
        later = f"Applied since and left as it is: {lines.listed(seen.later, SHOWN)}."
        said += [f"{line}\n" for line in lines.wrap(later, terminal.cells)]
    if only:
        said.append("The ledger stays as it is: what a file did to other tables is still there.\n")
    if done:
        said.append("Restored, and compared: equal.\n")
    terminal.data("".join(said))


def _gravest(definitions: Sequence[str]) -> list[str]:
    """Without what goes by itself with a table or view that is named."""
    whole = [each.partition(" ")[2] for each in definitions if each.startswith("relation ")]
    return [
        each
        for each in definitions
        if each.startswith("relation ")
        or not any(re.search(rf"(?:^| ){re.escape(name)}(?:$|[. ])", each) for name in whole)
    ]
