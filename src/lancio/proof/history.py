"""What have other tools written down of the migrations that they ran here, and which files are those?

Each tool is a row of one table: how its history is recognized, and how an entry names a file of the folder.
"""

from __future__ import annotations

import ast
import hashlib
import re
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import class_row, dict_row

from lancio.errors import HistoryRefused, LancioError, ServerError, UsageError
from lancio.planner.adoption import Told, Where
from lancio.postgres import named_queries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from lancio.planner.adoption import Adoption
    from lancio.reading.source import Migration

QUERIES = named_queries("lancio.proof", "history.sql")

SHOWN = 8
"""So many names are listed in one sentence."""


class Entry(NamedTuple):
    """A migration as another tool's history has it."""

    entry: str
    at: datetime | None
    checksum: str
    done: bool
    note: str


Matched = tuple["dict[str, Entry]", "list[str]"]
"""By file the entry that has it, and the entries without a file."""


@dataclass(frozen=True, slots=True)
class Tool:
    """How a tool's history is recognized and read.

    `matches` gives the files of the entries; `same` whether a file is the one that an entry's checksum was made of, or
    None where that cannot be told. `mends` is what that tool does about an entry that is not done.
    """

    table: str
    columns: frozenset[str]
    matches: Callable[[Sequence[Migration], Sequence[Entry]], Matched]
    same: Callable[[Migration, Entry], bool | None] = lambda _migration, _entry: None
    mends: str = ""
    schema: str = ""
    without: frozenset[str] = field(default_factory=frozenset)


def find(connection: psycopg.Connection[Any]) -> tuple[Where, ...]:
    """The histories of other tools that this database has, by the names and columns of tables.

    Raises:
        ServerError: the catalog cannot be read.
    """
    try:
        with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
            tables = cursor.execute(
                QUERIES["tables"].encode(), (sorted({tool.table for tool in TOOLS.values()}),)
            ).fetchall()
    except psycopg.Error as error:
        raise _unread(error, "the tables of other tools") from error
    return tuple(
        Where(name, row["schema"], row["name"])
        for row in tables
        for name, tool in TOOLS.items()
        if row["name"] == tool.table
        and tool.columns <= set(row["columns"])
        and not tool.without & set(row["columns"])
        and tool.schema in ("", row["schema"])
        and not (tool.schema == "" and any(_owns(other, row) for other in TOOLS.values()))
    )


def _owns(tool: Tool, row: Mapping[str, Any]) -> bool:
    """Whether a table in a schema of its own is that tool's, so that it is nobody else's."""
    return bool(tool.schema) and (tool.schema, tool.table) == (row["schema"], row["name"])


def chosen(found: Sequence[Where], wanted: str | None) -> Where | None:
    """The history that is meant: the one that is named, or the only one; None where there is none and none is named.

    Raises:
        UsageError: several are there and none is named, or the named one is not there.
    """
    of_it = [each for each in found if wanted in (None, each.tool)]
    if len(of_it) == 1:
        return of_it[0]
    if not of_it and wanted is None:
        return None
    if not of_it:
        raise UsageError(
            f"this database has no history of {wanted}",
            cause=f"There is no table {TOOLS[wanted or ''].table} with its columns.",
            remedy=f"Here are: {', '.join(map(str, found)) or 'none'}. --from facts goes by the catalog alone.",
        )
    raise UsageError(
        f"{len(of_it)} histories of other tools are in this database",
        cause=f"They are {', '.join(map(str, of_it))}.",
        remedy="Say which one is this folder's with --from TOOL, or go by the catalog alone with --from facts."
        if len({each.tool for each in of_it}) > 1
        else "Connect with a search_path or a role that sees one of them only, or go by the catalog: --from facts.",
    )


