"""Do the rows that are there let the statements of a plan pass? Asked read-only, under a time limit.

Every question runs in a READ ONLY transaction of its own and takes no lock beyond ACCESS SHARE. A function that stands
in a CHECK, an index or a type change is called, as the statement itself would call it: PostgreSQL lets it write nothing
here, but what a function does outside of the database nobody can hold back. Values of columns are never shown, and no
message of the server's that may quote one; rows are named by their primary key where that is a number, a date or a
UUID, else by the place where they lie.
"""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import psycopg
from psycopg.rows import dict_row

from lancio.planner import data
from lancio.planner.contents import Column, Constraint, Facts, Index, Table, Trigger
from lancio.planner.model import Finding, Missing, Place, Requirement
from lancio.planner.questions import NEW_ROW, SAMPLES
from lancio.planner.rows import identifier
from lancio.postgres import named_queries

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lancio.catalog.model import Live
    from lancio.planner.contents import Called
    from lancio.planner.data import Wanted
    from lancio.planner.model import Plan
    from lancio.planner.questions import Question

QUERIES = named_queries("lancio.executor", "data.sql")

Connection = psycopg.Connection[Any]

TOTAL = 6
"""So many times the limit of one question may all of them take together."""

LOCK_MS = 2000
"""How long a question waits for a table that somebody else holds by ACCESS EXCLUSIVE."""

CATALOG_MS = 60_000
"""How long the catalog may take to tell what the tables are."""

MOST_FAILING = 20
"""So many rows for which an expression fails are looked for."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long one question, and all of them together, may take: seconds."""

    each: float = 10.0
    total: float = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the rows say to one question.

    Of `found` rows in the way (of `total`; at least so many, if `atleast`) the first are named; `values` counts what
    comes more than once in a unique key. `late`: the time limit was over before there was an answer.
    """

    question: Question
    verdict: Literal["pass", "found", "unknown"]
    total: int = 0
    found: int = 0
    values: int = 0
    names: tuple[str, ...] = ()
    atleast: bool = False
    reason: str = ""
    """Why it is not known, or why what was found may not be in the way."""
    late: bool = False
    denied: bool = False
    seconds: float = 0.0


_TABLES = ("r", "p", "m")
"""Relations with rows of their own; a foreign table's are elsewhere."""


_NOT_THERE = frozenset(("42P01", "42703", "42704", "42883", "3F000"))


MOST_NAMED = 3
"""So many statements are named for one reason why they are not known; the rest is counted."""


class _Late(Exception):  # noqa: N818  (an answer)
    """The time is over."""


def look(
    plan: Plan, connection: Connection, live: Live, limits: Limits | None, *, folder: str, psql: str,
    clock: Callable[[], float] = time.monotonic,
) -> Plan:  # fmt: skip
    """The plan with what the rows say: what stands in the way is missing, what cannot be known is said.

    Without limits nothing is asked, and that is said too. `folder` is how a command names the folder, `psql` the
    command that reaches the database. Nothing is changed there.
    """
    pending = [step.facts for step in plan.steps]
    wanted = data.wanted(pending)
    if wanted is None:
        return plan
    if limits is None:
        message = "the rows were not looked at (--no-data): a statement may fail on them"
        remedy = "Leave --no-data away, and they are."
        return replace(plan, findings=(*plan.findings, Finding("data", "note", message, None, remedy)))
    try:
        facts = _facts(connection, wanted, live)
    except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled) as error:
        return _unreachable(plan, locked=error.sqlstate == "55P03")
    questions = data.questions(pending, live, facts)
    answers = ask(connection, questions, limits, clock=clock)
    return _told(plan, answers, limits, folder, psql)


def ask(
    connection: Connection, questions: Sequence[Question], limits: Limits, *,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Answer, ...]:  # fmt: skip
    """Put the questions one after another, each and all of them within their limits."""
    end = clock() + limits.total
    guessed: dict[str, bool] = {}
    found = []
    for question in questions:
        if question.unknown:
            found.append(Answer(question, "unknown", reason=question.unknown))
            continue
        begun = clock()
        asker = _Asker(connection, question, min(end, begun + limits.each), clock, guessed)
        found.append(replace(asker.answer(), seconds=clock() - begun))
    return tuple(found)


