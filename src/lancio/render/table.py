"""Rows under a heading, as wide as the terminal lets them be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lancio.render.lines import clean, pad, width

if TYPE_CHECKING:
    from collections.abc import Sequence

NARROWEST = 8
"""Cells to which a column is cut at most, while that is enough."""
LEAST = 2
"""Where it is not, all columns are cut, to no less than this: a letter and an ellipsis."""


def fitted(
    rows: Sequence[Sequence[str]],
    cells: int | None,
    *,
    cut: Sequence[int] = (),
    whole: Sequence[int] = (),
    gap: int = 2,
) -> str:
    """Columns under each other, the first row being their heading, in lines of at most `cells`.

    Where they are wider, the columns at the places `cut` are made narrower, the widest first, then the others too, and
    what does not fit ends in an ellipsis; those at the places `whole` stay as they are, and the lines are longer. Wide
    characters take two cells. None is as wide as it gets: for who is no terminal.
    """
    if not rows:
        return ""
    table = [[clean(cell) for cell in row] for row in rows]
    widths = [max(width(row[at]) for row in table) for at in range(len(table[0]))]
    if cells is not None:
        over = sum(widths) + gap * (len(widths) - 1) - cells
        over = _narrowed(widths, cut, over, NARROWEST)
        _narrowed(widths, [at for at in range(len(widths)) if at not in whole], over, LEAST)
    return "".join(
        "".join(pad(shortened(cell, size), size + gap) for cell, size in zip(row, widths, strict=True)).rstrip() + "\n"
        for row in table
    )


def _narrowed(widths: list[int], places: Sequence[int], over: int, least: int) -> int:
    """Take `over` cells from the columns at these places, the widest first; how many are left to be taken."""
    while over > 0 and (most := max((widths[at] for at in places), default=0)) > least:
        at = next(each for each in places if widths[each] == most)
        # Down to the next widest at once, but no further than is needed.
        below = max((widths[each] for each in places if widths[each] < most), default=least)
        less = min(over, max(1, most - max(below, least)))
        widths[at] -= less
        over -= less
    return over


def shortened(text: str, cells: int) -> str:
    """`text`, or its beginning and an ellipsis, in at most `cells`."""
    if width(text) <= cells:
        return text
    kept, taken = "", 0
    for char in text:
        taken += width(char)
        if taken > cells - 1:
            break
        kept += char
    return f"{kept.rstrip()}…"
