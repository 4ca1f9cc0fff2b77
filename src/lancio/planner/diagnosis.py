"""What does PostgreSQL's error mean here, and what is to be typed?

Three things answer: the SQLSTATE, the object that the message names, and the graph, which knows the file that makes
it. The words are the specification's: an error, its cause, its solution, and the commands that carry it out.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lancio.planner.model import Effect, FileFacts, Graph, Place

Confidence = Literal["certain", "likely", "general"]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """An error with its cause and its solution; no field holds a value out of a row, nor a password.

    `confidence` is `certain` where graph and error agree on the object, `likely` where the SQLSTATE has one usual
    reason, `general` where only the error's class is known. `where` is `file:line`, perhaps with the line and a caret.
    """

    message: str
    cause: str
    solution: str
    commands: tuple[str, ...] = ()
    where: str = ""
    confidence: Confidence = "general"
    sqlstate: str = ""
    detail: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """What the server said, in the fields of its protocol."""

    sqlstate: str
    message: str
    detail: str = ""
    hint: str = ""
    context: str = ""
    schema: str = ""
    table: str = ""
    column: str = ""
    constraint: str = ""
    datatype: str = ""

    @property
    def relation(self) -> str:
        """The table that the error's own fields name, with its schema; empty if they name none."""
        return f"{self.schema}.{self.table}" if self.schema and self.table else self.table


@dataclass(frozen=True, slots=True)
class Way:
    """How commands are to be written here: the folder as a command line has it, and the psql line for a file."""

    folder: str = "."
    psql: Callable[[Path], str] | None = None

    def commands(self, facts: FileFacts) -> tuple[str, ...]:
        """The ways to run one file: plain psql, where the whole file is the migration, and Lancio."""
        if facts.migration.source is not None:
            return (self.lancio(facts.name),)
        path = facts.migration.path
        psql = self.psql(path) if self.psql else f'psql "$DATABASE_URL" -f {shlex.quote(str(path))}'
        return psql, self.lancio(facts.name)

    def lancio(self, name: str) -> str:
        """Lancio's own command for one file."""
        return f"lancio apply {self.folder} --only {shlex.quote(name)}"


@dataclass(frozen=True, slots=True)
class _Answer:
    cause: str
    solution: str
    confidence: Confidence = "likely"


_QUOTED = r'"((?:[^"]|"")+)"'
_KINDS = "relation|table|view|schema|extension|type|function|sequence|index|role|policy|trigger|language|collation"
_URL = re.compile(r"\b([a-z][a-z0-9+.-]*)://[^\s'\"<>]*@([^\s'\"/?#]*)[^\s'\"]*", re.IGNORECASE)
_OPTION = re.compile(r"\b(password|passwd|pwd|secret|token)\s*=\s*('(?:[^'\\]|\\.)*'|\S+)", re.IGNORECASE)
# "(email)=(ann@example.org)" and "Failing row contains (1, secret, …)": the columns may be shown, the values not.
_KEY_VALUES = re.compile(r"\)=\(.*?\)(?=\s|\.|,|$)", re.DOTALL)
_ROW_VALUES = re.compile(r"(row contains )\(.*\)", re.DOTALL)
_QUOTED_VALUE = re.compile(r"((?:invalid input (?:syntax|value) for [^:]+|malformed [^:]+): )\".*\"", re.DOTALL)


def masked(text: str) -> str:
    """A text of the server's without the values of rows and without credentials."""
    text = _URL.sub(r"\1://***@\2", text)
    text = _OPTION.sub(r"\1=***", text)
    text = _KEY_VALUES.sub(")=(…)", text)
    text = _ROW_VALUES.sub(r"\1(…)", text)
    return _QUOTED_VALUE.sub(r'\1"…"', text)


