"""Plans made by hand: what the executor gets from the planner, without the planner."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from lancio.planner.model import Check, Edge, Effect, FileFacts, FileState, Graph, Plan, Step
from lancio.reading.model import Span, Statement
from lancio.reading.source import Migration
from lancio.syntax.parser import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

CONTROL = {"begin": "begin", "start": "begin", "commit": "commit", "end": "commit", "rollback": "rollback"}


def migration(name: str, text: str, folder: Path = Path("migrations")) -> Migration:
    return Migration(name, folder / name, text.encode(), None)


def statements(text: str) -> tuple[Statement, ...]:
    raw = text.encode()
    found = []
    for each in parse(raw):
        sql = raw[each.start : each.end].decode()
        start = each.start + len(sql.encode()) - len(sql.lstrip().encode())
        line = raw.count(b"\n", 0, start) + 1
        sql = sql.strip()
        words = re.sub(r"\s+", " ", sql)
        control = CONTROL.get(words.split()[0].lower(), "")
        found.append(Statement(sql, Span(start, each.end, line), words[:40], control))
    return tuple(found)


def facts(
    name: str,
    text: str,
    *,
    checks: Sequence[Check] = (),
    settings: Sequence[str] = (),
    creates: Sequence[Effect] = (),
    folder: Path = Path("migrations"),
) -> FileFacts:
    return FileFacts(
        migration=migration(name, text, folder),
        statements=statements(text),
        requires=(),
        creates=tuple(creates),
        changes=(),
        drops=(),
        rows=(),
        locks=(),
        checks=tuple(checks),
        settings=tuple(settings),
        services=(),
        risk="low",
        risk_because="",
        declared_risk="",
        duration_ms=None,
        impact="",
        after_run="",
        opaque=(),
        standing=tuple(each for each in checks if not each.once),
    )


def check(says: str, sql: str, *, once: bool = False) -> Check:
    return Check(says, sql, once, declared=False)


def plan(*files: FileFacts, only: Sequence[str] | None = None, states: Sequence[FileState] = ()) -> Plan:
    edges: tuple[Edge, ...] = ()
    graph = Graph("migrations", files, edges, (), (), (), 18)
    chosen = [each for each in files if only is None or each.name in only]
    steps = tuple(Step(each, position) for position, each in enumerate(chosen, 1))
    return Plan(graph, steps, (), tuple(states), (), ())
