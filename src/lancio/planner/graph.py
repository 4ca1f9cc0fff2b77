"""Which migration needs which, and why?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from lancio.catalog.model import BEFORE, Catalog, Name
from lancio.planner import checks, declared, folders
from lancio.planner.arrange import Arrangement
from lancio.planner.bind import Binder
from lancio.planner.model import Because, Edge, Effect, FileFacts, Finding, Graph, Place, Requirement
from lancio.reading import operations
from lancio.reading.garbage import without_collecting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lancio.catalog.model import Object
    from lancio.catalog.profile import Profile
    from lancio.planner.bind import Bound
    from lancio.planner.declared import Behind, Declared
    from lancio.planner.model import Check, Lock
    from lancio.reading.model import FileOps, Op
    from lancio.reading.source import Folder, Migration

Order = Literal["name", "graph"]
Places = Mapping[str, Sequence[tuple[str, "Behind"]]]
"""For each file those it is declared to stay behind."""


def empty(profile: Profile) -> Catalog:
    """A database in which nothing was made yet: the schema public is there."""
    del profile  # the same for every version so far: what differs is in the profile itself
    catalog = Catalog()
    catalog.add(Name("schema", "", "public"), "schema", BEFORE)
    return catalog


@dataclass(slots=True)
class Begun:
    """The first files of a folder as they were bound: from there the binding can go on.

    `facts` has each file as it was when it ended, `made` the objects that it made, `asked` the kinds and words of all
    that it requires; `names` are those that any of them gives to an object. The values are changed by going on.
    """

    state: dict[str, Any]
    facts: list[FileFacts]
    made: list[list[int]]
    asked: list[set[tuple[str, str]]]
    names: set[Named]


@dataclass(frozen=True, slots=True)
class Ending:
    """What only the end of all files says of one: what is late, what remains of it, what holds of it still."""

    late: tuple[Requirement, ...]
    remains: tuple[Effect, ...]
    standing: tuple[Check, ...]


@dataclass(slots=True)
class Built:
    """A graph in the parts that it is made of.

    `facts` are the files as each was when it ended and `endings` what the end says otherwise, by place; `edges` are by
    the file that they leave, without the late ones. Both begin behind the files that were given as `begun`.
    """

    folder: Folder
    profile: Profile
    facts: list[FileFacts]
    endings: dict[int, Ending]
    edges: list[list[Edge]]
    late: list[Edge]
    findings: list[Finding]

    def graph(self) -> Graph:
        """The whole."""
        facts = ended(self.facts, self.endings)
        edges = in_order(chain(chain.from_iterable(self.edges), self.late), [each.name for each in facts])
        return whole(self.folder, self.profile.major, facts, edges, self.findings)


def ended(facts: Iterable[FileFacts], endings: Mapping[int, Ending]) -> tuple[FileFacts, ...]:
    """The files as they are when all of them have run."""
    return tuple(_ended(each, endings[at]) if at in endings else each for at, each in enumerate(facts))


def _ended(facts: FileFacts, ending: Ending) -> FileFacts:
    requires = tuple(sorted((*facts.requires, *ending.late), key=_by_place)) if ending.late else facts.requires
    return replace(facts, requires=requires, remains=ending.remains, standing=ending.standing)


def in_order(edges: Iterable[Edge], names: Iterable[str]) -> tuple[Edge, ...]:
    """Edges by the places of their files."""
    position = {name: place for place, name in enumerate(names)}
    return tuple(
        sorted(edges, key=lambda edge: (position[edge.file], position[edge.needs], edge.hazard, edge.strength))
    )


def whole(
    folder: Folder, major: int, facts: tuple[FileFacts, ...], edges: tuple[Edge, ...], findings: Iterable[Finding]
) -> Graph:
    """A graph of its parts."""
    return Graph(
        folder.path.name,
        facts,
        edges,
        tuple(each for item in facts for each in item.opaque),
        tuple(each for item in facts for each in item.requires if each.source == "missing"),
        tuple(findings),
        major,
        folder.layout,
    )


def build(
    folder: Folder, profile: Profile, *, order: Order = "name", read: Callable[[Migration], FileOps] = operations.read
) -> Graph:
    """Read the files of a folder, bind them in order over an empty database, and say who needs whom.

    Where names give an order it is kept, and a need that contradicts it is a refusal with the order that would do;
    `order="graph"` takes that one. `read` says what a file says.

    Raises:
        SourceError: a file cannot be parsed.
    """
    with without_collecting():
        return parts(folder, profile, order=order, read=read).graph()


def parts(
    folder: Folder,
    profile: Profile,
    *,
    order: Order = "name",
    read: Callable[[Migration], FileOps] = operations.read,
    begun: Begun | None = None,
    keep: Callable[[Begun], None] | None = None,
) -> Built:
    """What `build` makes a graph of.

    `begun` are the folder's first files, bound before: only the others are bound, as far as each file's name gives it
    a place of its own. `keep` is given the same of all files but the last, before that one is bound.

    Raises:
        SourceError: a file cannot be parsed.
    """
    known = begun.facts if begun is not None else []
    files: list[tuple[Migration, FileOps]] = [
        (migration, known[place].ops or read(migration) if place < len(known) else read(migration))
        for place, migration in enumerate(folder.migrations)
    ]
    found = {migration.name: declared.read(migration, ops) for migration, ops in files}
    behind, misplaced = declared.behind(found, planned=folder.layout == "sqitch")
    binding = _Binding(profile, files, found, behind)
    sequence = binding.run(_groups(folder, order), begun, keep)
    findings = [*folders.findings(folder), *(finding for each in found.values() for finding in each.findings)]
    findings += misplaced
    findings += [
        finding for each, ops in files for finding in declared.contradictions(each.name, ops, found[each.name])
    ]
    findings += [_loop(files, loop) for loop in binding.loops]
    if order == "name":
        findings += _contradictions(binding, sequence)
        findings += _out_of_order([files[index][0].name for index in sequence], behind)
    endings = binding.endings(sequence)
    return binding.built(folder, sequence, endings, findings)


def _groups(folder: Folder, order: Order) -> list[list[int]]:
    """The places of the files whose names put them in an order, group after group."""
    if order == "graph":
        return [list(range(len(folder.migrations)))]
    groups: list[list[int]] = []
    position = 0
    for group in folder.groups:
        groups.append(list(range(position, position + len(group))))
        position += len(group)
    return groups


class _Binding:
    """All files of a folder, bound group after group; inside a group they arrange themselves.

    Files are known by their places in the folder.
    """

    def __init__(
        self,
        profile: Profile,
        files: list[tuple[Migration, FileOps]],
        found: Mapping[str, Declared],
        behind: Places,
        *,
        telling: bool = True,
    ) -> None:
        self.telling = telling  # whether the facts of each file are wanted
        self.profile = profile
        self.files = files
        self.found = found
        self.behind = behind
        self.binder = Binder(empty(profile), profile, files)
        self.bound: dict[int, Bound] = {}
        self.facts: dict[int, FileFacts] = {}
        self.made: dict[int, list[int]] = {}
        self.asked: dict[int, set[tuple[str, str]]] = {}
        self.loops: list[list[int]] = []
        self.first = 0  # the files before were bound in another run
        self._named: set[Named] = set()  # the names that those give

    def run(
        self, groups: list[list[int]], begun: Begun | None = None, keep: Callable[[Begun], None] | None = None
    ) -> list[int]:
        """Bind all files; the order that they got."""
        names = [migration.name for migration, _ in self.files]
        arrangement = Arrangement([ops for _, ops in self.files]) if any(len(group) > 1 for group in groups) else None
        if begun is not None:
            self.first = len(begun.facts)
            self._named = begun.names
            self.binder.resume(begun.state)
            for index, each in enumerate(zip(begun.facts, begun.made, begun.asked, strict=True)):
                self.facts[index], self.made[index], self.asked[index] = each
        for group in groups:
            if len(group) == 1 or arrangement is None:
                for index in group:
                    if keep is not None and index == len(names) - 1 > self.first and arrangement is None:
                        keep(self._begun())
                    if index not in self.made:
                        self._bind(index)
            else:
                _declared_order(arrangement, self.files, self.behind)
                self.loops += arrangement.order(group, lambda index: names[index], self._bind)
        return list(self.made)

    def _begun(self) -> Begun:
        return Begun(
            self.binder.state(),
            list(self.facts.values()),
            list(self.made.values()),
            list(self.asked.values()),
            self.names(len(self.facts)),
        )

    def names(self, upto: int) -> set[Named]:
        """The names that the first files give to objects, now or when a routine is called."""
        return self._named.union(*(_makes(ops.ops) for _, ops in self.files[self.first : upto]))

    def _bind(self, index: int) -> None:
        bound = self.bound[index] = self.binder.file(index)
        self.made[index], self.asked[index] = bound.made, set(bound.requirements)
        if self.telling:
            self.facts[index] = self._facts(index, bound)

    def required(self, index: int) -> list[Requirement]:
        """What a file requires, by its places."""
        known = self.bound[index].requirements.values() if index in self.bound else self.facts[index].requires
        return sorted(known, key=_by_place)

    def missing(self) -> dict[int, list[Requirement]]:
        """By file, the requirements that nothing provides."""
        found = {index: [each for each in self.required(index) if each.source == "missing"] for index in self.made}
        return {index: each for index, each in found.items() if each}

    def _facts(self, index: int, bound: Bound) -> FileFacts:
        """One file as it is when it ends."""
        migration, ops = self.files[index]
        said = self.found[migration.name]
        made = self._standing(index)
        effects = tuple(_effect(each) for each in made)
        created = checks.created(made, self._secured(index))
        changes = [
            Effect(f"{says} ({facet})", kind, says, site.line)
            for (_, facet), (says, kind, site) in bound.changed.items()
        ]
        drops = [Effect(says, kind, name, site.line) for says, kind, name, site in bound.dropped]
        locks = self.binder.locks()
        risk, because = _risk(bound, locks)
        requirements = tuple(
            requirement
            for requirement in bound.requirements.values()
            if requirement.kind not in _TOP or requirement.source == "missing"
        )
        return FileFacts(
            migration=migration,
            statements=ops.statements,
            requires=tuple(sorted((*requirements, *_server(migration, ops, said)), key=_by_place)),
            creates=effects,
            changes=tuple(changes),
            drops=tuple(drops),
            rows=tuple(bound.rows),
            locks=locks,
            checks=(*created, *said.checks),
            settings=tuple(sorted(bound.settings)),
            services=said.services,
            risk=risk,
            risk_because=because,
            declared_risk=said.risk,
            duration_ms=said.duration_ms,
            impact=said.impact,
            after_run=said.after_run,
            opaque=tuple(bound.opaque),
            questions=tuple(bound.questions),
            minimum_version=said.minimum,
            ops=ops,
            remains=effects,
            standing=(*created, *_lasting(said)),
        )

    def _standing(self, index: int) -> list[Object]:
        """What a file made and is there now, without the members of extensions."""
        objects = self.binder.catalog.objects
        made = (objects[each] for each in self.made[index] if each in objects)
        return [each for each in made if not each.extension]

    def _secured(self, index: int) -> list[Object]:
        """The tables whose row level security a file switched last."""
        objects = self.binder.catalog.objects
        switched = (objects[each] for each in sorted(self.binder.secured.get(index, ())) if each in objects)
        return [each for each in switched if each.cells["rls"].maker.file == index and each.facts.get("rls") == "on"]

    def endings(self, sequence: list[int]) -> dict[int, Ending]:
        """By place in the sequence, what the end says otherwise than the file's own end did."""
        late = self.binder.late()
        found: dict[int, Ending] = {}
        for place, index in enumerate(sequence):
            facts = self.facts[index]
            made = self._standing(index)
            remains = tuple(_effect(each) for each in made)
            called: dict[tuple[str, str], Requirement] = {}
            for requirement in late.get(index, ()):
                key = requirement.kind, requirement.object
                if key not in self.asked[index] and (requirement.kind not in _TOP or requirement.source == "missing"):
                    called.setdefault(key, requirement)
            if remains == facts.remains and not called and index not in self.binder.secured:
                continue
            created = checks.created(made, self._secured(index))
            standing = (*created, *_lasting(self.found[facts.name]))
            found[place] = Ending(tuple(called.values()), remains, standing)
        return found

    def built(self, folder: Folder, sequence: list[int], endings: dict[int, Ending], findings: list[Finding]) -> Built:
        """The parts of the graph."""
        edges = _edges(self.binder, self.files, self.behind)
        place = {self.files[index][0].name: at for at, index in enumerate(sequence)}
        leaving: list[list[Edge]] = [[] for _ in sequence[self.first :]]
        for each in edges:
            if each.strength != "late":
                leaving[place[each.file] - self.first].append(each)
        late = [each for each in edges if each.strength == "late"]
        return Built(folder, self.profile, [self.facts[index] for index in sequence], endings, leaving, late, findings)


