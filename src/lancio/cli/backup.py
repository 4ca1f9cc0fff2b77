"""`lancio backup`: which backups are known, and what other commands ask about them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from lancio.cli.options import (
    DATA,
    choice_options,
    database_options,
    folder_options,
    json_option,
    source,
    terminal_of,
)
from lancio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from lancio.executor.backups import Known

P = ParamSpec("P")
R = TypeVar("R")

NO_BACKUP, AGE = "lancio.no-backup", "lancio.backup-age"
"""Where a command line's --no-backup and --backup-age are kept until the preflight asks for them."""

_AGE = re.compile(r"(\d{1,6})\s*(m|min|h|d)")
_UNITS = {"m": 60, "min": 60, "h": 3600, "d": 86400}
_CREDENTIAL = re.compile(r"://[^/\s@]*:[^/\s@]*@|(?i:\b(?:password|passwd|pwd|secret|token)\s*=)")
LONGEST = 500


def _keep(context: click.Context, parameter: click.Parameter, given: bool | str | None) -> None:
    if parameter.name == "no_backup":
        context.meta[NO_BACKUP] = bool(given)
        return
    if given is None:
        return
    match = _AGE.fullmatch(str(given).strip())
    if match is None or not (seconds := int(match[1]) * _UNITS[match[2]]):
        raise UsageError(
            f"--backup-age {given!r} is no age",
            cause="It is a number with m (minutes), h (hours) or d (days).",
            remedy="Give it as --backup-age 24h.",
        )
    context.meta[AGE] = seconds


def backup_options(command: Callable[P, R]) -> Callable[P, R]:
    """`--no-backup` and `--backup-age`; the preflight takes them from the context."""
    for decorate in reversed(
        (
            click.option(
                "--no-backup",
                is_flag=True,
                expose_value=False,
                callback=_keep,
                help="Go without a known backup, though the database has rows.",
            ),
            click.option(
                "--backup-age",
                metavar="AGE",
                expose_value=False,
                callback=_keep,
                help="How old the last backup may be: 90m, 24h, 7d.  [default: 24h]",
            ),
        )
    ):
        command = decorate(command)
    return command


def terms() -> str:
    """What this run goes without, as the next command line has to say it again."""
    context = click.get_current_context(silent=True)
    given = context.meta if context is not None else {}
    return (" --no-backup" if given.get(NO_BACKUP) else "") + (" --no-data" if given.get(DATA, 0) is None else "")


@click.group(
    epilog="""\b
Examples:
  lancio backup make migrations
  lancio backup make --whole
  lancio backup note --at now --where 'nightly.dump on backup-1'
  lancio backup list
"""
)
def backup() -> None:
    """Make a backup and prove that it restores, note one that was made elsewhere, list those that are known.

    A preflight on a database with rows is a no-go unless a backup of the last 24 hours is known.
    """


@backup.command(
    epilog="""\b
Examples:
  lancio backup make migrations
  lancio backup make migrations --to 005_create_audit_logs.sql --out before-005.dump
  lancio backup make --whole --out app.dump
  lancio backup make --whole --scratch postgresql://postgres@replica/postgres
""",
)
@folder_options
@choice_options
@click.option("--whole", is_flag=True, help="All of the database: the same as --scope whole.")
@click.option(
    "--scope",
    type=click.Choice(("plan", "whole")),
    default="plan",
    help="What it is of: what the plan touches, or all.  [default: plan]",
)
@click.option("--out", metavar="PATH", help="The file that is written.  [default: a new one in lancio-backups]")
@click.option("--scratch", metavar="URL", help="The server to check it on, not one of our own.")
@click.option("--no-check", is_flag=True, help="Don't restore it to compare; the record says so.")
@database_options
@json_option
@click.pass_context
def make(
    context: click.Context,
    folder: str | None,
    platform: bool,
    order: str,
    to: str | None,
    only: tuple[str, ...],
    whole: bool,
    scope: str,
    out: str | None,
    scratch: str | None,
    no_check: bool,
    database: str | None,
    role: str | None,
    json_: bool,
) -> int:
    """Back up the database, or the rows that the plan puts at risk with all definitions; then prove that it restores.

    The proof is a scratch database that it is restored into: each table's rows and every definition have to be equal.
    What is proved is recorded, and counts for the preflight as a noted backup does; one of what a plan touches counts
    for that plan's files alone.
    """
    from pathlib import Path

    from lancio.cli import backing, work
    from lancio.planner import scope as scopes
    from lancio.render import json
    from lancio.render.lines import counted

    terminal = terminal_of(context)
    whole = whole or scope == "whole"
    if scratch is not None and no_check:
        raise UsageError(
            "--scratch and --no-check are both given",
            cause="The scratch server is what it is checked on.",
            remedy="Give one of them.",
        )
    if whole and (folder is not None or platform or to is not None or only):
        raise UsageError(
            "--whole and files are both given",
            cause="All of the database is more than what files touch.",
            remedy="Leave the folder and its files away, or --whole.",
        )
    way: work.Order = "graph" if order == "graph" else "name"
    where = None if whole else source(folder, platform=platform)
    with work.session(database, role) as session:
        wanted = None
        if where is not None:
            graph = work.graph_of(where, order=way, major=session.major)
            wanted = scopes.of(work.plan_of(graph, session, where, work.Choice(to, only)))
            if not wanted.steps:
                if json_:
                    terminal.data(json.document({"made": None}))
                else:
                    terminal.data("Nothing is left to run, so nothing is at risk. --whole backs up all of it.\n")
                return 0
            if wanted.opaque:
                terminal.talk(f"Not all of it can be seen ({wanted.opaque[0]}): the whole database is backed up.")
                wanted = None
        name = session.connection.info.dbname
        path = Path(out) if out is not None else backing.path_in(None, name, whole=wanted is None)
        manifest, known = backing.make(session, wanted, path, scratch, terminal, check=not no_check)
    if json_:
        terminal.data(json.document({"made": json.plain(known), "tables": json.plain(manifest.tables)}))
        return 0
    tables = f"{counted(len(manifest.tables), 'table')} with {counted(sum(t.rows for t in manifest.tables), 'row')}"
    proof = "restored and compared: equal" if manifest.checked else "not checked"
    of = "the whole database" if manifest.whole else f"what {counted(len(manifest.steps), 'file')} will touch"
    terminal.data(f"Made: {path} ({_bytes(manifest.size)}), {of}: all definitions, {tables}; {proof}.\n")
    return 0


