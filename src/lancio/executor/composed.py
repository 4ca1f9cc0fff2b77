"""What of a step is sent, in which order, and which command is what?"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lancio.errors import NoGo
from lancio.executor import ledger, session
from lancio.executor.session import QUERIES, Command
from lancio.planner.model import folded
from lancio.syntax import lexer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lancio.executor.events import Event
    from lancio.executor.session import Session
    from lancio.planner.model import Check, FileFacts, Step
    from lancio.planner.segments import Cut
    from lancio.reading.model import Statement

CHECKS_AT_ONCE = 400
"""PostgreSQL counts an array's elements without limit, but each check is a subquery to plan."""

_COPY = re.compile(r"copy.*std(?:in|out)", re.IGNORECASE | re.DOTALL)
_DROPS = re.compile(
    r"(?<!on\sdelete\s)(?<!on\supdate\s)cascade|drop(?!\s+(?:not\s+null|default|expression|function|procedure|routine|"
    r"aggregate|trigger|policy|rule)\b)",
    re.IGNORECASE,
)
"""What may drop a relation; the rest of what is dropped is not in the lock table, or is there by its table."""
_CALLS = re.compile(r"\s*(?:do|call|select|with|execute)\b", re.IGNORECASE)
_CHANGES = re.compile(r"\s*(?:alter|drop)\b", re.IGNORECASE)
_EARLY = re.compile(r"(?i)set\s+transaction\b")
_ISOLATED = re.compile(rb"(?i)isolation\s+level|set\s+transaction")
_PREPARES = re.compile(rb"(?i)deallocate|\bprepare\b|\bwith\s+hold\b")


@dataclass
class Composed:
    """A step's commands, and which of them is what."""

    commands: list[Command] = field(default_factory=list)
    statements: dict[int, tuple[int, Statement]] = field(default_factory=dict)  # command -> ordinal from 0
    checks: dict[int, tuple[Check, ...]] = field(default_factory=dict)
    constraints: int = -1
    ledger: int = -1
    commit: int = -1
    settings: range = range(0)
    guarded: bool = False  # begins with a guard, to be sent ahead of the end of the step before
    written: int = 0  # how many of the pending events are written with it
    durable: bool = True  # its commit waits for the disk
    alone: bool = False  # one statement outside of a transaction, and nothing else
    kept: str = ""  # of a file that is not one transaction: what stays where this fails

    def add(self, command: Command) -> int:
        """One more command; its index."""
        self.commands.append(command)
        return len(self.commands) - 1


@dataclass(frozen=True, slots=True)
class Part:
    """A segment of a file that is not one transaction: its statements, with their ordinals in the file from 1.

    The `last` one is the step's own transaction, whose row tells of all the file's `lines`; `spent_ms` is what those
    before took. `of` is how many statements the file has.
    """

    statements: tuple[tuple[int, Statement], ...]
    begin: Statement | None
    alone: str
    of: int
    last: bool = False
    spent_ms: float = 0.0
    lines: tuple[Statement, ...] = ()


def refuse_unsendable(facts: FileFacts, cut: Cut) -> None:
    """Refuse what would end or escape a transaction that the file is cut into.

    Raises:
        NoGo: with the place of the statement.
    """
    for problem in cut.problems:
        raise NoGo(
            problem.message,
            cause=problem.cause,
            remedy=problem.remedy,
            where=f"{facts.name}:{problem.statement.span.line}",
        )
    for statement in facts.statements:
        if _copies(statement.sql):
            raise NoGo(
                "COPY from or to the client cannot run in a migration",
                cause="Its data would have to come through the connection that the statements go through.",
                remedy="Write the rows as INSERT, or copy from a file on the server.",
                where=f"{facts.name}:{statement.span.line}",
            )


