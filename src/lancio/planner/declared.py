"""What do a file's directives declare, and do they make sense?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lancio.planner.model import Check, Finding, Place, Requirement, Service
from lancio.planner.rows import identifier, literal, qualified
from lancio.syntax import parser

if TYPE_CHECKING:
    from lancio.reading.model import FileOps

_DURATION = re.compile(r"^~?\s*(\d+(?:\.\d+)?)\s*(ms|s|m|min|h)$")
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000}
MAX_DURATION_MS = 366 * 24 * 3_600_000
_SERVICE = re.compile(r"^service\s+([\w.-]+)(?:\s+env\s+([A-Za-z_]\w*))?$")
_SERVER = re.compile(r"^server\s*>=\s*(\d+)(?:\.(\d+))?$")
_OBJECT = re.compile(r"^(schema|table|view|function|extension|type|role|column)\s+(.+)$")
_ROW = re.compile(r"^row\s+([\w.\"]+)\s*\((.+)\)$")
_EQUAL = re.compile(r"""\s*([\w"]+)\s*=\s*('(?:[^']|'')*'|[\w.-]+)\s*(?:,|\s+and\s+|$)""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Declared:
    """The directives of one file, understood."""

    requirements: tuple[Requirement, ...] = ()
    services: tuple[Service, ...] = ()
    checks: tuple[Check, ...] = ()
    after: tuple[tuple[str, int], ...] = ()
    creates: tuple[tuple[str, int], ...] = ()
    minimum: int = 0  # server_version_num
    duration_ms: int | None = None
    impact: str = ""
    after_run: str = ""
    risk: str = ""
    findings: tuple[Finding, ...] = ()


def read(name: str, ops: FileOps) -> Declared:
    """Understand the directives of a file; what cannot be understood is a finding that refuses."""
    requirements: list[Requirement] = []
    services: list[Service] = []
    checks: list[Check] = []
    after: list[tuple[str, int]] = []
    creates: list[tuple[str, int]] = []
    findings = [
        Finding("directive", "refusal", f"{name}: {problem}", Place(name, 1), "Mend or remove the line.")
        for problem in ops.problems
    ]
    values: dict[str, list[str]] = {"impact": [], "after-run": [], "risk": []}
    minimum, duration = 0, None
    for each in ops.directives:
        place = Place(name, each.line, f"-- lancio: {each.word} {each.text}")
        problem = ""
        if each.word in ("requires", "wants"):
            service = _SERVICE.match(each.text)
            server = _SERVER.match(each.text)
            if service:
                services.append(Service(service[1], service[2] or "", each.word == "requires", each.line))
            elif server and each.word == "requires":
                major, minor = int(server[1]), int(server[2] or 0)
                minimum = max(minimum, major * 10000 + (minor if major > 9 else minor * 100))
            elif each.word == "requires" and (requirement := _requirement(each.text, place)):
                requirements.append(requirement)
            else:
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
        elif each.word == "risk" and each.text.lower() not in ("none", "low", "medium", "high"):
            problem = "a risk is none, low, medium or high"
        elif each.word == "after":
            after.append((each.text, each.line))
        elif each.word == "creates":
            creates.append((each.text, each.line))
        else:
            values[each.word].append(each.text)
        if problem:
            message = f"{place}: `lancio: {each.word} {each.text}` cannot be understood: {problem}"
            findings.append(Finding("directive", "refusal", message, place, "Mend or remove the line."))
    return Declared(
        tuple(requirements), tuple(services), tuple(checks), tuple(after), tuple(creates), minimum, duration,
        " ".join(values["impact"]), "; ".join(values["after-run"]), " ".join(values["risk"]).lower(), tuple(findings),
    )  # fmt: skip


def _is_query(text: str) -> bool:
    """Whether a text is exactly one query: what is asked of a server must not be able to do anything else."""
    try:
        statements = parser.parse(text.encode())
        inside = parser.parse(f"SELECT (\n{text.strip().rstrip(';')}\n) IS TRUE".encode())
    except parser.ParseError:
        return False
    return len(statements) == len(inside) == 1 and statements[0].node == inside[0].node == "SelectStmt"


def _requirement(text: str, place: Place) -> Requirement | None:
    row = _ROW.match(text)
    if row:
        pairs = _EQUAL.findall(row[2])
        if not pairs:
            return None
        conditions = " AND ".join(
            f"{identifier(column.strip(chr(34)))} = {value if value.startswith(chr(39)) else literal(value)}"
            for column, value in pairs
        )
        probe = f"SELECT EXISTS (SELECT FROM {qualified(row[1])} WHERE {conditions})"
        return Requirement(text, "row", "row", place, "declared", None, probe)
    match = _OBJECT.match(text)
    if match is None:
        return None
    return Requirement(text, match[1], "hard", place, "declared", None, _object_probe(match[1], match[2].strip()))


def _object_probe(kind: str, name: str) -> str:
    quoted = literal(name)
    if kind in ("table", "view"):
        return f"SELECT to_regclass({quoted}) IS NOT NULL"
    if kind == "function":
        lookup = "to_regprocedure" if "(" in name else "to_regproc"
        return f"SELECT {lookup}({quoted}) IS NOT NULL"
    if kind == "type":
        return f"SELECT to_regtype({quoted}) IS NOT NULL"
    if kind == "column":
        table, _, column = name.rpartition(".")
        return (
            "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass("
            f"{literal(table)}) AND attname = {literal(column)} AND NOT attisdropped)"
        )
    catalog, column = {
        "schema": ("pg_namespace", "nspname"),
        "extension": ("pg_extension", "extname"),
        "role": ("pg_roles", "rolname"),
    }[kind]
    return f"SELECT EXISTS (SELECT FROM {catalog} WHERE {column} = {quoted})"
