"""`lancio backup`: which backups are known, and what other commands ask about them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from lancio.cli.options import DATA, database_options, json_option, terminal_of
from lancio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

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
  lancio backup note --at now --where 'nightly.dump on backup-1'
  lancio backup list
"""
)
def backup() -> None:
    """Note a backup that was made, and list those that are known.

    A preflight on a database with rows is a no-go unless a backup of the last 24 hours is known.
    """


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
        rows = [("BACKUP OF", "AGE", "WHERE", "NOTED BY")]
        for each in found:
            taken = each.taken_at.isoformat(sep=" ", timespec="seconds")
            rows.append((taken, lasted(each.age_s * 1000), clean(each.place), each.who))
        terminal.data(text.table(rows))


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