def compose(
    work: Session,
    run: int,
    step: Step,
    *,
    position: int,
    settings: Mapping[str, str],
    token: str,
    durable: bool,
    guarded: bool = False,
    part: Part | None = None,
    told: Sequence[Event] = (),
) -> Composed:
    """The commands of a step, and `told`, events that are written with it.

    `token` names the run and `position` the step in it: `guarded` refuses all unless the step before ended well in
    this session. `part` is the last segment of a file that is not one transaction.
    """
    sent = Composed(guarded=guarded, durable=durable)
    if guarded:
        sent.add(work.guard(f"{token}:{position - 1}"))
    facts = step.facts
    if part is not None:
        statements = tuple((ordinal - 1, each) for ordinal, each in part.statements)
        own, whole = part.begin, part.lines
    else:
        whole = body(facts.statements)
        statements = tuple(enumerate(whole))
        own = next((each for each in facts.statements[:1] if each.control == "begin"), None)
    rest = _open(sent, facts, statements, own, settings)
    if part is not None:
        sent.add(Command(QUERIES["spent"], (str(part.spent_ms),)))
    if (named := _dropping(facts, whole)) is not None:
        if named:
            # By a setting and not by a parameter, for which the server would plan it anew each time.
            sent.add(Command(QUERIES["setting"], ("lancio.named", session.array(named)), name="lancio_setting"))
        kind = "relations_of" if named else "relations"
        sent.add(Command(QUERIES[kind], name=f"lancio_{kind}"))
    _send(sent, rest)
    lookups = not any(check.declared for check in facts.checks)
    sent.add(work.settle(durable=sent.durable, lookups=lookups))
    lines = [(statement.span.line, statement.summary) for statement in whole]
    says = [check.says for check in facts.checks]
    sent.ledger = sent.add(ledger.add_step(work, run, facts.migration, position, says, lines))
    if told:
        sent.written = len(told)
        sent.add(ledger.add_events(run, told))
    if part is not None:
        sent.add(ledger.end_file(facts.name))
    for start in range(0, len(facts.checks), CHECKS_AT_ONCE):
        checks = facts.checks[start : start + CHECKS_AT_ONCE]
        sent.checks[sent.add(verification(checks))] = checks
    sent.commit = sent.add(Command("COMMIT", name="lancio_commit", keep=False))
    sent.commands += work.reset(f"{token}:{position}")
    if prepares(step):
        sent.commands = [replace(command, name="") for command in sent.commands]
    return sent


def open_part(work: Session, run: int, step: Step, part: Part, *, settings: Mapping[str, str]) -> Composed:
    """The commands of a transaction in the middle of a file, with the rows of its statements."""
    sent = Composed()
    statements = tuple((ordinal - 1, each) for ordinal, each in part.statements)
    _send(sent, _open(sent, step.facts, statements, part.begin, settings))
    sent.add(work.settle(durable=True, lookups=False))
    sent.ledger = sent.add(ledger.add_statements(work, run, step.facts.name, part.statements))
    sent.commit = sent.add(Command("COMMIT", name="lancio_commit", keep=False))
    if prepares(step):
        sent.commands = [replace(command, name="") for command in sent.commands]
    return sent


def _dropping(facts: FileFacts, statements: tuple[Statement, ...]) -> tuple[str, ...] | None:
    """Names of the relations among which are those that a step may drop, without their schemas.

    None where it drops none, so that none is looked for; empty where it may be any.
    """
    told = [each.sql for each in statements if _DROPS.search(each.sql)]
    if any(_CALLS.match(each) or "cascade" in each.lower() for each in told):
        return ()
    if not any(_CHANGES.match(each) for each in told):
        return None
    gone = [each.name for each in facts.drops if each.kind == "relation"]
    return tuple(sorted({name.partition(".")[2] or name for name in (*gone, *(lock.relation for lock in facts.locks))}))


_Numbered = tuple[tuple[int, "Statement"], ...]
"""Statements with their ordinals from 0."""


def _open(
    sent: Composed, facts: FileFacts, statements: _Numbered, own: Statement | None, settings: Mapping[str, str]
) -> _Numbered:
    """From BEGIN to the settings; the statements that stand behind them."""
    # The file's BEGIN may ask for an isolation level.
    sent.add(Command(own.sql) if own else Command("BEGIN", name="lancio_begin"))
    # PostgreSQL takes SET TRANSACTION before any query only, ours among them.
    early = next((at for at, (_, each) in enumerate(statements) if not _EARLY.match(each.sql)), len(statements))
    for ordinal, statement in statements[:early]:
        sent.statements[sent.add(Command(statement.sql, keep=False))] = (ordinal, statement)
    first = len(sent.commands)
    for setting in facts.settings:
        if setting in settings:
            sent.add(Command(QUERIES["setting"], (setting, settings[setting])))
    sent.settings = range(first, len(sent.commands))
    return statements[early:]


