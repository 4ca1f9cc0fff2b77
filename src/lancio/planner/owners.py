"""Which file and line made an object that a database has, and which one changed it last?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lancio.planner import types

if TYPE_CHECKING:
    from lancio.catalog.model import Name
    from lancio.planner.chronicle import Chronicle
    from lancio.planner.model import Place

KINDS = {
    "table": "relation", "view": "relation", "materialized view": "relation", "foreign table": "relation",
    "sequence": "relation", "index": "relation", "composite type": "type", "enum": "type", "domain": "type",
    "range type": "type", "type": "type", "function": "routine", "procedure": "routine", "aggregate": "routine",
    "text search configuration": "text search", "text search dictionary": "text search", "operator class": "opclass",
}  # fmt: skip
"""Kinds of objects as people say them, by the kinds of the planner's names, where these are called otherwise."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Where the files make an object, and where they changed it last (None where they made it and left it)."""

    made: Place
    changed: Place | None = None


class Owners:
    """The owners of all objects that the files leave, by the names that the objects bear at the end."""

    def __init__(self, chronicle: Chronicle) -> None:
        made: dict[int, Place] = {}
        changed: dict[int, Place] = {}
        granted: dict[int, Place] = {}
        for event in chronicle.events:
            if event.site.file < 0:
                continue
            place = chronicle.place(event.site)
            match event.deed:
                case "made":
                    made[event.thing] = place
                case "dropped":
                    made.pop(event.thing, None)
                case "changed" | "renamed" | "moved" if not event.along:
                    changed[event.thing] = place
                case "granted on":
                    granted[event.thing] = place
                case _:
                    pass
        self._made, self._changed, self._granted = made, changed, granted
        self._things: dict[tuple[str, str, str, str], list[tuple[str, int]]] = {}
        for number in made:
            name = chronicle.things[number].names[-1]
            self._things.setdefault((name.kind, name.schema, name.name, name.of), []).append((name.args, number))

    def find(self, kind: str, name: Name, attribute: str = "") -> Owner | None:
        """Who made the object that people call a `kind`; of a part that nobody made by name, who made the whole.

        `name.kind` does not count. `attribute` is what of it is asked for: of privileges the last GRANT or REVOKE is
        told as the last change. None where no file makes it in a place that can be seen.
        """
        number = self._number(KINDS.get(kind, kind), name)
        if number is None and kind == "composite type":
            number = self._number("relation", name)
        if number is None and name.of:
            whole = name._replace(name=name.of, of="")
            number = self._number("relation", whole)
            if number is None:
                number = self._number("type", whole)
        if number is None:
            return None
        later = (self._granted if attribute.startswith("privileges") else self._changed).get(number)
        return Owner(self._made[number], later)

    def _number(self, kind: str, name: Name) -> int | None:
        of = "" if kind == "relation" else name.of
        found = self._things.get((kind, name.schema, name.name, of), [])
        if kind == "routine":
            wanted = _types(name.args)
            found = [each for each in found if _types(each[0]) == wanted]
        return found[-1][1] if found else None


def _types(args: str) -> list[str]:
    return [types.bare(each).replace('"', "") for each in args.split(", ")]