def _lasting(said: Declared) -> tuple[Check, ...]:
    """The declared verifications that hold for good."""
    return tuple(each for each in said.checks if not each.once)


def _declared_order(arrangement: Arrangement, files: list[tuple[Migration, FileOps]], behind: Places) -> None:
    """`-- lancio: after FILE` and its like count among files whose names give no order."""
    position = {migration.name: index for index, (migration, _) in enumerate(files)}
    for name, others in behind.items():
        arrangement.after.setdefault(position[name], set()).update(position[other] for other, _ in others)


def _out_of_order(names: list[str], behind: Places) -> list[Finding]:
    """Files that are declared to stay behind others which the names put behind them."""
    position = {name: index for index, name in enumerate(names)}
    return [
        Finding(
            "order",
            "refusal",
            f"{each.place} declares that {name} runs after {other}, which comes behind it",
            each.place,
            "Rename one of the files, mend the line, or take the order of the graph with --order graph.",
        )
        for name, others in behind.items()
        for other, each in others
        if position[other] > position[name]
    ]


def _loop(files: list[tuple[Migration, FileOps]], loop: list[int]) -> Finding:
    names = [files[index][0].name for index in loop]
    return Finding(
        "loop",
        "refusal",
        " needs ".join([*names, names[0]]),
        Place(names[0], 1),
        "Split one of the files, so that what the others need is made first.",
    )


