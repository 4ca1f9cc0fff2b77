"""The report of a run: for a terminal, for a program, and as one page that a person hands to another.

The page holds all it shows: no script, no font, picture or style from elsewhere, and a policy that would let none in.
"""

from __future__ import annotations

from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Any

from lancio.render import svg
from lancio.render.json import plain
from lancio.render.lines import clean, counted, heading, lasted, listed, pad, width, wrap

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from lancio.executor.reports import Failure, Found, Held, Listed, Report, Said, StepReport, Waited
    from lancio.planner.model import Graph

FORMAT = 1

OUTCOMES = {
    "done": "applied",
    "failed": "failed",
    "interrupted": "interrupted",
    "lost": "connection lost",
    "": "not finished",
}
"""How a run ended, as people say it."""

MARKS = {"applied": "✓", "adopted": "✓", "edited": "✓", "skipped": "·", "failed": "✗", "interrupted": "✗",
         "unfinished": "?", "not reached": "·"}  # fmt: skip

GOOD = frozenset(("applied", "adopted", "edited"))
BAD = frozenset(("failed", "interrupted", "unfinished"))

SHOWN = 60
"""So many files are drawn in the page's picture; of more, those of the run and what they need directly."""

NAMED = 4
"""So many relations are named for one kind of lock in the text."""

OPEN = 40
"""So many statements of a step are shown open; more are folded until somebody looks."""


# --- JSON -------------------------------------------------------------------------------------------------------------


def data(report: Report) -> dict[str, Any]:
    """As `docs/reference/report.schema.json` describes it."""
    told = plain(report)
    return {
        "format": FORMAT,
        **told,
        "duration_ms": report.duration_ms,
        "waited_s": report.waited_s,
        "catalog_changed": _changed(report),
    }


def _changed(report: Report) -> bool | None:
    if not report.fingerprint_before or not report.fingerprint_after:
        return None
    return report.fingerprint_before != report.fingerprint_after


# --- text -------------------------------------------------------------------------------------------------------------


def text(report: Report, cells: int) -> str:
    """One screen: who and when, each step with what was foreseen and what was so, the failure with its solution."""
    lines = [*heading(f"RUN {report.run}: {OUTCOMES[report.outcome].upper()}", cells), ""]
    facts = [(name, value) for name, value in _facts(report) if value]
    wide = max(width(name) for name, _ in facts)
    for name, value in facts:
        lines += wrap(value, cells, first=f"{pad(f'{name}:', wide + 1)} ", rest=" " * (wide + 2))
    lines.append("")
    for step in report.steps:
        lines += _step_lines(step, len(report.steps), cells)
    for each in report.waits:
        lines += wrap(_waited(each), cells, first="! ", rest="  ")
    if report.findings:
        lines += ["", *heading("WHAT THE PLAN HAD FOUND", cells)]
        for found in report.findings:
            lines += wrap(f"{found.severity}: {found.message}", cells, first="· ", rest="  ")
    return "\n".join(lines) + "\n"


def _facts(report: Report) -> list[tuple[str, str]]:
    changed = _changed(report)
    fingerprints = "not recorded (`lancio apply --report FILE` does)"
    if report.fingerprint_before or report.fingerprint_after:
        fingerprints = f"{report.fingerprint_before[:16] or '?'} → {report.fingerprint_after[:16] or '?'}"
        if changed is not None:
            fingerprints += " (changed)" if changed else " (the same)"
    took = report.duration_ms
    return [
        ("Database", clean(report.database)),
        ("Server", f"PostgreSQL {report.server_version}"),
        ("Who", f"{clean(report.who)}, started by {clean(report.operator) or '?'} on {clean(report.host)}"),
        ("Begun", _moment(report.started_at)),
        ("Ended", f"{_moment(report.finished_at)}, after {lasted(took)}" if took is not None else "not yet, or killed"),
        ("Waited", lasted(report.waited_s * 1000) + " for locks of others" if report.waited_s else ""),
        ("Lancio", report.lancio_version),
        ("Plan", report.plan_hash[:16]),
        ("Catalog", fingerprints),
    ]


