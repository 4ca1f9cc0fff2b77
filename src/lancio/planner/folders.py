"""What should a person know of a folder as a whole, before any of its files is looked into?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from lancio.planner.model import Finding

if TYPE_CHECKING:
    from lancio.reading.source import Folder

SHOWN = 5
"""How many files a finding names."""


def findings(folder: Folder) -> list[Finding]:
    """Files that have no place in the layout or cannot be read, versions given twice, variables without a place."""
    found = []
    if folder.left_out:
        found.append(
            _finding(
                "warning",
                f"{_several(folder.left_out)} left out: the layout {folder.layout} has no place for that name",
                "Rename what belongs to the migrations, or read all files as they stand with --layout flat.",
            )
        )
    if folder.elsewhere and folder.layout == "sqitch":
        message = f"{_several(folder.elsewhere)} required of other projects: whether that is deployed is not known"
        found.append(_finding("note", message, "Deploy them first."))
    elif folder.elsewhere:
        message = f"{_several(folder.elsewhere)} not read: migrations in another language than SQL"
        remedy = "What they make is missing here; say it in a later file: -- lancio: creates table app.orders"
        found.append(_finding("warning", message, remedy))
    for one, other in folder.twins:
        message = f"{one} and {other} have the same version; they are run in this order"
        found.append(
            _finding("warning", message, "Most tools refuse two files of one version: give one another number.")
        )
    if folder.unused:
        message = f"no file has a place for {', '.join(folder.unused)}"
        found.append(_finding("warning", message, "Look at the spelling of --var."))
    return found


def _finding(severity: Literal["note", "warning"], message: str, remedy: str) -> Finding:
    return Finding("layout", severity, message, None, remedy)


def _several(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more} {'is' if len(names) == 1 else 'are'}"
