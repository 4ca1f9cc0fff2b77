"""Which steps of a plan would run side by side, as text and as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lancio.render.lines import counted, lasted, listed, wrap

if TYPE_CHECKING:
    from lancio.planner.schedule import Course, Schedule

NAMED = 6
"""So many of the steps that one waits for are named, the others counted."""


def text(planned: Schedule, course: Course, cells: int) -> str:
    """Who waits for whom, how many steps run at once at most, and how long it would take if that is known."""
    steps = counted(len(planned.steps), "step")
    if course.width < 2:
        said = f"On {course.jobs} connections: {steps} one after the other, since each waits for the one before."
        return "\n".join(["", *wrap(said, cells), ""])
    said = f"On {course.jobs} connections up to {course.width} of {steps} run at once"
    if course.known:
        said += f", about {lasted(round(course.ends))} instead of {lasted(round(course.one_by_one))}"
    else:
        unknown = sum(step.expected_ms is None for step in planned.steps)
        said += f"; how long that takes is not known, for nobody has measured or declared {counted(unknown, 'step')}"
    lines = ["", *wrap(f"{said}:", cells)]
    for position, step in enumerate(planned.steps, 1):
        after = _nearest(planned, position)
        names = [str(each) for each in after]
        waits = f"waits for {listed(names, NAMED)}" if names else "waits for nothing"
        if position in planned.solo:
            waits = "nothing runs beside it"
        lines += wrap(f"{position}. {step.facts.name}: {waits}", cells, first="  ", rest="     ")
    return "\n".join([*lines, ""])


def data(planned: Schedule, course: Course) -> dict[str, Any]:
    """The same for programs; times are milliseconds from the beginning, None where a step's duration is not known."""
    return {
        "connections": course.jobs,
        "at_once": course.width,
        "expected_ms": round(course.ends) if course.known else None,
        "one_by_one_ms": round(course.one_by_one) if course.known else None,
        "steps": [
            {
                "position": position,
                "file": step.facts.name,
                "after": _nearest(planned, position),
                "alone": position in planned.solo,
                "starts_ms": round(starts) if course.known else None,
            }
            for position, (step, (starts, _)) in enumerate(zip(planned.steps, course.times, strict=True), 1)
        ],
    }


def _nearest(planned: Schedule, position: int) -> list[int]:
    """The steps that one waits for, without those that another of these waits for."""
    after = planned.after[position - 1]
    behind = frozenset().union(*(planned.after[each - 1] for each in after))
    return sorted(after - behind)