def diagnose(
    said: Said, *, graph: Graph | None = None, file: str = "", at: Place | None = None, where: str = "",
    way: Way | None = None,
) -> Diagnosis:  # fmt: skip
    """Turn a server's error into cause and solution.

    `file` is the migration that failed, if one did; `where` the place as it should be shown, else `at` is.
    """
    way = way or Way(shlex.quote(graph.folder) if graph else ".")
    named = _missing(said)
    answer: _Answer | None = None
    commands: tuple[str, ...] = ()
    if named is not None:
        kind, name = named
        provider = _provider(graph, kind, name, file) if graph else None
        if provider is not None:
            facts, effect = provider
            answer = _not_applied(facts, effect, kind, name)
            commands = way.commands(facts)
        elif graph is not None:
            answer = _Answer(
                f"{kind} {name} is not in this database, and no file of {graph.folder} creates it.",
                _without_provider(kind, name),
                "certain",
            )
    if answer is None and said.sqlstate in ("42P07", "42710", "42723", "42P06", "42701") and graph is not None:
        answer = _already_there(said, graph, file)
        if answer is not None and file:
            commands = (f"lancio status {way.folder}",)
    if answer is None:
        answer = _general(said, file)
    if not commands and graph is not None:
        # A file's own guard says in its HINT which file to run.
        commands = tuple(
            line
            for facts in graph.files
            if facts.name != file and re.search(rf"(?<![\w./-]){re.escape(facts.name)}(?![\w-])", said.hint)
            for line in way.commands(facts)
        )
    if not commands and file and said.sqlstate in _TRY_AGAIN:
        commands = (way.lancio(file),)
    if said.sqlstate in ("2BP01", "0A000") and said.detail:
        answer = replace(answer, cause=f"{answer.cause.rstrip('.')}: {masked(said.detail)}")
    return Diagnosis(
        message=masked(said.message),
        cause=answer.cause,
        solution=answer.solution,
        commands=commands,
        where=where or (str(at) if at else ""),
        confidence=answer.confidence,
        sqlstate=said.sqlstate,
        detail=masked(said.detail),
        hint=masked(said.hint),
    )


def _missing(said: Said) -> tuple[str, str] | None:
    """The kind and the name of the object that is not there, if that is what the error says."""
    message = said.message
    patterns = (
        (rf"^({_KINDS}) {_QUOTED}.* does not exist", None),
        (r"^(relation|table|view|schema|extension|type|sequence|index) ([\w.$]+) does not exist", None),
        (rf"^column {_QUOTED} of relation {_QUOTED} does not exist", "column"),
        (r"^column ([\w.\"]+) does not exist", "column"),
        (r"^(?:function|procedure|aggregate) (.+?\(.*\)) does not exist", "function"),
        (r"^could not find a function named \"?([^\"]+)\"?", "function"),
    )  # fmt: skip
    if said.sqlstate not in ("42P01", "42883", "42704", "3F000", "42703", "P0001", "P0002", "55000", "0A000"):
        return None
    for pattern, fixed in patterns:
        found = re.match(pattern, message)
        if not found:
            continue
        groups = [group.replace('""', '"') for group in found.groups()]
        if fixed == "column":
            name = f"{groups[1]}.{groups[0]}" if len(groups) == 2 else groups[0].replace('"', "")
            return "column", name
        if fixed == "function":
            return "function", groups[0]
        kind, name = groups
        return kind, name
    return None


def _provider(graph: Graph | None, kind: str, name: str, file: str) -> tuple[FileFacts, Effect] | None:
    if graph is None:
        return None
    wanted = _bare(name)
    for facts in graph.files:
        if facts.name == file:
            continue
        for effect in facts.creates:
            if _same_kind(kind, effect.kind, effect.object) and _same_name(wanted, _bare(effect.name)):
                return facts, effect
    return None


def _same_kind(asked: str, kind: str, label: str) -> bool:
    relations = {"relation", "table", "view", "sequence", "index", "materialized view", "foreign table"}
    routines = {"function", "procedure", "aggregate", "routine"}
    if asked in relations:
        return kind in relations
    if asked in routines:
        return kind in routines
    return asked == kind or label.startswith(asked + " ")


def _bare(name: str) -> str:
    """A name without quotes and argument types."""
    return name.split("(")[0].replace('"', "")


def _same_name(asked: str, made: str) -> bool:
    # PostgreSQL's messages leave out a schema that the statement left out.
    if "." in asked and "." in made:
        return asked == made
    return asked.rsplit(".", 1)[-1] == made.rsplit(".", 1)[-1]


def _not_applied(facts: FileFacts, effect: Effect, kind: str, name: str) -> _Answer:
    number = re.match(r"[Vv]?(\d+)", facts.name.rsplit("/", 1)[-1])
    thing = f"{kind} {name}"
    made = f"{facts.name}:{effect.line} creates {thing}"
    if number:
        return _Answer(
            f"Migration {number[1]} not applied: {made}.", f"Apply migration {number[1]}: run {facts.name} first.",
            "certain",
        )  # fmt: skip
    return _Answer(f"{facts.name} not applied: {made}.", f"Run {facts.name} first.", "certain")


