"""In what does a database differ from what its files make? The words for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from lancio.catalog.model import Name
from lancio.planner import outcomes as outcomes_
from lancio.planner import states
from lancio.planner.model import Place
from lancio.planner.outcomes import THERE, UNKNOWN
from lancio.planner.owners import Owner

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lancio.catalog.model import Live, Object
    from lancio.planner.model import Graph
    from lancio.planner.outcomes import Outcomes, Write

Deed = Literal["missing", "changed", "extra"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One object that is missing, or that no file makes, or one attribute of it that is another.

    `object` is the object as people say it, without its kind; `schema` and `whole` are where it lies and the relation
    that it is a part of ("" if of none). `expected` and `found` are the values of a changed attribute, "" for none.
    `parts` counts what is missing, or extra, only because the object is. `sql` mends it, where that can be said in a
    statement.
    """

    deed: Deed
    kind: str
    object: str
    schema: str = ""
    whole: str = ""
    attribute: str = ""
    expected: str = ""
    found: str = ""
    owner: Owner | None = None
    parts: int = 0
    sql: str = ""

    @property
    def says(self) -> str:
        """The object with its kind: "column public.users.email"."""
        return f"{self.kind} {self.object}"

    def matches(self, pattern: str) -> bool:
        """Whether a pattern of the ignore list means this.

        A pattern is a schema's name, or with * and ? an object's full name ("audit.*"), its kind and name
        ("index public.*"), or both with the attribute ("*: privileges of anon"). A relation stands for its parts.
        """
        if not any(sign in pattern for sign in ".: "):
            return fnmatchcase(self.schema, pattern) or fnmatchcase(self.object, pattern)
        said = f"{self.says}: {self.attribute}" if self.attribute else self.says
        return any(fnmatchcase(each, pattern) for each in (self.object, self.says, self.whole or self.object, said))


@dataclass(frozen=True, slots=True)
class Drift:
    """All differences, those that were ignored apart; `way` is how it was found out, `notes` what that cannot tell."""

    way: Literal["rehearsed", "read"]
    differences: tuple[Difference, ...]
    ignored: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    """The files that were taken for applied, in their order."""
    compared: int = 0
    """The number of objects that the files make."""

    @property
    def there(self) -> bool:
        """Whether there is any."""
        return bool(self.differences)


def parted(found: Sequence[Difference], ignore: Sequence[str]) -> tuple[tuple[Difference, ...], tuple[Difference, ...]]:
    """The differences that count, and those that a pattern of the ignore list means."""
    left = tuple(each for each in found if not any(each.matches(pattern) for pattern in ignore))
    return left, tuple(each for each in found if each not in left)


# Without a scratch server: what was read of the files, against the live catalog.

NOT_READ = (
    "without a scratch server texts are not compared (views, checks, policies, defaults, what triggers and indexes say "
    "beyond their columns), nor lengths of types, privileges, owners, comments and settings"
)


