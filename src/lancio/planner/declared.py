"""What do a file's directives declare, and do they make sense?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lancio.planner.model import RISKS, Check, Finding, Place, Service
from lancio.planner.rows import contradicts
from lancio.reading import directives, headers
from lancio.syntax import parser

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lancio.reading.model import Detail, FileOps, Op, Ref
    from lancio.reading.source import Migration

_DURATION = re.compile(r"^~?\s*(\d+(?:\.\d+)?)\s*(ms|s|m|min|h)$")
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000}
MAX_DURATION_MS = 366 * 24 * 3_600_000
_SERVICE = re.compile(r"^service\s+([\w.-]+)(?:\s+env\s+([A-Za-z_]\w*))?$")
_SERVER = re.compile(r"^server\s*>=\s*(\d{1,9})(?:\.(\d{1,9}))?$")


@dataclass(frozen=True, slots=True)
class Behind:
    """A file that must stay behind another one, by the name that the file itself or a plan has for it.

    `by` is the tool whose comment or plan says so, "" for Lancio's own line. `conflict`: the two may not both run.
    """

    name: str
    place: Place
    by: str = ""
    conflict: bool = False


@dataclass(frozen=True, slots=True)
class Declared:
    """The directives of one file, understood."""

    services: tuple[Service, ...] = ()
    checks: tuple[Check, ...] = ()
    after: tuple[Behind, ...] = ()
    creates: tuple[tuple[str, int], ...] = ()
    minimum: int = 0  # server_version_num
    duration_ms: int | None = None
    impact: str = ""
    after_run: str = ""
    risk: str = ""
    findings: tuple[Finding, ...] = ()
    replaces: tuple[str, ...] = ()  # files that it stands for


def read(migration: Migration, ops: FileOps) -> Declared:
    """Understand the directives of a file; what cannot be understood is a finding that refuses."""
    name = migration.name
    services: list[Service] = []
    checks: list[Check] = []
    after = [Behind(each.file, Place(each.place, each.line), "sqitch.plan", each.conflict) for each in migration.after]
    creates: list[tuple[str, int]] = []
    findings = [
        Finding("directive", "refusal", f"{name}: {problem}", Place(name, 1), "Mend or remove the line.")
        for problem in ops.problems
    ]
    values: dict[str, list[str]] = {"impact": [], "after-run": [], "risk": []}
    minimum, duration = 0, None
    for each in ops.directives:
        place = Place(name, each.line, directives.text(each))
        problem = ""
        if each.word in ("requires", "wants"):
            service = _SERVICE.match(each.text)
            server = _SERVER.match(each.text)
            if service:
                services.append(Service(service[1], service[2] or "", each.word == "requires", each.line))
            elif server and each.word == "requires":
                major, minor = int(server[1]), int(server[2] or 0)
                minimum = max(minimum, major * 10000 + (minor if major > 9 else minor * 100))
            elif each.word == "wants":
                problem = "what is wanted is a `service NAME [env VARIABLE]`"
            elif directives.subject(each.text) is None:
                problem = "a requirement is an object, a row, `server >= N` or `service NAME [env VARIABLE]`"
        elif each.word in ("verify", "verify-once"):
            if _is_query(each.text):
                checks.append(Check(each.text, each.text.rstrip(";"), each.word == "verify-once", declared=True))
            else:
                problem = "a verification is one SELECT of one boolean"
        elif each.word == "duration":
            match = _DURATION.match(each.text)
            if match and float(match[1]) * _UNITS[match[2]] <= MAX_DURATION_MS:
                duration = int(float(match[1]) * _UNITS[match[2]])
            elif match:
                problem = "that is longer than a year"
            else:
                problem = "a duration is a number with ms, s, min or h"
        elif each.word == "risk" and each.text.lower() not in RISKS:
            problem = "a risk is none, low, medium or high"
        elif each.word == "after" or each.word in directives.FOREIGN:
            after.append(Behind(each.text, place, "" if each.word == "after" else each.word))
        elif each.word == "creates":
            creates.append((each.text, each.line))
            if directives.subject(each.text) is None:
                problem = "what a file creates is an object (`table app.orders`) or a row"
        elif each.word == "replaces" and headers.read(directives.text(each).encode()) == headers.NOTHING:
            problem = "what a file replaces is another file with its checksum, 64 hex digits"
        elif each.word not in ("allow", "no-transaction", "repeatable", "replaces"):
            # Those are for the rules of `lancio check`, for the segments, and for the file's own place.
            values[each.word].append(each.text)
        if problem:
            message = f"{place}: `lancio: {each.word} {each.text}` cannot be understood: {problem}"
            findings.append(Finding("directive", "refusal", message, place, "Mend or remove the line."))
    return Declared(
        tuple(services), tuple(checks), tuple(after), tuple(creates), minimum, duration,
        " ".join(values["impact"]), "; ".join(values["after-run"]), " ".join(values["risk"]).lower(), tuple(findings),
        tuple(name for name, _ in migration.replaces),
    )  # fmt: skip


def behind(
    found: Mapping[str, Declared], *, planned: bool = False
) -> tuple[dict[str, list[tuple[str, Behind]]], list[Finding]]:
    """For each file those it is declared to stay behind, and what is wrong with such declarations.

    A file is named by its path relative to the folder; without `.sql` or by its bare name as well, as Sqitch and yoyo
    name their changes. `planned`: a plan beside the files says what each one requires.
    """
    bare: dict[str, list[str]] = {}
    for name in found:
        bare.setdefault(name.rpartition("/")[2].removesuffix(".sql"), []).append(name)
    stands = {one.removesuffix(".sql"): name for name, each in found.items() for one in each.replaces}
    names: dict[str, list[tuple[str, Behind]]] = {}
    findings: list[Finding] = []
    for file, declared in found.items():
        plan = [each.name for each in declared.after if each.by == "sqitch.plan"]
        for each in declared.after:
            named = each.name
            if each.by == "sqitch":
                named = named.partition("@")[0].rpartition(":")[2]
                if f"deploy/{named}.sql" in {_REWORKED.sub(".sql", one) for one in plan}:
                    continue  # the plan says so too, and knows which of the two where a change was reworked
            also = bare.get(named.removesuffix(".sql").rpartition("/")[2], ())
            target = next((one for one in (named, f"{named}.sql", f"deploy/{named}.sql") if one in found), None)
            target = target or (also[0] if len(also) == 1 else None) or stands.get(named.removesuffix(".sql"))
            if problem := _problem(file, each, target, planned=planned):
                findings.append(problem)
            if target is not None and target != file and not each.conflict and not (planned and each.by == "sqitch"):
                names.setdefault(file, []).append((target, each))
    return names, findings


_REWORKED = re.compile(r"@[^/]*\.sql$")


def _problem(file: str, each: Behind, target: str | None, *, planned: bool) -> Finding | None:
    """What is wrong with one declared place behind another file."""
    if target is None and each.by in directives.FOREIGN:
        message = f"{each.place}: `{each.place.text}` names no file of this folder"
        return Finding("declared", "note", message, each.place, "If it names something else, write what it is.")
    if target is None:
        message = f"{each.place}: there is no file {each.name} in this folder"
        return Finding("declared", "refusal", message, each.place, "Mend the name behind `after`.")
    if each.conflict:
        message = f"{each.place} declares that {file} conflicts with {target}, and both would run"
        return Finding("declared", "refusal", message, each.place, "Take one of the two out of the plan.")
    if target == file:
        message = f"{each.place} declares that {file} runs after itself"
        return Finding("declared", "refusal", message, each.place, "Take the line away.")
    if each.by == "sqitch" and planned:
        message = f"{each.place} says that {file} requires {target}; sqitch.plan does not"
        return Finding("declared", "warning", message, each.place, "Mend the line, or the plan.")
    return None


def _is_query(text: str) -> bool:
    """Whether a text is exactly one query: what is asked of a server must not be able to do anything else."""
    try:
        statements = parser.parse(text.encode())
        inside = parser.parse(f"SELECT (\n{text.strip().rstrip(';')}\n) IS TRUE".encode())
    except parser.ParseError:
        return False
    return len(statements) == len(inside) == 1 and statements[0].node == inside[0].node == "SelectStmt"


def contradictions(name: str, ops: FileOps, declared: Declared) -> list[Finding]:
    """What a file declares to create and its SQL does not; where a place cannot be seen through, nobody knows."""
    if not declared.creates or any(op.verb == "opaque" for op in ops.ops):
        return []
    findings = []
    for text, line in declared.creates:
        named = directives.subject(text)
        if named is not None and not any(_makes(op, *named) for op in ops.ops):
            place = Place(name, line, f"-- lancio: creates {text}")
            message = f"{place} declares that it creates {text}; its SQL does not"
            findings.append(Finding("declared", "warning", message, place, "Mend the line, or the SQL."))
    return findings


def _makes(op: Op, ref: Ref, detail: Detail) -> bool:
    """Whether one operation makes what a directive names."""
    if ref.kind == "row":
        rows = op.verb == "rows" and op.detail.row is not None and detail.row is not None
        return rows and _same(op.ref.of[0], ref.of[0]) and not contradicts(op.detail.row, detail.row)  # type: ignore[arg-type]
    if op.verb == "rename":
        return op.ref.kind == ref.kind and op.detail.to == ref.name
    if op.verb != "make":
        return False
    if ref.kind == "column" and op.ref.kind == "relation":
        return _same(op.ref, ref.of[0]) and any(column.name == ref.name for column in op.detail.columns)
    return _same(op.ref, ref)


def _same(one: Ref, other: Ref) -> bool:
    """Whether two names may mean one object: a schema that is not written may be any."""
    if one.of and other.of and not _same(one.of[0], other.of[0]):
        return False
    schemas = one.schema is None or other.schema is None or one.schema == other.schema
    return one.kind == other.kind and one.name == other.name and schemas
