"""What `lancio baseline` tells: the queries, how they stand, and the plans where they differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lancio.render.json import plain
from lancio.render.lines import clean, counted, heading, wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lancio.proof.baseline import Compared, Comparison
    from lancio.proof.chosen import LeftOut
    from lancio.proof.records import Baseline
    from lancio.proof.significance import Ratio

MARKS = {
    "same": "✓",
    "faster": "✓",
    "slower": "✗",
    "waits": "✗",
    "pages": "✗",
    "plan": "✗",
    "fails": "✗",
    "undecided": "?",
}

PLAN_LINES = 14
"""So many lines of a plan are shown; all are in the JSON."""


def recorded(made: Baseline, where: str, cells: int) -> str:
    """What was recorded, and where it is kept."""
    lines = [*heading(f"BASELINE OF {counted(len(made.queries), 'query').upper()}", cells), ""]
    for each in made.queries:
        if each.failed:
            lines += wrap(f"{clean(each.query.name)}: {each.failed}", cells, first="✗ ", rest="  ")
            continue
        said = "its plan alone: its parameters' values are not known"
        if each.samples:
            took = sorted(taken.query.elapsed for taken in each.samples)
            said = f"{_ms(took[len(took) // 2])}, from {_ms(took[0])} to {_ms(took[-1])} in {len(took)} sessions"
        pages = "" if each.look is None or each.look.buffers is None else f", {counted(each.look.buffers, 'page')}"
        lines += wrap(f"{clean(each.query.name)}: {said}{pages}", cells, first="✓ ", rest="  ")
    lines += [*_left_out(made.left_out, cells), "", *wrap(f"Kept in {where}.", cells)]
    return "\n".join(lines) + "\n"


def text(found: Comparison, left_out: Sequence[LeftOut], cells: int, steps: Sequence[str] = ()) -> str:
    """The queries one by one; those that are worse with the plans and what to do."""
    lines = [*heading("QUERIES BEFORE AND AFTER", cells), ""]
    if steps:
        lines += [*wrap(f"Between: {', '.join(clean(each) for each in steps)}", cells), ""]
    for each in found.queries:
        lines += _query(each, cells)
    lines += [*_left_out(left_out, cells), "", *wrap(f"{found.how[0].upper()}{found.how[1:]}.", cells), ""]
    findings, open_ = found.findings, [each for each in found.queries if each.verdict == "undecided"]
    limit = f"{found.limit * 100:g} %"
    if findings:
        said = f"✗ {counted(len(findings), 'query')} of {len(found.queries)} worse than before, beyond {limit}"
    elif open_:
        said = f"? none is worse for certain; {counted(len(open_), 'query')} could not be decided"
    else:
        said = f"✓ {counted(len(found.queries), 'query')} within {limit} of what they took before"
    return "\n".join([*lines, *wrap(f"{said}.", cells)]) + "\n"


def _query(each: Compared, cells: int) -> list[str]:
    times = ""
    if each.before_ms is not None and each.after_ms is not None:
        times = f"  {_ms(each.before_ms)} → {_ms(each.after_ms)}" + (" of processor" if each.measure == "cpu" else "")
    lines = wrap(f"{clean(each.query.name)}{times}", cells, first=f"{MARKS[each.verdict]} ", rest="  ")
    lines += wrap(f"{each.verdict}: {each.because}", cells, first="    ")
    if each.plan_changed and each.before is not None and each.after is not None:
        for word, look in (("before", each.before), ("after", each.after)):
            lines.append(f"    {word}:")
            lines += [f"      {clean(line)}" for line in look.lines[:PLAN_LINES]]
            if len(look.lines) > PLAN_LINES:
                lines.append(f"      … and {len(look.lines) - PLAN_LINES} more")
    for said in each.advice:
        lines += wrap(f"! {said}", cells, first="    ", rest="      ")
    lines += [f"      {clean(command)};" for command in each.commands]
    return lines


def _left_out(left_out: Sequence[LeftOut], cells: int) -> list[str]:
    lines: list[str] = []
    for each in left_out:
        lines += wrap(f"{clean(each.name)}: not watched, {each.why}", cells, first="· ", rest="  ")
    return lines


def data(found: Comparison, left_out: Sequence[LeftOut], steps: Sequence[str] = ()) -> dict[str, Any]:
    """The comparison as JSON."""
    return {
        "passed": not found.findings,
        "limit": found.limit,
        "side_by_side": found.sure,
        "how": found.how,
        "steps": list(steps),
        "queries": [
            {
                "name": each.query.name,
                "text": each.query.text,
                "verdict": each.verdict,
                "finding": each.finding,
                "because": each.because,
                "measure": each.measure,
                "ratio": _ratio(each.ratio),
                "before_ms": each.before_ms,
                "after_ms": each.after_ms,
                "spread": round(each.spread, 4),
                "plan_changed": each.plan_changed,
                "before": plain(each.before),
                "after": plain(each.after),
                "advice": list(each.advice),
                "commands": list(each.commands),
            }
            for each in found.queries
        ],
        "left_out": [{"name": each.name, "why": each.why} for each in left_out],
    }


def _ratio(ratio: Ratio | None) -> dict[str, Any] | None:
    if ratio is None:
        return None
    return {
        "value": ratio.value,
        "low": ratio.low,
        "high": ratio.high if ratio.high != float("inf") else None,
        "p": ratio.p,
        "samples": ratio.samples,
    }


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.3g} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.3g} s"