class _Asker:
    """One question and the time that is left for it."""

    def __init__(
        self, connection: Connection, question: Question, end: float, clock: Callable[[], float],
        guessed: dict[str, bool],
    ) -> None:  # fmt: skip
        self.guessed = guessed
        self.connection = connection
        self.question = question
        self.end = end
        self.clock = clock
        self.partial: Answer | None = None

    def answer(self) -> Answer:
        """Ask it."""
        question = self.question
        try:
            with self.connection.transaction(), self.connection.cursor() as cursor:
                self._begin(cursor)
                for guess in question.guesses:
                    if guess not in self.guessed:
                        self.guessed[guess] = bool(self._run(cursor, guess))
                    if self.guessed[guess]:
                        reason = "rows are filled before from several that match, and PostgreSQL takes any of them"
                        return Answer(question, "unknown", reason=reason)
                if question.evaluate:
                    self._run(cursor, question.evaluate)
                    return self._passed()
                first = [row[0] for row in self._run(cursor, question.find)]
                if not first:
                    return self._passed()
                return self._found(cursor, first)
        except _Late:
            return self.partial or Answer(question, "unknown", reason="the time limit was over", late=True)
        except psycopg.Error as error:
            if error.sqlstate is None:  # the connection, not the question
                raise
            return self._failed(error.sqlstate)

    def _begin(self, cursor: psycopg.Cursor[Any]) -> None:
        path = ", ".join(identifier(each) for each in self.question.path) or "''"
        cursor.execute(QUERIES["begin"].encode())
        cursor.execute(QUERIES["settings"].encode(), {"lock": str(LOCK_MS), "path": path})

    def _run(self, cursor: psycopg.Cursor[Any], sql: str) -> list[tuple[Any, ...]]:
        left = int((self.end - self.clock()) * 1000)
        if left < 1:
            raise _Late
        cursor.execute(QUERIES["limit"].encode(), {"limit": str(left)})
        try:
            cursor.execute(sql.encode())
        except psycopg.errors.QueryCanceled:
            raise _Late from None
        return cursor.fetchall() if cursor.description else []

    def _passed(self) -> Answer:
        if self.question.none_may_fail:
            return Answer(self.question, "unknown", reason=self.question.none_may_fail)
        return Answer(self.question, "pass")

    def _found(self, cursor: psycopg.Cursor[Any], first: Sequence[str]) -> Answer:
        """Rows stand in the way: how many, and which are the first; in what time is left."""
        question = self.question
        named = tuple(each for each in first if each)
        reason = question.found_may_pass
        self.partial = Answer(question, "found", 0, max(len(named), 1), 0, named, atleast=True, reason=reason)
        total, bad, *values = self._run(cursor, question.count)[0]
        named = tuple(row[0] for row in self._run(cursor, question.sample))
        return Answer(question, "found", total, bad, values[0] if values else 0, named, question.atleast, reason)

    def _failed(self, sqlstate: str) -> Answer:
        """The server refused the question."""
        question = self.question
        if sqlstate[:2] in ("22", "23"):
            if not question.errors:
                reason = f"the rows cannot be worked out before the run (SQLSTATE {sqlstate})"
                return Answer(question, "unknown", reason=reason)
            return self._failing(sqlstate)
        if sqlstate == "55P03":
            reason = f"{question.table} is locked by another session"
            return Answer(question, "unknown", reason=reason, denied=True)
        if sqlstate == "42501":
            reason = "this role may not read all of the rows"
            return Answer(question, "unknown", reason=reason, denied=True)
        if sqlstate in _NOT_THERE:
            return Answer(question, "unknown", reason=f"it needs something that is not there yet (SQLSTATE {sqlstate})")
        return Answer(question, "unknown", reason=f"the server cannot be asked (SQLSTATE {sqlstate})")

    def _failing(self, sqlstate: str) -> Answer:
        """Which rows are they for which the expression fails?"""
        question = replace(self.question, sqlstate=sqlstate, singular="fails", plural="fail")
        lost: list[str] = []
        total = 0
        try:
            with self.connection.transaction(), self.connection.cursor() as cursor:
                self._begin(cursor)
                total = self._run(cursor, question.count)[0][0] if question.evaluate else 0
                if question.go_on:
                    values = {"go_on": question.go_on, "named": question.named, "most": str(MOST_FAILING)}
                    cursor.execute(QUERIES["failing_settings"].encode(), values)
                    self._run(cursor, QUERIES["failing"])
                    lost = self._run(cursor, QUERIES["failed"])[0][0]
        except _Late:
            lost = []
        except psycopg.Error as error:
            if error.sqlstate is None:
                raise
        atleast = not lost or len(lost) >= MOST_FAILING
        reason = question.found_may_pass
        return Answer(question, "found", total, max(len(lost), 1), 0, tuple(lost), atleast, reason)


