"""A drift in words and as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lancio.render import lines

if TYPE_CHECKING:
    from lancio.planner.drift import Difference, Drift
    from lancio.planner.owners import Owner

LONGEST = 3
"""So many lines of one value are shown; all of it is in the JSON."""

_HEADS = {"missing": "MISSING", "changed": "CHANGED", "extra": "EXTRA: made by no file"}


def text(drift: Drift, cells: int, said: str, folder: str) -> str:
    """The differences by what they are, each with the file that owns the object and what mends it."""
    way = "run on a scratch database" if drift.way == "rehearsed" else "as they were read"
    out = lines.heading(f"DRIFT: {said} against {lines.counted(len(drift.files), 'applied file')}, {way}", cells)
    for deed, head in _HEADS.items():
        found = [each for each in drift.differences if each.deed == deed]
        if found:
            out += ["", f"{head} ({len(found)})"]
            for each in found:
                out += _difference(each, cells)
    out.append("")
    for note in drift.notes:
        out += lines.wrap(f"{note}.", cells, first="Note: ")
    if drift.ignored:
        out.append(f"{lines.counted(len(drift.ignored), 'difference')} ignored.")
    if not drift.there:
        out += lines.wrap(f"No drift: {lines.counted(drift.compared, 'object')} as the files make them.", cells)
    else:
        first = next((each for each in drift.differences if each.owner is not None and each.deed != "extra"), None)
        out += lines.wrap(f"{lines.counted(len(drift.differences), 'difference')}. Nothing was changed.", cells)
        if first is not None and first.kind in _TOLD:
            out += lines.wrap("What each file did to an object:", cells)
            out.append(f"  lancio history {folder} {_shell(first.says)}")
    return "\n".join(out) + "\n"


_TOLD = frozenset(("table", "view", "column", "function", "index", "sequence", "trigger", "policy", "constraint"))
"""Kinds that `lancio history` finds by the words that are used here."""


def _shell(said: str) -> str:
    import shlex

    return shlex.quote(said)


def _difference(each: Difference, cells: int) -> list[str]:
    mark = {"missing": "- ", "changed": "≠ ", "extra": "+ "}[each.deed]
    parts = f", and {lines.counted(each.parts, 'part')} of it" if each.parts else ""
    whole = f" of {each.whole}" if each.whole and each.kind == "index" else ""
    about = f": {each.attribute}" if each.attribute else ""
    out = lines.wrap(f"{each.says}{whole}{about}{parts}", cells, first=mark)
    if each.attribute:
        at = _first_difference(each.expected, each.found)
        out += _value("expected", each.expected, cells, at) + _value("found", each.found, cells, at)
    if each.owner is not None:
        out += lines.wrap(owned(each.owner, whole=each.deed == "extra"), cells, first="    ")
    if each.sql:
        written = each.sql.splitlines()
        if len(written) <= LONGEST:
            out += ["    to mend it:", *(f"      {line}" for line in written)]
        else:
            out.append("    to mend it: the statement is in --json")
    return out


def owned(owner: Owner, *, whole: bool = False) -> str:
    """Who made an object and who changed it last, in words; of an extra part, who made what it is a part of."""
    place = owner.made.file if not owner.made.line else str(owner.made)
    later = f", changed at {owner.changed}" if owner.changed is not None and owner.changed != owner.made else ""
    return (
        f"{'what it is a part of was made' if whole else 'made'} {'by' if not owner.made.line else 'at'} {place}{later}"
    )


def _first_difference(one: str, other: str) -> int:
    """The line from which two texts differ, from 0."""
    pairs = zip(one.splitlines(), other.splitlines(), strict=False)
    return next((number for number, (a, b) in enumerate(pairs) if a != b), 0)


def _value(word: str, value: str, cells: int, at: int) -> list[str]:
    """A value from the line on from which it is another one."""
    whole = value.splitlines()
    shown = [*whole[at : at + LONGEST]] or ["none"]
    if at and whole:
        shown = [f"… line {at + 1}:", *shown]
    if len(whole) > at + LONGEST:
        shown.append(f"… and {len(whole) - at - LONGEST} more lines")
    first = f"    {word}: "
    return [
        line
        for number, each in enumerate(shown)
        for line in lines.wrap(each.strip() or " ", cells, first=first if not number else " " * len(first))
    ]


def data(drift: Drift) -> dict[str, Any]:
    """The whole of it, for programs."""
    return {
        "drift": drift.there,
        "way": drift.way,
        "compared": drift.compared,
        "files": list(drift.files),
        "notes": list(drift.notes),
        "differences": [_data(each) for each in drift.differences],
        "ignored": [_data(each) for each in drift.ignored],
    }


def _data(each: Difference) -> dict[str, Any]:
    owner = each.owner
    return {
        "deed": each.deed,
        "kind": each.kind,
        "object": each.object,
        "attribute": each.attribute,
        "expected": each.expected,
        "found": each.found,
        "parts": each.parts,
        "made_at": _place(owner.made) if owner is not None else None,
        "changed_at": _place(owner.changed) if owner is not None and owner.changed is not None else None,
        "sql": each.sql,
    }


def _place(place: Any) -> dict[str, Any]:
    return {"file": place.file, "line": place.line or None}
