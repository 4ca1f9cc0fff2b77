"""The graph of a folder, from the cache as far as nothing has changed that it depends on.

Three answers are kept of a folder. *graph*: each file as it was when it ended, and what the end of all said of it.
*edges*: those that leave each file. *begun*: the catalog as all files but the last had left it. An unchanged folder is
the first two, put together; where files changed or came at the end, they alone are bound, over the third.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any, TypeVar

from lancio.catalog import model as catalog
from lancio.planner import graph, model
from lancio.reading import cache, directives, reads
from lancio.reading.garbage import without_collecting
from lancio.reading.model import FileOps
from lancio.reading.source import Migration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lancio.catalog.profile import Profile
    from lancio.planner.graph import Begun, Named, Order
    from lancio.planner.model import Edge, FileFacts, Finding, Graph
    from lancio.reading.cache import Cache
    from lancio.reading.source import Folder

T = TypeVar("T")

VALUES = (*cache.VALUES, model.Place, model.Because, model.Edge, model.Requirement, model.Opaque, model.Finding,
          model.Effect, model.Lock, model.Service, model.Check, model.FileFacts, graph.Ending, catalog.Object,
          catalog.Version, catalog.Site, catalog.Name, catalog.Former, catalog.Gone)  # fmt: skip


def build(folder: Folder, profile: Profile, *, order: Order = "name", kept: Cache | None) -> Graph:
    """What `graph.build` gives, value for value; from the cache as far as it has it.

    Raises:
        SourceError: a file cannot be parsed.
    """
    if kept is None:
        return graph.build(folder, profile, order=order)
    with without_collecting():
        return _History(kept, folder, profile, order).graph()


class _Later(model.Graph):
    """A graph whose edges are unpacked when they are first asked for."""

    __slots__ = ("_found", "_unpack")
    _found: tuple[Edge, ...] | None
    _unpack: Callable[[], tuple[Edge, ...]]

    def __init__(self, known: Graph, unpack: Callable[[], tuple[Edge, ...]]) -> None:
        for name in model.Graph.__slots__:
            if name != "edges":
                object.__setattr__(self, name, getattr(known, name))
        object.__setattr__(self, "_unpack", unpack)
        object.__setattr__(self, "_found", None)

    @property
    def edges(self) -> tuple[Edge, ...]:
        """Who needs whom."""
        if self._found is None:
            object.__setattr__(self, "_found", self._unpack())
        return self._found or ()


class _History:
    """What is kept of one folder."""

    def __init__(self, kept: Cache, folder: Folder, profile: Profile, order: Order) -> None:
        self._kept = kept
        self._folder = folder
        self._profile = profile
        self._order: Order = order
        self._reads = reads.Reads(kept, folder)
        self._key = cache.key(str(folder.path.absolute()), order, str(profile.major))
        self._said = [each.identity for each in folder.migrations]
        rest = (folder.layout, folder.ordered, folder.left_out, folder.elsewhere, folder.twins, folder.unused)
        self._rest = repr((folder.path.name, rest))
        self._files = {each.name: each for each in folder.migrations}

    def graph(self) -> Graph:
        """The graph: from what is kept, or from what that has of the first files, or made anew."""
        kept = self._get("graph", _Files)
        edges = self._get("edges", _Edges)
        if kept is None or edges is None or edges.of != _hash(kept.rest, *kept.said):
            return self._made(None, _Segments())
        segments = _Segments(kept.counts, kept.facts, edges.leaving)
        if kept.rest == self._rest and kept.said == self._said:
            found = self._put_together(segments, kept.end, edges.late)
            return found if found is not None else self._made(None, _Segments())
        begun, first = self._begun(kept.said, segments)
        return self._made(begun, first)

    def _get(self, name: str, kind: type[T]) -> T | None:
        packed = self._kept.get(f"{name}-{self._key}")
        found = cache.unpack(packed, (kind,)) if packed is not None else None
        return found if isinstance(found, kind) else None

    def _put(self, name: str, value: object) -> None:
        self._kept.put(f"{name}-{self._key}", cache.pack(value))

    # An unchanged folder.

    def _put_together(self, segments: _Segments, end: bytes, late: bytes) -> Graph | None:
        facts, ending = self._unpacked(segments.facts), cache.unpack(end, VALUES)
        if facts is None or ending is None:
            return None
        endings, findings = ending
        return self._later(graph.ended(facts, endings), findings, segments.leaving, late)

    def _later(
        self, files: tuple[FileFacts, ...], findings: Iterable[Finding], leaving: list[bytes], late: bytes
    ) -> Graph:
        """A graph whose edges stay packed until they are asked for."""
        names = [each.name for each in files]
        whole = graph.whole(self._folder, self._profile.major, files, (), findings)
        return _Later(whole, lambda: self._edges([*leaving, late], names))

    def _edges(self, packed: Iterable[bytes], names: Iterable[str]) -> tuple[Edge, ...]:
        parts = [cache.unpack(each, VALUES) for each in packed]
        if not all(isinstance(each, list) for each in parts):
            return graph.build(self._folder, self._profile, order=self._order).edges
        return graph.in_order(chain.from_iterable(parts), names)

    def _unpacked(self, facts: Iterable[bytes]) -> list[FileFacts] | None:
        found = [cache.unpack(each, VALUES, self._apart) for each in facts]
        return list(chain.from_iterable(found)) if all(isinstance(each, list) for each in found) else None

    def _apart(self, kept: Any) -> object:
        if kept[0] == "file":
            return self._files[kept[1]]
        light = FileOps(kept[2], (), kept[3], kept[4])
        return reads.Later(light, partial(self._reads.read, self._files[kept[1]]))

    # One that begins as it was.

    def _begun(self, said: list[str], segments: _Segments) -> tuple[Begun | None, _Segments]:
        """The first files as they were bound before, and what is kept of them; None where that is nothing to go on."""
        nothing = None, _Segments()
        kept = self._get("begun", _First)
        count = kept.count if kept is not None else 0
        first = segments.first(count)
        if kept is None or first is None or any(len(group) > 1 for group in self._folder.groups):
            return nothing
        if self._said[:count] != said[:count] or kept.of != _hash(*self._said[:count]):
            return nothing
        state, facts = cache.unpack(kept.state, VALUES), self._unpacked(first.facts)
        if state is None or facts is None or any(map(_placed_by_itself, facts)):
            return nothing
        if [each.name for each in facts] != [each.name for each in self._folder.migrations[:count]]:
            return nothing
        return graph.Begun(state, facts, kept.made, kept.asked, kept.names), first

    def _keep(self, begun: Begun) -> None:
        """Keep the binding of all files but the last."""
        count = len(begun.facts)
        of, state = _hash(*self._said[:count]), cache.pack(begun.state)
        self._put("begun", _First(of, count, state, begun.made, begun.asked, begun.names))

    # Making.

    def _made(self, begun: Begun | None, first: _Segments) -> Graph:
        """Bind what is not known, and keep it; `first` is what is packed of the files that `begun` knows."""
        built = graph.parts(
            self._folder,
            self._profile,
            order=self._order,
            read=self._reads.read,
            begun=begun,
            keep=self._keep,
        )
        self._reads.save()
        start, end = first.count, len(built.facts)
        for low, high in ((start, end - 1), (end - 1, end)):
            if low < high:
                first.add(built.facts[low:high], built.edges[low - start : high - start])
        late = cache.pack(built.late)
        ending = cache.pack((built.endings, built.findings))
        self._put("graph", _Files(self._rest, self._said, first.counts, first.facts, ending))
        self._put("edges", _Edges(_hash(self._rest, *self._said), first.leaving, late))
        if begun is None:
            return built.graph()
        return self._later(graph.ended(built.facts, built.endings), built.findings, first.leaving, late)


@dataclass(slots=True)
class _Files:
    """What is kept as *graph*: what was said of the folder and of each file, and the files in segments."""

    rest: str
    said: list[str]
    counts: list[int]
    facts: list[bytes]
    end: bytes


@dataclass(slots=True)
class _Edges:
    """What is kept as *edges*: `of` is a hash of what *graph* says of folder and files."""

    of: str
    leaving: list[bytes]
    late: bytes


@dataclass(slots=True)
class _First:
    """What is kept as *begun*; `of` is a hash of what is said of the first files."""

    of: str
    count: int
    state: bytes
    made: list[list[int]]
    asked: list[set[tuple[str, str]]]
    names: set[Named]


@dataclass(slots=True)
class _Segments:
    """Files that were packed together: how many, their facts, and the edges that leave them."""

    counts: list[int] = field(default_factory=list)
    facts: list[bytes] = field(default_factory=list)
    leaving: list[bytes] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many files there are in all."""
        return sum(self.counts)

    def first(self, count: int) -> _Segments | None:
        """The segments of the first files; None where none of them ends there."""
        for end, upto in enumerate(accumulate(self.counts), 1):
            if upto == count:
                return _Segments(self.counts[:end], self.facts[:end], self.leaving[:end])
        return None

    def add(self, facts: list[FileFacts], edges: list[list[Edge]]) -> None:
        """Pack the files that follow."""
        owner = {id(each.ops): each.name for each in facts}
        self.counts.append(len(facts))
        self.facts.append(cache.pack(facts, partial(_apart, owner)))
        self.leaving.append(cache.pack(list(chain.from_iterable(edges))))


def _hash(*said: str) -> str:
    return hashlib.sha256("\0".join(said).encode()).hexdigest()


def _placed_by_itself(facts: FileFacts) -> bool:
    """Whether a file declares which others it stays behind: those may come later."""
    declared = facts.ops.directives if facts.ops is not None else ()
    return bool(facts.migration.after) or any(
        each.word == "after" or each.word in directives.FOREIGN for each in declared
    )


def _apart(owner: Mapping[int, str], value: object) -> object:
    """Without the file itself, which is in the folder, and its operations, which are kept with what it says."""
    if isinstance(value, Migration):
        return "file", value.name
    if isinstance(value, FileOps):
        return "ops", owner[id(value)], value.statements, value.directives, value.problems
    return None