# What is known about the tables.


def _facts(connection: Connection, wanted: Wanted, live: Live) -> Facts:
    names = {"relations": list(wanted.relations), "domains": list(wanted.domains)}
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(QUERIES["begin"].encode())
        values = {"lock": str(LOCK_MS), "path": "pg_catalog"}
        cursor.execute(QUERIES["settings"].encode(), values)
        cursor.execute(QUERIES["limit"].encode(), {"limit": str(CATALOG_MS)})
        relations = cursor.execute(QUERIES["tables"].encode(), names).fetchall()
        oids = {"oids": [row["oid"] for row in relations]}
        parts = {
            name: cursor.execute(QUERIES[name].encode(), oids).fetchall()
            for name in ("columns", "constraints", "indexes", "triggers", "relatives")
        }
        domains = cursor.execute(QUERIES["domains"].encode(), names).fetchall()
    by_table: dict[str, dict[int, list[dict[str, Any]]]] = {
        name: {} for name in ("columns", "constraints", "indexes", "triggers")
    }
    for name, grouped in by_table.items():
        for row in parts[name]:
            grouped.setdefault(row["oid"], []).append(row)
    relatives: dict[int, list[Called]] = {}
    for row in parts["relatives"]:
        relatives.setdefault(row["child"], []).append((row["parent_schema"], row["parent_name"]))
        relatives.setdefault(row["parent"], []).append((row["child_schema"], row["child_name"]))
    tables = tuple(
        Table(
            row["schema"], row["name"], row["kind"],
            tuple(_column(each) for each in by_table["columns"].get(row["oid"], ())),
            tuple(row["key"]),
            tuple(_constraint(each) for each in by_table["constraints"].get(row["oid"], ())),
            tuple(_index(each) for each in by_table["indexes"].get(row["oid"], ())),
            tuple(
                Trigger(each["name"], each["bits"], (each["routine_schema"], each["routine"]))
                for each in by_table["triggers"].get(row["oid"], ())
            ),
            tuple(relatives.get(row["oid"], ())),
            row["parted"], row["ruled"], row["partition_key"],
        )
        for row in relations if row["kind"] in _TABLES
    )  # fmt: skip
    return Facts(
        tables,
        frozenset((row["schema"], row["name"]) for row in relations if row["kind"] not in _TABLES),
        tuple(
            ((row["schema"], row["domain"]), Constraint(row["name"], "c", row["definition"], row["validated"]))
            for row in domains
        ),
        live.version,
    )


def _column(row: dict[str, Any]) -> Column:
    domain = (row["domain_schema"], row["domain_name"]) if row["domain_name"] is not None else None
    return Column(row["name"], row["type"], row["not_null"], row["default"], row["made"], domain, row["computed"])


def _constraint(row: dict[str, Any]) -> Constraint:
    parent = (row["parent_schema"], row["parent_name"]) if row["parent_name"] is not None else None
    return Constraint(
        row["name"], row["kind"], row["definition"], row["validated"], parent,
        tuple(row["columns"]), tuple(row["keys"]), row["on_delete"], row["on_update"],
    )  # fmt: skip


def _index(row: dict[str, Any]) -> Index:
    return Index(row["name"], tuple(row["columns"]), row["is_primary"], row["nulls_distinct"])


# What people are told.


def _unreachable(plan: Plan, *, locked: bool) -> Plan:
    """The catalog itself did not tell in time what the tables are."""
    first = Place(plan.steps[0].facts.name, 1)
    why = "a table of this plan is locked by another session" if locked else "the time limit was over"
    missing = Missing(
        Requirement("the rows", "data", "hard", first, "missing"),
        first.file,
        f"what the rows say is not known, {why}",
        "The rows could not be looked at.",
        "Try again when it is free; --no-data goes on without looking.",
    )
    return replace(plan, missing=(*plan.missing, missing))


