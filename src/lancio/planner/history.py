"""Which object do people mean, and what happened to it, in order?"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lancio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lancio.catalog.model import Name
    from lancio.planner.chronicle import Chronicle, Event, Thing
    from lancio.planner.model import Graph, Place

NEAR = 8
"""So many names are proposed where one is not known or means several objects."""

KINDS = {
    "function": "routine", "procedure": "routine", "routine": "routine", "aggregate": "routine", "type": "type",
    "enum": "type", "domain": "type", "relation": "relation", "constraint": "constraint", "label": "label",
}  # fmt: skip
"""Words that people use for a kind of object whose own word may be another one."""

TOGETHER = {"relation": "relation", "constraint": "relation", "type": "relation"}
"""A constraint and its index, a table and its row type bear one name together."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One statement and what it did to an object or to its parts."""

    at: Place
    did: tuple[str, ...]  # "made column public.users.email"


@dataclass(frozen=True, slots=True)
class History:
    """An object with all names that it bore, and every statement that made, changed, granted on or dropped it."""

    object: str
    names: tuple[str, ...]
    entries: tuple[Entry, ...]


def find(chronicle: Chronicle, said: str) -> tuple[int, ...]:
    """The objects that people mean by `users`, `public.users`, `users.email`, `function f` or `type mood`.

    More than one where several bore the name one after the other. Names may be quoted; without quotes upper and lower
    case count only where there is something of exactly that name.

    Raises:
        UsageError: no object of the files ever bore the name, or several that are not the same do.
    """
    wanted = _Wanted.read(said, {thing.label for thing in chronicle.things.values()})
    for exact in (True, False):
        found = {
            number: name
            for number, thing in chronicle.things.items()
            for name in thing.names
            if wanted.means(thing, name, exact=exact)
        }
        if found:
            break
    else:
        raise _unknown(chronicle, said)
    groups: dict[tuple[str, ...], list[int]] = {}
    for number, name in found.items():
        kind = TOGETHER.get(name.kind, name.kind)
        groups.setdefault((kind, name.schema, name.of if kind != "relation" else "", name.name, name.args), []).append(
            number
        )
    if len(groups) > 1:
        whole = [group for group in groups if group[0] == "relation" and not _is_part(chronicle, groups[group])]
        if len(whole) != 1:
            meant = sorted({_says(chronicle.things[numbers[0]], found[numbers[0]]) for numbers in groups.values()})
            raise UsageError(
                f"{said} means {len(groups)} objects",
                cause=f"There are: {', '.join(meant[:NEAR])}{' …' if len(meant) > NEAR else ''}",
                remedy="Say which: with its schema, its kind before it, or a function's argument types behind it.",
            )
        groups = {whole[0]: groups[whole[0]]}
    return tuple(sorted(next(iter(groups.values()))))


def history(chronicle: Chronicle, numbers: Iterable[int]) -> History:
    """What happened to these objects and to what belongs to them, in the order of the files."""
    chosen = set(numbers)
    entries: dict[tuple[int, int], tuple[Place, dict[str, None]]] = {}
    dropped: set[Name] = set()
    for event in chronicle.events:
        own = event.thing in chosen
        if event.site.file < 0 or not (own or (chronicle.things[event.thing].parent in chosen and not event.along)):
            continue
        again = event.deed == "made" and dropped & set(chronicle.things[event.thing].names)
        if event.deed == "dropped":
            dropped |= set(chronicle.things[event.thing].names)
        where = (event.site.file, event.site.statement)
        _, did = entries.setdefault(where, (chronicle.place(event.site), {}))
        did[f"{tell(event)}{' again' if again else ''}"] = None
    things = [chronicle.things[number] for number in sorted(chosen)]
    names = dict.fromkeys(_says(thing, name) for thing in things for name in thing.names)
    ordered = [entries[where] for where in sorted(entries)]
    return History(
        _says(things[0], things[0].names[0]),
        tuple(names),
        tuple(Entry(at, tuple(did)) for at, did in ordered),
    )


def tell(event: Event) -> str:
    """An event in words: `renamed table public.user_ to person`."""
    match event.deed:
        case "renamed":
            return f"renamed {event.says} to {event.what}"
        case "moved":
            return f"moved {event.says} to schema {event.what}"
        case "changed":
            return f"changed {event.says}{f' ({event.what})' if event.what != 'definition' else ''}"
        case "filled":
            return f"wrote rows of {event.says}{f' ({event.what})' if event.what else ''}"
        case _:
            return f"{event.deed} {event.says}"


