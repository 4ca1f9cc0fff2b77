"""How is a folder laid out: which of its files are migrations, in which order, and which take them back?

Each layout orders as its own tool does. Names tell all of them but three, whose files are parted by comment lines;
those are looked for in the texts, and only where no name tells more.
"""

from __future__ import annotations

import itertools
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from lancio.errors import SourceError
from lancio.reading import markers, sqitch
from lancio.reading.placeholders import Habits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from lancio.reading.markers import Markers

Name = Literal[
    "flat", "timestamps", "up-down", "diesel", "prisma", "flyway", "dbmate", "goose", "sql-migrate", "sqitch"
]

NAMES: tuple[Name, ...] = get_args(Name)

SAYS: dict[Name, str] = {
    "flat": "files in the order of their numbers",
    "timestamps": "files in the order of their timestamps (Supabase, sqlx)",
    "up-down": "pairs of .up.sql and .down.sql (golang-migrate, sqlx, Ory)",
    "diesel": "one folder a migration, with up.sql and down.sql (Diesel)",
    "prisma": "one folder a migration, with migration.sql (Prisma)",
    "flyway": "versioned and repeatable files (Flyway)",
    "dbmate": "files parted by `-- migrate:up` and `-- migrate:down` (dbmate)",
    "goose": "files parted by `-- +goose Up` and `-- +goose Down` (goose)",
    "sql-migrate": "files parted by `-- +migrate Up` and `-- +migrate Down` (sql-migrate)",
    "sqitch": "the changes of sqitch.plan (Sqitch)",
}

HABITS: dict[Name, Habits] = {
    "flat": Habits(psql=True), "sqitch": Habits(psql=True), "flyway": Habits(dollar_everywhere=True),
    "goose": Habits(switched=True),
}  # fmt: skip
"""Of the layouts whose tool fills more than a template's places."""


@dataclass(frozen=True, slots=True)
class After:
    """A migration that must stay behind another, or may not run with it, because a plan beside the files says so."""

    file: str
    place: str
    line: int
    conflict: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One migration of a folder before its text is read; paths are relative to the folder, with `/`."""

    file: str
    number: int | None = None
    down: str = ""
    transaction: bool = True
    after: tuple[After, ...] = ()
    raw: bool = False  # its places are not to be filled
    repeatable: bool = False  # it runs again whenever it changes


@dataclass(frozen=True, slots=True)
class Arranged:
    """A folder's migrations in order; `left_out` are the .sql files that the layout has no place for.

    `elsewhere` are migrations in another language, which nobody can read here. Where `ordered` is not set, files of
    one number, and those without one, have no order among them. `twins` are files of one version where a version
    should be one migration: they keep the order of their names.
    """

    layout: Name
    entries: tuple[Entry, ...]
    left_out: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    ordered: bool = True
    parted: Markers | None = None
    twins: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """What lies below a folder: the .sql files, and all files; `text` reads one of the first."""

    root: Path
    sql: tuple[str, ...]
    other: tuple[str, ...]
    text: Callable[[str], bytes] = field(compare=False)


_PAIR = re.compile(r"(?P<number>\d+)_(?P<name>.*?)(?P<flags>(?:\.[a-z0-9]+)*)\.(?P<way>up|down)\.(?P<kind>\w+)$")
_DIALECTS = {
    "postgres": "postgres", "postgresql": "postgres", "pg": "postgres", "cockroach": "other", "cockroachdb": "other",
    "crdb": "other", "mysql": "other", "mariadb": "other", "sqlite": "other", "sqlite3": "other", "mssql": "other",
    "sqlserver": "other", "oracle": "other",
}  # fmt: skip
_FLYWAY = re.compile(r"(?:(?P<kind>[VUB])(?P<version>\d+(?:[._]\d+)*)|(?P<again>R))__(?P<name>.*)\.(?P<end>\w+)$")
_STAMP = re.compile(r"(\d{14})_.*\.sql$")
_NUMBERED = re.compile(r"^(?:V|v)?(\d+)(?:[._ -]|$)")
"""`001_name.sql`, `20260101120000_name.sql`, `V7__name.sql`: a number that gives an order."""
_DIGITS = re.compile(r"\d+")


def _claims(name: Name, file: str) -> bool:
    """Whether a file's name has a meaning in a layout."""
    depth = file.count("/") + 1
    last = file.rpartition("/")[2]
    if name == "up-down":
        return depth == 1 and _PAIR.match(file) is not None
    if name == "diesel":
        return depth == 2 and last in ("up.sql", "down.sql")
    if name == "prisma":
        return depth == 2 and last == "migration.sql"
    if name == "flyway":
        return _FLYWAY.match(last) is not None
    if name == "timestamps":
        return depth == 1 and _STAMP.match(file) is not None
    if name in _PARTED:
        return depth == 1
    return name == "flat"