def _without_provider(kind: str, name: str) -> str:
    if kind == "extension":
        return f"Install the server's package that holds {name}, or CREATE EXTENSION {name} in a migration before it."
    if kind == "role":
        return f"Have the role created: CREATE ROLE {name}."
    if kind in ("function", "type"):
        return (
            f"Add the migration that creates {name}; if it comes from an extension, create that one first and look "
            "that its schema is in the search_path."
        )
    return f"Add the migration that creates {kind} {name}, or check the spelling and the search_path."


def _already_there(said: Said, graph: Graph, file: str) -> _Answer | None:
    found = re.search(rf"{_QUOTED}", said.message)
    if not found:
        return None
    name = found[1]
    for facts in graph.files:
        for effect in facts.creates:
            if _same_name(name, _bare(effect.name)):
                if facts.name == file:
                    return _Answer(
                        f"{effect.object} is in the database already: {file} was run here before, by hand or in part, "
                        "or something else made it.",
                        "See what is there with `lancio status`; if all of it is, record it with `lancio adopt`.",
                        "likely",
                    )
                return _Answer(
                    f"{effect.object} is created by {facts.name}:{effect.line} as well.",
                    f"Let one of {facts.name} and {file} create it.",
                    "certain",
                )
    return None


def _general(said: Said, file: str) -> _Answer:
    fill = {
        "{relation}": said.relation or "the table",
        "{column}": said.column or "the column",
        "{constraint}": said.constraint or "the constraint",
        "{file}": file or "the statement",
    }
    cause, solution, confidence = _ANSWERS.get(said.sqlstate) or _CLASSES.get(said.sqlstate[:2]) or _UNKNOWN
    for word, value in fill.items():
        cause, solution = cause.replace(word, value), solution.replace(word, value)
    if said.hint:
        # The one who raised it knows better than a table of codes.
        solution = masked(said.hint)
    return _Answer(cause, solution, confidence)


_TRY_AGAIN = frozenset({"55P03", "40P01", "40001", "57014", "53300", "53100", "57P01", "57P02", "57P03", "08006"})
"""States of the world, not of the file: the same command can succeed later."""

_UNKNOWN: tuple[str, str, Confidence] = (
    "PostgreSQL refused the statement.",
    "Read its message, mend {file}, and run it again: nothing of the step was kept.",
    "general",
)

_CLASSES: dict[str, tuple[str, str, Confidence]] = {
    "08": ("The connection to the server broke.", "Check that the server runs, then run the same command again.",
           "likely"),
    "22": ("A value does not fit its type.", "Mend the value or the conversion in {file}.", "general"),
    "23": ("The rows break {constraint} of {relation}.", "Mend the rows first, then run it again.", "likely"),
    "28": ("The server does not accept the login.", "Check user and password.", "likely"),
    "40": ("The transaction was rolled back because of others that ran beside it.", "Run it again.", "likely"),
    "42": ("The statement does not fit what is in the database.", "Compare {file} with the database.", "general"),
    "53": ("The server has run out of a resource.", "Free it, then run it again.", "likely"),
    "54": ("A limit of PostgreSQL is exceeded.", "Make the statement in {file} smaller.", "general"),
    "57": ("Somebody stopped the statement or the server.", "Run it again when the server is up.", "likely"),
    "58": ("The server's system failed: disk, file or memory.", "Look into the server's log.", "likely"),
    "XX": ("PostgreSQL met an error inside itself, or damaged data.", "Look into the server's log; have a backup.",
           "general"),
}  # fmt: skip