def _contradictions(binding: _Binding, sequence: list[int]) -> list[Finding]:
    """Needs that the order of the names leaves unmet, though a later file would meet them."""
    files, unmet = binding.files, binding.missing()
    if not unmet or len(files) < 2 or not _somebody_makes(chain.from_iterable(unmet.values()), binding):
        return []
    again = _Binding(binding.profile, files, binding.found, binding.behind, telling=False)
    proposed = again.run([sorted(sequence)])
    if again.loops:
        return []
    still = again.missing()
    findings = []
    order = ", ".join(files[each][0].name for each in proposed)
    for index, requirements in unmet.items():
        left = {(each.kind, each.object) for each in still.get(index, ())}
        met = [each for each in requirements if (each.kind, each.object) not in left and each.kind != "name"]
        if not met:
            continue
        first = met[0]
        wanted = first.object.split(" ", 1)[-1]
        provider = next(
            (
                now.provider
                for now in again.required(index)
                if now.provider is not None
                and now.kind == first.kind
                and wanted in (now.object.split(" ", 1)[-1], now.object.rpartition(".")[2])
            ),
            None,
        )
        findings.append(
            Finding(
                "order",
                "refusal",
                f"{first.at} needs {first.object}, which "
                + (f"{provider} makes later" if provider else "a later file makes"),
                first.at,
                f"Rename the files, or take the order of the graph with --order graph: {order}",
            )
        )
    return findings