_PARTED: dict[Name, Markers] = {
    "dbmate": markers.DBMATE, "goose": markers.GOOSE, "sql-migrate": markers.SQL_MIGRATE,
}  # fmt: skip
_BY_NAME: tuple[Name, ...] = ("prisma", "diesel", "up-down", "flyway")
_HARMLESS: frozenset[Name] = frozenset(("flyway", "timestamps"))
"""Layouts whose files do no harm where they are taken for flat ones."""


def arrange(found: Found, wanted: Name | None = None) -> Arranged:
    """The migrations of a folder in the order of its layout: of `wanted`, or of the one that its files show.

    A layout is recognized where at least half of the .sql files belong to it.

    Raises:
        SourceError: the files belong to no layout as a whole, not to the one that is wanted, or contradict it.
    """
    name = recognize(found) if wanted is None else wanted
    if name == "sqitch":
        return _sqitch(found)
    claimed = [file for file in found.sql if _claims(name, file)]
    if name in _PARTED and wanted is not None and not any(_PARTED[name].inside(found.text(each)) for each in claimed):
        claimed = []
    if not claimed:
        raise SourceError(
            f"{found.root} is not laid out as {name} has it",
            cause=f"It holds none of these: {SAYS[name]}.",
            remedy=f"Leave --layout away, or give another one: {', '.join(NAMES)}.",
        )
    return _ARRANGERS[name](found, claimed)


def recognize(found: Found) -> Name:
    """The layout that a folder's files show.

    Raises:
        SourceError: too few of them belong to one that would be misread as plain files, or they lie deeper.
    """
    if sqitch.PLAN in found.other:
        return "sqitch"
    if found.root.name in ("deploy", "revert", "verify") and (found.root.parent / sqitch.PLAN).is_file():
        raise SourceError(
            f"{found.root} is a part of a Sqitch project",
            cause="The order of its files stands in sqitch.plan beside it.",
            remedy=f"Name the folder of the plan: {found.root.parent}",
        )
    mixed: dict[Name, list[str]] = {}
    for name in _BY_NAME:
        claimed = [file for file in found.sql if _claims(name, file)]
        if 2 * len(claimed) >= len(found.sql):
            return name
        if claimed:
            mixed[name] = claimed
    _refuse_deeper(found, [file for file in found.sql if _deeper(file)])
    top = sum("/" not in file for file in found.sql)
    for name, each in _PARTED.items():
        claimed = [file for file in found.sql if each.inside(found.text(file))]
        if 2 * sum("/" not in file for file in claimed) >= max(top, 1):
            return name
        _refuse_deeper(found, [file for file in claimed if "/" in file])
        if claimed:
            mixed[name] = claimed
    dangerous = {name: files for name, files in mixed.items() if name not in _HARMLESS}
    if dangerous:
        raise _mixed(found, dangerous)
    stamped = [file for file in found.sql if _claims("timestamps", file)]
    return "timestamps" if 2 * len(stamped) >= len(found.sql) else "flat"


