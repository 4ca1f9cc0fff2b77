"""Which databases does a file list? Railway's .env, a table in CSV, libpq's service file: texts in, values out.

Each line that is none is a `Problem` with its number, beside the entries of the lines that are; neither shows a secret.
Nothing is read from the disk here, and no variable of the environment.

A .env is read as a POSIX shell and the dotenv libraries agree to: `export` is allowed; in single quotes and backticks
all is as it is; in double quotes \\n, \\r, \\t, \\", \\\\ and \\$ are escapes; a quoted value may go over several
lines; without quotes a # behind a space begins a comment. ${NAME} outside single quotes stands for a variable of the
same file above it, and is a problem if there is none. Of two lines of one name the last counts.

A service file is read as libpq reads it: sections, key=value without quotes, a comment is a line of its own; of two
lines of one key, and of two sections of one name, the first counts.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

from lancio.registry.connection_strings import mongodb, parse, postgresql, railway, redis
from lancio.registry.connection_strings.model import ConnectionString, Host
from lancio.registry.connection_strings.mongodb import MongoDB
from lancio.registry.connection_strings.pieces import LONGEST, SPACES, port_of
from lancio.registry.connection_strings.redis import Redis
from lancio.registry.connection_strings.refusal import ConnectionStringRefused, Kind
from lancio.registry.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Form = Literal["env", "csv", "service"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A database that a file lists."""

    line: int
    """Where it begins, counted from 1."""
    name: str
    """The variable, the section or the table's name for it."""
    value: ConnectionString
    public: bool = False
    """Whether it is Railway's address on the public network (DATABASE_PUBLIC_URL)."""
    project: str = ""
    """The table's column of that name."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A line that is none; its refusal holds nothing of it."""

    line: int
    name: str
    """The variable or section it belongs to, where that is certain; else empty, as of a table's rows."""
    refused: ConnectionStringRefused

    def as_dict(self) -> dict[str, object]:
        """The refusal with its place."""
        return {"line": self.line, "name": self.name} | self.refused.as_dict()


@dataclass(frozen=True, slots=True)
class Listing:
    """What a file lists, by line."""

    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]


def read(text: str, form: Form) -> Listing:
    """What a file of that form lists."""
    return {"env": env, "csv": table, "service": services}[form](text.removeprefix("\ufeff"))


# --- .env -------------------------------------------------------------------------------------------------------------

