"""`lancio db import`: the databases that a file lists, registered."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from lancio.cli import acting, secret_input
from lancio.cli.call import Call, takes
from lancio.cli.keys import kek_options
from lancio.cli.secret_input import no_secret
from lancio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lancio.cli.terminal import Terminal
    from lancio.registry.connection_strings import listed
    from lancio.registry.imports import Planned

FORMS = ("env", "csv", "service")

LARGEST_FILE = 16 << 20
"""Bytes of a file to be imported."""

MOST_REASONS = 10
"""Different reasons of refused lines that are told with what to do."""


@click.command(
    "import",
    epilog="""\b
Examples:
  lancio db import .env --project shop --dry-run
  lancio db import databases.csv --skip-refused
  railway variables --kv | lancio db import - --form env --project shop
""",
)
@click.argument("file", metavar="FILE", callback=no_secret)
@click.option("--project", metavar="SLUG", help="The project of the lines that name none.")
@click.option("--form", type=click.Choice(FORMS), help="How FILE is written.  [default: told by its name]")
@click.option("--skip-refused", is_flag=True, help="Leave out the lines that are refused, and take the others.")
@acting.changes
@kek_options
@acting.org_option
@takes
def import_(call: Call, file: str, project: str | None, form: str | None, skip_refused: bool) -> int:
    """Register the databases that a .env, a CSV or a pg_service.conf lists; - is stdin.

    Each line is told: new, same, changed, or refused with its number. All are taken or none, unless --skip-refused is
    given; a second run changes nothing. What is registered already is opened to be compared, and that is written down.
    """
    from lancio.registry import imports
    from lancio.registry.connection_strings import listed

    text = _text(call.terminal, file)
    listing = listed.read(text, cast("listed.Form", form or _form(file)))
    for each in listing.entries:
        secret_input.hide(call.terminal, each.value.build())
    with call.session():
        keys = call.keys()
        # That something was opened stays written down, also where nothing is changed.
        with call.work(kept=True) as work:
            planned = imports.plan(work, keys, listing, project)
            refused = [each for each in planned if each.what == "refused"]
            done = not call.dry_run and (not refused or skip_refused)
            if done:
                imports.carry_out(work, keys, planned)
    if call.json:
        call.document({"dry_run": call.dry_run, "done": done, "lines": [each.as_dict() for each in planned]})
    else:
        _tell(call, planned)
        call.talk(_summary(planned, done=done, dry=call.dry_run))
    return 1 if refused and not skip_refused else 0


def _tell(call: Call, planned: Sequence[Planned]) -> None:
    if not planned:
        call.terminal.data("No line names a database.\n")
        return
    rows: list[tuple[str, ...]] = [("LINE", "", "NAME", "PROJECT", "WHAT")]
    reasons: dict[str, list[str]] = {}
    for each in planned:
        what = each.refused.message if each.refused is not None else each.value.display if each.value else ""
        rows.append((str(each.line), each.what, each.name or "-", each.project or "-", what))
        if each.refused is not None:
            reasons.setdefault(f"{each.refused.cause} {each.refused.remedy}".strip(), []).append(str(each.line))
    call.table(rows, cut=(2, 3, 4))
    for reason, lines in list(reasons.items())[:MOST_REASONS]:
        named = ", ".join(lines[:5]) + (f" and {len(lines) - 5} more" if len(lines) > 5 else "")
        call.talk(f"Line{'s' if len(lines) > 1 else ''} {named}: {reason}")


def _summary(planned: Sequence[Planned], *, done: bool, dry: bool) -> str:
    counted = {what: sum(each.what == what for each in planned) for what in ("new", "changed", "same", "refused")}
    said = ", ".join(f"{count} {what}" for what, count in counted.items() if count) or "nothing"
    if done:
        return f"Done: {said}."
    if dry:
        return f"{said}. Nothing was changed."
    return f"{said}. Nothing was changed: all lines are taken or none. Correct those refused, or say --skip-refused."


def _form(file: str) -> str:
    name = Path(file).name.lower()
    if name.endswith((".csv", ".tsv")):
        return "csv"
    return "service" if "pg_service" in name or name.endswith(".conf") else "env"


def _text(terminal: Terminal, named: str) -> str:
    """What is to be imported.

    Raises:
        UsageError: it cannot be read, or is too large.
    """
    if named == "-":
        content = sys.stdin.buffer.read(LARGEST_FILE + 1)
    else:
        path = secret_input.path_of(named)
        try:
            with path.open("rb") as opened:
                mode = os.fstat(opened.fileno()).st_mode
                content = opened.read(LARGEST_FILE + 1)
        except OSError as error:
            raise UsageError(
                f"{path} cannot be read", cause=f"{error.strerror}.", remedy="Name a .env, a CSV or a service file."
            ) from error
        if mode & 0o077:
            terminal.talk(f"Others than you may read {path}: chmod 600 {shlex.quote(str(path))}, or delete it.")
    if len(content) > LARGEST_FILE:
        raise UsageError(
            f"it is larger than {LARGEST_FILE >> 20} MB", cause="No list of databases is.", remedy="Divide it."
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(
            "it is not a text in UTF-8", cause="Its bytes are none.", remedy="Save it in UTF-8 and run it again."
        ) from None