def _mixed(found: Found, some: Mapping[Name, list[str]]) -> SourceError:
    said = "; ".join(
        f"{len(files)} of {len(found.sql)} are {SAYS[name]}, {files[0]} among them" for name, files in some.items()
    )
    choices = " or ".join(f"--layout {name}" for name in (*some, "flat"))
    return SourceError(
        f"{found.root} is laid out in more than one way",
        cause=f"{said[0].upper()}{said[1:]}. The others are not, so what is to be run cannot be told.",
        remedy=f"Move what does not belong there, or say how to read it: {choices} (all files as they stand).",
    )


def _deeper(file: str) -> bool:
    """Whether a file is a migration of a folder below, by its name."""
    parts = file.split("/")
    if len(parts) > 2 and parts[-1] in ("up.sql", "down.sql", "migration.sql"):
        return True
    return len(parts) > 1 and _PAIR.match(parts[-1]) is not None


def _refuse_deeper(found: Found, files: list[str]) -> None:
    """Refuse a folder whose migrations lie in folders of their own, one for each database perhaps."""
    if not files or 2 * len(files) < len(found.sql):
        return
    above = 2 if files[0].endswith(("/up.sql", "/down.sql", "/migration.sql")) else 1
    homes = sorted({"/".join(file.split("/")[:-above]) for file in files})
    raise SourceError(
        f"{found.root} is no folder of migrations, but holds {'one' if len(homes) == 1 else len(homes)}",
        cause=f"The migrations lie in {', '.join(homes[:5])}.",
        remedy=f"Name one of them: {', '.join(str(found.root / each) for each in homes[:5])}",
    )


# One function a layout: the files that are its own, as entries in the order of its tool.


def _flat(_: Found, claimed: list[str]) -> Arranged:
    """Numbers first, by value, then by name; yoyo's `x.rollback.sql` takes back `x.sql`."""
    names = set(claimed)
    back = {
        file for file in claimed if file.endswith(".rollback.sql") and file.replace(".rollback.sql", ".sql") in names
    }
    entries = [
        Entry(file, _number(file), down if (down := f"{file.removesuffix('.sql')}.rollback.sql") in back else "")
        for file in claimed
        if file not in back
    ]
    entries.sort(key=lambda each: (each.number is None, each.number or 0, each.file))
    return Arranged("flat", tuple(entries), ordered=False)


def _number(file: str) -> int | None:
    match = _NUMBERED.match(file.rpartition("/")[2])
    return int(match[1]) if match else None


def _timestamps(found: Found, claimed: list[str]) -> Arranged:
    """By the timestamp, then by name."""
    entries = sorted((Entry(file, int(file.split("_", 1)[0])) for file in claimed), key=lambda each: each.file)
    return Arranged("timestamps", tuple(entries), _rest(found, claimed))


def _up_down(found: Found, claimed: list[str]) -> Arranged:
    """By version as a number; of a version's files PostgreSQL's own, else the one for no database in particular."""
    ways: dict[str, dict[int, list[_Half]]] = {"up": {}, "down": {}}
    for file in claimed:
        match = _PAIR.match(file)
        if match is None or match["kind"] != "sql":
            continue
        flags = match["flags"].split(".")[1:]
        tags = [_DIALECTS[flag] for flag in flags if flag in _DIALECTS]
        if "other" not in tags:
            half = _Half(not tags, match["name"], file, "autocommit" not in flags)
            ways[match["way"]].setdefault(int(match["number"]), []).append(half)
    entries: list[Entry] = []
    passed_over: list[str] = []
    for number, halves in sorted(ways["up"].items()):
        best = min(halves)
        downs = ways["down"].get(number, [])
        chosen = sorted((half for half in halves if half.general == best.general), key=lambda each: each.file)
        passed_over += [half.file for half in halves if half not in chosen and half.name != best.name]
        for half in chosen:
            # Of a version that is one migration, the names of its two halves may differ.
            down = min(
                (each for each in downs if each.name == half.name or len(chosen) == 1), key=_fits(half), default=None
            )
            entries.append(Entry(half.file, number, down.file if down is not None else "", half.transaction))
    elsewhere = [
        file
        for file in found.other
        if (match := _PAIR.match(file)) and match["way"] == "up" and match["kind"] != "sql" and "/" not in file
    ]
    left_out = (*passed_over, *_rest(found, claimed))
    return Arranged("up-down", tuple(entries), left_out, tuple(elsewhere), twins=_twins(entries))