_NAME: Final = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.]*)[ \t]*=[ \t]*")
_IDLE: Final = re.compile(r"[ \t\r\f\v]*(?:export[ \t]+[A-Za-z_][A-Za-z0-9_]*[ \t\r]*|#[^\n]*)?(?:\n|\Z)")
_QUOTED: Final = {
    "'": re.compile(r"'([^']*)'"),
    "`": re.compile(r"`([^`]*)`"),
    '"': re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL),
}
_REST: Final = re.compile(r"[ \t\r]*(?:[ \t]#[^\n]*)?(?:\n|\Z)")
_BARE: Final = re.compile(r"[^\n]*")
_ESCAPE: Final = re.compile(r"\\([nrt\"\\$])|\$\{([A-Za-z_][A-Za-z0-9_]*)\}", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t"}
_SCHEME: Final = re.compile(
    "|".join(re.escape(each) for each in (*postgresql.SCHEMES, *redis.SCHEMES, *mongodb.SCHEMES)), re.IGNORECASE
)
_KNOWN: Final = frozenset(railway.URLS) | {name for parts in railway.PARTS.values() for name in parts.values()}


def env(text: str) -> Listing:
    """What a .env lists: the variables of Railway's names, and all others whose value begins as a database's URL.

    PGHOST, PGUSER and their like make one entry, named after the host's variable, where no URL says the same.
    """
    problems: list[Problem] = []
    lines: dict[str, int] = {}
    values: dict[str, str] = {}
    unread: set[str] = set()
    for line, name, value, refused in _assignments(text):
        if refused:
            unread.add(name)
            problems.append(Problem(line, name if name in _KNOWN else "", refused))
        if value is not None:
            lines[name], values[name] = line, value
    entries: list[Entry] = []
    for name, value in values.items():
        if not value or not (name in railway.URLS or _SCHEME.match(value)):
            continue
        try:
            entries.append(Entry(lines[name], name, parse(value), "PUBLIC" in name))
        except ConnectionStringRefused as refused:
            problems.append(Problem(lines[name], name, refused))
    for kind, parts in railway.PARTS.items():
        named = parts["host"]
        # Without the password that stands in a line that is refused, the others would be another login.
        if not values.get(named) or any(name in unread - values.keys() for name in parts.values()):
            continue
        try:
            value_of_parts = _of_parts(kind, {part: values.get(name, "") for part, name in parts.items()})
        except ConnectionStringRefused as refused:
            problems.append(Problem(lines[named], named, refused))
            continue
        if not any(_same(entry.value, value_of_parts) for entry in entries):
            entries.append(Entry(lines[named], named, value_of_parts))
    return _listing(entries, problems)


def _assignments(text: str) -> Iterator[tuple[int, str, str | None, ConnectionStringRefused | None]]:
    at, line = 0, 1
    known: dict[str, str] = {}
    while at < len(text):
        if idle := _IDLE.match(text, at):
            line, at = line + text.count("\n", at, idle.end()), max(idle.end(), at + 1)
            continue
        begins, name, value, refused = line, "", None, None
        found = _NAME.match(text, at)
        if not found:
            refused = _line("it is no assignment", "A line is NAME=value, a comment, or empty.", "Correct the line.")
            end = _BARE.match(text, at).end()  # type: ignore[union-attr]
        else:
            name, end = found[1], found.end()
            value, end, refused = _assigned(text, end, known)
            if value is not None:
                known[name] = value
        line += text.count("\n", at, end)
        at = end
        yield begins, name, value, refused


def _assigned(text: str, at: int, known: Mapping[str, str]) -> tuple[str | None, int, ConnectionStringRefused | None]:
    quote = text[at : at + 1]
    if quote not in _QUOTED or not quote:
        found = _BARE.match(text, at)
        assert found is not None  # noqa: S101  (it matches the empty text, too)
        bare = re.split(r"(?:\A|[ \t])#", found[0], maxsplit=1)[0].strip(SPACES)
        value, refused = _put_in(bare, known, escapes=False)
        return value, found.end(), refused
    found = _QUOTED[quote].match(text, at)
    if not found:
        end = _BARE.match(text, at).end()  # type: ignore[union-attr]
        return None, end, _line("its quotation does not end", "A quoted value ends with the quote it begins with.",
                                "Close it.")  # fmt: skip
    rest = _REST.match(text, found.end())
    if not rest:
        end = _BARE.match(text, found.end()).end()  # type: ignore[union-attr]
        return None, end, _line("something stands behind the quotation",
                                "Behind a quoted value there may be a comment only.",
                                "Put all of the value into the quotes.")  # fmt: skip
    if quote != '"':
        return found[1], rest.end(), None
    value, refused = _put_in(found[1], known, escapes=True)
    return value, rest.end(), refused


def _put_in(text: str, known: Mapping[str, str], *, escapes: bool) -> tuple[str | None, ConnectionStringRefused | None]:
    missing, room = False, LONGEST

    def one(found: re.Match[str]) -> str:
        nonlocal missing, room
        if found[1]:
            return _ESCAPES.get(found[1], found[1]) if escapes else found[0]
        missing = missing or found[2] not in known
        room -= len(known.get(found[2], ""))
        return known.get(found[2], "") if room >= 0 else ""

    value = _ESCAPE.sub(one, text)
    if room < 0:  # a few lines of variables made of variables would fill the memory
        return None, _line(
            f"its variables (${{…}}) are more than {LONGEST} characters together", "No connection string is that long.",
            "Write the value itself.",
        )  # fmt: skip
    if missing:
        return None, _line(
            "it names a variable (${…}) that no line above it sets",
            "What the variable is to be is not in the file.",
            "Set it above, write the value itself, or put the value into single quotes if ${…} is part of it.",
        )
    return value, None


# --- a table ----------------------------------------------------------------------------------------------------------

_COLUMNS: Final = {
    "name": "name", "project": "project", "kind": "kind", "type": "kind",
    "connection_string": "url", "url": "url", "uri": "url", "dsn": "url",
    "host": "host", "port": "port", "user": "user", "username": "user", "password": "password",
    "database": "database", "dbname": "database",
}  # fmt: skip


def table(text: str) -> Listing:
    """What a CSV with a header lists: name, and connection_string, or kind with host, port, user, password, database.

    The header's names may be in any case and order; it says by its own separator whether that is a comma, a semicolon
    or a tab. A column of another name is a problem of the header's, and is left out.
    """
    header = text.split("\n", 1)[0]
    separator = max(",;\t", key=header.count)
    entries: list[Entry] = []
    problems: list[Problem] = []
    names: set[str] = set()
    columns: list[str] | None = None
    begins = 1
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            break
        except csv.Error:
            problems.append(Problem(begins, "", _line("it is no CSV", "A quotation is not closed, or text stands "
                            "behind one.", "Put a field with quotes in it into quotes, and double them.")))  # fmt: skip
            break
        line, begins = begins, rows.line_num + 1
        if not any(field.strip(SPACES) for field in row):
            continue
        if columns is None:
            columns = [_COLUMNS.get(field.strip(SPACES).lower(), "") for field in row]
            problems += _header(columns, line)
            continue
        given = {
            column: field if column == "password" else field.strip(SPACES)
            for column, field in zip(columns, row, strict=False)
            if column
        }
        name = given.get("name", "")
        try:
            if len(row) != len(columns):
                raise _line(
                    "it has not as many fields as the header", "Perhaps a separator stands in a field without quotes.",
                    "Put such a field into quotes.",
                )  # fmt: skip
            entry = Entry(line, name, _of_row(given), project=given.get("project", ""))
            if (key := f"{entry.project}\0{name}") in names:
                raise _line("its name is there already", "Names are unique within a project.", "Give it another name.")
            names.add(key)
            entries.append(entry)
        except ConnectionStringRefused as refused:
            problems.append(Problem(line, "", refused))  # in a shifted row the name may be a password
    return _listing(entries, problems)


def _header(columns: list[str], line: int) -> Iterator[Problem]:
    for place, column in enumerate(columns, 1):
        if not column:
            yield Problem(line, "", _line(f"column {place} has a name that is not known",
                          "Known are name, project, kind, connection_string, host, port, user, password, database.",
                          "Rename the column or take it out."))  # fmt: skip
        elif column in columns[: place - 1]:
            yield Problem(line, "", _line(f"column {place} says what another column says",
                          "The last of them counts.", "Take one of them out."))  # fmt: skip


def _of_row(given: Mapping[str, str]) -> ConnectionString:
    if not given.get("name"):
        raise _line("it has no name", "A database is registered under its name.", "Fill the column name.")
    named = given.get("kind", "").lower()
    kind: Kind | None = None
    if named:
        spelled = {"postgres": "postgresql", "mongo": "mongodb"}.get(named, named)
        kind = next((each for each in get_args(Kind) if each == spelled), None)
        if kind is None:
            raise _line("its kind is none that is known", "Known are postgresql, redis and mongodb.", "Correct it.")
    if given.get("url"):
        if given.get("host") or given.get("password"):
            raise _line("it has a connection string and its parts", "One could contradict the other.", "Keep one.")
        return parse(given["url"], kind)
    if kind is None:
        raise _line("it has neither a connection string nor a kind", "Without a URL the kind must be said.",
                    "Fill connection_string, or kind and host.")  # fmt: skip
    if not given.get("host"):
        raise _line("it has no host", "A database is somewhere.", "Fill connection_string, or kind and host.")
    return _of_parts(kind, given)


# --- libpq's service file ---------------------------------------------------------------------------------------------


def services(text: str) -> Listing:
    """What a pg_service.conf lists: each section is an entry named after it, but for one with a line that is refused:
    what is left of it would be another database.
    """
    entries: list[Entry] = []
    problems: list[Problem] = []
    seen: set[str] = set()
    name, begins = "", 0
    given: dict[str, str] = {}
    spoilt = False

    def close() -> None:
        if not begins or name in seen:
            return
        seen.add(name)
        if spoilt:
            return
        try:
            entries.append(Entry(begins, name, postgresql.from_keywords(given)))
        except ConnectionStringRefused as refused:
            problems.append(Problem(begins, name, refused))

    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip(SPACES)
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            close()
            name, begins, given, spoilt = line[1:].partition("]")[0], number, {}, False
            if not line.endswith("]") or not name or "]" in line[:-1]:
                problems.append(Problem(number, "", _line("it is no section", "A section is [name].", "Correct it.")))
                begins = 0
            elif name in seen:
                problems.append(Problem(number, name, _line("the section is there already",
                                "libpq reads the first of one name.", "Give it another name.")))  # fmt: skip
            continue
        key, equals, value = line.partition("=")
        try:
            if not equals or line.startswith("ldap"):
                raise _line("it is no setting", "A setting is key=value, without spaces around the =.", "Correct it.")
            if key == "service":
                raise _line("a service names a service", "libpq refuses it.", "Write that service's settings here.")
            if not begins:
                raise _line("it belongs to no section", "Settings stand below a [name].", "Put a section before it.")
            railway.refuse_references(value)
            taken: dict[str, str] = {}
            postgresql.take(key, value, number, taken)
            given = taken | given
        except ConnectionStringRefused as refused:
            spoilt = True
            problems.append(Problem(number, name if begins else "", refused))
    close()
    return _listing(entries, problems)


# --- what they share --------------------------------------------------------------------------------------------------


def _of_parts(kind: Kind, given: Mapping[str, str]) -> ConnectionString:
    for value in given.values():
        railway.refuse_references(value)
    user, password = given.get("user") or None, Secret(given.get("password", "")) or None
    database = given.get("database") or None
    if kind == "postgresql":
        names = {"host": "host", "port": "port", "user": "user", "password": "password", "database": "dbname"}
        return postgresql.from_keywords({names[part]: given[part] for part in names if given.get(part)})
    if kind == "redis":
        return Redis((_host(given, kind, redis.DEFAULT_PORT),), user, password, database)
    return MongoDB((_host(given, kind, mongodb.DEFAULT_PORT),), user, password, database)


def _host(given: Mapping[str, str], kind: Kind, default: int) -> Host:
    if given["host"].startswith("/"):
        return Host(given["host"])
    return Host(given["host"], port_of(given.get("port", ""), kind, default))


def _same(one: ConnectionString, other: ConnectionString) -> bool:
    """Whether two values are one login at one place; a database that one of them does not name is no difference."""
    return (
        (one.kind, one.hosts, one.user, one.password) == (other.kind, other.hosts, other.user, other.password)
        and (one.database == other.database or None in (one.database, other.database))
    )  # fmt: skip


def _listing(entries: list[Entry], problems: list[Problem]) -> Listing:
    return Listing(
        tuple(sorted(entries, key=lambda entry: entry.line)), tuple(sorted(problems, key=lambda problem: problem.line))
    )


def _line(problem: str, cause: str, remedy: str) -> ConnectionStringRefused:
    return ConnectionStringRefused("syntax", problem, what="a line that can be read", cause=cause, remedy=remedy)