def read(graph: Graph, live: Live, applied: Collection[str], outcomes: Outcomes, ignore: Sequence[str] = ()) -> Drift:
    """The drift of a live catalog from what the reading says of the applied files; nothing is asked of a server."""
    order = {index: facts.name for index, facts in enumerate(graph.files)}
    server = states.Server(live)
    cells: dict[tuple[Name, str], tuple[int, Write]] = {}
    for cell, history in outcomes_.by_cell(outcomes).items():
        ran = [each for each in history if order[each[0]] in applied]
        if ran:
            cells[cell] = ran[-1]
    there = {name for (name, facet), (_, write) in cells.items() if facet == "" and write.value == THERE}
    found: list[Difference] = []
    for (name, facet), (file, write) in cells.items():
        if name.kind not in states.TOLD or name.kind == "role" or not write.sure or write.implied:
            continue
        if facet and (name, "") in cells and name not in there:
            continue
        object_ = server.find(name)
        owner = Owner(Place(order[file], write.line))
        label = write.says.removesuffix(f" {name.full}")
        whole = f"{name.schema}.{name.of}" if name.of else ""
        if object_ is None:
            lies = not name.of or (Name("relation", name.schema, name.of), "") in cells or name.kind == "label"
            if facet == "" and write.value == THERE and lies and all(server.has(each) for each in write.where):
                found.append(Difference("missing", label, name.full, name.schema, whole, owner=owner))
            continue
        value = server.value(object_, facet) if facet else None
        if value is not None and write.value != UNKNOWN and not states.same(write.value, value):
            word = states.FACETS.get(facet, facet)
            wanted = write.value.partition("|")[0]
            told = ("", "") if facet == "body" else (wanted, value)
            found.append(Difference("changed", label, name.full, name.schema, whole, word, *told, owner))
    found += _extra(server, live, there, outcomes)
    # A trigger of several events is several objects of one name.
    ordered = sorted(dict.fromkeys(found), key=lambda each: (each.deed != "missing", each.deed, each.kind, each.object))
    left, ignored = parted(folded(ordered), ignore)
    dark = [facts.name for facts in graph.files if facts.opaque and facts.name in applied]
    notes = [NOT_READ]
    if dark:
        notes.append(f"what is extra may be made where nobody can see: {', '.join(dark[:8])}")
    return Drift(
        "read", left, ignored, tuple(notes), tuple(name for name in order.values() if name in applied), len(there)
    )


def _extra(server: states.Server, live: Live, there: set[Name], outcomes: Outcomes) -> list[Difference]:
    """What the live catalog has and no file makes."""
    catalog = live.catalog
    known = set()
    for name in there:
        if (object_ := server.find(name)) is not None:
            known.add(object_.id)
    bare = {(name.kind, name.schema, name.name) for name in there}
    found = []
    for each in catalog.objects.values():
        name = each.name
        parent = catalog.objects.get(each.parent or 0)
        if each.id in known or name.kind not in _KINDS or each.extension or (parent is not None and parent.extension):
            continue
        if name == Name("schema", "", "public") or (name.kind == "extension" and name.name == "plpgsql"):
            continue
        if name.kind == "relation" and each.label in ("index", "sequence", "composite type"):
            # A constraint's index, a column's sequence, a type's relation.
            if (name.kind, name.schema, name.name) in bare or each.label == "composite type":
                continue
            if any(part.name.name == name.name for part in catalog.parts("constraint", parent)) if parent else False:
                continue
        if name.kind == "constraint" and _unnamed(each, server, live, there):
            continue
        if name.kind == "column" and Name("relation", name.schema, name.of) in outcomes.open:
            continue
        whole = f"{name.schema}.{name.of}" if name.of else parent.name.full if parent is not None else ""
        found.append(Difference("extra", each.label, name.full, name.schema, whole))
    return found


_KINDS = frozenset(("schema", "extension", "relation", "column", "constraint", "trigger", "policy", "rule", "routine",
                    "type", "label"))  # fmt: skip


def _unnamed(each: Object, server: states.Server, live: Live, there: set[Name]) -> bool:
    """Whether a constraint may be one of the files' under a name that PostgreSQL chose otherwise."""
    table = live.catalog.objects.get(each.parent or 0)
    return table is not None and any(
        name.kind == "constraint" and (name.schema, name.of) == (each.name.schema, each.name.of)
        for name in there
        if server.find(name) is None
    )


def folded(found: Sequence[Difference]) -> list[Difference]:
    """Parts of what is missing or extra go with it, and are counted."""
    wholes = {(each.deed, each.object) for each in found if each.deed != "changed" and not each.whole}
    schemas = {(each.deed, each.object) for each in found if each.deed != "changed" and each.kind == "schema"}
    counts: Counter[tuple[str, str]] = Counter()
    left = []
    for each in found:
        if each.whole and (each.deed, each.whole) in wholes:
            counts[each.deed, each.whole] += 1
        elif each.kind != "schema" and (each.deed, each.schema) in schemas:
            counts[each.deed, each.schema] += 1
        else:
            left.append(each)
    return [replace(each, parts=counts.get((each.deed, each.object), 0)) for each in left]