_NAMED: dict[str, str] = {
    "relation": "relation", "type": "relation", "schema": "schema", "role": "role", "extension": "extension",
}  # fmt: skip
"""Kinds of requirements that are met by an object of their name and by nothing else; a table is a type as well."""

Named = tuple[str, str]
"""What an object is (of `_NAMED`'s values) and its bare name."""


def _somebody_makes(unmet: Iterable[Requirement], binding: _Binding) -> bool:
    """Whether another order could meet any of these: not where nothing of such a name is ever made.

    Binding once more costs as much as the first time, and most of what is unmet stands outside of the folder.
    """
    catalog = binding.binder.catalog
    names = {(_NAMED[name.kind], name.name) for name in chain(catalog.names, catalog.freed) if name.kind in _NAMED}
    names |= binding.names(len(binding.files))
    return any(
        each.kind not in _NAMED or any((_NAMED[each.kind], ending) in names for ending in _endings(each.object))
        for each in unmet
        if each.kind != "name"
    )


def _makes(ops: Iterable[Op]) -> Iterator[Named]:
    """The names that operations give to objects of these kinds, now or when a routine is called."""
    for op in ops:
        if op.verb in ("make", "rename", "move"):
            if op.ref.kind in _NAMED:
                yield _NAMED[op.ref.kind], op.ref.name
                yield _NAMED[op.ref.kind], op.detail.to
            if op.detail.body:
                yield from _makes(op.detail.body)