def _bytes(size: int) -> str:
    amount = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "bytes" or amount >= 10 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


@backup.command(
    epilog="""\b
Examples:
  lancio backup note --at now --where backup.dump
  lancio backup note --at 2026-11-26T03:00:00+01:00 --where 'snapshot rds:app-2026-11-26'
""",
)
@click.option("--at", metavar="TIME", required=True, help="When it was begun: ISO 8601, or `now`; else local time.")
@click.option("--where", "place", metavar="TEXT", required=True, help="Where it is, in words; never a credential.")
@database_options
@json_option
@click.pass_context
def note(
    context: click.Context, at: str, place: str, database: str | None, role: str | None, json_: bool
) -> None:  # fmt: skip
    """Record that this database was backed up. The ledger is made if it is not there."""
    from lancio.cli import work
    from lancio.executor import backups
    from lancio.render import json

    terminal = terminal_of(context)
    moment, words = _moment(at), _place(place)
    with work.session(database, role) as session:
        known = backups.note(session.connection, moment, words)
    if json_:
        terminal.data(json.document(known))
    else:
        terminal.data(f"Noted: a backup of {known.taken_at.isoformat(sep=' ')}, {known.place}\n")


@backup.command(
    name="list",
    epilog="""\b
Examples:
  lancio backup list
  lancio backup list --json
""",
)
@database_options
@json_option
@click.pass_context
def list_(context: click.Context, database: str | None, role: str | None, json_: bool) -> None:
    """List the backups that are known, youngest first."""
    from lancio.cli import work
    from lancio.executor import backups
    from lancio.render import json, text
    from lancio.render.lines import clean, lasted

    terminal = terminal_of(context)
    with work.session(database, role) as session:
        found = backups.known(session.connection)
    if json_:
        terminal.data(json.document({"backups": [json.plain(each) for each in found]}))
    elif not found:
        terminal.data("No backup is known. `lancio backup note` records one.\n")
    else:
        rows = [("BACKUP OF", "AGE", "WHAT", "WHERE", "BY")]
        for each in found:
            taken = each.taken_at.isoformat(sep=" ", timespec="seconds")
            rows.append((taken, lasted(each.age_s * 1000), _what(each), clean(each.place), each.who))
        terminal.data(text.table(rows))


def _what(known: Known) -> str:
    """`whole, noted`; `plan of 2 files, checked`."""
    from lancio.render.lines import counted

    of = "whole" if known.scope == "whole" else f"plan of {counted(len(known.files), 'file')}"
    return f"{of}, {known.origin if known.origin == 'noted' else 'checked' if known.checked else 'not checked'}"


def _moment(given: str) -> datetime:
    """A time with its zone; without one the local zone of this machine is meant.

    Raises:
        UsageError: it is no time.
    """
    from datetime import UTC, datetime

    if given.strip().lower() == "now":
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(given.strip())
        return found if found.tzinfo is not None else found.astimezone()
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"--at {given!r} is no time",
            cause="It is `now`, or a time as ISO 8601 has it.",
            remedy="Give it as --at 2026-11-26T03:00:00+01:00.",
        ) from None


def _place(given: str) -> str:
    """Where a backup is, fit to be kept and shown.

    Raises:
        UsageError: there is nothing in it, or a credential.
    """
    words = " ".join(given.split())
    problem = ""
    if not words or not words.isprintable():
        problem = "It says nothing that could be shown."
    elif len(words) > LONGEST:
        problem = f"It is longer than {LONGEST} characters."
    elif _CREDENTIAL.search(words):
        problem = "There is a password in it, and it is kept and shown as it is. (It is not repeated here.)"
    if problem:
        raise UsageError("--where cannot be kept", cause=problem, remedy="Say in a few words where the backup is.")
    return words
