"""`lancio backup make` and `lancio apply --backup`: a backup before something changes."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from lancio.cli.options import data_limit
from lancio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lancio.cli.options import Source
    from lancio.cli.terminal import Terminal
    from lancio.cli.work import Choice, Session
    from lancio.executor.backups import Known
    from lancio.planner.model import Plan
    from lancio.planner.scope import Scope
    from lancio.proof.dump import Manifest

P = ParamSpec("P")
R = TypeVar("R")

FOLDER = "lancio-backups"
"""Where backups go unless --out or --backup-to names another place: in the current folder."""


def backup_first_options(command: Callable[P, R]) -> Callable[P, R]:
    """`--backup`, and where it goes and is checked."""
    for decorate in reversed(
        (
            click.option(
                "--backup", is_flag=True, help="First back up what the plan touches; go on only if it restores."
            ),
            click.option("--backup-to", metavar="DIR", help=f"With --backup: where it is kept.  [default: {FOLDER}]"),
            click.option("--scratch", metavar="URL", help="With --backup: the server to check it on."),
        )
    ):
        command = decorate(command)
    return command


def given(*, backup: bool, backup_to: str | None, scratch: str | None, adopt: bool) -> None:
    """What may stand beside --backup.

    Raises:
        UsageError: --backup-to or --scratch without it, or --adopt with it.
    """
    if not backup and (backup_to is not None or scratch is not None):
        raise UsageError(
            f"{'--backup-to' if backup_to is not None else '--scratch'} goes with --backup",
            cause="No backup is made without it.",
            remedy="Add --backup, or leave it away.",
        )
    if backup and adopt:
        raise UsageError(
            "--backup and --adopt are both given",
            cause="What a backup has to hold is known once it is recorded what ran here.",
            remedy="Run lancio adopt first, then lancio apply --backup.",
        )


def path_in(folder: str | None, database: str, *, whole: bool) -> Path:
    """A new file's name: the database, when, and of what."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", database).strip(".") or "database"
    stamp = datetime.now().astimezone().strftime("%Y%m%dT%H%M%S")
    stem = f"{name}-{stamp}-{'whole' if whole else 'plan'}"
    place = Path(folder if folder is not None else FOLDER)
    taken = (place / f"{stem}{suffix}.dump" for suffix in ("", *(f"-{number}" for number in range(2, 1000))))
    return next(each for each in taken if not each.exists())


def make(
    session: Session, scope: Scope | None, out: Path, scratch: str | None, terminal: Terminal, *, check: bool = True
) -> tuple[Manifest, Known]:
    """Make a backup, check it by restoring it, and record it.

    Raises:
        BackupFailed: it could not be made, does not restore, or is not equal; it is not recorded then.
        UsageError, ServerError, LockHeld: as for `dump.make`, `dump.check` and `backups.record`; what would keep it
            from being recorded is asked first.
    """
    from lancio.cli.signals import cleaning
    from lancio.executor import backups
    from lancio.proof import dump
    from lancio.proof.programs import BackupFailed
    from lancio.render.lines import listed

    backups.refuse_unrecordable(session.connection)
    with cleaning():
        terminal.talk(f"Backing up {session.target.display} to {out} …")
        manifest = dump.make(session.connection, session.target, scope, out, role=session.role)
        if check:
            terminal.talk("Restoring it into a scratch database, to compare …")
            unlike = dump.check(manifest, out, session.connection, scratch)
            if unlike:
                raise BackupFailed(
                    f"the backup {out} does not give back what was there",
                    cause=f"Restored, it differs: {listed(unlike, dump.SHOWN)}. It is not recorded.",
                    remedy="If the scratch server is of another version or lacks something, name a better one by "
                    "--scratch; else do not trust this backup.",
                )
        manifest = replace(manifest, checked=check, doubt="" if check else "not checked: --no-check")
        dump.write(manifest, out)
        known = backups.record(
            session.connection,
            datetime.fromisoformat(manifest.taken_at),
            str(out.absolute()),
            {
                "scope": manifest.said,
                "files": list(manifest.steps),
                "checked": check,
                "size": manifest.size,
                "sha256": manifest.sha256,
                "tables": [{"table": each.name, "rows": each.rows} for each in manifest.tables],
            },
        )
    return manifest, known


def first(
    plan: Plan,
    session: Session,
    where: Source,
    choice: Choice,
    folder: str | None,
    scratch: str | None,
    terminal: Terminal,
) -> Plan:
    """Back up what a plan touches before it runs; the plan, judged again with that backup known.

    Nothing is backed up where something else is in the plan's way.

    Raises:
        BackupFailed: there is no backup that restores; nothing was applied.
    """
    from lancio.cli import work
    from lancio.planner import scope

    if any(item.blocking and item.requirement.kind != "backup" for item in plan.missing) or any(
        finding.severity == "refusal" for finding in plan.findings
    ):
        return plan
    wanted = scope.of(plan)
    if wanted.opaque:
        terminal.talk(f"Not all of it can be seen ({wanted.opaque[0]}): the whole database is backed up.")
    whole = bool(wanted.opaque)
    out = path_in(folder, session.connection.info.dbname, whole=whole)
    _, known = make(session, None if whole else wanted, out, scratch, terminal)
    terminal.talk(f"Backed up to {known.place}, restored and compared: equal.")
    return work.plan_of(plan.graph, session, where, choice, data=data_limit(), look="required")