class _Half(NamedTuple):
    """One file of a pair; those for PostgreSQL come before those for no database in particular."""

    general: bool
    name: str
    file: str
    transaction: bool


def _fits(half: _Half) -> Callable[[_Half], tuple[bool, _Half]]:
    """Of the files that take a version back, the one of the same name comes first."""
    return lambda each: (each.name != half.name, each)


def _twins(entries: list[Entry]) -> tuple[tuple[str, str], ...]:
    """Files of one version, which most tools refuse; some order them by name."""
    pairs = itertools.pairwise(entries)
    return tuple((one.file, other.file) for one, other in pairs if one.number == other.number is not None)


def _diesel(found: Found, claimed: list[str]) -> Arranged:
    """By version as text: what stands before the first `_` of the folder's name, without its `-`."""
    folders = {file.rsplit("/", 1)[0] for file in claimed if file.endswith("/up.sql")}
    names = set(claimed)
    ordered = sorted(folders, key=lambda each: (each.split("_", 1)[0].replace("-", ""), each))
    entries = tuple(
        Entry(
            f"{each}/up.sql",
            down=f"{each}/down.sql" if f"{each}/down.sql" in names else "",
            transaction=_toml(found, f"{each}/metadata.toml").get("run_in_transaction") is not False,
        )
        for each in ordered
    )
    return Arranged("diesel", entries, _rest(found, claimed))


