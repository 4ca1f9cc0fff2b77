"""What would run here, in which order, and may it?

The steps are bound over the live catalog as the folder was bound over an empty one: what stays unmet is the no-go.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from lancio.catalog import profile as profiles
from lancio.catalog.model import Name
from lancio.planner import needed, overtaken, segments, squashed, ways
from lancio.planner import outcomes as outcomes_
from lancio.planner import states as judging
from lancio.planner.bind import Binder
from lancio.planner.model import Finding, Missing, Place, Plan, Requirement, Step
from lancio.planner.rows import contradicts, identifier
from lancio.reading.model import FileOps

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from lancio.catalog.model import Live
    from lancio.planner.model import FileFacts, FileState, Graph, Lock, Service
    from lancio.planner.outcomes import Outcomes
    from lancio.reading.model import Op, Statement


Names = frozenset[str]
"""What a live database has, as kind and full name: "relation platform.projects"."""

LEDGER = "lancio"
"""The schema of the ledger."""


def make(
    graph: Graph,
    live: Live,
    *,
    ledger: Mapping[str, str],
    durations: Mapping[str, int],
    environ: Mapping[str, str],
    to: str | None = None,
    only: Sequence[str] = (),
    minimal: bool = False,
    folder: str | None = None,
    psql: Callable[[str], str] | None = None,
    begun: Collection[str] = (),
    in_progress: Mapping[str, tuple[segments.Ran, ...]] | None = None,
    outcomes: Outcomes | None = None,
    origins: Mapping[str, str] | None = None,
    adopted: Collection[str] = (),
) -> Plan:
    """The plan for a live database.

    `ledger` maps the names of recorded files to the checksums they were applied with, `origins` to where the record
    comes from, `durations` to the milliseconds they took, and `begun` names files that were sent and are not recorded,
    `in_progress` the statements of those of which some ran;
    `adopted` are those that will be recorded without being run, and need not run. `outcomes` is what the files leave,
    where that is known already. `to` ends the plan at a file, `only` names the files to run, `minimal` leaves out what
    `to` does not need. `folder` is how a command names the folder, and `psql` gives the command that runs a file by
    psql. Nothing here touches the database.
    """
    commands = _Commands(graph, folder or graph.folder, psql or _plain_psql)
    there = frozenset(f"{name.kind} {name.full}" for name in live.catalog.names)
    outcome = outcomes if outcomes is not None else outcomes_.of(graph, profiles.load(graph.server_version))
    states = judging.judge(graph, live, ledger, outcome, origins)
    half = _half(graph, in_progress or {})
    invalid = _invalid_indexes(graph, live)
    states = tuple(_begun(each, half.get(each.name), invalid.get(each.name, ())) for each in states)
    by_name = {state.name: state for state in states}
    chosen = _chosen(graph, to, only)
    left: set[str] = set()
    if minimal and to is not None:
        least = needed.least(graph, to)
        left = {
            facts.name
            for facts in chosen
            if facts.name not in least and not (by_name[facts.name].recorded or by_name[facts.name].there)
        }
        chosen = [facts for facts in chosen if facts.name in least]
    # Named by itself, a recorded file runs again where something of it is not there any more.
    again = {name for name in only if by_name[name].state in ("not applied", "partly applied")}
    again |= {state.name for state in states if state.again}
    baselines = squashed.judge(graph, ledger, states)
    done = tuple(
        facts.name
        for facts in chosen
        if facts.name in adopted
        or facts.name in baselines.known
        or (by_name[facts.name].recorded and facts.name not in again)
    )
    pending = [
        _behind(facts, half[facts.name])
        if facts.name in half
        else (facts if by_name[facts.name].again else _rest(facts, by_name[facts.name]))
        for facts in chosen
        if facts.name not in done
    ]
    cuts = _cuts(graph, live, [facts if facts.name not in half else graph.file(facts.name) for facts in pending])
    answerer = _Answers(graph, live, by_name, commands, there, begun)
    missing = answerer.missing(pending)
    steps = tuple(
        Step(
            # The files alone do not know the relations that no file makes.
            replace(facts, requires=answerer.here(facts), locks=answerer.locks.get(facts.name, facts.locks)),
            position,
            durations.get(facts.name, facts.duration_ms),
            measured=facts.name in durations,
            cut=cuts[facts.name],
            begun=by_name[facts.name].begun,
        )
        for position, facts in enumerate(pending, 1)
    )
    findings = [
        *graph.findings,
        *_edited(states, commands),
        *_server(pending, live),
        *_unsendable(pending, cuts),
        *_changed_behind(half, {facts.name for facts in pending}),
        *_invalid(invalid, {facts.name for facts in pending}, live),
        *_doubtful(half, {facts.name for facts in pending}, commands.folder),
        *_gone(states, commands),
        *_changed(states, commands),
        *baselines.findings,
        *_again(states, {facts.name for facts in pending}),
        *_strange(graph, ledger, baselines.names),
        *_own(pending),
        *_read_only(pending, live),
        *needed.left_out(graph, {facts.name for facts in pending}, left),
        *overtaken.findings(
            graph,
            profiles.load(graph.server_version),
            states,
            {facts.name for facts in pending},
            only,
            commands.apply,
        ),
    ]
    wants = tuple((service, service.variable in environ) for facts in pending for service in facts.services)
    missing += _services(pending, environ)
    return Plan(graph, steps, done, states, tuple(missing), tuple(findings), wants)


def _plain_psql(path: str) -> str:
    return f'psql "$DATABASE_URL" -f {path}'


def _chosen(graph: Graph, to: str | None, only: Sequence[str]) -> list[FileFacts]:
    if only:
        return [facts for facts in graph.files if facts.name in only]
    chosen = []
    for facts in graph.files:
        chosen.append(facts)
        if facts.name == to:
            break
    return chosen


def _rest(facts: FileFacts, state: FileState) -> FileFacts:
    """What is left to do of a file: all of it, or those of its statements that did not run here."""
    if not (state.there or state.state == "partly applied"):
        return facts
    # What was to hold at the first application only is not asked of a file that ran here before, by psql.
    facts = replace(facts, checks=tuple(check for check in facts.checks if not check.once))
    if state.left is None or facts.ops is None:
        return facts
    controls = {ordinal for ordinal, each in enumerate(facts.statements) if each.control}
    left = controls.union(state.left)
    ops = FileOps(
        facts.ops.statements,
        tuple(op for op in facts.ops.ops if op.statement in left),
        facts.ops.directives,
        facts.ops.problems,
    )
    return replace(facts, statements=tuple(facts.statements[each] for each in sorted(left)), ops=ops)


# Findings of the plan.


def _edited(states: Sequence[FileState], commands: _Commands) -> list[Finding]:
    return [
        Finding(
            "edited",
            "refusal",
            f"{state.name} was edited after it was applied",
            None,
            "Put its text back, and write the change as a new migration; or, if the database is as the file says: "
            + commands.adopt(state.name),
        )
        for state in states
        if state.edited
    ]


def _again(states: Sequence[FileState], pending: Collection[str]) -> list[Finding]:
    """Repeatable files that run again."""
    return [
        Finding(
            "repeatable", "note", f"{state.name} ran here and was changed since; it is repeatable, so it runs again"
        )
        for state in states
        if state.again and state.name in pending
    ]


def _strange(graph: Graph, ledger: Mapping[str, str], replaced: Collection[str]) -> list[Finding]:
    """Files that the ledger has and the folder lacks; some have only got another name, or stand in a baseline."""
    names = {facts.name for facts in graph.files}
    strange = [name for name in sorted(ledger) if name not in names and name not in replaced]
    # The checksum of a large file takes as long as a tenth of its plan.
    new = [facts for facts in graph.files if facts.name not in ledger] if strange else []
    by_text = {facts.migration.checksum: facts.name for facts in new}
    found = []
    for name in strange:
        checksum = ledger[name]
        if (now := by_text.get(checksum)) is not None:
            message = f"{name} is recorded as applied and is called {now} in this folder"
            remedy = f"Give the file its name back: the ledger knows it as {name}, and {now} would run once more."
            found.append(Finding("renamed", "refusal", message, None, remedy))
        else:
            message = f"{name} is recorded as applied and is not in this folder"
            found.append(
                Finding("unknown", "warning", message, None, "Is this the folder, and the database, you meant?")
            )
    return found


def _read_only(pending: Sequence[FileFacts], live: Live) -> list[Finding]:
    if not pending or not live.read_only:
        return []
    message = "this database takes no changes: it is a standby, or its default_transaction_read_only is on"
    return [Finding("read-only", "refusal", message, None, "Connect to the primary, or switch the setting off.")]


def _own(pending: Sequence[FileFacts]) -> list[Finding]:
    """Files that reach into the schema of Lancio's ledger."""
    found = []
    for facts in pending:
        for op in facts.ops.ops if facts.ops is not None else ():
            names = {
                op.ref.schema,
                op.ref.name if op.ref.kind == "schema" else None,
                *(each.schema for each in op.ref.of),
            }
            unlocks = op.verb == "call" and op.ref.name == "pg_advisory_unlock_all"
            if unlocks:
                place = _place(facts, op)
                message = f"{place} gives back all advisory locks, the runner's among them"
                found.append(Finding("ledger", "refusal", message, place, "Unlock by key: pg_advisory_unlock(…)."))
                break
            if LEDGER in names and op.verb != "read":
                place = _place(facts, op)
                message = f"{place} changes the schema {LEDGER}, in which the ledger is kept"
                found.append(
                    Finding("ledger", "refusal", message, place, "Use another schema for objects of your own.")
                )
                break
    return found


