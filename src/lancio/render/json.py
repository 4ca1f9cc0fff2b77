"""Graphs, plans and findings as plain data, and data as one line or one document of JSON.

The shape of a graph is a contract with other programs: `docs/reference/graph.schema.json`.
"""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lancio.planner.model import (
        Because,
        Edge,
        Effect,
        FileFacts,
        FileState,
        Finding,
        Graph,
        Item,
        Missing,
        Opaque,
        Place,
        Plan,
        Requirement,
        Service,
    )


def graph(graph: Graph) -> dict[str, Any]:
    """The files in order, the edges with their evidence, what cannot be seen and what nothing provides."""
    return {
        "files": [facts.name for facts in graph.files],
        "edges": [edge(each) for each in graph.edges],
        "opaque": [_opaque(place) for place in graph.opaque],
        "unprovided": [_requirement(item) for item in graph.unprovided],
        "findings": [_finding(item) for item in graph.findings],
        "server_version": graph.server_version,
        "layout": graph.layout,
        "details": [_facts(facts) for facts in graph.files],
    }


def preflight(judged: Plan) -> dict[str, Any]:
    """A plan with all that was looked at; times, sizes and sessions of others differ each time it is asked."""
    return {**plan(judged), "items": [_item(each) for each in judged.items]}


def plan(plan: Plan) -> dict[str, Any]:
    """What will run and whether it may; the verdict is `go`. The same for the same database."""
    return {
        "go": plan.go,
        "steps": [
            {
                "position": step.position,
                "file": step.facts.name,
                "expected_ms": step.expected_ms,
                "measured": step.measured,
                "risk": step.facts.risk,
                "risk_because": step.facts.risk_because,
                "declared_risk": step.facts.declared_risk,
                "locks": [
                    {"relation": lock.relation, "mode": lock.mode, "line": lock.line} for lock in step.facts.locks
                ],
                "needs": sorted({edge.needs for edge in plan.graph.needs(step.facts.name)}),
            }
            for step in plan.steps
        ],
        "done": list(plan.done),
        "states": [state(each) for each in plan.states],
        "missing": [_missing(each) for each in plan.missing],
        "findings": [_finding(each) for each in plan.findings],
        "wants": [{**_service(service), "set": is_set} for service, is_set in plan.wants],
    }


def state(state: FileState) -> dict[str, Any]:
    """How one file stands in the live database."""
    return {
        "file": state.name,
        "state": state.state,
        "recorded": state.recorded,
        "missing": list(state.missing),
        "edited": state.edited,
        "differs": list(state.differs),
        "because": state.because,
        "disagrees": list(state.disagrees),
        "origin": state.origin,
        "again": state.again,
        "begun": state.begun,
    }


def line(value: object) -> str:
    """One line of JSON without its line end: what a stream of events is made of."""
    return json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))


def document(value: object) -> str:
    """A document of JSON with a line end, indented for the eye."""
    return json.dumps(plain(value), ensure_ascii=False, indent=2) + "\n"


def plain(value: object) -> Any:
    """A value in the words of JSON: dataclasses by their public fields, sets sorted, paths and dates as text."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value) if not each.name.startswith("_")}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: plain(item) for name, item in value._asdict().items() if not name.startswith("_")}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item) for item in value), key=str)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, PurePath):
        return value.as_posix()
    isoformat = getattr(value, "isoformat", None)
    return isoformat() if isoformat is not None else str(value)


def edge(edge: Edge) -> dict[str, Any]:
    """An edge with its evidence."""
    return {
        "file": edge.file,
        "needs": edge.needs,
        "hazard": edge.hazard,
        "strength": edge.strength,
        "because": [_because(each) for each in edge.because],
    }


def _because(because: Because) -> dict[str, Any]:
    return {
        "object": because.object,
        "kind": because.kind,
        "file": because.at.file,
        "line": because.at.line,
        "provider": _place(because.provider),
    }


def _place(place: Place) -> dict[str, Any]:
    return {"file": place.file, "line": place.line, **({"text": place.text} if place.text else {})}


def _opaque(opaque: Opaque) -> dict[str, Any]:
    return {**_place(opaque.at), "reason": opaque.reason}


def _requirement(item: Requirement) -> dict[str, Any]:
    return {
        "object": item.object,
        "kind": item.kind,
        "strength": item.strength,
        "file": item.at.file,
        "line": item.at.line,
        "source": item.source,
        "provider": _place(item.provider) if item.provider is not None else None,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "severity": finding.severity,
        "message": finding.message,
        "at": _place(finding.at) if finding.at is not None else None,
        "remedy": finding.remedy,
        "commands": list(finding.commands),
    }


def _effect(effect: Effect) -> dict[str, Any]:
    return {"object": effect.object, "kind": effect.kind, "line": effect.line, "implied": effect.implied}


def _service(service: Service) -> dict[str, Any]:
    return {"name": service.name, "variable": service.variable, "required": service.required, "line": service.line}


def _facts(facts: FileFacts) -> dict[str, Any]:
    return {
        "file": facts.name,
        "requires": [_requirement(item) for item in facts.requires],
        "creates": [_effect(effect) for effect in facts.creates],
        "changes": [_effect(effect) for effect in facts.changes],
        "drops": [_effect(effect) for effect in facts.drops],
        "rows": list(facts.rows),
        "locks": [{"relation": lock.relation, "mode": lock.mode, "line": lock.line} for lock in facts.locks],
        "services": [_service(service) for service in facts.services],
        "risk": facts.risk,
        "risk_because": facts.risk_because,
        "declared_risk": facts.declared_risk,
        "declared_ms": facts.duration_ms,
        "impact": facts.impact,
        "after_run": facts.after_run,
    }


def _missing(item: Missing) -> dict[str, Any]:
    return {
        "requirement": _requirement(item.requirement),
        "file": item.file,
        "message": item.message,
        "cause": item.cause,
        "solution": item.solution,
        "provider": item.provider,
        "provider_state": item.provider_state,
        "missing_objects": list(item.missing_objects),
        "commands": list(item.commands),
        "blocking": item.blocking,
        "here": item.here,
    }


def _item(item: Item) -> dict[str, Any]:
    return {
        "group": item.group,
        "mark": item.mark,
        "says": item.says,
        "evidence": item.evidence,
        "at": _place(item.at) if item.at is not None else None,
        "provider": item.provider,
        "commands": list(item.commands),
    }