def _toml(found: Found, file: str) -> dict[str, object]:
    if file not in found.other:
        return {}
    try:
        return tomllib.loads((found.root / file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(f"{file} cannot be read", cause=str(error), remedy="Mend it or remove it.") from error


def _prisma(found: Found, claimed: list[str]) -> Arranged:
    """By the folder's name as text."""
    entries = tuple(Entry(file) for file in sorted(claimed, key=lambda each: each.rsplit("/", 1)[0]))
    return Arranged("prisma", entries, _rest(found, claimed))


def _flyway(found: Found, claimed: list[str]) -> Arranged:
    """By the version's parts as numbers; then the repeatable ones by their description.

    A baseline stands for the versions up to its own in a new database; as those are there, it is left out.
    """
    versions: dict[tuple[int, ...], str] = {}
    undo: dict[tuple[int, ...], str] = {}
    again: list[tuple[str, str]] = []
    baselines: list[str] = []
    for file in claimed:
        match = _FLYWAY.match(PurePosixPath(file).name)
        if match is None:
            continue
        version = _version(match["version"] or "")
        if match["again"]:
            again.append((match["name"].replace("_", " "), file))
        elif match["kind"] == "B":
            baselines.append(file)
        else:
            into = versions if match["kind"] == "V" else undo
            if version in into:
                raise SourceError(
                    f"{into[version]} and {file} have the same version {match['version']}",
                    cause="Flyway refuses two migrations of one version.",
                    remedy="Give one of them another version.",
                )
            into[version] = file
    order = [(file, undo.get(version, "")) for version, file in sorted(versions.items())]
    repeatable = {file for _, file in again}
    order += [(file, "") for _, file in sorted(again)]
    entries = []
    for file, down in order:
        settings = _settings(found, f"{file}.conf")
        entries.append(
            Entry(
                file,
                down=down,
                transaction=settings.get("executeintransaction") != "false",
                raw=settings.get("placeholderreplacement") == "false",
                repeatable=file in repeatable,
            )
        )
    elsewhere = [
        file
        for file in found.other
        if (match := _FLYWAY.match(PurePosixPath(file).name)) and match["end"] in ("java", "kt", "sh", "py", "ps1")
    ]
    return Arranged("flyway", tuple(entries), (*baselines, *_rest(found, claimed)), tuple(elsewhere))


def _version(text: str) -> tuple[int, ...]:
    """`1.2.0` and `1_2` are one version."""
    parts = [int(each) for each in _DIGITS.findall(text)]
    while len(parts) > 1 and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def _settings(found: Found, file: str) -> dict[str, str]:
    """The lines `key=value` of a script's own configuration."""
    if file not in found.other:
        return {}
    try:
        lines = (found.root / file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{file} cannot be read", cause=str(error), remedy="Mend it or remove it.") from error
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.lstrip().startswith("#"))
    return {key.strip().lower(): value.strip().lower() for key, value in pairs}


def _parted(name: Name) -> Callable[[Found, list[str]], Arranged]:
    """dbmate orders by the files' names, goose by number, sql-migrate by number and then by name."""

    def arranger(found: Found, claimed: list[str]) -> Arranged:
        if name != "sql-migrate":  # the others know a migration by its number
            claimed = [file for file in claimed if _DIGITS.match(file) and (name == "dbmate" or "_" in file)]
        entries = [Entry(file, int(match[0]) if (match := _DIGITS.match(file)) else None) for file in claimed]
        if name == "dbmate":
            entries.sort(key=lambda each: each.file)
        else:
            entries.sort(key=lambda each: (each.number is None, each.number or 0, each.file))
        elsewhere = [file for file in found.other if name == "goose" and re.fullmatch(r"\d+_[^/]*(?<!_test)\.go", file)]
        twins = _twins(entries) if name == "goose" else ()
        rest = _rest(found, claimed)
        return Arranged(name, tuple(entries), rest, tuple(elsewhere), parted=_PARTED[name], twins=twins)

    return arranger


def _sqitch(found: Found) -> Arranged:
    """The changes of the plan; what one requires it stays behind."""
    names = set(found.sql)
    if sqitch.PLAN not in found.other:
        raise SourceError(
            f"{found.root} holds no {sqitch.PLAN}",
            cause="The order of a Sqitch project's files stands in its plan.",
            remedy="Name the folder that holds the plan.",
        )
    changes = sqitch.read(found.root / sqitch.PLAN)
    files: list[str] = []
    entries: list[Entry] = []
    for change in changes:
        script = next((each for each in change.scripts if f"deploy/{each}.sql" in names), None)
        if script is None:
            raise SourceError(
                f"{sqitch.PLAN} has the change {change.name}, and there is no deploy/{change.scripts[0]}.sql",
                where=f"{sqitch.PLAN}:{change.line}",
                cause="Every change of the plan has a script that deploys it.",
                remedy="Add the script, or take the change out of the plan.",
            )
        files.append(f"deploy/{script}.sql")
        down = f"revert/{script}.sql"
        after = [After(files[each], sqitch.PLAN, change.line) for each in change.requires]
        after += [After(files[each], sqitch.PLAN, change.line, conflict=True) for each in change.conflicts]
        entries.append(Entry(files[-1], None, down if down in names else "", after=tuple(after)))
    known = {*files, *(entry.down for entry in entries)}
    rest = [file for file in found.sql if file not in known and not file.startswith(("verify/", "revert/"))]
    elsewhere = [f"{change.name} [{need}]" for change in changes for need in change.elsewhere]
    return Arranged("sqitch", tuple(entries), tuple(rest), tuple(elsewhere))


def _rest(found: Found, claimed: Iterable[str]) -> tuple[str, ...]:
    known = set(claimed)
    return tuple(file for file in found.sql if file not in known)


_ARRANGERS: dict[Name, Callable[[Found, list[str]], Arranged]] = {
    "flat": _flat, "timestamps": _timestamps, "up-down": _up_down, "diesel": _diesel, "prisma": _prisma,
    "flyway": _flyway, "dbmate": _parted("dbmate"), "goose": _parted("goose"), "sql-migrate": _parted("sql-migrate"),
}  # fmt: skip
