"""What is an object, a requirement, a step called when people read of it?"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from lancio.planner.checklist import recent
from lancio.render.lines import counted, lasted, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lancio.planner.model import Edge, Effect, FileFacts, Graph, Plan, Requirement, Step

LABELS = (
    "materialized view", "foreign table", "event trigger", "schema", "table", "view", "sequence", "extension", "type",
    "domain", "enum", "index", "role", "column", "collation", "publication", "language",
)  # fmt: skip
"""Words that PostgreSQL puts before a name; the pictures have them behind it: `platform.projects table`."""

ROUTINES = ("function", "procedure", "aggregate", "routine", "trigger function", "window function")
PARTS = ("column", "constraint", "label")
"""Kinds that come with a table or a type made by the same file, and so are not listed by themselves."""

ROW_VALUES = 2
"""So many values say which row is meant."""

FACETS = {"rls": "row level security", "acl": "privileges", "valid": "validity", "definition": ""}
"""What a change is of, where the planner's word is not the one people use."""

NAMED = 3
"""So many objects of one sort are named line by line; more are counted."""


class Steps:
    """What each file of a graph is called in its pictures.

    Files that share a number are the steps of one migration, as the specification has it: `006` is STEP 1, STEP 2
    and STEP 3, and a file alone in its number is a migration by itself. Where no number is shared, every file is a
    step of the folder.
    """

    def __init__(self, graph: Graph) -> None:
        numbers = Counter(facts.migration.number for facts in graph.files)
        self._shared = {number for number, many in numbers.items() if many > 1}
        self.names: dict[str, str] = {}
        self._short: dict[str, str] = {}
        counters: Counter[int | None] = Counter()
        for position, facts in enumerate(graph.files, 1):
            number = facts.migration.number
            if self._shared and number not in self._shared:
                digits = _digits(facts)
                self.names[facts.name] = f"MIGRATION {digits}" if digits else "MIGRATION"
                self._short[facts.name] = digits or facts.name
            else:
                group = number if self._shared else None
                counters[group] += 1
                self.names[facts.name] = f"STEP {counters[group] if self._shared else position}"
                digits = "" if number in self._shared else _digits(facts)
                self._short[facts.name] = digits if 0 < len(digits) < 6 else self.names[facts.name].capitalize()

    def title(self, name: str) -> str:
        """`STEP 1: 006_add_platform_databases_table.sql`."""
        return f"{self.names.get(name, 'STEP')}: {name}"

    def short(self, name: str) -> str:
        """How other steps point at it: `001`, `Step 1`."""
        return self._short.get(name, name)

    def foundation(self, graph: Graph) -> tuple[str, ...]:
        """The files that the last migration of several files stands on, none where there is no such migration."""
        latest = recent(graph)
        return tuple(facts.name for facts in graph.files if facts.name not in latest) if latest else ()


def noun(thing: str) -> str:
    """`table platform.projects` as `platform.projects table`; a routine by its name and arguments alone."""
    for label in LABELS:
        if thing.startswith(f"{label} "):
            return f"{thing[len(label) + 1 :]} {label}"
    for label in ROUTINES:
        if thing.startswith(f"{label} "):
            return thing[len(label) + 1 :]
    return thing


def whole(effect: Effect) -> str:
    """One object by its whole name: `platform.databases table`, `platform.f() function`."""
    label = label_of(effect)
    return f"{noun(effect.object)} function" if label == "function" else noun(effect.object)


def label_of(effect: Effect) -> str:
    """The word for an object: `table`, `view`, `function`."""
    if effect.name and effect.name in effect.object:
        said = effect.object[: effect.object.index(effect.name)].strip()
        if said:
            return said
    for label in (*LABELS, *ROUTINES, "trigger", "policy"):
        if effect.object.startswith(f"{label} "):
            return label
    return effect.kind


def creates(facts: FileFacts, *, named: int = NAMED) -> list[str]:
    """What a file makes, each line an object or a count of objects: the Creates lines of the picture.

    More than `named` tables are counted, with their names behind the count.
    """
    groups: dict[str, list[Effect]] = {}
    for effect in facts.creates:
        label = label_of(effect)
        # PostgreSQL makes an index for each key by itself, and it counts; the key's constraint comes with its table.
        if label != "index" and (effect.implied or (effect.kind in PARTS and _comes_with(effect, facts))):
            continue
        groups.setdefault(label, []).append(effect)
    said: list[str] = []
    for label, effects in groups.items():
        one_by_one = (
            label in ("schema", "extension", "role")
            or (label in ("table", "foreign table", "materialized view") and len(effects) <= named)
            or (len(effects) == 1 and label not in ("index", "policy"))
        )
        if one_by_one:
            said += [whole(effect) for effect in effects]
        elif label == "index":
            said.append(counted(len(effects), "index"))
        elif label == "policy" or (label not in ("table", "function") and len(effects) > 2 * NAMED):
            said.append(_alike(label, effects))
        else:
            said.append(f"{counted(len(effects), label)} ({', '.join(_bare(effect) for effect in effects)})")
    return said + [row_said(row) for row in facts.rows]


