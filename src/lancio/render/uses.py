"""A graph put to use, as text and as data: a neighbourhood, a history, waves, and whether two files may swap places."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from lancio.render import text
from lancio.render.lines import counted, heading, listed, wrap
from lancio.render.outline import outline, short
from lancio.render.words import Steps, hard, noun

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lancio.planner.bonds import Bond, Commute, Wave
    from lancio.planner.history import History
    from lancio.planner.model import Edge, Graph, Place, Plan
    from lancio.planner.neighbourhood import Neighbourhood

REASONS = 3
"""So many objects are told for one pair of files; the rest is counted, and all of them are in the JSON."""

FEW = 12
"""With more files than this around one, each has a single reason; with more statements, a history is only summed up."""

FIRST = 8
"""So many files are named that most others need."""


def overview(graph: Graph, cells: int, plan: Plan | None = None, *, all_edges: bool = False) -> str:
    """A graph of many files on few lines: the sums first, then each file or folded run with what it stays behind.

    With a plan, each is told with its state in the database.
    """
    steps = Steps(graph)
    shown = outline(graph, all_edges=all_edges)
    lines = heading(f"GRAPH OF {counted(len(graph.files), 'FILE').upper()}", cells)
    lines += ["", *_sums(graph, steps, shown.needs, shown.told, cells), ""]
    for number, box in enumerate(shown.boxes):
        name = box.files[0]
        if len(box.files) > 1:
            between = "and" if len(box.files) == 2 else "…"
            count = f" ({len(box.files)} files)" if len(box.files) > 2 else ""
            name = f"{name} {between} {box.files[-1]}{count}"
        lines += wrap(f"{name}{_stands(box.files, plan)}", cells, rest="  ")
        after = []
        for link in shown.links:
            if link.after == number:
                before = ", ".join(dict.fromkeys(_called(steps, edge.needs) for edge in link.edges))
                after.append(f"{before}: {_objects(link.edges)}")
        for each in after:
            lines += wrap(each, cells, first="    after ", rest="          ")
    lines += text.blind(graph, cells)
    lines += ["", *wrap("One file or object: --of. All as boxes: --unfold. As a picture: --format svg.", cells)]
    return text.joined(lines)


def _called(steps: Steps, name: str) -> str:
    """A file by its number, if its name has one that people say; else by its short name."""
    said = steps.short(name)
    return said if said.isdecimal() else short(name)


def _stands(names: Sequence[str], plan: Plan | None) -> str:
    """How these files stand in the database: `: applied`, `: 3 applied and 1 not applied`."""
    if plan is None:
        return ""
    counts = Counter(state.state for state in plan.states if state.name in names)
    if len(names) == 1:
        return "".join(f": {state}" for state in counts)
    return f": {listed([f'{many} {state}' for state, many in sorted(counts.items())])}"


def _sums(graph: Graph, steps: Steps, needs: int, told: int, cells: int) -> list[str]:
    direct: dict[str, set[str]] = {}
    for edge in graph.edges:
        if hard(edge):
            direct.setdefault(edge.needs, set()).add(edge.file)
    behind = {edge.file for edge in graph.edges if hard(edge)}
    free = [facts.name for facts in graph.files if facts.name not in behind]
    alone = [name for name in free if name not in direct]
    most = sorted(direct, key=lambda name: (-len(direct[name]), name))[:FIRST]
    named = [f"{_called(steps, name)} (by {len(direct[name])})" for name in most]
    lines = wrap(
        f"{counted(needs, 'pair')} of files bound to their order directly; {told} are told here, the others follow "
        "from them.",
        cells,
    )
    lines += wrap(
        f"{counted(len(free), 'file')} stay behind nothing; {len(alone)} of them are needed by nothing either.", cells
    )
    if named:
        lines += wrap(f"Most needed: {listed(named)}", cells, rest="  ")
    blind = len({place.at.file for place in graph.opaque})
    if blind:
        lines += wrap(f"{counted(blind, 'file')} with places that cannot be seen through.", cells)
    return lines


def _objects(edges: Iterable[Edge]) -> str:
    because = text.foremost([each for edge in edges for each in edge.because])
    names = list(dict.fromkeys(noun(each.object) for each in because))
    return listed(names, REASONS)


def neighbourhood(found: Neighbourhood, cells: int) -> str:
    """What a file or an object needs and who needs it, with both places of every reason."""
    lines = heading(f"NEIGHBOURHOOD: {found.said}", cells)
    if found.history is not None:
        lines += ["", *_short_history(found.history, cells)]
    lines += ["", *wrap(_count("Needs", {edge.needs for edge in found.needs}, found.before, found), cells)]
    lines += _pairs(found.needs, cells, of_needs=True, center=found.center)
    lines += ["", *wrap(_count("Needed by", {edge.file for edge in found.needed_by}, found.behind, found), cells)]
    lines += _pairs(found.needed_by, cells, of_needs=False, center=found.center)
    if found.history is None:
        for title, names, edges in (
            ("Through these it needs too:", found.before, {edge.needs for edge in found.needs}),
            ("Through these it is needed by:", found.behind, {edge.file for edge in found.needed_by}),
        ):
            further = [name for name in names if name not in edges]
            if further:
                lines += ["", title]
                for name in further:
                    lines += wrap(name, cells, first="  ")
    return text.joined(lines)


def _count(word: str, direct: set[str], all_: Sequence[str], found: Neighbourhood) -> str:
    if found.history is not None:
        changing = direct & set(found.center)
        also = f", {len(changing)} of them {'changes' if len(changing) == 1 else 'change'} it too" if changing else ""
        return f"{word}: {counted(len(direct), 'file')}{also}" if direct else f"{word}: no file"
    if not all_:
        return f"{word}: nothing" if word == "Needs" else f"{word}: no file"
    through = len(all_) - len(direct)
    return f"{word}: {counted(len(direct), 'file')} directly" + (f", {through} more through them" if through else "")


def _pairs(edges: Sequence[Edge], cells: int, *, of_needs: bool, center: Sequence[str]) -> list[str]:
    """Edges by the file at their other end."""
    by_file: dict[str, list[Edge]] = {}
    for edge in edges:
        by_file.setdefault(edge.needs if of_needs else edge.file, []).append(edge)
    lines: list[str] = []
    reasons = REASONS if len(by_file) <= FEW else 1
    for name in sorted(by_file):
        lines += wrap(f"{name}{' (changes it too)' if name in center else ''}", cells, first="  ", rest="    ")
        told = [(edge, because) for edge in by_file[name] for because in edge.because]
        for edge, because in told[:reasons]:
            kind = edge.hazard.replace("-", " ") + ("" if edge.strength == "hard" else f", {edge.strength}")
            said = f"{noun(because.object)} ({kind}): {because.at} ← {because.provider}"
            lines += wrap(said, cells, first="    └─ ")
        if len(told) > reasons:
            lines += wrap(f"and {len(told) - reasons} more", cells, first="    └─ ")
    return lines


def _short_history(found: History, cells: int) -> list[str]:
    """The whole history where it is short; else where it begins and ends, and how to see the rest."""
    if len(found.entries) <= FEW:
        return _entries(found, cells)
    first, last = found.entries[0].at, found.entries[-1].at
    files = len({entry.at.file for entry in found.entries})
    said = f"{len(found.entries)} statements of {counted(files, 'file')} made or changed it, from {first} to {last}."
    return wrap(f"{said} All of them: lancio history", cells)


def history(found: History, cells: int) -> str:
    """Every statement that made, changed, granted on, renamed or dropped an object, in order."""
    lines = heading(f"HISTORY: {found.object}", cells)
    if len(found.names) > 1:
        lines += wrap(f"also called {listed(found.names[1:])}", cells)
    return text.joined([*lines, "", *_entries(found, cells)])


def _entries(found: History, cells: int) -> list[str]:
    lines: list[str] = []
    if not found.entries:
        return wrap("No statement of these files does anything to it: it was there before.", cells)
    for entry in found.entries:
        opening = f"  {entry.at.text}" if entry.at.text else ""
        lines += wrap(f"{entry.at}{opening}", cells, rest="    ")
        for did in entry.did:
            lines += wrap(did, cells, first="    · ")
    return lines


def waves(found: Sequence[Wave], cells: int) -> str:
    """Which files may run side by side, and for each what kept it out of the wave before."""
    files = sum(len(wave.files) for wave in found)
    lines = heading(f"WAVES: {counted(files, 'FILE').upper()} IN {len(found)}", cells)
    lines += wrap(
        "Files of one wave may run side by side: nothing that one does is seen by another, and their locks do not "
        "exclude each other.",
        cells,
    )
    for number, wave in enumerate(found, 1):
        lines += ["", f"{number}. {counted(len(wave.files), 'file')}"]
        for member in wave.files:
            lines += wrap(member.file, cells, first="   ", rest="     ")
            if member.because is not None:
                lines += wrap(_reason(member.because), cells, first="     └─ ")
    return text.joined(lines)


def commute(found: Commute, cells: int) -> str:
    """May two files swap places? The proof, or the object in the way with both places."""
    pair = f"{found.first} and {found.then}"
    if not found.may:
        lines = wrap(f"NO: {pair} may not swap places.", cells, rest="  ")
        if len(found.chain) > 1:
            lines += wrap(f"They are bound through {listed([bond.then for bond in found.chain[:-1]])}:", cells)
        for bond in found.chain:
            lines += wrap(f"{bond.then} stays behind {bond.first}", cells, first="  ", rest="    ")
            lines += wrap(_reason(bond), cells, first="    └─ ")
        return text.joined(lines)
    lines = wrap(f"YES: {pair} may swap places.", cells, rest="  ")
    lines += wrap("no chain of needs, names or rows leads from one to the other", cells, first="  ✓ ")
    where = f", nor in the {counted(found.between, 'file')} between them" if found.between else ""
    lines += wrap(f"nothing in them that cannot be seen through{where}", cells, first="  ✓ ")
    if found.shared:
        lines += wrap(f"both touch {listed(found.shared, FIRST)}, each in parts of its own", cells, first="  ✓ ")
    else:
        lines += wrap("no relation that both touch", cells, first="  ✓ ")
    if found.locks:
        lines += wrap(
            f"their locks on {listed(found.locks, FIRST)} exclude each other: one after the other, not side by side",
            cells,
            first="  ! ",
        )
    if found.moved:
        lines += wrap(
            f"{counted(len(found.moved), 'file')} between them must move along: {listed(found.moved, FIRST)}",
            cells,
            first="  ! ",
        )
    return text.joined(lines)


def _reason(bond: Bond) -> str:
    return f"{noun(bond.says)} ({bond.why}): {bond.at} ← {bond.before}"


# The same as data.


def neighbourhood_data(found: Neighbourhood) -> dict[str, Any]:
    """A neighbourhood as plain data."""
    from lancio.render import json

    return {
        "of": found.said,
        "center": list(found.center),
        "needs": [json.edge(edge) for edge in found.needs],
        "needed_by": [json.edge(edge) for edge in found.needed_by],
        "before": list(found.before),
        "behind": list(found.behind),
        **({"history": history_data(found.history)} if found.history is not None else {}),
    }


def history_data(found: History) -> dict[str, Any]:
    """A history as plain data."""
    return {
        "object": found.object,
        "names": list(found.names),
        "entries": [{**_place(entry.at), "did": list(entry.did)} for entry in found.entries],
    }


def waves_data(found: Sequence[Wave]) -> dict[str, Any]:
    """Waves as plain data."""
    return {
        "waves": [
            [
                {"file": member.file, "because": _bond(member.because) if member.because is not None else None}
                for member in wave.files
            ]
            for wave in found
        ]
    }


def commute_data(found: Commute) -> dict[str, Any]:
    """Whether two files may swap places, as plain data."""
    return {
        "may": found.may,
        "first": found.first,
        "then": found.then,
        "chain": [_bond(bond) for bond in found.chain],
        "shared": list(found.shared),
        "locks": list(found.locks),
        "between": found.between,
        "moved": list(found.moved),
    }


def _bond(bond: Bond) -> dict[str, Any]:
    return {
        "file": bond.then,
        "needs": bond.first,
        "object": bond.says,
        "why": bond.why,
        "at": _place(bond.at),
        "provider": _place(bond.before),
    }


def _place(place: Place) -> dict[str, Any]:
    return {"file": place.file, "line": place.line, **({"text": place.text} if place.text else {})}
