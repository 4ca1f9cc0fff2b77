"""The pictures of the specification: the dependency tree, the execution graph, the go and the no-go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lancio.render import groups
from lancio.render.lines import box, clean, counted, heading, lasted, listed, pad, width, wrap
from lancio.render.words import (
    Steps,
    changes,
    creates,
    duration,
    hard,
    makes_row,
    noun,
    requires,
    risk,
    row_said,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from lancio.errors import LancioError
    from lancio.planner.checklist import Line
    from lancio.planner.diagnosis import Diagnosis
    from lancio.planner.model import Because, Edge, FileFacts, FileState, Finding, Graph, Missing, Plan, Step
    from lancio.registry.state import State

EVERY_PAIR = 4
"""So many steps are compared pair by pair; with more, each is shown with what it stays behind."""

TREE_NAMES = 10
"""So many objects of one sort have a line of their own in the tree."""

ORDERED = 12
"""So many steps are listed once more in their order; more would only repeat the boxes."""

EVIDENCE = 3
"""So many objects are named for one edge; the rest is counted, and all of them are in the JSON."""


def graph(graph: Graph, cells: int, plan: Plan | None = None) -> str:
    """The whole picture: the foundation as a tree, the rest as boxes, and why they can't run side by side."""
    steps = Steps(graph)
    below = set(steps.foundation(graph))
    if plan is not None and not below:
        below = set(plan.done)
    shown = [facts for facts in graph.files if facts.name not in below]
    lines: list[str] = []
    if below:
        lines += [*heading("EXISTING MIGRATIONS (REQUIRED FOUNDATION)", cells), ""]
        lines += _tree([facts for facts in graph.files if facts.name in below], steps, graph, cells, plan)
        lines.append("")
    if shown:
        lines += [*heading(_execution_title(steps, shown), cells), ""]
        lines += _boxes(shown, steps, graph, cells, plan)
        lines.append("")
        lines += _parallel(shown, steps, graph, cells)
    lines += blind(graph, cells, told={facts.name for facts in shown})
    return joined(lines)


def tree(graph: Graph, cells: int, plan: Plan | None = None) -> str:
    """Every file of the folder with what it creates, what it needs it for, and how it stands."""
    steps = Steps(graph)
    lines = [*heading("DEPENDENCY TREE", cells), ""]
    lines += _tree(graph.files, steps, graph, cells, plan)
    lines += blind(graph, cells)
    return joined(lines)


def plan(plan: Plan, cells: int) -> str:
    """What will run, in which order, how long it is expected to take and what it locks."""
    steps = Steps(plan.graph)
    if not plan.steps:
        lines = wrap(f"Nothing to do: {counted(len(plan.done), 'file')} applied, none left.", cells)
        return joined([*lines, *_findings(plan.findings, cells)])
    lines = heading(f"PLAN: {counted(len(plan.steps), 'step')}, {len(plan.done)} already applied", cells)
    partly = {state.name: state.missing for state in plan.states if state.state == "partly applied"}
    for step in plan.steps:
        facts = step.facts
        lines += wrap(facts.name, cells, first=f"{step.position:>3}. ")
        if step.begun:
            lines += wrap(f"begun by an earlier run: {step.begun}", cells, first="     ")
        elif missing := partly.get(facts.name):
            lines += wrap(f"partly applied here, missing: {listed(missing, 8)}", cells, first="     ")
            whole = facts.ops.statements if facts.ops is not None else facts.statements
            if len(facts.statements) < len(whole):
                said = listed([f"{each.span.line}" for each in facts.statements if not each.control], 8)
                lines += wrap(f"of its statements only those of line {said} run", cells, first="     ")
        lines += wrap(f"risk {risk(facts)}", cells, first="     ")
        lines += wrap(f"duration {duration(facts, step)}", cells, first="     ")
        lines += segments_of(step, cells)
        behind = [steps.short(edge.needs) for edge in plan.graph.needs(facts.name) if hard(edge)]
        if behind:
            lines += wrap(f"after {listed(list(dict.fromkeys(behind)))}", cells, first="     ")
    known = [step.expected_ms for step in plan.steps if step.expected_ms is not None]
    lines.append("")
    total = f"Expected: {lasted(sum(known))}" if known else "Expected: not known"
    unknown = len(plan.steps) - len(known)
    rest = f", and {counted(unknown, 'step')} without a figure" if unknown and known else ""
    lines += wrap(f"{total}{rest}.", cells)
    lines += _findings(plan.findings, cells)
    return joined(lines)