def _send(sent: Composed, statements: _Numbered) -> None:
    for at, (ordinal, statement) in enumerate(statements, 1):
        # The last one's result comes soon enough with what stands behind it.
        flush = at < len(statements)
        sent.statements[sent.add(Command(statement.sql, flush=flush, keep=False))] = (ordinal, statement)
    # A deferred failure would otherwise come at COMMIT, where no statement is to blame.
    sent.constraints = sent.add(Command("SET CONSTRAINTS ALL IMMEDIATE", name="lancio_constraints"))


def isolated(step: Step) -> bool:
    """Whether a file asks for an isolation level, which must come before any query of the runner's own."""
    return _ISOLATED.search(step.facts.migration.text) is not None


def prepares(step: Step) -> bool:
    """Whether a file may leave prepared statements or cursors, or throw away the runner's own."""
    return _PREPARES.search(step.facts.migration.text) is not None


def body(statements: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """The statements without the file's own BEGIN and COMMIT; the step's take their place."""
    body = folded(statements)
    return statements if body is None else body


def _copies(sql: str) -> bool:
    if not _COPY.search(sql):
        return False
    text = sql.encode()
    words = [text[token.start : token.end].lower() for token in lexer.tokens(text) if token.kind == "word"]
    return words[:1] == [b"copy"] and (b"stdin" in words or b"stdout" in words)


def verification(checks: tuple[Check, ...]) -> Command:
    """One statement that asks all checks and raises, naming each that does not hold.

    The planner's own checks are a few texts with different names in them: with the names as parameters, a folder of
    many alike files is planned by the server a few times instead of once a file.
    """
    pieces, names = _pieces(checks)
    sql = f"{_VERIFY}{','.join(pieces)}]::boolean[] AS held OFFSET 0) AS asked"
    name = "lancio_check_" + hashlib.sha256(sql.encode()).hexdigest()[:16] if names else ""
    return Command(sql, (session.array([check.says for check in checks]), *names), name=name)


_VERIFY = (
    "SELECT CASE WHEN true = ALL (asked.held) THEN '' ELSE lancio.verify(asked.held, $1::text::text[])::text END "
    "FROM (SELECT ARRAY["
)
"""The function is called where something does not hold only: a call costs as much as several checks."""
_PLAIN_STRING = re.compile(r"(?<!\w)E'((?:[^'\\]|''|\\\\)*)'|'((?:[^']|'')*)'")
"""A string as people write it, or one with the prefix E in which backslashes stand for themselves alone."""
_UNPLAIN = re.compile(r"\w'|[\"\\$]|--|/\*|\w\s+'")
"""What, outside of plain strings, could make a quote something else: a prefix, an identifier in quotes, a comment."""
_NAMES_AT_MOST = 300
"""Names in a step's checks up to which they become parameters: statements that rare are not asked twice."""


def _pieces(checks: tuple[Check, ...]) -> tuple[list[str], list[str]]:
    names: list[str] = []

    def parameter(found: re.Match[str]) -> str:
        plain = found[1] is None
        names.append((found[2] if plain else found[1].replace("\\\\", "\\")).replace("''", "'"))
        return f"${len(names) + 1}::text"

    pieces = []
    for check in checks:
        text = check.sql.strip().rstrip(";")
        if not check.declared and not _UNPLAIN.search(_PLAIN_STRING.sub("''", text)):
            text = _PLAIN_STRING.sub(parameter, text)
        pieces.append(f"(\n{text}\n)")
    if len(names) > _NAMES_AT_MOST:
        return _pieces(tuple(replace(check, declared=True) for check in checks))
    return pieces, names


def check_at(checks: tuple[Check, ...], position: int) -> Check | None:
    """The check that a position in the text of `verification` lies in, in characters from 1."""
    end = len(_VERIFY)
    for check, piece in zip(checks, _pieces(checks)[0], strict=True):
        end += len(piece) + 1
        if position and position <= end:
            return check
    return None