def read(connection: psycopg.Connection[Any], where: Where, files: Sequence[Migration]) -> Told:
    """A history, held against the files of a folder in their order.

    Raises:
        HistoryRefused: it has an entry that failed or was not finished.
        ServerError: it cannot be read.
    """
    tool = TOOLS[where.tool]
    query = sql.SQL(QUERIES[where.tool]).format(table=sql.Identifier(where.schema, where.table))
    try:
        with connection.transaction(), connection.cursor(row_factory=class_row(Entry)) as cursor:
            cursor.execute("SET LOCAL statement_timeout = '60s'")
            cursor.execute("SET LOCAL row_security = off")
            entries = cursor.execute(query).fetchall()
    except psycopg.Error as error:
        raise _unread(error, f"the history of {where}") from error
    if undone := [each for each in entries if not each.done]:
        raise HistoryRefused(
            f"{where.tool} has {_listed([each.entry for each in undone])} down as failed or not finished",
            cause=f"It is not done in {where.schema}.{where.table}, so nobody knows what of it is in the database.",
            remedy=tool.mends,
            commands=(),
        )
    matched, strangers = tool.matches(files, entries)
    by_name = {each.name: each for each in files}
    return Told(
        where,
        {name: entry.at for name, entry in matched.items()},
        tuple(name for name, entry in matched.items() if tool.same(by_name[name], entry) is False),
        tuple(dict.fromkeys(strangers)),
        tuple(each.name for each in files if each.name not in matched),
    )


def refuse(proposed: Adoption, folder: str) -> None:
    """Refuse what contradicts the catalog.

    Raises:
        HistoryRefused: something does.
    """
    if not proposed.against or proposed.history is None:
        return
    tool = proposed.history.where.tool
    more = len(proposed.against) - SHOWN
    raise HistoryRefused(
        f"the history of {tool} and the catalog contradict each other over "
        f"{len(proposed.against)} file{'s' if len(proposed.against) > 1 else ''}",
        cause="\n".join((*proposed.against[:SHOWN], *((f"and {more} more",) if more > 0 else ()))),
        remedy="Look at the files with lancio status. If the history is right, take it over with --trust-history; if "
        "the catalog is, go by that alone.",
        commands=(f"lancio status {folder}", f"lancio adopt {folder} --from facts --dry-run"),
    )


def _unread(error: psycopg.Error, what: str) -> LancioError:
    return ServerError(
        f"{what} cannot be read",
        cause=" ".join(str(error.diag.message_primary or error).split()),
        remedy="Connect as a role that may, or go by the catalog alone: --from facts.",
    )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return f"{', '.join(names[:SHOWN])}{f' and {more} more' if more > 0 else ''}"


# How entries name files.


def _base(migration: Migration) -> str:
    return migration.name.rpartition("/")[2]


def _stem(migration: Migration) -> str:
    return _base(migration).removesuffix(".sql")


def _folder(migration: Migration) -> str:
    return migration.name.rpartition("/")[0].rpartition("/")[2]


def _digits(name: str) -> str:
    found = re.match(r"\d+", name)
    return found[0] if found else ""


def _number(name: str) -> str:
    return _digits(name).lstrip("0") or "0" if _digits(name) else ""


def by(
    key: Callable[[Migration], str], wanted: Callable[[Entry], str] = lambda entry: entry.entry
) -> Callable[[Sequence[Migration], Sequence[Entry]], Matched]:
    """Files whose key is what an entry says; of several entries of one file the last one counts."""

    def match(files: Sequence[Migration], entries: Sequence[Entry]) -> Matched:
        named: dict[str, str] = {}
        for each in files:
            if said := key(each):
                named.setdefault(said, each.name)
        found: dict[str, Entry] = {}
        strangers = []
        for entry in entries:
            name = named.get(wanted(entry))
            if name is None:
                strangers.append(entry.entry)
            else:
                found[name] = entry
        return found, strangers

    return match