def segments_of(step: Step, cells: int) -> list[str]:
    """What of a step commits together, and what stays where it ends in the middle; nothing for one transaction."""
    if step.cut is None or not step.cut.apart:
        return []
    left = {each.span.start for each in step.facts.statements}
    said = []
    for segment in step.cut.segments:
        lines = [f"{each.span.line}" for each in segment.statements if each.span.start in left]
        if lines:
            where = f"line {lines[0]}" if len(lines) == 1 else f"lines {lines[0]}-{lines[-1]}"
            said.append(f"{where} {f'alone ({segment.alone})' if segment.alone else 'one transaction'}")
    if not said:
        return wrap("all its statements ran: its verification and its ledger row are left", cells, first="     ")
    found = wrap(f"not one transaction: {listed(said, 8)}", cells, first="     ")
    return found + wrap("where it ends in the middle, those before stay and the next run goes on", cells, first="     ")


def preflight(plan: Plan, cells: int, *, server: str = "", unfold: bool = False) -> str:
    """Go or no-go, with the evidence of every item.

    `server` says in words which database was asked (`lancio_demo on 127.0.0.1:5432`), never its password. Long lists
    are folded into a count, unless `unfold` asks for all.
    """
    steps = Steps(plan.graph)
    blocking = [item for item in plan.missing if item.blocking]
    refusals = [finding for finding in plan.findings if finding.severity == "refusal"]
    lines = heading(f"PREFLIGHT{f' of {server}' if server else ''}", cells)
    lines.append("")
    wants = {service.variable: is_set for service, is_set in plan.wants}
    if plan.items:
        lines += groups.groups(plan, steps, cells, unfold=unfold)
    for step in plan.steps:
        if parts := segments_of(step, cells):
            begun = f"; begun: {step.begun}" if step.begun else ""
            lines += [*wrap(f"{step.facts.name}{begun}", cells, first="  · "), *parts, ""]
    for step in plan.steps if not plan.items else ():
        facts = step.facts
        lines += wrap(steps.title(facts.name), cells)
        shown = requires(facts, steps, plan, wants)
        if not shown:
            lines.append("  ✓ requires nothing")
        for mark, said in shown:
            lines += wrap(said, cells, first=f"  {mark} ")
    if plan.steps:
        lines.append("")
    for number, item in enumerate(plan.missing, 1):
        if number > groups.ERRORS and not unfold:
            rest = len(plan.missing) - groups.ERRORS
            lines += [*wrap(f"and {rest} more (--all tells them)", cells), ""]
            break
        lines += _missing(number, item, cells)
    lines += _findings(plan.findings, cells)
    if plan.go:
        if plan.steps:
            verdict = f"GO: {counted(len(plan.steps), 'step')} to run, every requirement met."
        else:
            verdict = f"GO: nothing to do, {counted(len(plan.done), 'file')} applied."
    else:
        parts = []
        if blocking:
            parts.append(f"{counted(len(blocking), 'requirement')} not met")
        if refusals:
            parts.append(counted(len(refusals), "refusal"))
        verdict = f"NO-GO: {listed(parts)}. Nothing was changed."
    lines += wrap(verdict, cells)
    return joined(lines)


