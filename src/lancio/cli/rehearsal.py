"""`lancio plan --rehearse`: the steps on a scratch database, and where PostgreSQL and the reading disagree."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING, Any

from lancio.errors import NoGo, StepFailed
from lancio.render import json, lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lancio.cli.terminal import Terminal
    from lancio.cli.work import Session
    from lancio.planner.model import Lock, Plan
    from lancio.proof.rehearse import Rehearsed, Start
    from lancio.proof.scratch import Scratch

SHOWN = 8
"""So many differences and locks of a file are shown; all are in the JSON."""


def rehearse(
    terminal: Terminal, plan: Plan, session: Session, url: str | None, *, json_: bool, copy: bool = False
) -> int:
    """Run the plan's steps on a scratch server and tell of each; the exit status.

    With `copy` they run on a copy of the database with its rows, where `session`'s connection may be closed for it.

    Raises:
        ServerError, BackupFailed: there is no scratch server or no copy to be had.
    """
    from lancio.cli.signals import cleaning
    from lancio.proof import rehearse as rehearsing

    told: list[Rehearsed] = []
    with cleaning(), _place(session, url, copy=copy) as (server, begin):
        if not json_:
            title = f"REHEARSAL: {lines.counted(len(plan.steps), 'step')} on {server.said}"
            terminal.data("\n".join([*lines.heading(title, terminal.cells), "", *_begins(begin, terminal.cells), ""]))
        for step in rehearsing.rehearse(plan, server, begin):
            told.append(step)
            if not json_:
                terminal.data("\n".join(_step(step, len(plan.steps), terminal.cells)) + "\n")
        said = server.said
    failed = bool(told) and told[-1].failed is not None
    if json_:
        terminal.data(json.document(_document(plan, told, begin, said)))
    else:
        terminal.data("\n".join(_sum(plan, told, terminal.cells)) + "\n")
    if failed:
        return StepFailed.exit_status
    return 0 if plan.go else NoGo.exit_status


@contextlib.contextmanager
def _place(session: Session, url: str | None, *, copy: bool) -> Iterator[tuple[Scratch, Start]]:
    from lancio.proof import copy as copies
    from lancio.proof import rehearse as rehearsing
    from lancio.proof import scratch

    if copy:
        with copies.made(session.target, session.connection, url) as found:
            yield found
    else:
        with (
            scratch.server(url, named=session.connection.info.dbname) as server,
            rehearsing.begun(server, session.target, session.connection) as begin,
        ):
            yield server, begin


def _begins(begin: Start, cells: int) -> list[str]:
    said = lines.wrap(f"It begins on {begin.said}.", cells)
    for note in begin.notes:
        said += lines.wrap(f"Note: {note}.", cells)
    return said


def _step(step: Rehearsed, of: int, cells: int) -> list[str]:
    took = lines.lasted(step.duration_ms)
    said = [f"[{step.position}/{of}] {step.file}  {'FAILED after ' if step.failed else ''}{took}"]
    if step.failed is not None:
        place = f" (line {step.failed.line})" if step.failed.line else ""
        return [
            *said,
            *lines.wrap(f"{step.failed.message}{place}, SQLSTATE {step.failed.sqlstate}", cells, first="    "),
        ]
    counts = [
        f"{len(found)} {word}"
        for word, found in (("made", step.made), ("altered", step.altered), ("dropped", step.dropped))
        if found
    ]
    said += lines.wrap(f"{', '.join(counts) or 'no object touched'}; {_locked(step.locks)}", cells, first="    ")
    for each in step.differences[:SHOWN]:
        said += lines.wrap(f"≠ {each}", cells, first="    ", rest="      ")
    if len(step.differences) > SHOWN:
        said.append(f"    ≠ … and {len(step.differences) - SHOWN} more")
    return said


def _locked(locks: Sequence[Lock] | None) -> str:
    if locks is None:
        return "locks not seen: it does not run in one transaction"
    held = [f"{lock.mode} on {lock.relation}" for lock in locks if lock.mode != "ACCESS SHARE"]
    return lines.listed(held, SHOWN) if held else "nothing that was there before is locked"


def _sum(plan: Plan, told: Sequence[Rehearsed], cells: int) -> list[str]:
    ran = [step for step in told if step.failed is None]
    apart = [step for step in ran if step.differences]
    took = lines.lasted(sum(step.duration_ms for step in told))
    said = f"{len(ran)} of {lines.counted(len(plan.steps), 'step')} ran, in {took}"
    if told and told[-1].failed is not None:
        return lines.wrap(f"{said}; {told[-1].file} failed, and nothing behind it was tried.", cells)
    if not apart:
        return lines.wrap(f"{said}; each did what was read of it.", cells)
    kinds = Counter(each.kind for step in apart for each in step.differences)
    counted = lines.listed([f"{count} × {kind}" for kind, count in kinds.most_common()])
    return lines.wrap(f"{said}; {lines.counted(len(apart), 'file')} did not do just what was read: {counted}.", cells)


def _document(plan: Plan, told: Sequence[Rehearsed], begin: Start, said: str) -> dict[str, Any]:
    return {
        **json.plan(plan),
        "rehearsal": {
            "server": said,
            "begins": begin.said,
            "notes": list(begin.notes),
            "steps": [_step_data(step) for step in told],
        },
    }


def _step_data(step: Rehearsed) -> dict[str, Any]:
    return {
        "file": step.file,
        "position": step.position,
        "duration_ms": round(step.duration_ms, 3),
        "failed": json.plain(step.failed),
        "made": [" ".join(item) for item in step.made],
        "dropped": [" ".join(item) for item in step.dropped],
        "altered": list(step.altered),
        "locks": None
        if step.locks is None
        else [{"relation": lock.relation, "mode": lock.mode} for lock in step.locks],
        "differences": json.plain(step.differences),
    }
