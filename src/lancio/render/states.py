"""How files stand in a database, and what of it is taken over, as characters and as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lancio.render.lines import clean, counted, heading, listed, wrap
from lancio.render.text import joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lancio.planner.adoption import Adoption
    from lancio.planner.model import FileState, State

MARKS: dict[State, str] = {
    "applied": "✓", "superseded": "✓", "implied": "✓", "changed since": "✗", "partly applied": "✗",
    "not applied": "✗", "unprovable": "·",
}  # fmt: skip

SHOWN = 6
"""So many objects or differences of a file are shown; all are in the JSON."""


def table(states: Sequence[FileState], cells: int) -> str:
    """How each file stands in the live database: what is missing or differs, and where the ledger says otherwise."""
    if not states:
        return ""
    lines = heading("FILES", cells)
    for state in states:
        said: list[str] = ["changed, runs again" if state.again else state.state]
        if state.recorded:
            origin = "" if state.origin in ("", "lancio") else f" (adopted: {state.origin})"
            said.append(f"in the ledger{origin}")
        if state.edited:
            said.append("EDITED since")
        lines += wrap(f"{state.name}: {', '.join(said)}", cells, first=f"  {MARKS[state.state]} ")
        if state.begun:
            lines += _line(f"begun: {state.begun}", cells)
        if state.missing:
            lines += _line(f"missing: {listed(state.missing, SHOWN)}", cells)
        for each in state.differs[:SHOWN]:
            lines += _line(each, cells)
        if len(state.differs) > SHOWN:
            lines += _line(f"and {len(state.differs) - SHOWN} more differences", cells)
        if state.because:
            lines += _line(state.because, cells)
        for each in state.disagrees if state.recorded or state.state != "applied" else ():
            if not any(each.endswith(differs) for differs in state.differs):
                lines += _line(f"≠ {each}", cells)
    return joined(lines)


def _line(said: str, cells: int) -> list[str]:
    return wrap(said, cells, first="      ")


def ending(command: str, doubts: Sequence[str], cells: int) -> str:
    """The one command that finishes a database, and what it cannot decide."""
    lines: list[str] = []
    if doubts:
        lines += wrap(
            f"Cannot be told: {listed(doubts, SHOWN)}. If they ran, lancio adopt --only FILE; if not, lancio apply "
            "--only FILE.",
            cells,
        )
    if command:
        lines.append(f"To finish: {clean(command)}")
    return joined(lines) if lines else ""


def adoption(proposed: Adoption, then: Sequence[str], cells: int, *, dry_run: bool) -> str:
    """What was, or would be, written into the ledger, what not and why, and what comes next."""
    lines: list[str] = []
    if proposed.history is not None:
        lines += wrap(f"From the history of {proposed.history.where}.", cells)
    for row in proposed.rows:
        lines += wrap(f"{row.file}: {row.proof} ({row.origin})", cells, first="  ✓ ")
    for each in proposed.left:
        lines += wrap(f"{each.file}: {each.state}; {each.why}", cells, first="  · ")
    if proposed.history is not None and proposed.history.strangers:
        strangers = listed(proposed.history.strangers, SHOWN)
        lines += wrap(f"{proposed.history.where.tool} has entries that no file answers to: {strangers}.", cells)
    if not proposed.rows:
        lines.append("Nothing to adopt.")
    elif dry_run:
        lines.append(f"{counted(len(proposed.rows), 'file')} would be adopted. Nothing was written.")
    else:
        lines.append(f"{counted(len(proposed.rows), 'file')} adopted: in the ledger now, and not run.")
    lines += [f"Next: {clean(each)}" for each in then]
    return joined(lines)


def adoption_data(proposed: Adoption) -> dict[str, Any]:
    """The same as plain data."""
    history = proposed.history
    return {
        "adopted": [
            {
                "file": row.file,
                "origin": row.origin,
                "at": row.at.isoformat() if row.at is not None else None,
                "proof": row.proof,
            }
            for row in proposed.rows
        ],
        "left": [{"file": each.file, "state": each.state, "why": each.why} for each in proposed.left],
        "doubts": list(proposed.doubts),
        "history": None
        if history is None
        else {
            "tool": history.where.tool,
            "table": f"{history.where.schema}.{history.where.table}",
            "without_file": list(history.strangers),
            "without_entry": list(history.open),
        },
    }