def refusal(error: LancioError, cells: int) -> str:
    """A refusal: the message, where, the cause, the remedy and the commands that carry it out."""
    lines = [clean(line) for line in f"Error: {error.message}".splitlines()]
    if error.where:
        lines += [f"  {_printable(line)}" for line in error.where.splitlines()]
    for word, said in (("Cause", error.cause), ("Solution", error.remedy)):
        if said:
            for number, line in enumerate(said.splitlines()):
                opening = f"{word + ':':<10}" if number == 0 else " " * 10
                lines += wrap(line, cells, first=opening)
        if word == "Cause":
            lines += _seen(_texts(error.more.get("evidence")), cells)
    lines += _to_run(error.commands, _texts(error.more.get("instead")))
    if rule := error.more.get("rule"):
        lines += wrap(f"({rule}, SQLSTATE {error.more.get('sqlstate')})", cells)
    return joined(lines)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(each) for each in value) if isinstance(value, list | tuple) else ()


def _seen(evidence: Sequence[str], cells: int) -> list[str]:
    """What the migrations and the database know of it."""
    lines: list[str] = []
    for number, said in enumerate(evidence):
        lines += wrap(clean(said), cells, first=f"{'Seen:' if number == 0 else '':<10}")
    return lines


def _to_run(commands: Sequence[str], instead: Sequence[str]) -> list[str]:
    """Commands are for pasting: they are never broken; `instead` is another way to the same."""
    lines = []
    for word, listed_ in (("Run:", commands), ("Or:", instead)):
        lines += [f"{word if number == 0 else '':<10}{_pasted(each)}" for number, each in enumerate(listed_)]
    return lines


def _pasted(command: str) -> str:
    # A command may hold line ends (the text of a view); no other control character reaches a terminal.
    return "\n".join(clean(line) for line in command.split("\n"))


def diagnosis(found: Diagnosis, cells: int) -> str:
    """An error explained: what it says, where it was raised, cause, solution and commands."""
    lines = wrap(f"Error: {found.message or found.sqlstate}", cells, rest="  ")
    if found.where:
        lines += [f"  {_printable(line)}" for line in found.where.splitlines()]
    for word, said in (("Detail", found.detail), ("Cause", found.cause), ("Solution", found.solution)):
        if said:
            lines += wrap(said, cells, first=f"{word + ':':<10}")
        if word == "Cause":
            lines += _seen(found.evidence, cells)
    if found.hint and found.hint not in (found.cause, found.solution):
        lines += wrap(found.hint, cells, first="Hint:     ")
    lines += _to_run(found.commands, found.instead)
    sure = {
        "certain": "the error, the migrations or the database say so",
        "likely": "the usual reason of this error",
        "general": "its class only",
    }
    rule = f"{found.rule}, " if found.rule else ""
    state = f"SQLSTATE {found.sqlstate}, " if found.sqlstate else ""
    lines += wrap(f"({rule}{state}{found.confidence}: {sure[found.confidence]})", cells)
    return joined(lines)


def _tree(files: Iterable[FileFacts], steps: Steps, graph: Graph, cells: int, plan: Plan | None) -> list[str]:
    wanted: dict[str, list[str]] = {}
    known = {
        (place.file, because.object)
        for edge in graph.edges
        for because in edge.because
        for place in (because.provider,)
    }
    for edge in graph.edges:
        if hard(edge):
            for because in edge.because:
                wanted.setdefault(because.object, []).append(steps.short(edge.file))
    states = {state.name: state for state in plan.states} if plan is not None else {}
    lines: list[str] = []
    for facts in files:
        if lines:
            lines.append("")
        lines += wrap(facts.name, cells)
        leaves = [f"Creates: {said}{_for(said, facts, wanted, known)}" for said in creates(facts, named=TREE_NAMES)]
        leaves += [f"Changes: {said}" for said in changes(facts)]
        needs = list(dict.fromkeys(steps.short(edge.needs) for edge in graph.needs(facts.name) if hard(edge)))
        if needs:
            leaves.append(f"Needs: {listed(needs)}")
        leaves.append(f"Status: {_status(facts.name, states, plan)}")
        for number, leaf in enumerate(leaves, 1):
            last = number == len(leaves)
            lines += wrap(leaf, cells, first=f"    {'└─' if last else '├─'} ", rest=f"    {' ' if last else '│'}      ")
    return lines