def _endings(text: str) -> Iterator[str]:
    """`table a.b` may mean an object called `a.b` or `b`."""
    return (text[match.end() :] for match in re.finditer(r"^|[ .]", text))


def _edges(binder: Binder, files: list[tuple[Migration, FileOps]], behind: Places) -> list[Edge]:
    edges = [
        Edge(
            files[file][0].name,
            files[needs][0].name,
            hazard,
            strength,
            tuple(sorted(because.values(), key=lambda each: (each.at.line, each.object))),
        )
        for (file, needs, hazard, strength), because in binder.edges.items()
        if file != needs
    ]
    for name, others in behind.items():
        for other, each in others:
            because = Because(f"declared: after {other}", "declared", each.place, Place(other, 1))
            edges.append(Edge(name, other, "read-after-write", "order", (because,)))
    return edges


_TOP = frozenset(("column", "constraint", "label"))


_KIND_ORDER = ("schema", "relation", "type", "extension", "routine")


def _by_place(requirement: Requirement) -> tuple[int, int, str]:
    kind = _KIND_ORDER.index(requirement.kind) if requirement.kind in _KIND_ORDER else len(_KIND_ORDER)
    return (kind, requirement.at.line, requirement.object)


def _server(migration: Migration, ops: FileOps, declared_: Declared) -> list[Requirement]:
    """The server version that a file declares; whether this one has it, the plan says."""
    return [
        Requirement(
            f"PostgreSQL {each.text.removeprefix('server').strip()}",
            "server version",
            "external",
            Place(migration.name, each.line, f"-- lancio: {each.word} {each.text}"),
            "server",
        )
        for each in ops.directives
        if declared_.minimum and each.word == "requires" and each.text.startswith("server")
    ]


def _effect(each: Object) -> Effect:
    where = tuple(each.facts["where"].split("\n")) if "where" in each.facts else ()
    return Effect(each.says, each.name.kind, each.name.full, each.maker.line, each.detail.implied, where)


def _risk(bound: Bound, locks: tuple[Lock, ...]) -> tuple[str, str]:
    """The risk of a step from what it does: does it lose data, does it stop others, does it only add?"""
    if bound.destroys:
        what = [says for says, _ in bound.destroys]
        return "high", what[0] + (f" and {len(what) - 1} more" if len(what) > 1 else "")
    for mode in ("ACCESS EXCLUSIVE", "SHARE ROW EXCLUSIVE", "SHARE"):
        held = [lock.relation for lock in locks if lock.mode == mode]
        if held:
            tables = held[0] if len(held) == 1 else f"{len(held)} tables"
            return "medium", f"{mode} on {tables}"
    if bound.made or bound.rows or bound.changed:
        return "low", "locks nothing that others write"
    return "none", "changes nothing that is known"