def changes(facts: FileFacts) -> list[str]:
    """What a file changes or drops of what was there: `row level security of 26 tables`."""
    groups: dict[tuple[str, str], list[Effect]] = {}
    for effect in facts.changes:
        if not effect.implied:
            groups.setdefault((_facet(effect), label_of(effect)), []).append(effect)
    said: list[str] = []
    for (facet, label), members in groups.items():
        names = list(dict.fromkeys(_whole_without_facet(effect) for effect in members))
        opening = f"{facet} of " if facet else ""
        if len(names) <= NAMED:
            said += [f"{opening}{name}" for name in names]
        else:
            said.append(f"{opening}{counted(len(names), label)}")
    return said + [f"drops {noun(effect.object)}" for effect in facts.drops if not effect.implied]


def row_said(row: str) -> str:
    """A row by its table and the first of its values: `platform.projects row (slug = 'lancio-studio', …)`."""
    found = re.fullmatch(r"(?:row )?(\S+) \((.*)\)", row, re.DOTALL)
    if found is None:
        return row
    pairs = re.split(r", (?=[^\s=']+ = )", found[2])
    more = ", …" if len(pairs) > ROW_VALUES else ""
    return f"{found[1]} row ({', '.join(pairs[:ROW_VALUES])}{more})"


def makes_row(row: str, needed: str) -> bool:
    """Whether a row that is made is the one that is needed: the same table, and every value asked for is in it."""
    made, asked = (re.fullmatch(r"(?:row )?(\S+) \((.*)\)", text, re.DOTALL) for text in (row, needed))
    if made is None or asked is None or made[1] != asked[1]:
        return row == needed
    return set(re.split(r", (?=[^\s=']+ = )", asked[2])) <= set(re.split(r", (?=[^\s=']+ = )", made[2]))


def requires(
    facts: FileFacts, steps: Steps, plan: Plan | None = None, wants: Mapping[str, bool] | None = None
) -> list[tuple[str, str]]:
    """Each requirement of a file as (mark, words): `✓` met, `✗` not, `·` nobody can tell from here.

    `wants` has, for each variable that a service is named by, whether it is set; None where nobody looked.
    """
    unmet = _unmet(facts, plan)
    extensions = {item.provider for item in facts.requires if item.kind == "extension" and item.provider is not None}
    groups: dict[tuple[str, str], list[Requirement]] = {}
    for item in facts.requires:
        if item.source == "server" and item.kind != "server version":
            continue
        if item.kind != "extension" and item.provider in extensions and item not in unmet:
            continue  # a member of an extension that is named itself
        mark = "✗" if item in unmet or item.source == "missing" else "✓"
        groups.setdefault((mark, _label(item)), []).append(item)
    lines: list[tuple[str, str]] = []
    for (mark, label), items in groups.items():
        if len(items) > 2 * NAMED:
            lines.append((mark, f"{counted(len(items), label or 'object')} ({_origins(items, steps)})"))
        else:
            lines += [(mark, f"{_needed(each)} ({_origin(each, steps)})") for each in items]
    for service in facts.services:
        need = "must answer" if service.required else "wanted"
        if wants is None or service.variable not in wants:
            lines.append(("·", f"{service.name} service, {need} ({service.variable})"))
        elif wants[service.variable]:
            lines.append(("✓", f"{service.name} service, {need} ({service.variable} is set)"))
        else:
            mark = "✗" if service.required else "·"
            lines.append((mark, f"{service.name} service, {need} ({service.variable} is not set)"))
    return lines


def risk(facts: FileFacts) -> str:
    """`computed: medium (ACCESS EXCLUSIVE on 26 tables) · declared: LOW`."""
    said = f"computed: {facts.risk or 'none'}"
    if facts.risk_because:
        said += f" ({facts.risk_because})"
    return f"{said} · declared: {facts.declared_risk.upper()}" if facts.declared_risk else said


def duration(facts: FileFacts, step: Step | None) -> str:
    """`12 ms measured` where an earlier run is known, else `~2 seconds declared`, else that nobody knows."""
    if step is not None and step.measured and step.expected_ms is not None:
        said = f"{lasted(step.expected_ms)} measured"
        return f"{said} · {_about(facts.duration_ms)} declared" if facts.duration_ms is not None else said
    return f"{_about(facts.duration_ms)} declared" if facts.duration_ms is not None else "not measured yet"