def _told(plan: Plan, answers: Sequence[Answer], limits: Limits, folder: str, psql: str) -> Plan:
    missing: list[Missing] = []
    findings: list[Finding] = []
    requirements: dict[str, list[Requirement]] = {}
    broken: set[str] = set()
    unknown: dict[str, list[Question]] = {}
    for each in answers:
        question = each.question
        met = each.verdict == "pass"
        needed = Requirement(question.says, "data", "hard", question.at, "database" if met else "missing")
        by_hand = (f"{psql} -c {shlex.quote(question.hand)}",) if question.hand else ()
        if each.verdict == "found" and each.reason:
            message = f"{said(each)}; whether they are in the way is not known before the run, {each.reason}"
            findings.append(Finding("data", "warning", message, question.at, commands=by_hand))
            continue
        if each.verdict == "found":
            broken.add(question.table)
            missing.append(
                Missing(
                    needed,
                    question.at.file,
                    said(each),
                    f"The statement looks at every row, and these do not let it pass (SQLSTATE {question.sqlstate}).",
                    "Mend the rows, by hand or in an earlier migration, and run again. All of them:",
                    commands=by_hand,
                )
            )
        elif each.late or each.denied:
            longer = f"{limits.each * 10:g}"
            remedy = (
                f"Give it more time with --data-limit {longer}, or ask by hand: if it gives no row, --no-data goes on."
                if each.late
                else "Name a role that may read all of them (--role; a policy in the way: BYPASSRLS), or ask by hand: "
                "if it gives no row, --no-data goes on."
                if "role" in each.reason
                else "Try again when it is free, or ask by hand: if it gives no row, --no-data goes on."
            )
            again = (f"lancio preflight {folder} --data-limit {longer}",) if each.late else ()
            cause = (
                f"A question may take {limits.each:g} s and all of them {limits.total:g} s; this one was not answered."
                if each.late
                else "The rows could not be looked at."
            )
            missing.append(
                Missing(
                    needed, question.at.file, f"{question.says}: not known, {each.reason}", cause, remedy,
                    commands=(*again, *by_hand),
                )
            )  # fmt: skip
        elif each.verdict == "unknown":
            if question.table not in broken:
                unknown.setdefault(each.reason, []).append(question)
            continue
        requirements.setdefault(question.at.file, []).append(needed)
    for reason, asked in unknown.items():
        says = ", ".join(each.says for each in asked[:MOST_NAMED])
        more = f" and {len(asked) - MOST_NAMED} more" if len(asked) > MOST_NAMED else ""
        findings.append(Finding("data", "note", f"{says}{more}: not known before the run, {reason}", asked[0].at))
    steps = tuple(
        replace(step, facts=replace(step.facts, requires=(*step.facts.requires, *requirements[step.facts.name])))
        if step.facts.name in requirements
        else step
        for step in plan.steps
    )
    return replace(plan, steps=steps, missing=(*plan.missing, *missing), findings=(*plan.findings, *findings))


def said(answer: Answer) -> str:
    """`SET NOT NULL users.email: 5 of 50 rows are NULL (id 10, 20, 30 …)`."""
    question = answer.question
    number = f"{'at least ' if answer.atleast else ''}{answer.found:,}"
    of = f" of {answer.total:,}" if answer.total else ""
    one = answer.found == 1 and not answer.total
    rows = f"{number}{of} {'row' if one else 'rows'}"
    if answer.values:
        values = f"{answer.values:,} {'value comes' if answer.values == 1 else 'values come'} more than once"
        words = f"{values}, in {rows}"
    elif not question.plural:
        words = "a value comes more than once"
    else:
        words = f"{rows} {question.singular if answer.found == 1 else question.plural}"
    shown = [name for name in answer.names if name != NEW_ROW][:SAMPLES]
    more = " …" if answer.found > len(shown) or answer.atleast else ""
    names = f" ({question.key} {', '.join(shown)}{more})" if shown else ""
    if answer.names and not shown:
        names = f" ({NEW_ROW if answer.found == 1 else 'new rows'})"
    return f"{question.says}: {words}{names}"
