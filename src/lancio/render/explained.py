"""A file or an object explained, as a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lancio.render.lines import wrap
from lancio.render.text import joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lancio.planner.account import Account

SHOWN = 20
"""Lines of one kind that are shown; the JSON has all."""


def account(found: Account, cells: int) -> str:
    """Its state, what it needs and makes, who needs it, and what is likely to go wrong."""
    lines = wrap(found.subject, cells)
    if found.state:
        lines += wrap(found.state, cells, first="  State:     ")
    for word, said in (
        ("Missing:", found.missing),
        ("Needs:", found.needs),
        ("Makes:", found.makes),
        ("History:", found.history),
        ("Needed by:", found.needed_by),
    ):
        lines += _listed(word, said, cells)
    for number, failure in enumerate(found.failures[:SHOWN]):
        if number == 0:
            lines += ["", "  What may go wrong:"]
        lines += wrap(f"{failure.where}  {failure.message} ({failure.rule}, {failure.sqlstate})", cells, first="    ! ",
                      rest="      ")  # fmt: skip
        if failure.confidence == "certain" and failure.cause:
            lines += wrap(failure.cause, cells, first="      Cause:    ", rest="                ")
        lines += wrap(failure.solution, cells, first="      Solution: ", rest="                ")
        lines += [f"        {command}" for command in failure.commands]
    if found.kind == "file" and not found.failures:
        lines += ["", "  Nothing is known that may go wrong."]
    if found.commands:
        lines += ["", *(f"Run:        {command}" for command in found.commands)]
    return joined(lines)


def _listed(word: str, said: Sequence[str], cells: int) -> list[str]:
    lines: list[str] = []
    for number, each in enumerate(said[:SHOWN]):
        lines += wrap(each, cells, first=f"  {word if number == 0 else '':<11}", rest=" " * 15)
    if len(said) > SHOWN:
        lines.append(f"{'':<13}and {len(said) - SHOWN} more")
    return lines