_ANSWERS: dict[str, tuple[str, str, Confidence]] = {
    "42P01": ("A table or view that the statement needs does not exist.",
              "Apply the migration that creates it first.", "likely"),
    "42883": ("A function with these argument types does not exist.",
              "Apply the migration or create the extension it comes from; check the types of the arguments.", "likely"),
    "42704": ("An object that the statement needs does not exist.",
              "Apply the migration that creates it first.", "likely"),
    "3F000": ("The schema does not exist.", "Apply the migration that creates it first.", "likely"),
    "42703": ("The column does not exist.", "Apply the migration that adds it first, or check its spelling.", "likely"),
    "42P07": ("A relation of that name exists already.", "See what is there with `lancio status`.", "likely"),
    "42P06": ("The schema exists already.", "See what is there with `lancio status`.", "likely"),
    "42701": ("The column exists already.", "See what is there with `lancio status`.", "likely"),
    "42710": ("An object of that name exists already.", "See what is there with `lancio status`.", "likely"),
    "42723": ("A function with that name and these argument types exists already.",
              "Write CREATE OR REPLACE, or see what is there with `lancio status`.", "likely"),
    "42P13": ("The function differs from the one that is there in a way that OR REPLACE cannot change.",
              "Drop the old one in the same file first.", "likely"),
    "42P16": ("The definition does not fit the relation that is there.",
              "Drop and create it anew, or alter it in steps.", "likely"),
    "42501": ("The role that runs the migration lacks a privilege.",
              "Run it as the owner (--role NAME), or have the privilege granted.", "likely"),
    "42601": ("PostgreSQL's grammar does not accept the statement.",
              "Mend the line shown; a newer server may know syntax that this one does not.", "likely"),
    "42P10": ("ON CONFLICT, GROUP BY or DISTINCT names columns without a fitting unique key.",
              "Create the unique index first, or name the columns of one that is there.", "likely"),
    "42804": ("Two types do not fit together.", "Write a cast in {file}.", "likely"),
    "23502": ("{relation} has rows with NULL in {column}, or the statement writes one.",
              "Fill {column} first (UPDATE … WHERE {column} IS NULL), then run it again.", "likely"),
    "23503": ("A row of {relation} points at a row that is not there ({constraint}).",
              "Apply the migration that makes the row, or remove the rows that point nowhere.", "likely"),
    "23505": ("Rows of {relation} have the same key ({constraint}).",
              "Remove or merge the duplicates first, then run it again.", "likely"),
    "23514": ("Rows of {relation} do not satisfy {constraint}.",
              "Mend these rows first (a new check may be NOT VALID first; rows of no partition need one).", "likely"),
    "23P01": ("Rows of {relation} exclude each other by {constraint}.", "Mend these rows first.", "likely"),
    "55P03": ("Another session holds a lock on the relation, and the time to wait for it is over.",
              "Run it when that session has finished; `lancio apply` tries again by itself.", "likely"),
    "40P01": ("Two sessions each waited for a lock of the other, and PostgreSQL ended this one.",
              "Run it again, with less traffic on these tables.", "likely"),
    "40001": ("Another transaction changed the same rows at the same time.", "Run it again.", "likely"),
    "25001": ("The statement cannot run inside a transaction block.",
              "Put it into a file of its own.", "likely"),
    "25006": ("The session may not write: the server is a standby or the transaction is read-only.",
              "Connect to the primary.", "likely"),
    "25P02": ("An earlier error ended the transaction; this statement was not even tried.",
              "Look at the first error.", "likely"),
    "57014": ("The statement was cancelled: by a user, an administrator or a time limit.",
              "Run it again; a statement_timeout set in {file} may be too short.", "likely"),
    "57P01": ("An administrator ended the session, or the server is shutting down.",
              "Run the same command again when the server is up.", "likely"),
    "57P02": ("Another process of the server crashed, so that it ended all sessions.",
              "Run the same command again; look into the server's log.", "likely"),
    "57P03": ("The server is starting up or shutting down.", "Wait a moment and run it again.", "likely"),
    "53300": ("The server has no connection free.",
              "Close idle sessions (pg_stat_activity shows them) or raise max_connections.", "likely"),
    "53100": ("The server's disk is full.", "Free space on the server, then run it again.", "certain"),
    "53200": ("The server is out of memory, or of entries in its lock table.",
              "Raise max_locks_per_transaction or split the file.", "likely"),
    "08006": ("The connection to the server broke.",
              "Check that the server runs, then run the same command again.", "likely"),
    "2BP01": ("Other objects depend on it.",
              "Drop or change those first, in the same file, rather than by CASCADE.", "likely"),
    "55000": ("The object is not in the state that the statement needs.",
              "Do first what the message asks for.", "general"),
    "55006": ("The object is in use by another session, or has pending trigger events.",
              "Run it when that session has finished.", "likely"),
    "22000": ("The data were refused: they are not what they should be, or were tampered with.",
              "Compare the row with a backup; do not write over it.", "general"),
    "0A000": ("PostgreSQL does not do this here.",
              "Look at what it names: something that stands on the object, or a feature of another version.", "likely"),
    "P0001": ("{file} raised this error itself.", "Do what its message asks for.", "general"),
    "P0002": ("A query of {file} found no row.", "Apply the migration that makes the row.", "likely"),
    "P0004": ("The step ran, but what it should have done is not so.",
              "Compare {file} with the checks named; nothing of the step was kept.", "certain"),
    "26000": ("The file removed prepared statements that the session needs.",
              "Take DEALLOCATE out of {file}.", "likely"),
    "0B000": ("The transaction could not be begun as asked.", "Look at BEGIN in {file}.", "general"),
}  # fmt: skip