def _place(facts: FileFacts, op: Op) -> Place:
    # Of a file that is finished, fewer statements are sent than were read.
    statements = facts.ops.statements if facts.ops is not None else facts.statements
    return Place(facts.name, op.span.line, statements[op.statement].summary)


def _gone(states: Sequence[FileState], commands: _Commands) -> list[Finding]:
    return [
        Finding(
            "gone",
            "warning",
            f"{state.name} is recorded as applied, but "
            + (f"{', '.join(state.missing[:5])} is missing" if state.missing else "nothing that it makes is there"),
            None,
            "Run it again, if it may be run again:",
            (*commands.psql([state.name]), commands.apply([state.name])),
        )
        for state in states
        if state.recorded and not state.again and state.state in ("partly applied", "not applied")
    ]


def _changed(states: Sequence[FileState], commands: _Commands) -> list[Finding]:
    return [
        Finding(
            "changed",
            "warning",
            f"{state.name} ran here in another version: {'; '.join(state.differs[:3])}",
            None,
            "Write what it lacks as a new migration, or put the database back; this shows what mends each difference:"
            if state.recorded
            else "Write what it lacks as a new migration. If the database is as it should be, take the file as it is:",
            (commands.drift() if state.recorded else commands.adopt(state.name),),
        )
        for state in states
        if state.state == "changed since" and not state.again
    ]