def _for(said: str, facts: FileFacts, wanted: dict[str, list[str]], known: set[tuple[str, str]]) -> str:
    """`← CRITICAL FOR …` of the specification: who needs what this line makes, where it is one object."""
    for effect in facts.creates:
        if whole(effect) == said and (facts.name, effect.object) in known:
            return _arrow(wanted.get(effect.object, []))
    for row in facts.rows:
        if row_said(row) == said:
            return _arrow([name for thing, who in wanted.items() if makes_row(row, thing) for name in who])
    return ""


def _arrow(who: list[str]) -> str:
    names = list(dict.fromkeys(who))
    return f" ← needed by {listed(names, 4)}" if names else ""


def _status(name: str, states: dict[str, FileState], plan: Plan | None) -> str:
    if plan is None:
        return "must be applied (no database was asked)"
    state = states.get(name)
    if state is None:
        return "✓ applied" if name in plan.done else "✗ not applied"
    said = f"{'·' if state.state == 'unprovable' else '✓' if state.there and not state.differs else '✗'} {state.state}"
    if state.missing and state.state == "partly applied":
        said += f": {listed(state.missing, 4)} missing"
    return f"{said}{', in the ledger' if state.recorded else ''}{', EDITED since' if state.edited else ''}"


def _execution_title(steps: Steps, shown: Sequence[FileFacts]) -> str:
    first = steps.names[shown[0].name]
    group = [facts for facts in shown if facts.migration.number == shown[0].migration.number]
    alone = all(steps.names[facts.name].startswith("MIGRATION") for facts in shown[len(group) :])
    if first.startswith("STEP") and len(group) > 1 and alone and shown[0].migration.number is not None:
        digits = "".join(char for char in shown[0].name.rsplit("/", 1)[-1].split("_")[0] if char.isdigit())
        return f"MIGRATION {digits} COMPONENTS (SEQUENTIAL EXECUTION)"
    return "EXECUTION GRAPH (SEQUENTIAL EXECUTION)"


def _boxes(shown: Sequence[FileFacts], steps: Steps, graph: Graph, cells: int, plan: Plan | None) -> list[str]:
    planned = {step.facts.name: step for step in plan.steps} if plan is not None else {}
    wants = {service.variable: is_set for service, is_set in plan.wants} if plan is not None else None
    inside = cells - 4
    lines: list[str] = []
    for number, facts in enumerate(shown):
        if number:
            lines += _arrow_between(shown[number - 1], facts, steps, graph, cells)
        needed = ["Requires:"]
        for mark, said in requires(facts, steps, plan, wants):
            needed += wrap(said, inside, first=f"  {mark} ")
        if len(needed) == 1:
            needed.append("  ✓ nothing")
        made = ["Creates:"]
        for said in creates(facts):
            made += wrap(said, inside, first="  • ")
        for said in changes(facts):
            made += wrap(f"changes {said}" if not said.startswith("drops ") else said, inside, first="  • ")
        if len(made) == 1:
            made.append("  • nothing that the catalog keeps")
        after = (
            ["Post-Migration Action Required:", *wrap(facts.after_run, inside, first="  ! ")] if facts.after_run else []
        )
        end = wrap(facts.impact, inside, first="Impact: ", rest="  ") if facts.impact else []
        end += wrap(duration(facts, planned.get(facts.name)), inside, first="Duration: ", rest="  ")
        end += wrap(risk(facts), inside, first="Risk: ", rest="  ")
        blind = ["Not seen through:"] if facts.opaque else []
        for place in facts.opaque[:EVIDENCE]:
            blind += wrap(f"line {place.at.line}: {place.reason}", inside, first="  ? ")
        if len(facts.opaque) > EVIDENCE:
            blind.append(f"  ? and {counted(len(facts.opaque) - EVIDENCE, 'place')} more")
        lines += box(steps.title(facts.name), [needed, made, blind, after, end], cells, foot=number < len(shown) - 1)
    return lines