def _step_lines(step: StepReport, of: int, cells: int) -> list[str]:
    took = "" if step.duration_ms is None else f"  {lasted(step.duration_ms)}"
    if step.expected_ms is not None:
        took += f" (expected {lasted(step.expected_ms)})"
    state = "" if step.state == "applied" else f"  {step.state.upper()}"
    lines = wrap(f"{MARKS[step.state]} [{step.position}/{of}] {clean(step.file)}{state}{took}", cells, rest="  ")
    if step.state in ("not reached", "skipped"):
        return lines
    if step.edited_since:
        lines += wrap("the file in the folder is another one now", cells, first="    ! ", rest="      ")
    for locked in _locked(step):
        lines += wrap(locked, cells, first="    ", rest="      ")
    if step.verifications:
        lines += wrap(f"verified: {counted(len(step.verifications), 'check')} held", cells, first="    ")
    for wait in step.waits:
        lines += wrap(_waited(wait), cells, first="    ! ", rest="      ")
    for said in step.notices:
        lines += wrap(f"{said.severity}: {said.message}", cells, first="    · ", rest="      ")
    if step.failure is not None:
        lines += _failure_lines(step.failure, cells)
    return lines


def _failure_lines(failure: Failure, cells: int) -> list[str]:
    lines = []
    said = (
        ("", failure.message), ("Where: ", failure.where.split("\n")[0]), ("SQLSTATE: ", failure.sqlstate),
        ("Cause: ", failure.cause), ("Solution: ", failure.solution),
    )  # fmt: skip
    for name, value in said:
        if value:
            lines += wrap(f"{name}{value}", cells, first="    ", rest="      ")
    return [*lines, *(f"      {clean(command)}" for command in failure.commands)]


def _waited(each: Waited) -> str:
    what = "the runner's lock" if each.what == "runner" else each.what
    by = f", held by {', '.join(each.holders)}" if each.holders else ""
    again = f"; tried again {counted(each.retries, 'time')}" if each.retries else ""
    return f"waited {lasted(each.waited_s * 1000)} for {what}{by}{again}"


