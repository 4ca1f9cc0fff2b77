"""May a file still run where files behind it are applied already?

It may where it is proved to commute with every one of them: then the database is the same as if it had run in its
place. Otherwise it is refused with the object in the way, unless it was named by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lancio.planner import bonds, chronicle
from lancio.planner.model import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from lancio.catalog.profile import Profile
    from lancio.planner.bonds import Bond
    from lancio.planner.model import FileState, Graph

SHOWN = 3
"""So many of the files that were applied first are named."""

RULE = "out-of-order"


def findings(
    graph: Graph,
    profile: Profile,
    states: Sequence[FileState],
    pending: Collection[str],
    named: Collection[str],
    command: Callable[[Sequence[str]], str],
) -> list[Finding]:
    """One finding for each pending file that recorded files behind it have overtaken.

    A file of which the database has something already was run by other hands, and is not judged. `named` are files
    that a person asked for one by one; `command` writes the line that does so.
    """
    order = [state.name for state in states]
    # What is repeatable runs behind all others whenever it is there.
    repeatable = {facts.name for facts in graph.files if facts.migration.repeatable}
    recorded = [at for at, state in enumerate(states) if state.recorded and state.name not in repeatable]
    last = max(recorded, default=0)
    late = [
        at
        for at, state in enumerate(states[:last])
        if state.name in pending and not state.recorded and state.state in ("not applied", "unprovable")
    ]
    if not late:
        return []
    tied = bonds.bonds(chronicle.of(graph, profile))
    found = []
    for at in late:
        behind = [other for other in recorded if other > at]
        # A bond to a third file is that file's own affair: only the pairs whose order is turned round matter.
        bond = next((tied.by_file[other][at] for other in behind if at in tied.by_file[other]), None)
        names = [order[other] for other in behind]
        if bond is None:
            message = (
                f"{order[at]} comes before {_some(names)}, applied already; it commutes with "
                f"{'it' if len(names) == 1 else 'all of them'}, so it may run now"
            )
            found.append(Finding(RULE, "note", message))
        else:
            found.append(_refused(bond, named=order[at] in named, command=command([order[at]])))
    return found


def _refused(bond: Bond, *, named: bool, command: str) -> Finding:
    message = (
        f"{bond.first} is not applied, and {bond.then}, which comes behind it, is; they may not swap places: "
        f"{bond.says} ({bond.why}), {bond.at} and {bond.before}"
    )
    if named:
        return Finding(RULE, "warning", message, bond.before, "It runs because it was named by itself.")
    remedy = (
        "Give it a number behind the applied files, if it is new. If it may run now all the same, name it by itself:"
    )
    return Finding(RULE, "refusal", message, bond.before, remedy, (command,))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