def _arrow_between(above: FileFacts, below: FileFacts, steps: Steps, graph: Graph, cells: int) -> list[str]:
    middle = cells // 2
    shaft = " " * middle + "│"
    edges = [edge for edge in graph.needs(below.name) if hard(edge)]
    direct = [edge for edge in edges if edge.needs == above.name]
    if direct:
        said = [f"Depends on {listed(_objects(direct), EVIDENCE)}"]
    elif edges:
        said = [f"Independent of {steps.short(above.name)}"]
        near = [edge for edge in edges if steps.names[edge.needs].startswith("STEP")] or edges
        origins = listed(list(dict.fromkeys(steps.short(edge.needs) for edge in near)))
        said.append(f"Depends on {listed(_objects(near), EVIDENCE)} (from {origins})")
    else:
        said = ["Depends on nothing above"]
    lines = [shaft]
    for words in said:
        lines += wrap(words, cells, first=f"{shaft} ", rest=f"{shaft}   ")
    return [*lines, " " * middle + "▼"]


def _objects(edges: Iterable[Edge]) -> list[str]:
    """What people would name first: rows and whole objects, and parts of them only where nothing else binds."""
    because = [each for edge in edges for each in edge.because]
    main = foremost(because)
    return list(dict.fromkeys(_plain(each) for each in main)) or ["what it makes"]


def foremost(because: Sequence[Because]) -> list[Because]:
    """Rows, relations and what else stands by itself; else routines and schemas; else parts such as columns."""
    ranks = [[], [], []]  # type: list[list[Because]]
    for each in because:
        part = each.kind in ("column", "constraint", "index", "trigger", "policy", "label")
        ranks[2 if part else 1 if each.kind in ("schema", "routine") else 0].append(each)
    return next((rank for rank in ranks if rank), [])


def _plain(because: Because) -> str:
    said = noun(because.object)
    return said.removesuffix(" table")


def _parallel(shown: Sequence[FileFacts], steps: Steps, graph: Graph, cells: int) -> list[str]:
    """Can they run side by side? The answer with its evidence, pair by pair or chain by chain."""
    if len(shown) < 2:
        return []
    above: dict[str, frozenset[str]] = {facts.name: _behind(graph, facts.name) for facts in shown}
    pairs = [(first, second) for at, second in enumerate(shown) for first in shown[:at]]
    tied = [(a, b) for a, b in pairs if a.name in above[b.name] or b.name in above[a.name]]
    if len(tied) == len(pairs):
        verdict = "CAN run in parallel? NO — because each of them needs another one:"
    elif tied:
        verdict = (
            f"CAN run in parallel? NO — because {len(tied)} of {counted(len(pairs), 'pair')} of steps are bound to "
            "their order:"
        )
    else:
        verdict = "CAN run in parallel? Nothing was found that binds these steps to an order."
    lines = [*wrap(verdict, cells), ""]
    if len(shown) <= EVERY_PAIR:
        for first, second in pairs:
            lines += _pair(first, second, above, steps, graph, cells)
    else:
        for facts in shown:
            edges = [edge for edge in graph.needs(facts.name) if hard(edge)]
            lines += wrap(steps.title(facts.name), cells, first="  ")
            if not edges:
                lines += wrap("stays behind nothing", cells, first="    ")
            for edge in _strongest(edges):
                lines += _evidence(edge, steps, cells, indent="    ")
    waves = _waves(shown, above)
    if len(shown) > 1 and len(waves) < len(shown):
        lines.append("")
        lines += wrap("By their needs alone they would fall into these waves:", cells)
        for number, wave in enumerate(waves, 1):
            lines += wrap(
                listed(
                    [
                        steps.names[name].capitalize() if len(steps.names[name]) > 9 else steps.short(name)
                        for name in wave
                    ],
                    12,
                ),
                cells,
                first=f"  {number}. ",
            )
    if len(shown) > ORDERED:
        return lines
    lines.append("")
    lines += wrap(f"Recommended order: {' → '.join(steps.short(facts.name) for facts in shown)}", cells, rest="  ")
    return lines


