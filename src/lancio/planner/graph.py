"""Which migration needs which, and why?"""

from __future__ import annotations

import gc
import re
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Literal

from lancio.catalog.model import BEFORE, Catalog, Name
from lancio.planner import checks, declared, folders
from lancio.planner.arrange import Arrangement
from lancio.planner.bind import Binder
from lancio.planner.model import Because, Edge, Effect, FileFacts, Finding, Graph, Place, Requirement
from lancio.reading import operations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from lancio.catalog.model import Object
    from lancio.catalog.profile import Profile
    from lancio.planner.bind import Bound
    from lancio.planner.declared import Behind, Declared
    from lancio.planner.model import Lock
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
        return _build(folder, profile, order, read)


@contextmanager
def without_collecting() -> Iterator[None]:
    """Nearly all that planning makes stays until its end: looking for garbage in between takes a third of its time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _build(folder: Folder, profile: Profile, order: Order, read: Callable[[Migration], FileOps]) -> Graph:
    files = [(migration, read(migration)) for migration in folder.migrations]
    found = {migration.name: declared.read(migration, ops) for migration, ops in files}
    behind, misplaced = declared.behind(found, planned=folder.layout == "sqitch")
    if order == "graph":
        groups: list[list[int]] = [list(range(len(files)))]
    else:
        groups = []
        position = 0
        for group in folder.groups:
            groups.append(list(range(position, position + len(group))))
            position += len(group)
    bound, sequence, loops, binder = _bind(files, groups, profile, behind)
    findings = [*folders.findings(folder), *(finding for each in found.values() for finding in each.findings)]
    findings += misplaced
    findings += [
        finding for each, ops in files for finding in declared.contradictions(each.name, ops, found[each.name])
    ]
    findings += [_loop(files, loop) for loop in loops]
    if order == "name":
        findings += _contradictions(files, sequence, bound, binder, behind)
        findings += _out_of_order([files[index][0].name for index in sequence], behind)
    return _graph(folder, files, bound, sequence, binder, found, behind, findings, profile)


def _bind(
    files: list[tuple[Migration, FileOps]], groups: list[list[int]], profile: Profile, behind: Places
) -> tuple[dict[int, Bound], list[int], list[list[int]], Binder]:
    """Bind group after group; inside a group the files arrange themselves."""
    binder = Binder(empty(profile), profile, files)
    bound: dict[int, Bound] = {}
    loops: list[list[int]] = []
    names = [migration.name for migration, _ in files]
    arrangement = Arrangement([ops for _, ops in files]) if any(len(group) > 1 for group in groups) else None

    def bind(index: int) -> None:
        bound[index] = binder.file(index)
        made = [binder.catalog.objects[each] for each in bound[index].made]
        bound[index].effects = tuple(_effect(each) for each in made if not each.extension)
        bound[index].checks = checks.created(made, _secured(binder, index))

    for group in groups:
        if len(group) == 1 or arrangement is None:
            for index in group:
                bind(index)
        else:
            _declared_order(arrangement, files, behind)
            loops += arrangement.order(group, lambda index: names[index], bind)
    return bound, list(bound), loops, binder


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


def _contradictions(
    files: list[tuple[Migration, FileOps]],
    sequence: list[int],
    bound: dict[int, Bound],
    binder: Binder,
    behind: Places,
) -> list[Finding]:
    """Needs that the order of the names leaves unmet, though a later file would meet them."""
    unmet = {index: each.missing() for index, each in bound.items() if each.missing()}
    if not unmet or len(files) < 2 or not _somebody_makes(chain.from_iterable(unmet.values()), files, binder.catalog):
        return []
    again, proposed, loops, _ = _bind(files, [sorted(sequence)], binder.profile, behind)
    if loops:
        return []
    findings = []
    order = ", ".join(files[each][0].name for each in proposed)
    for index, requirements in unmet.items():
        left = {(each.kind, each.object) for each in again[index].missing()}
        met = [each for each in requirements if (each.kind, each.object) not in left and each.kind != "name"]
        if not met:
            continue
        first = met[0]
        wanted = first.object.split(" ", 1)[-1]
        provider = next(
            (
                now.provider
                for now in again[index].requirements.values()
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


_NAMED = frozenset(("relation", "schema", "type", "role"))
"""Kinds of requirements that are met by an object of their name and by nothing else."""


def _somebody_makes(unmet: Iterable[Requirement], files: list[tuple[Migration, FileOps]], catalog: Catalog) -> bool:
    """Whether another order could meet any of these: not where nothing of such a name is ever made.

    Binding once more costs as much as the first time, and most of what is unmet stands outside of the folder.
    """
    names = {name.name for name in (*catalog.names, *catalog.freed)}
    names.update(name for _, ops in files for name in _makes(ops.ops))
    return any(
        each.kind not in _NAMED or any(ending in names for ending in _endings(each.object))
        for each in unmet
        if each.kind != "name"
    )


def _makes(ops: Iterable[Op]) -> Iterator[str]:
    """The names that operations give to objects, now or when a routine is called."""
    for op in ops:
        if op.verb in ("make", "rename", "move"):
            yield op.ref.name
            yield op.detail.to
            for column in op.detail.columns:
                yield column.name
            yield from _makes(op.detail.body)


def _endings(text: str) -> Iterator[str]:
    """`table a.b` may mean an object called `a.b` or `b`."""
    return (text[match.end() :] for match in re.finditer(r"^|[ .]", text))


def _graph(
    folder: Folder,
    files: list[tuple[Migration, FileOps]],
    bound: dict[int, Bound],
    sequence: list[int],
    binder: Binder,
    found: dict[str, Declared],
    behind: Places,
    findings: list[Finding],
    profile: Profile,
) -> Graph:
    late = binder.late()
    facts = []
    for index in sequence:
        migration, ops = files[index]
        for requirement in late.get(index, ()):
            known = bound[index].requirements.get((requirement.kind, requirement.object))
            if known is None:
                bound[index].requirements[requirement.kind, requirement.object] = requirement
        facts.append(_facts(migration, ops, bound[index], binder, found[migration.name], index))
    edges = _edges(binder, files, behind)
    position = {migration.name: place for place, migration in enumerate(files[index][0] for index in sequence)}
    edges.sort(key=lambda edge: (position[edge.file], position[edge.needs], edge.hazard, edge.strength))
    return Graph(
        folder.path.name,
        tuple(facts),
        tuple(edges),
        tuple(each for item in facts for each in item.opaque),
        tuple(each for item in facts for each in item.requires if each.source == "missing"),
        tuple(findings),
        profile.major,
        folder.layout,
    )


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


def _facts(
    migration: Migration, ops: FileOps, bound: Bound, binder: Binder, declared_: Declared, index: int
) -> FileFacts:
    catalog = binder.catalog
    made = [catalog.objects[each] for each in bound.made if each in catalog.objects]
    changes = [
        Effect(f"{says} ({facet})", kind, says, site.line) for (_, facet), (says, kind, site) in bound.changed.items()
    ]
    drops = [Effect(says, kind, name, site.line) for says, kind, name, site in bound.dropped]
    binder.bound = bound
    locks = binder.locks()
    risk, because = _risk(bound, locks)
    remains = tuple(_effect(each) for each in made if not each.extension)
    stands = remains == bound.effects and index not in binder.secured
    requirements = tuple(
        requirement
        for requirement in bound.requirements.values()
        if requirement.kind not in _TOP or requirement.source == "missing"
    )
    return FileFacts(
        migration=migration,
        statements=ops.statements,
        requires=tuple(sorted((*requirements, *_server(migration, ops, declared_)), key=_by_place)),
        creates=bound.effects,
        changes=tuple(changes),
        drops=tuple(drops),
        rows=tuple(bound.rows),
        locks=locks,
        checks=(*bound.checks, *declared_.checks),
        settings=tuple(sorted(bound.settings)),
        services=declared_.services,
        risk=risk,
        risk_because=because,
        declared_risk=declared_.risk,
        duration_ms=declared_.duration_ms,
        impact=declared_.impact,
        after_run=declared_.after_run,
        opaque=tuple(bound.opaque),
        questions=tuple(bound.questions),
        minimum_version=declared_.minimum,
        ops=ops,
        remains=remains,
        standing=(
            *(bound.checks if stands else checks.created(made, _secured(binder, index))),
            *(each for each in declared_.checks if not each.once),
        ),
    )


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


def _secured(binder: Binder, index: int) -> list[Object]:
    """The tables whose row level security a file switched last."""
    here = sorted(binder.secured.get(index, ()))
    switched = (binder.catalog.objects[each] for each in here if each in binder.catalog.objects)
    return [each for each in switched if each.cells["rls"].maker.file == index and each.facts.get("rls") == "on"]


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