def _server(pending: Sequence[FileFacts], live: Live) -> list[Finding]:
    found = []
    for facts in pending:
        minimum = facts.minimum_version
        if live.version < minimum:
            wanted = str(minimum // 10000) if minimum >= 100000 else f"{minimum // 10000}.{minimum // 100 % 100}"
            found.append(
                Finding(
                    "server",
                    "refusal",
                    f"{facts.name} requires PostgreSQL {wanted} or newer; this server is {live.version // 10000}",
                    None,
                    "Upgrade the server.",
                )
            )
    return found


def _unsendable(pending: Sequence[FileFacts], cuts: Mapping[str, segments.Cut]) -> list[Finding]:
    """Files that cannot be sent: not as one transaction, and not as several."""
    found = []
    for facts in pending:
        controls = [statement for statement in facts.statements if statement.control]
        read_only = re.search(r"(?i)\bread\s+only\b", controls[0].sql) if controls else None
        if read_only is None:
            spoken = (each for each in facts.statements if each.summary.startswith("SET"))
            found += [_set_read_only(facts, each) for each in spoken if _READ_ONLY.search(each.sql)]
        if read_only:
            place = Place(facts.name, controls[0].span.line, controls[0].summary)
            message = f"{place}: a read-only transaction cannot write its ledger row"
            found.append(Finding("transaction", "refusal", message, place, "Take READ ONLY away."))
        for statement, message, cause, remedy in cuts[facts.name].problems:
            place = Place(facts.name, statement.span.line, statement.summary)
            found.append(Finding("transaction", "refusal", f"{place}: {message}", place, f"{cause} {remedy}"))
    return found


def _cuts(graph: Graph, live: Live, pending: Sequence[FileFacts]) -> dict[str, segments.Cut]:
    """Each file's segments; what procedures do is looked for where a file calls one."""
    ending: frozenset[str] = frozenset()
    if any(each.sql[:4].lower() == "call" for facts in pending for each in facts.statements):
        ending = segments.committing(each for facts in graph.files for each in facts.statements) | {
            each.name.name
            for each in live.catalog.objects.values()
            if each.name.kind == "routine" and segments.commits(each.facts.get("definition", ""))
        }
    return {facts.name: segments.cut(facts, live.major, ending) for facts in pending}


def _half(graph: Graph, in_progress: Mapping[str, tuple[segments.Ran, ...]]) -> dict[str, segments.Begun]:
    """How far the files are of which some statements ran."""
    return {
        facts.name: segments.begun(facts, in_progress[facts.name]) for facts in graph.files if facts.name in in_progress
    }


def _begun(state: FileState, half: segments.Begun | None, invalid: Sequence[str]) -> FileState:
    if invalid:
        said = tuple(f"index {each} is invalid: an attempt to build it was cut off" for each in invalid)
        state = replace(state, disagrees=(*state.disagrees, *said))
    if half is None or not half.of:
        return state
    whole = len(half.done) == half.of and state.state == "applied"
    return replace(
        state, state=state.state if whole else "partly applied", settled=False, begun=half.says, because="", left=None
    )


def _behind(facts: FileFacts, half: segments.Begun) -> FileFacts:
    """What a run that began a file has left of it."""
    whole = segments.whole(facts)
    done = {each.span.start for at, each in enumerate(whole, 1) if at in half.done}
    statements = tuple(each for each in facts.statements if each.span.start not in done)
    if facts.ops is None:
        return replace(facts, statements=statements)
    ordinals = {at for at, each in enumerate(facts.ops.statements) if each.span.start not in done}
    ops = tuple(op for op in facts.ops.ops if op.statement in ordinals or op.verb == "set" or op.statement < 0)
    return replace(
        facts,
        statements=statements,
        ops=FileOps(facts.ops.statements, ops, facts.ops.directives, facts.ops.problems),
    )


def _changed_behind(half: Mapping[str, segments.Begun], pending: Collection[str]) -> list[Finding]:
    """Files that were edited where they have run."""
    found = []
    for name, begun in half.items():
        for ran, now in begun.changed if name in pending else ():
            place = Place(name, now.span.line if now is not None else ran.line, ran.summary)
            found.append(
                Finding(
                    "edited",
                    "refusal",
                    f"{place} was edited after it ran: statement {ran.ordinal} was {ran.summary}, at line {ran.line}",
                    place,
                    "Put its text back: what stands behind the statements that ran may be changed, they may not.",
                )
            )
    return found


def _invalid_indexes(graph: Graph, live: Live) -> dict[str, tuple[str, ...]]:
    """Indexes that are left invalid, by the file that makes them; under "" those that none makes."""
    makers = {effect.name: facts.name for facts in graph.files for effect in facts.creates if effect.kind == "relation"}
    found: dict[str, tuple[str, ...]] = {}
    for each in live.catalog.objects.values():
        if each.facts.get("valid") == "no":
            maker = makers.get(each.name.full, "")
            found[maker] = (*found.get(maker, ()), each.name.full)
    return found


def _invalid(invalid: Mapping[str, tuple[str, ...]], pending: Collection[str], live: Live) -> list[Finding]:
    """Indexes that no query uses, though each writing keeps them."""
    found = []
    for name, indexes in invalid.items():
        for index in indexes:
            message = f"index {index} is invalid: an attempt to build it CONCURRENTLY failed or was cut off"
            remedy = f"{name} drops it and builds it anew."
            commands: tuple[str, ...] = ()
            if name not in pending:
                remedy = "No query uses it, and every write keeps it. Build it anew, or drop it if it is not wanted."
                again = "REINDEX INDEX CONCURRENTLY" if live.version >= REINDEX_CONCURRENTLY else "REINDEX INDEX"
                named = ".".join(identifier(part) for part in index.split(".", 1))
                commands = tuple(
                    f"psql \"$DATABASE_URL\" -c '{sql} {named}'" for sql in (again, "DROP INDEX CONCURRENTLY")
                )
            found.append(Finding("invalid-index", "warning", message, None, remedy, commands))
    return found


REINDEX_CONCURRENTLY = 120000


def _doubtful(half: Mapping[str, segments.Begun], pending: Collection[str], folder: str) -> list[Finding]:
    """Statements that were sent without an answer, and of which the catalog tells nothing."""
    found = []
    for name, begun in half.items():
        for ran in begun.doubts if name in pending else ():
            place = Place(name, ran.line, ran.summary)
            found.append(
                Finding(
                    "in-doubt",
                    "refusal",
                    f"{place} was sent, and nothing tells whether it was carried out: the run ended before its answer",
                    place,
                    "Look at what it does. If it was done, go on behind it; if not, or if it may run again, send it "
                    "again:",
                    (f"lancio apply {folder} --done {place}", f"lancio apply {folder} --again {place}"),
                )
            )
    return found


_READ_ONLY = re.compile(
    r"(?i)\btransaction\b.*\bread\s+only\b|\btransaction_read_only\b\s*(?:=|to)\s*'?(?:on|true|1|yes)"
)


def _set_read_only(facts: FileFacts, statement: Statement) -> Finding:
    place = Place(facts.name, statement.span.line, statement.summary)
    message = f"{place}: a read-only transaction cannot write its ledger row"
    return Finding("transaction", "refusal", message, place, "Take the statement away.")


def _services(pending: Sequence[FileFacts], environ: Mapping[str, str]) -> list[Missing]:
    return [
        _service(facts, service)
        for facts in pending
        for service in facts.services
        if service.required and service.variable and service.variable not in environ
    ]


def _service(facts: FileFacts, service: Service) -> Missing:
    place = Place(facts.name, service.line)
    needed = Requirement(f"service {service.name}", "service", "external", place, "missing")
    return Missing(
        needed,
        facts.name,
        f"{service.variable} is not set",
        f"{facts.name} requires the service {service.name}, whose address {service.variable} gives.",
        f"Set {service.variable} and run again.",
        commands=(f"export {service.variable}=…",),
    )


# What is missing.


class _Commands:
    """The command lines that a remedy is made of."""

    def __init__(self, graph: Graph, folder: str, psql: Callable[[str], str]) -> None:
        # Of a file that is parted or has places to be filled, psql would run something else.
        whole = (facts for facts in graph.files if facts.migration.source is None)
        self.paths = {facts.name: str(facts.migration.path) for facts in whole}
        self.folder = folder
        self._psql = psql

    def psql(self, names: Sequence[str]) -> tuple[str, ...]:
        """One psql line a file, where psql can run all of them."""
        return tuple(self._psql(self.paths[name]) for name in names) if self.paths.keys() >= set(names) else ()

    def apply(self, names: Sequence[str]) -> str:
        """Lancio's own command for the same."""
        return f"lancio apply {self.folder} " + " ".join(f"--only {name}" for name in names)

    def drift(self) -> str:
        """The command that names each difference."""
        return f"lancio drift {self.folder}"

    def adopt(self, name: str) -> str:
        """The command that takes an edited file as it is."""
        return f"lancio adopt {self.folder} --edited {name}"


class _Answers:
    """Binds the steps over the live catalog, and answers what stays unmet."""

    def __init__(
        self,
        graph: Graph,
        live: Live,
        states: Mapping[str, FileState],
        commands: _Commands,
        there: Names,
        begun: Collection[str],
    ) -> None:
        self.graph = graph
        self.begun = begun
        self.live = live
        self.states = states
        self.commands = commands
        self.there = there
        self.unmet: dict[str, set[tuple[str, str]]] = {}
        self.locks: dict[str, tuple[Lock, ...]] = {}

    def here(self, facts: FileFacts) -> tuple[Requirement, ...]:
        """The requirements of a file as this database meets them: what no file makes may be there already."""
        unmet = self.unmet.get(facts.name, set())
        return tuple(
            replace(requirement, source="database")
            if requirement.source == "missing" and (requirement.kind, requirement.object) not in unmet
            else requirement
            for requirement in facts.requires
        )

    def missing(self, pending: Sequence[FileFacts]) -> list[Missing]:
        """Every requirement of the steps that neither the database nor an earlier step meets."""
        profile = profiles.load(self.live.major)
        files = [(facts.migration, facts.ops) for facts in pending if facts.ops is not None]
        binder = Binder(self.live.catalog.copy(), profile, files, self.live.answers)
        found: list[Missing] = []
        asked: set[tuple[str, str]] = set()
        for index, facts in enumerate(pending):
            bound = binder.file(index)
            self.locks[facts.name] = binder.locks()
            for requirement in bound.missing():
                if self.met(requirement) or (requirement.kind == "name" and self.resumable(facts)):
                    continue
                self.unmet.setdefault(facts.name, set()).add((requirement.kind, requirement.object))
                key = _once(requirement)
                if requirement.kind == "name" and self.states[facts.name].there:
                    key = ("name", facts.name)  # one word for all that it made
                if key not in asked:
                    asked.add(key)
                    found.append(self.answer(facts, requirement))
            found.extend(self._extensions(facts))
        for index, requirements in binder.late().items():
            for requirement in requirements:
                key = _once(requirement)
                if requirement.source == "missing" and key not in asked:
                    asked.add(key)
                    found.append(self.answer(pending[index], requirement, blocking=False))
        return found

    def met(self, requirement: Requirement) -> bool:
        """Whether the database answers that it is so."""
        return bool(requirement.probe) and self.live.answers.get(requirement.probe) is True

    def resumable(self, facts: FileFacts) -> bool:
        """Whether what a statement makes that stands alone is there because that very statement was cut off."""
        if not any(each.alone for each in facts.statements):
            return False
        parts = [effect.name.partition(".") for effect in facts.creates]
        made = [self.live.catalog.find(Name("relation", schema, name)) for schema, _, name in parts]
        return facts.name in self.begun or any(each and each.facts.get("valid") == "no" for each in made)

    def _extensions(self, facts: FileFacts) -> list[Missing]:
        """Extensions that a step would create: can they be installed here, by this role?"""
        found = []
        for effect in facts.creates:
            if effect.kind != "extension":
                continue
            if f"extension {effect.name}" in self.there:
                continue
            place = Place(facts.name, effect.line, effect.object)
            needed = Requirement(f"extension {effect.name} to be installable", "extension", "hard", place, "missing")
            allowed = self.live.superuser or (effect.name in self.live.trusted and self.live.can_create)
            if self.live.extensions is None:
                continue  # the server cannot tell
            if effect.name not in self.live.extensions:
                found.append(
                    Missing(
                        needed,
                        facts.name,
                        f'extension "{effect.name}" is not available',
                        "The server has no control file for it: its package is not installed there.",
                        "Install it on the server (PostgreSQL's contrib package has most of them).",
                    )
                )
            elif not allowed:
                found.append(
                    Missing(
                        needed,
                        facts.name,
                        f'permission denied to create extension "{effect.name}"',
                        f"The role {self.live.user} may not create it: that needs a superuser, or from PostgreSQL 13 "
                        "on a trusted extension and the right CREATE on the database.",
                        "Let a superuser create it once, then run again.",
                        commands=(f"psql -c 'CREATE EXTENSION {effect.name}' {self.live.database}",),
                    )
                )
        return found

    # One answer.

    def answer(self, facts: FileFacts, requirement: Requirement, *, blocking: bool = True) -> Missing:
        """Cause, provider, its state, and what to type, in the specification's words."""
        known = self._in_graph(facts, requirement)
        message = requirement.message or (known.message if known else "") or _message(requirement)
        if requirement.kind == "name":
            return self._name_taken(facts, requirement, message)
        if requirement.kind == "dependents":
            return Missing(
                requirement,
                facts.name,
                message,
                f"{requirement.object.split(': ', 1)[-1]} would be left without what it stands on.",
                "Drop or change that first, in this file or an earlier one; or write CASCADE if it may go too.",
            )
        provider = known.provider.file if known is not None and known.provider is not None else ""
        if not provider:
            provider = self._maker(requirement)
        if not provider or provider == facts.name:
            return Missing(
                requirement,
                facts.name,
                message,
                "No file of this folder makes it, and the database does not have it.",
                "Add the migration that makes it, or make it by hand, and run again.",
                blocking=blocking,
            )
        state = self.states[provider]
        applied = {each for each, other in self.states.items() if other.there or other.recorded}
        partly = state.state == "partly applied"
        cause, solution, files = ways.way(self.graph, facts.name, provider, applied - {provider}, partly=partly)
        return Missing(
            requirement,
            facts.name,
            message,
            cause,
            solution,
            provider,
            state.state,
            state.missing,
            (*self.commands.psql(files), self.commands.apply(files)),
            blocking,
        )

    def _in_graph(self, facts: FileFacts, requirement: Requirement) -> Requirement | None:
        """The same requirement as the folder's own graph knows it, with its provider."""
        same_kind = [each for each in facts.requires if each.kind == requirement.kind]
        for each in same_kind:
            if each.object == requirement.object:
                return each
        name = requirement.object.split(" ", 1)[-1]
        for each in same_kind:
            if each.object.split(" ", 1)[-1] == name or each.object.split(" ")[-1] == name:
                return each
        for each in same_kind:
            if each.row is not None and requirement.row is not None and each.row.values == requirement.row.values:
                return each
        return None

    def _maker(self, requirement: Requirement) -> str:
        """The file that makes an object of that name, when the graph did not need to know."""
        name = requirement.object.split(" ", 1)[-1]
        written = name.split("(")[0]
        for facts in self.graph.files:
            for effect in facts.creates:
                made = effect.name.split("(")[0]
                same = made == written or ("." not in written and made.rpartition(".")[2] == written)
                if effect.kind == requirement.kind and same:
                    return facts.name
        for facts in self.graph.files:  # a column comes with its table
            if requirement.kind == "column" and any(
                effect.kind == "relation" and effect.name == name.rsplit(".", 1)[0] for effect in facts.creates
            ):
                return facts.name
        # Of a table that no file makes the graph knows neither columns nor rows; what the files say of it does.
        return next((facts.name for facts in self.graph.files if _says_it_makes(facts, requirement, name)), "")

    def _name_taken(self, facts: FileFacts, requirement: Requirement, message: str) -> Missing:
        state = self.states[facts.name]
        ran = state.there and state.state != "changed since"
        return Missing(
            requirement,
            facts.name,
            message,
            f"The database has what {facts.name} would make, but the ledger does not have the file: it was run "
            "without Lancio, or something else made an object of that name.",
            "All that it does is so in this database: take it over instead of running it."
            if ran
            else "If it is the file's own, the file need not run; if not, rename or drop the object. Nothing was "
            "changed.",
            commands=(f"lancio apply {self.commands.folder} --adopt",) if ran else (),
        )


def _once(requirement: Requirement) -> tuple[str, str]:
    """What is told once: `table a.b` and `relation a.b` are one thing."""
    relation = requirement.kind == "relation"
    return requirement.kind, requirement.object.split(" ", 1)[-1] if relation else requirement.object


def _says_it_makes(facts: FileFacts, requirement: Requirement, name: str) -> bool:
    """Whether an operation of a file makes a column or a row of that name, whatever its table turned out to be."""
    for op in facts.ops.ops if facts.ops is not None else ():
        table = ".".join(part for part in (op.ref.of[0].schema, op.ref.of[0].name) if part) if op.ref.of else ""
        if requirement.kind == "column" and op.verb == "make" and op.ref.kind == "column":
            if name == f"{table}.{op.ref.name}":
                return True
        elif requirement.row is not None and op.verb == "rows" and op.detail.row is not None:
            asked = requirement.row
            if op.ref.of[0] == asked.table and not contradicts(op.detail.row, asked):
                return True
    return False


def _message(requirement: Requirement) -> str:
    """PostgreSQL's own words for what is missing."""
    name = requirement.object.split(" ", 1)[-1]
    if requirement.kind == "column":
        table, _, column = name.rpartition(".")
        return f"column {column} of relation {table} does not exist"
    if requirement.kind == "row":
        return f"{requirement.object} is not there"
    if requirement.kind == "relation":
        return f"relation {name} does not exist"
    return f"{requirement.object} does not exist"