def _flyway(files: Sequence[Migration], entries: Sequence[Entry]) -> Matched:
    """By the script's name; an undo or a deletion takes the entry of its version away, a baseline stands for all
    versions up to its own."""
    left: dict[str, Entry] = {}
    baseline: Entry | None = None
    for entry in entries:
        kind, _, version = entry.note.partition(" ")
        if kind in ("BASELINE", "SQL_BASELINE"):
            baseline = entry
        elif kind == "DELETE" or kind.startswith("UNDO"):
            left = {script: each for script, each in left.items() if each.note.partition(" ")[2] != version}
        else:
            left[entry.entry] = entry
    matched, strangers = by(_base, lambda entry: entry.entry.rpartition("/")[2])(files, list(left.values()))
    if baseline is not None:
        limit = _version(baseline.note.partition(" ")[2])
        for each in files:
            if (said := re.match(r"V([0-9._]+?)__", _base(each))) and _version(said[1]) <= limit:
                matched.setdefault(each.name, baseline._replace(checksum=""))
    return matched, strangers


def _version(text: str) -> tuple[int, ...]:
    parts = [int(part) for part in re.split(r"[._]", text) if part.isdigit()]
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def _up_to(files: Sequence[Migration], entries: Sequence[Entry]) -> Matched:
    """The one entry is the version reached: it and all before it ran."""
    found: dict[str, Entry] = {}
    strangers = []
    for entry in entries:
        reached = int(entry.entry)
        if reached not in {each.number for each in files}:
            strangers.append(entry.entry)
        found |= {each.name: entry for each in files if each.number is not None and each.number <= reached}
    return found, strangers


_UPGRADE = re.compile(rb"^-- Running upgrade\s+(?:(?P<down>[^\n>]*?)\s*)->\s*(?P<up>\w+)", re.MULTILINE)


def _alembic(files: Sequence[Migration], entries: Sequence[Entry]) -> Matched:
    """The entries are the heads: they ran, and all that they revise.

    What revises what stands in the SQL that Alembic writes (`-- Running upgrade a -> b`), else in the revisions' own
    .py files beside the .sql files or one folder up; without either, all files before a head ran.
    """
    revises: dict[str, set[str]] = {}
    of_file: dict[str, set[str]] = {each.name: set() for each in files}
    for each in files:
        for step in _UPGRADE.finditer(each.source or each.text):
            down = {part.strip().decode() for part in (step["down"] or b"").split(b",") if part.strip()}
            revises.setdefault(step["up"].decode(), set()).update(down)
            of_file[each.name].add(step["up"].decode())
    for revision, down in _revisions(files):
        revises.setdefault(revision, set()).update(down)
    for each in files:
        words = set(re.split(r"[^0-9A-Za-z]+", _stem(each)))
        of_file[each.name] |= words & revises.keys()
        of_file[each.name] |= {entry.entry for entry in entries if entry.entry in words}
    ran: dict[str, Entry] = {}
    for entry in entries:
        waiting = [entry.entry]
        while waiting:
            revision = waiting.pop()
            if revision not in ran:
                ran[revision] = entry
                waiting += revises.get(revision, ())
    found: dict[str, Entry] = {}
    heads = [index for index, each in enumerate(files) if of_file[each.name] & {entry.entry for entry in entries}]
    for index, each in enumerate(files):
        if of_file[each.name] and of_file[each.name] <= ran.keys():
            found[each.name] = ran[next(iter(of_file[each.name]))]
        elif not revises and heads and index < max(heads):
            found[each.name] = entries[0]
    known = set().union(*of_file.values())
    return found, [entry.entry for entry in entries if entry.entry not in known]