def _locked(step: StepReport) -> list[str]:
    """The locks in words, those of one kind together."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, said, taken in _locks(step):
        groups.setdefault((said, taken), []).append(clean(name))
    told = []
    for (said, taken), names in groups.items():
        on = listed(names, NAMED)
        if not taken:
            told.append(f"foreseen {said} on {on}{'' if step.state in GOOD else ', and rolled back'}")
        elif said == taken:
            told.append(f"{taken} on {on}, as foreseen")
        else:
            told.append(f"{taken} on {on}, foreseen: {said}")
    return [f"locks: {each}" for each in told]


def _locks(step: StepReport) -> list[tuple[str, str, str]]:
    """Relation, strongest mode foreseen, strongest mode held at the step's end ("" for none, and of a step that was
    rolled back). What stands in hardly anybody's way is left out where it was not foreseen either.
    """
    taken, expected = _strongest(step.locks), _strongest(step.foreseen or ())
    unknown = "not recorded" if step.foreseen is None else "none"
    return [
        (name, expected.get(name, unknown), taken.get(name, ""))
        for name in sorted(taken.keys() | expected.keys())
        if name in expected or taken[name] not in ("ACCESS SHARE", "ROW SHARE")
    ]


def _strongest(locks: Iterable[Held]) -> dict[str, str]:
    from lancio.planner.locks import MODES

    rank = {mode: at for at, mode in enumerate(MODES)}
    found: dict[str, str] = {}
    for lock in locks:
        if rank.get(lock.mode, 0) >= rank.get(found.get(lock.relation, ""), -1):
            found[lock.relation] = lock.mode
    return found


def listing(runs: Sequence[Listed]) -> list[tuple[str, ...]]:
    """The runs as rows of a table, with its head."""
    rows: list[tuple[str, ...]] = [("RUN", "BEGUN", "TOOK", "BY", "OUTCOME", "STEPS")]
    for run in runs:
        took = "" if run.finished_at is None else lasted((run.finished_at - run.started_at).total_seconds() * 1000)
        steps = f"{run.applied} applied" if run.applied or not run.taken_over else f"{run.taken_over} taken over"
        failed = f", {clean(run.failed)} failed" if run.failed else ""
        rows.append(
            (str(run.id), _moment(run.started_at), took, clean(run.who), OUTCOMES[run.outcome or ""], steps + failed)
        )
    return rows


def _moment(at: datetime | None) -> str:
    return "" if at is None else at.isoformat(sep=" ", timespec="milliseconds")


# --- the page ---------------------------------------------------------------------------------------------------------


def page(report: Report, graph: Graph | None, version: str) -> str:
    """One HTML document that needs nothing else; `version` is that of the Lancio that makes it."""
    css = resources.files("lancio.render").joinpath("report.css").read_text(encoding="utf-8")
    title = f"Run {report.run} · {OUTCOMES[report.outcome]}"
    body = [
        _header(report),
        _tiles(report),
        _broken(report),
        _about(report),
        _picture(report, graph),
        _timeline(report),
        *(_step(step, len(report.steps)) for step in report.steps),
        _findings(report.findings),
        _counters(report),
        _footer(report, version),
    ]
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{_t(title)} · Lancio</title>",
            f"<style>\n{css}</style>",
            "</head>",
            "<body>",
            "<main>",
            *(part for part in body if part),
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _footer(report: Report, version: str) -> str:
    of = f' of <span class="mono">{_t(report.database)}</span>' if report.database else ""
    return (
        f"<footer>Written by Lancio {_t(version)} from the ledger{of}. "
        "This page holds all that it shows: it asks no other host and runs no script.</footer>"
    )


def _badge(word: str, tone: str) -> str:
    return f'<span class="badge {tone}">{_t(word)}</span>'


def _header(report: Report) -> str:
    applied = sum(step.state in GOOD for step in report.steps)
    took = "" if report.duration_ms is None else f" in {lasted(report.duration_ms)}"
    said = f"{applied} of {counted(len(report.steps), 'step')} applied{took}"
    if report.failed is not None:
        said += f"; {report.failed.file} was rolled back"
    tone = "good" if report.outcome == "done" else "bad" if report.outcome else "open"
    where = f"{report.database or 'database not recorded'} · {_moment(report.started_at)}"
    return (
        f'<header><p class="brand">Lancio · report of a run</p>'
        f"<h1>Run {report.run} {_badge(OUTCOMES[report.outcome], tone)}</h1>"
        f'<p class="lead">{_t(said)}.</p><p class="quiet">{_t(where)}</p></header>'
    )


def _tiles(report: Report) -> str:
    steps = report.steps
    tiles = (
        (f"{sum(step.state in GOOD for step in steps)}/{len(steps)}", "steps applied"),
        ("–" if report.duration_ms is None else lasted(report.duration_ms), "from start to end"),
        (lasted(report.waited_s * 1000) if report.waited_s else "none", "waiting for locks of others"),
        (str(sum(len(step.statements) for step in steps)), "statements"),
        (str(sum(len(step.verifications) for step in steps)), "verifications held"),
        (str(sum(len(step.notices) for step in steps) + len(report.notices)), "notices of the server"),
    )
    return f'<ul class="tiles">{"".join(f"<li><b>{_t(value)}</b> {_t(name)}</li>" for value, name in tiles)}</ul>'


def _broken(report: Report) -> str:
    step = report.failed
    if step is None or step.failure is None:
        return ""
    failure = step.failure
    place = [step.file]
    if failure.ordinal:
        place.append(f"statement {failure.ordinal}")
    if failure.sqlstate:
        place.append(f"SQLSTATE {failure.sqlstate}")
    parts = [
        '<section class="card failure"><h2>What failed</h2>',
        f'<p class="lead">{_t(failure.message)}</p>',
        f'<p class="mono">{_t(" · ".join(place))}</p>',
    ]
    if failure.where:
        parts.append(f"<pre>{_lines(failure.where)}</pre>")
    told = (
        ("Detail", failure.detail),
        ("Hint", failure.hint),
        ("Cause", failure.cause),
        ("Solution", failure.solution),
    )
    parts.append(_list([(name, _t(value)) for name, value in told if value]))
    if failure.evidence:
        parts.append(f"<ul>{''.join(f'<li>{_t(each)}</li>' for each in failure.evidence)}</ul>")
    if failure.commands:
        parts.append(f"<pre>{_lines(chr(10).join(failure.commands))}</pre>")
    return "".join([*parts, "</section>"])


def _about(report: Report) -> str:
    changed = _changed(report)
    said = {True: "it changed", False: "it is the same", None: "not compared"}[changed]
    facts = [
        ("Database", _t(report.database)),
        ("Server", f"PostgreSQL {_t(report.server_version)}"),
        ("Role", _t(report.who)),
        ("Started by", f"{_t(report.operator) or '?'} on {_t(report.host)}"),
        ("Begun", _t(_moment(report.started_at))),
        ("Ended", _t(_moment(report.finished_at)) or "not recorded: it runs still, or its runner was killed"),
        ("Lancio", _t(report.lancio_version)),
        ("Plan", _code(report.plan_hash) or "none: nothing was run"),
    ]
    if report.fingerprint_before or report.fingerprint_after:
        facts += [
            ("Catalog before", _code(report.fingerprint_before) or "not recorded"),
            ("Catalog after", f"{_code(report.fingerprint_after) or 'not recorded'} <span>({said})</span>"),
        ]
    else:
        facts.append(("Catalog", "its fingerprints were not recorded (<code>lancio apply --report FILE</code> does)"))
    return f'<section class="card"><h2>The run</h2>{_list(facts)}</section>'


def _picture(report: Report, graph: Graph | None) -> str:
    if graph is None or not report.steps:
        return ""
    there = {facts.name for facts in graph.files}
    classes = {step.file: f"state-{step.state.replace(' ', '-')}" for step in report.steps if step.file in there}
    if not classes:
        return ""
    only: set[str] | None = None
    if len(there) > SHOWN:
        only = set(classes) | {edge.needs for name in classes for edge in graph.needs(name)}
    drawn = svg.graph(graph, f"Files of run {report.run} and what they need", only=only, classes=classes)
    key = "".join(
        f'<li><i class="key state-{state.replace(" ", "-")}"></i>{state}</li>'
        for state in dict.fromkeys(step.state for step in report.steps)
    )
    if len(classes) < len(there):
        key += '<li><i class="key"></i>not of this run</li>'
    return (
        f'<section class="card"><h2>What needs what</h2><ul class="keys">{key}</ul>'
        f'<div class="picture" tabindex="0">{drawn}</div></section>'
    )


def _timeline(report: Report) -> str:
    longest = max((max(step.duration_ms or 0, step.expected_ms or 0) for step in report.steps), default=0)
    if not longest:
        return ""
    rows = []
    for step in report.steps:
        bar = max(0.4, 100 * (step.duration_ms or 0) / longest) if step.duration_ms is not None else 0
        mark = (
            f'<i class="expected" style="left:{100 * step.expected_ms / longest:.2f}%" '
            f'title="expected {_t(lasted(step.expected_ms))}"></i>'
            if step.expected_ms
            else ""
        )
        took, expected = ("–" if each is None else _t(lasted(each)) for each in (step.duration_ms, step.expected_ms))
        fill = f'<i class="fill {_tone(step.state)}" style="width:{bar:.2f}%"></i>'
        rows.append(
            f'<tr><td><a href="#step-{step.position}">{_t(step.file)}</a></td>'
            f'<td class="bar"><div class="track">{fill}{mark}</div></td><td class="number">{took}</td>'
            f'<td class="number quiet">{expected}</td></tr>'
        )
    return (
        '<section class="card"><h2>How long it took</h2><table class="times"><thead><tr><th>Step</th><th>'
        '<span class="quiet">the mark is what was expected</span></th><th class="number">Took</th>'
        f'<th class="number">Expected</th></tr></thead><tbody>{"".join(rows)}</tbody></table>'
        '<p class="quiet small">A step took what the server says, from its BEGIN to its ledger row. Of a statement the '
        "time is that from the result before to its own, as they came to the runner: what is sent together may come "
        "together.</p></section>"
    )


def _step(step: StepReport, of: int) -> str:
    head = f'<span class="quiet">{step.position}/{of}</span> <span class="file">{_t(step.file)}</span>'
    badge = _badge(step.state, _tone(step.state))
    parts = [f'<section class="card step" id="step-{step.position}"><h2>{head} {badge}</h2>']
    facts = []
    if step.started_at is not None:
        facts.append(("Begun", _t(_moment(step.started_at))))
    if step.duration_ms is not None:
        expected = f" <span>(expected {_t(lasted(step.expected_ms))})</span>" if step.expected_ms is not None else ""
        facts.append(("Took", _t(lasted(step.duration_ms)) + expected))
    if step.risk:
        because = f" <span>{_t(step.risk_because)}</span>" if step.risk_because else ""
        facts.append(("Risk", f"{_t(step.risk)}{because}"))
    if step.origin and step.origin != "lancio":
        facts.append(("Known from", _t(step.origin)))
    if step.digest:
        facts.append(("File", f"{_code(step.digest)} <span>SHA-256</span>"))
    parts.append(_list(facts))
    if step.edited_since:
        parts.append('<p class="note">The file in the folder is another one now.</p>')
    parts += [f'<p class="note">{_t(_waited(wait))}</p>' for wait in step.waits]
    if rows := _locks(step):
        absent = '<span class="quiet">' + ("not at its end" if step.state in GOOD else step.state) + "</span>"
        cells = "".join(
            f'<tr><td class="mono">{_t(name)}</td><td>{_t(said)}</td><td>{_t(taken) or absent}</td></tr>'
            for name, said, taken in rows
        )
        parts.append(
            "<h3>Locks on what was there before</h3><table><thead><tr><th>Relation</th><th>Foreseen</th><th>Taken</th>"
            f"</tr></thead><tbody>{cells}</tbody></table>"
        )
    if step.verifications:
        checks = "".join(f"<li>{_t(each)}</li>" for each in step.verifications)
        parts.append(_folded(counted(len(step.verifications), "verification"), f'<ul class="checks">{checks}</ul>',
                             len(step.verifications)))  # fmt: skip
    if step.statements:
        cells = "".join(
            f'<tr><td class="number">{each.ordinal}</td><td class="number quiet">{each.line}</td>'
            f'<td class="mono">{_t(each.summary)}</td><td class="quiet">{_t(each.tag)}</td>'
            f'<td class="number">{"–" if each.duration_ms is None else _ms(each.duration_ms)}</td></tr>'
            for each in step.statements
        )
        table = (
            '<table><thead><tr><th class="number">#</th><th class="number">Line</th><th>Statement</th><th>Result</th>'
            f'<th class="number">ms</th></tr></thead><tbody>{cells}</tbody></table>'
        )
        parts.append(_folded(counted(len(step.statements), "statement"), table, len(step.statements)))
    if step.notices:
        parts.append(
            f"<h3>{_t(counted(len(step.notices), 'notice'))}</h3><ul class='notices'>{_said(step.notices)}</ul>"
        )
    return "".join([*parts, "</section>"])


def _said(notices: Iterable[Said]) -> str:
    return "".join(
        f"<li><b>{_t(each.severity)}</b> {_t(each.message)}"
        + (f' <span class="quiet">{_t(each.where)}</span>' if each.where else "")
        + "".join(f"<br><span class='quiet'>{_t(more)}</span>" for more in (each.detail, each.hint) if more)
        + "</li>"
        for each in notices
    )


def _findings(findings: Sequence[Found] | None) -> str:
    if not findings:
        return ""
    rows = "".join(
        f'<tr><td><span class="badge {"bad" if each.severity == "refusal" else "open"}">{_t(each.severity)}</span></td>'
        f"<td>{_t(each.message)}{f'<br><span class=quiet>{_t(each.remedy)}</span>' if each.remedy else ''}</td>"
        f'<td class="mono quiet">{_t(each.where)}</td></tr>'
        for each in findings
    )
    return f'<section class="card"><h2>What the plan had found</h2><table><tbody>{rows}</tbody></table></section>'


def _counters(report: Report) -> str:
    if report.counters is None:
        return ""
    names = ("commits", "rollbacks", "deadlocks", "conflicts", "checksum_failures")
    facts = [
        (name.replace("_", " ").capitalize(), _t(str(report.counters[name])))
        for name in names
        if report.counters.get(name) is not None
    ]
    return (
        '<section class="card"><h2>What the server had counted</h2><p class="quiet">In this database by the end of the '
        f"run; what came later is the difference from it (lancio status --since-run).</p>{_list(facts)}</section>"
    )


def _tone(state: str) -> str:
    return "good" if state in GOOD else "bad" if state in BAD else "open"


def _folded(title: str, inside: str, size: int) -> str:
    return f"<details{' open' if size <= OPEN else ''}><summary>{_t(title)}</summary>{inside}</details>"


def _list(facts: Iterable[tuple[str, str]]) -> str:
    """Names and values; the values are HTML already."""
    found = "".join(f"<div><dt>{_t(name)}</dt><dd>{value}</dd></div>" for name, value in facts)
    return f"<dl>{found}</dl>" if found else ""


def _code(text: str) -> str:
    return f"<code>{_t(text)}</code>" if text else ""


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.1f}" if milliseconds < 100 else f"{milliseconds:,.0f}"


def _lines(text: str) -> str:
    """Text whose lines are kept."""
    return "\n".join(_t(line) for line in text.split("\n"))


def _t(text: str) -> str:
    """Text as HTML has it, on one line: whatever it holds stays text."""
    return escape(clean(text))