def file_of(graph: Graph, said: str) -> str | None:
    """The file that people mean by its path, its name with or without ending, or its number; None if none is meant.

    Raises:
        UsageError: several files are.
    """
    names = [facts.name for facts in graph.files]
    if said in names:
        return said
    for part in (
        lambda name: name.removesuffix(".sql"),
        lambda name: name.rsplit("/", 1)[-1],
        lambda name: name.rsplit("/", 1)[-1].removesuffix(".sql"),
        lambda name: name.partition("/")[0],
        _number,
    ):
        found = [name for name in names if part(name) == (said.lstrip("0") if part is _number else said)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(
                f"{said} means {len(found)} files",
                cause=f"There are: {', '.join(found[:NEAR])}{' …' if len(found) > NEAR else ''}",
                remedy="Give the path relative to the folder.",
            )
    return None


def _number(name: str) -> str:
    """The number that a file's name, or that of its folder, begins with, without zeros before it."""
    last = name.rsplit("/", 1)[-1].removeprefix("V")
    digits = re.match(r"\d+", last) or re.match(r"\d+", name)
    return digits[0].lstrip("0") if digits else ""


def the_file(graph: Graph, said: str) -> str:
    """As `file_of`, for where nothing but a file can be meant.

    Raises:
        UsageError: no file is meant, or several.
    """
    found = file_of(graph, said)
    if found is None:
        near = difflib.get_close_matches(said, [facts.name for facts in graph.files], NEAR, 0.4)
        raise UsageError(
            f"there is no file {said} in {graph.folder}",
            cause="A file is named by its path relative to the folder, or by its number.",
            remedy=f"Did you mean: {', '.join(near)}" if near else "List the files with lancio graph.",
        )
    return found


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An object as people write it: a word for its kind, the parts of its name, argument types."""

    word: str
    parts: tuple[str, ...]
    args: str | None
    on: tuple[str, ...]

    @classmethod
    def read(cls, said: str, labels: set[str]) -> _Wanted:
        text = " ".join(said.split())
        word = next(
            (each for each in sorted({*labels, *KINDS}, key=len, reverse=True) if text.startswith(f"{each} ")), ""
        )
        text = text[len(word) :].strip()
        args = None
        if (call := re.fullmatch(r"(.*[^\s(])\s*\(([^()]*)\)", text)) is not None:
            text, args = call[1], ", ".join(part.strip() for part in call[2].split(",") if part.strip())
        name, _, on = text.partition(" on ")
        return cls(word, _parts(name), args, _parts(on) if on else ())

    def means(self, thing: Thing, name: Name, *, exact: bool) -> bool:
        """Whether an object of this name is meant."""
        if thing.extension:
            return False
        if self.word and self.word != thing.label and KINDS.get(self.word) != name.kind:
            return False
        fold = (lambda text: text) if exact else str.casefold
        if self.args is not None and (name.kind != "routine" or fold(self.args) != fold(name.args)):
            return False
        full: tuple[str, ...] = (name.schema, name.of, name.name) if name.of else (name.schema, name.name)
        full = tuple(fold(part) for part in full if part)
        wanted = tuple(fold(part) for part in self.parts)
        if self.on:
            on = tuple(fold(part) for part in self.on)
            return wanted == full[-1:] and bool(name.of) and on == full[:-1][-len(on) :]
        # A column or an enum's value alone is nobody's name; triggers, policies and constraints are called by theirs.
        shortest = 2 if name.kind in ("column", "label") and not self.word else 1
        return shortest <= len(wanted) <= len(full) and full[-len(wanted) :] == wanted


def _parts(text: str) -> tuple[str, ...]:
    """The parts of a dotted name; dots and spaces inside double quotes belong to the part."""
    found = re.findall(r'"((?:[^"]|"")*)"|([^".]+)', text.strip())
    return tuple(quoted.replace('""', '"') if quoted else plain.strip() for quoted, plain in found)


def _is_part(chronicle: Chronicle, numbers: list[int]) -> bool:
    """Whether an object lives only as part of another one: an index, a sequence of a column."""
    return all(chronicle.things[number].parent is not None for number in numbers)


def _says(thing: Thing, name: Name) -> str:
    return f"{thing.label} {name.full}"


def _unknown(chronicle: Chronicle, said: str) -> UsageError:
    known = {
        _says(thing, name): name for thing in chronicle.things.values() if not thing.extension for name in thing.names
    }
    last = said.rpartition(".")[2].rpartition(" ")[2].strip('"').casefold()
    close = [each for each, name in known.items() if name.name.casefold() == last]
    ratio = difflib.SequenceMatcher(b=said.casefold())

    def likeness(each: str) -> float:
        best = 0.0
        for text in (each, known[each].full, known[each].name):
            ratio.set_seq1(text.casefold())
            best = max(best, ratio.ratio())
        return best

    ranked = sorted(((likeness(each), each) for each in known), key=lambda pair: (-pair[0], pair[1]))
    near = list(dict.fromkeys([*sorted(close), *(each for score, each in ranked if score > 0.55)]))[:NEAR]
    return UsageError(
        f"no file makes an object {said}",
        cause="Objects are named as in SQL: users, public.users, users.email, function f, type mood.",
        remedy=f"Did you mean: {', '.join(near)}" if near else "See what the files make: lancio graph DIR --tree",
    )