def _revisions(files: Sequence[Migration]) -> Iterator[tuple[str, set[str]]]:
    """What Alembic's own files say: a revision, and those that it revises."""
    folders = {each.path.parent for each in files} | {each.path.parent.parent / "versions" for each in files}
    for path in sorted({path for folder in folders for path in folder.glob("*.py")}):
        try:
            tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue  # no file of Alembic's
        said: dict[str, object] = {}
        for node in tree.body:
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            if (
                isinstance(target, ast.Name)
                and isinstance(node, (ast.Assign, ast.AnnAssign))
                and node.value is not None
            ):
                try:
                    said[target.id] = ast.literal_eval(node.value)
                except ValueError:
                    continue  # not a constant, so none of those that count
        revision, down = said.get("revision"), said.get("down_revision")
        if isinstance(revision, str):
            before = down if isinstance(down, (tuple, list)) else (down,)
            yield revision, {each for each in before if isinstance(each, str)}


def _sqitch(files: Sequence[Migration], entries: Sequence[Entry]) -> Matched:
    """By the change's name, of this plan's project; of a reworked change the first entry is the oldest script."""
    project = _project(files)
    entries = [entry for entry in entries if project in ("", entry.note)]
    scripts: dict[str, list[str]] = {}
    for each in files:
        scripts.setdefault(_stem_below(each).partition("@")[0], []).append(each.name)
    found: dict[str, Entry] = {}
    strangers = []
    seen: Counter[str] = Counter()
    for entry in entries:
        named = scripts.get(entry.entry, [])
        at = seen[entry.entry]
        seen[entry.entry] += 1
        if at < len(named):
            found[named[at]] = entry
        else:
            strangers.append(entry.entry)
    return found, strangers


def _project(files: Sequence[Migration]) -> str:
    """The project that the plan beside the files names; one registry may hold several."""
    for each in files[:1]:
        plan = each.path.parents[each.name.count("/")] / "sqitch.plan"
        if plan.is_file() and (said := re.search(rb"^%project=(\S+)", plan.read_bytes(), re.MULTILINE)):
            return said[1].decode(errors="replace")
    return ""


def _stem_below(migration: Migration) -> str:
    return migration.name.partition("/")[2].removesuffix(".sql")


def _django(files: Sequence[Migration], entries: Sequence[Entry]) -> Matched:
    """By application and name (`app/0001_initial.sql`), or by the name where one application alone has it."""
    exact, _ = by(lambda each: f"{_folder(each)}/{_stem(each)}")(files, entries)
    names = Counter(entry.entry.partition("/")[2] for entry in entries)
    alone = [entry for entry in entries if names[entry.entry.partition("/")[2]] == 1]
    found, _ = by(
        lambda each: _stem(each) if each.name not in exact else "", lambda entry: entry.entry.partition("/")[2]
    )(files, [entry for entry in alone if entry not in exact.values()])
    whole = found | exact
    return whole, [entry.entry for entry in entries if entry not in whole.values()]


_CHANGESET = re.compile(rb"^[ \t]*--[ \t]*changeset[ \t]+(?P<author>[^:\s]+):(?P<id>\S+)", re.MULTILINE)


def _liquibase(files: Sequence[Migration], entries: Sequence[Entry]) -> Matched:
    """By the file that a change set stands in, all of whose change sets must have run; or by the change set's name."""
    done = {(entry.note.partition("\n")[0], entry.note.partition("\n")[2], entry.entry): entry for entry in entries}
    found: dict[str, Entry] = {}
    used: set[tuple[str, str, str]] = set()
    for each in files:
        sets = {
            (step["author"].decode(), step["id"].decode()) for step in _CHANGESET.finditer(each.source or each.text)
        }
        same = {key for key in done if key[0] == each.name or key[0].endswith(f"/{each.name}")}
        same = same or {key for key in done if key[0].rpartition("/")[2] == _base(each)}
        if sets and sets <= {key[1:] for key in same}:
            found[each.name] = max((done[key] for key in same if key[1:] in sets), key=lambda entry: str(entry.at))
        elif not sets and same:
            found[each.name] = done[min(same)]
        elif not sets:
            same = {key for key in done if key[2] == _stem(each)}
            if same:
                found[each.name] = done[min(same)]
        used |= same
    return found, [":".join((*key[:1], *key[2:])) for key in done if key not in used]


# Checksums that a tool keeps.