def hard(edge: Edge) -> bool:
    """Whether an edge comes from what the SQL says, and not from the files' names alone."""
    return edge.strength != "order"


def _about(milliseconds: int | None) -> str:
    return f"~{lasted(milliseconds or 0)}"


def _digits(facts: FileFacts) -> str:
    match = re.match(r"[Vv]?(\d+)", facts.migration.name.rsplit("/", 1)[-1])
    return match[1] if match and facts.migration.number is not None else ""


def _label(item: Requirement) -> str:
    for label in (*LABELS, *ROUTINES):
        if item.object.startswith(f"{label} "):
            return label
    return "row check" if item.kind == "data" else item.kind


def _origin(item: Requirement, steps: Steps) -> str:
    when = ", when called" if item.strength == "late" else ""
    match item.source:
        case "file" if item.provider is not None:
            return f"from {steps.short(item.provider.file)}{when}"
        case "database":
            return f"in the database{when}"
        case "server":
            return f"built in{when}"
        case _ if item.kind == "data":
            return "rows stand in the way"
        case _:
            return f"nothing provides it{when}"


def _unmet(facts: FileFacts, plan: Plan | None) -> set[Requirement]:
    """The requirements of a file that this plan leaves unmet.

    The planner tells each missing thing once and may call it by another word (`relation` for a table that nobody has
    seen yet); whatever else its provider makes is then missing with it.
    """
    if plan is None:
        return set()
    told = [item for item in plan.missing if item.file == facts.name and item.blocking]
    names = {_nameless(item.requirement) for item in told}
    # A name that nobody could resolve has no schema; the same name at the same place is the same need.
    names |= {f"{item.requirement.at.line}:{_nameless(item.requirement)}" for item in told}
    absent = {item.provider for item in told if item.provider_state == "not applied"}
    absent -= {step.facts.name for step in plan.steps}
    return {
        item
        for item in facts.requires
        if _nameless(item) in names
        or f"{item.at.line}:{_nameless(item).rsplit('.', 1)[-1]}" in names
        or (item.provider is not None and item.provider.file in absent)
    }


def _nameless(item: Requirement) -> str:
    """A requirement without the word for its kind."""
    if item.kind == "row":
        return item.object
    return re.sub(rf"^(?:{'|'.join((*LABELS, *ROUTINES, 'relation'))}) ", "", item.object)


def _needed(item: Requirement) -> str:
    return row_said(item.object) if item.kind == "row" else noun(item.object)


def _origins(items: Iterable[Requirement], steps: Steps) -> str:
    """`from 001, 002 and Step 1; in the database`."""
    files: list[str] = []
    others: list[str] = []
    for item in items:
        if item.source == "file" and item.provider is not None:
            files.append(steps.short(item.provider.file))
        else:
            others.append(_origin(item, steps))
    said = [f"from {listed(sorted(set(files)))}"] if files else []
    return "; ".join([*said, *sorted(set(others))])


def _comes_with(effect: Effect, facts: FileFacts) -> bool:
    """Whether a column, constraint or label belongs to something that the same file makes."""
    if effect.implied:
        return True
    owners = [other.name for other in facts.creates if other.kind in ("relation", "type")]
    return any(effect.name.startswith(f"{owner}.") or effect.object.endswith(f" on {owner}") for owner in owners)


def _bare(effect: Effect) -> str:
    """A name without schema, arguments and table, as short as the specification's pictures have it."""
    name = effect.name.split("(")[0].split(" on ")[0]
    return name.rsplit(".", 1)[-1].strip('"')


def _alike(label: str, effects: Sequence[Effect]) -> str:
    """Many of one sort: `26 policies (permissive_all_…)`, with the names where they are few."""
    names = sorted({_bare(effect) for effect in effects})
    if len(names) <= NAMED:
        return f"{counted(len(effects), label)} ({', '.join(names)})"
    start = _common(names)
    return f"{counted(len(effects), label)} ({start}…)" if len(start) > NAMED else counted(len(effects), label)


def _common(names: Sequence[str]) -> str:
    first, last = min(names), max(names)
    size = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:size]


def _facet(effect: Effect) -> str:
    found = re.search(r" \((\w[\w ]*)\)$", effect.object)
    return FACETS.get(found[1], found[1]) if found else ""


def _whole_without_facet(effect: Effect) -> str:
    return noun(re.sub(r" \((\w[\w ]*)\)$", "", effect.object))