def _behind(graph: Graph, name: str) -> frozenset[str]:
    """The files before `name` by what the SQL says; an order that only names give binds nothing."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        for edge in graph.needs(waiting.pop()):
            if hard(edge) and edge.needs not in seen:
                seen.add(edge.needs)
                waiting.append(edge.needs)
    return frozenset(seen)


def _pair(
    first: FileFacts, second: FileFacts, above: dict[str, frozenset[str]], steps: Steps, graph: Graph, cells: int
) -> list[str]:
    a, b = steps.names[first.name], steps.names[second.name]
    direct = [edge for edge in graph.needs(second.name) if edge.needs == first.name and hard(edge)]
    if direct:
        lines = wrap(f"{a} ─► {b}: NO, {b} stays behind {a}", cells, first="  ")
        for edge in _strongest(direct):
            lines += _evidence(edge, steps, cells, indent="    ", named=False)
        return lines
    if first.name in above[second.name]:
        through = [name for name in above[second.name] if first.name in above.get(name, frozenset())]
        return wrap(
            f"{a} ─► {b}: NO, through {listed([steps.names.get(name, name) for name in sorted(through)])}",
            cells,
            first="  ",
        )
    said = f"{a} · {b}: nothing that both touch was found; their names alone give the order"
    if first.opaque or second.opaque:
        said += ", and a place that cannot be seen through could bind them"
    return wrap(said, cells, first="  ")


def _evidence(edge: Edge, steps: Steps, cells: int, *, indent: str, named: bool = True) -> list[str]:
    kind = edge.hazard.replace("-", " ") + ("" if edge.strength == "hard" else f", {edge.strength}")
    opening = f"after {steps.short(edge.needs)}" if named else "because of"
    ordered = [*foremost(edge.because), *(each for each in edge.because if each not in foremost(edge.because))]
    lines: list[str] = []
    if named or len(ordered) > 1:
        lines += wrap(f"{opening} {counted(len(ordered), 'object')} ({kind})", cells, first=f"{indent}└─ ")
        indent += "   "
    for because in ordered[:EVIDENCE]:
        tail = "" if named or len(ordered) > 1 else f" ({kind})"
        said = f"{because.object}{tail}: {because.at}, {_role(edge)} {because.provider}"
        lines += wrap(said, cells, first=f"{indent}└─ ")
    if len(ordered) > EVIDENCE:
        lines += wrap(f"and {len(ordered) - EVIDENCE} more", cells, first=f"{indent}└─ ")
    return lines


def _strongest(edges: Sequence[Edge]) -> list[Edge]:
    """Of each pair the edges that bind it most: a late need adds nothing where the file itself needs it."""
    strong = {edge.needs for edge in edges if edge.strength in ("hard", "row", "external")}
    return [edge for edge in edges if edge.needs not in strong or edge.strength in ("hard", "row", "external")]


def _role(edge: Edge) -> str:
    return {"read-after-write": "made at", "write-after-read": "used at", "write-after-write": "written at"}[
        edge.hazard
    ]


def _waves(shown: Sequence[FileFacts], above: dict[str, frozenset[str]]) -> list[list[str]]:
    waves: list[list[str]] = []
    level: dict[str, int] = {}
    for facts in shown:
        at = max((level[name] + 1 for name in above[facts.name] if name in level), default=0)
        level[facts.name] = at
        while len(waves) <= at:
            waves.append([])
        waves[at].append(facts.name)
    return waves


def blind(graph: Graph, cells: int, told: Collection[str] = ()) -> list[str]:
    """What the reading could not settle; the places of the files in `told` were shown with their boxes."""
    opaque = [place for place in graph.opaque if place.at.file not in told]
    lines: list[str] = []
    if graph.unprovided:
        lines += ["", *wrap("No file provides, so the database must have:", cells)]
        for item in graph.unprovided:
            lines += wrap(f"{item.object}, needed at {item.at}", cells, first="  ✗ ")
    if opaque:
        lines += ["", *wrap(f"The reading cannot see through {counted(len(opaque), 'place')}:", cells)]
        for place in opaque:
            lines += wrap(f"{place.at}: {place.reason}", cells, first="  ? ")
    return [*lines, *_findings(graph.findings, cells)]


def _findings(findings: Sequence[Finding], cells: int) -> list[str]:
    lines: list[str] = []
    for finding in findings:
        mark = {"refusal": "✗", "warning": "!", "note": "·"}[finding.severity]
        place = f" ({finding.at})" if finding.at is not None else ""
        lines += wrap(f"{finding.message}{place} [{finding.rule}]", cells, first=f"  {mark} ")
        if finding.remedy:
            lines += wrap(finding.remedy, cells, first="    → ", rest="      ")
        lines += [f"      {clean(command)}" for command in finding.commands]
    return ["", *lines, ""] if lines else []


def _missing(number: int, item: Missing, cells: int) -> list[str]:
    sort = "Error" if item.blocking else "Warning"
    requirement = item.requirement
    lines = wrap(f"{sort} {number}: {item.message}", cells, rest="  ")
    lines += wrap(f"{requirement.object}, needed at {requirement.at}", cells, first="  Needed:   ")
    if item.provider:
        state = f", {item.provider_state} here" if item.provider_state else ""
        lines += wrap(f"{item.provider}{state}", cells, first="  Provider: ")
        if item.missing_objects and item.provider_state == "partly applied":
            lines += wrap(f"missing of it: {listed(item.missing_objects, 6)}", cells, first="            ")
    elif requirement.kind != "data":
        lines += wrap("none of the files", cells, first="  Provider: ")
    if item.here:
        lines += wrap(item.here, cells, first="  State:    ")
    lines += wrap(item.cause, cells, first="  Cause:    ")
    lines += wrap(item.solution, cells, first="  Solution: ")
    lines += [f"    {clean(line)}" for line in item.commands]
    return [*lines, ""]


def _printable(line: str) -> str:
    """A line of SQL with its caret: spaces stay where they are, control characters do not reach the terminal."""
    return "".join(
        " " if char == "\t" else char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line
    )


def joined(lines: Iterable[str]) -> str:
    """Lines joined, without trailing spaces, runs of empty lines and an empty end."""
    out: list[str] = []
    for line in lines:
        if line.strip() or (out and out[-1]):
            out.append(line.rstrip())
    while out and not out[-1]:
        out.pop()
    return "\n".join(out) + "\n" if out else ""


def table(rows: Sequence[Sequence[str]], *, gap: int = 2) -> str:
    """Columns under each other, each as wide as its widest cell."""
    widths = [max(width(row[at]) for row in rows) for at in range(len(rows[0]))] if rows else []
    return joined("".join(pad(cell, size + gap) for cell, size in zip(row, widths, strict=True)) for row in rows)


def diagram(state: State, cells: int) -> str:
    """The specification's state diagram: each line ticked from a fact, or unticked with its reason."""
    lines: list[str] = heading("MIGRATION STATE", cells)
    lines.append("")
    inside = cells - 4
    middle = cells // 2
    for number, stage in enumerate(state.stages):
        if number:
            lines += [" " * middle + "│", " " * middle + "▼"]
        last = number == len(state.stages) - 1
        body: list[str] = []
        for line in stage.lines:
            body += _line(line, inside, {True: "✓", False: "✗", None: "·"})
        if last:
            for said in state.to_do:
                body += wrap(f"Next: {said}", inside, first="→ ")
        lines += box(f"[{stage.title}]", [body], cells, foot=not last)
    lines += ["", *wrap(f"State: {state.stands}", cells)]
    return joined(lines)


def _line(line: Line, cells: int, marks: dict[bool | None, str]) -> list[str]:
    mark = marks[line.ticked]
    said = wrap(line.says, cells, first=f"{mark} ")
    if line.reason:
        said += wrap(line.reason, cells, first=f"{' ' * width(mark)}   ")
    return said