def _written(migration: Migration) -> bytes:
    return migration.source if migration.source is not None else migration.text


def _crc(migration: Migration, entry: Entry) -> bool | None:
    """Flyway's: CRC-32 over the lines without their ends, as a signed number of 32 bits."""
    if not entry.checksum:
        return None
    value = 0
    for line in _written(migration).decode().removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}").splitlines():
        value = zlib.crc32(line.encode(), value)
    return str(value - (1 << 32) if value >= 1 << 31 else value) == entry.checksum


def _sha(name: str) -> Callable[[Migration, Entry], bool | None]:
    def same(migration: Migration, entry: Entry) -> bool | None:
        return hashlib.new(name, _written(migration)).hexdigest() == entry.checksum if entry.checksum else None

    return same


_HASH = re.compile(rb"^--! Hash: (\S+)", re.MULTILINE)


def _graphile(migration: Migration, entry: Entry) -> bool | None:
    """graphile-migrate writes the hash into the committed file itself."""
    found = _HASH.search(_written(migration))
    return found[1].decode() == entry.checksum if found else None


def _columns(*names: str) -> frozenset[str]:
    return frozenset(names)


_BY_DIGITS = by(lambda each: _digits(_base(each)))
_BY_NUMBER = by(lambda each: _number(_base(each)))

TOOLS: dict[str, Tool] = {
    "flyway": Tool(
        "flyway_schema_history", _columns("installed_rank", "script", "success", "checksum", "type", "version"),
        _flyway, _crc, "Mend or undo what it left, run `flyway repair`, then adopt.",
    ),
    "alembic": Tool("alembic_version", _columns("version_num"), _alembic),
    "sqitch": Tool("changes", _columns("change_id", "script_hash", "change", "project"), _sqitch, _sha("sha1")),
    "supabase": Tool("schema_migrations", _columns("version"), _BY_DIGITS, schema="supabase_migrations"),
    "golang-migrate": Tool(
        "schema_migrations", _columns("version", "dirty"), _up_to,
        mends="Finish or undo that version by hand, tell golang-migrate with `migrate force VERSION`, then adopt.",
    ),
    "dbmate": Tool("schema_migrations", _columns("version"), _BY_DIGITS, without=_columns("dirty")),
    "goose": Tool("goose_db_version", _columns("version_id", "is_applied", "tstamp"), _BY_NUMBER),
    "prisma": Tool(
        "_prisma_migrations", _columns("migration_name", "finished_at", "rolled_back_at", "checksum"), by(_folder),
        _sha("sha256"),
        "Mend what it left, tell Prisma with `prisma migrate resolve --applied NAME` (or --rolled-back), then adopt.",
    ),
    "django": Tool("django_migrations", _columns("app", "name", "applied"), _django),
    "liquibase": Tool(
        "databasechangelog", _columns("id", "author", "filename", "exectype", "orderexecuted"), _liquibase,
        mends="Mend what it left, and run `liquibase update` once more or delete that row, then adopt.",
    ),
    "graphile-migrate": Tool(
        # The table has the number alone; the file's name has the message behind it.
        "migrations", _columns("hash", "previous_hash", "filename", "date"),
        by(lambda each: _digits(_base(each)), lambda entry: _digits(entry.entry)), _graphile, schema="graphile_migrate",
    ),
    "diesel": Tool(
        "__diesel_schema_migrations", _columns("version", "run_on"),
        by(lambda each: _folder(each).partition("_")[0].replace("-", "")),
    ),
    "sqlx": Tool(
        "_sqlx_migrations", _columns("version", "success", "checksum", "installed_on"), _BY_NUMBER, _sha("sha384"),
        "Mend what it left and delete that row of _sqlx_migrations, or set its success, then adopt.",
    ),
    "yoyo": Tool("_yoyo_migration", _columns("migration_id", "applied_at_utc"), by(_stem)),
}  # fmt: skip
"""By the name that --from takes."""
