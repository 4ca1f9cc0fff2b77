"""Where does a migration's name put it in its folder, and how would the next one be called?

A layout says what a name means; the files that are there already say the rest: how wide a number is, what stands
between number and words, whether a timestamp is a date, seconds since 1970 or something in between.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lancio.errors import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from lancio.reading.layouts import Name
    from lancio.reading.source import Folder

Key = tuple[object, ...]
"""Compares with others of one layout as its tool orders files."""

_LEADING = re.compile(r"(?P<prefix>[Vv]?)(?P<number>\d+)(?P<gap>[._ -]+|$)(?P<rest>.*)", re.DOTALL)
_FLYWAY = re.compile(r"(?P<kind>[VR])(?P<version>\d+(?:[._]\d+)*)?__(?P<rest>.*)\.sql$", re.DOTALL)
_DIESEL = re.compile(r"(?P<date>\d{4}-\d\d-\d\d)-(?P<time>\d{6})(?P<more>-\d{4})?_(?P<rest>.*)", re.DOTALL)
_FOLDERS: frozenset[Name] = frozenset(("diesel", "prisma"))
STAMPS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S", 17: "%Y%m%d%H%M%S%f", 20: "%Y%m%d%H%M%S%f"}
"""How a number of so many digits is a time (of %f the digits that fit)."""
EPOCH_DIGITS = 10
FIRST_YEARS = ("19", "20")


def number(layout: Name, name: str) -> str:
    """What of a file's name is its number, as one number is one migration: "7", "20240101120000", "1.2"; "" for none.

    Written differently it is the same: `007` and `7`, Flyway's `1_2` and `1.2.0`.
    """
    said = _said(layout, name)
    if layout == "flyway":
        match = _FLYWAY.match(said)
        parts = [int(each) for each in re.split(r"[._]", match["version"])] if match and match["version"] else []
        while len(parts) > 1 and parts[-1] == 0:
            parts.pop()
        return ".".join(map(str, parts))
    if layout == "diesel":
        return said.split("_", 1)[0].replace("-", "") if "_" in said else ""
    match = _LEADING.match(said)
    return str(int(match["number"])) if match else ""


def place(layout: Name, name: str) -> Key:
    """Where the layout's tool puts a file among the others: keys of one layout are compared.

    Of `sqitch` every key is the same: its order stands in the plan, not in the names.
    """
    said = _said(layout, name)
    if layout == "sqitch":
        return ()
    if layout == "flyway":
        match = _FLYWAY.match(said)
        if match is None or not match["version"]:
            return (True, (), match["rest"].replace("_", " ") if match else said, name)
        return (False, tuple(int(each) for each in number(layout, name).split(".")), "", name)
    if layout == "diesel":
        return (said.split("_", 1)[0].replace("-", ""), said)
    if layout in ("prisma", "timestamps", "dbmate"):
        return (said if layout == "prisma" else name,)
    found = number(layout, name)
    return (not found, int(found or 0), name)


def _said(layout: Name, name: str) -> str:
    """The part of a path that bears number and words."""
    return name.split("/", 1)[0] if layout in _FOLDERS else name.rpartition("/")[2]


# The next one.


@dataclass(frozen=True, slots=True)
class New:
    """The files of a migration to be: their paths relative to the folder and the texts below the header."""

    name: str
    files: tuple[tuple[str, str], ...]
    layout: Name
    note: str = ""


@dataclass(frozen=True, slots=True)
class Habit:
    """How the files that are there are called: their last number as it is written, and what surrounds it."""

    prefix: str = ""
    last: str = "000"
    gap: str = "_"
    joint: str = "_"
    above: str = ""  # the folder below DIR that the last one lies in, with its `/`
    numbers: tuple[int, ...] = field(default=())


def following(words: str, folder: Folder | None, layout: Name | None, now: datetime) -> New:
    """The next migration of a folder, by its own habit; of an empty one (None) by the layout's, else `flat`.

    `words` is what it does in a few words; `now` is in UTC.

    Raises:
        UsageError: words that are no name.
        SourceError: the folder's next migration cannot be told from its files (Sqitch).
    """
    spoken = _words(words)
    layout = folder.layout if folder is not None else layout or "flat"
    if layout == "sqitch":
        raise SourceError(
            "a Sqitch project gets its next change by Sqitch",
            cause="The order of its changes stands in sqitch.plan with who planned them and when, not in their names.",
            remedy="Let Sqitch add it; Lancio reads the plan as it is then.",
            commands=(f"sqitch add {'_'.join(spoken)} -n '{' '.join(spoken)}'",),
        )
    names = [each.name for each in folder.migrations] if folder is not None else []
    habit = _habit(layout, names, [*names, *(folder.left_out + folder.elsewhere if folder is not None else ())])
    if habit is None:
        joint = "-" if sum("-" in each for each in names) > len(names) / 2 else "_"
        called = joint.join(spoken)
        note = "The folder's files have no numbers, so this one has none: what it needs decides where it runs."
        return New(called, _files(layout, called, folder), layout, note)
    joint = habit.joint
    called = f"{habit.above}{habit.prefix}{_next(habit, layout, now)}{habit.gap}{joint.join(spoken)}"
    return New(called, _files(layout, called, folder), layout)


def _words(words: str) -> list[str]:
    found = re.findall(r"[^\W_]+", words.removesuffix(".sql"))
    if not found or "/" in words or "\\" in words or not words.isprintable():
        raise UsageError(
            f"{words!r} is no name for a migration",
            cause="A name is made of letters and digits, with _, - or blanks between the words.",
            remedy="Say what it does in a few words.",
            commands=("lancio new add_invoices", "lancio new 'add invoices'"),
        )
    return found


def _habit(layout: Name, names: Sequence[str], known: Iterable[str]) -> Habit | None:
    """What the last of the files shows; None where none of them has a number."""
    if not names:
        return Habit(*_FIRST.get(layout, ("", "000", "_")))
    if layout == "flyway":
        return _flyway_habit(names)
    numbered = [(name, match) for name in names if (match := _LEADING.match(_said(layout, name)))]
    if layout == "diesel":
        numbered = [(name, match) for name in names if (match := _DIESEL.match(_said(layout, name)))] or numbered
    if not numbered:
        return None
    numbers = tuple(int(found) for name in known if (found := number(layout, name)))
    last, match = max(numbered, key=lambda each: place(layout, each[0]))
    rests = [each["rest"] for _, each in numbered]
    joint = "-" if sum("-" in rest for rest in rests) > sum("_" in rest for rest in rests) else "_"
    above = "" if layout in _FOLDERS else "".join(last.rpartition("/")[:2])
    if match.re is _DIESEL:
        return Habit("", f"{match['date']}-{match['time']}{match['more'] or ''}", "_", joint, above, numbers)
    return Habit(match["prefix"], match["number"], match["gap"] or "_", joint, above, numbers)


_FIRST: dict[str, tuple[str, str, str]] = {
    "timestamps": ("", "20000101000000", "_"), "up-down": ("", "000000", "_"), "dbmate": ("", "20000101000000", "_"),
    "diesel": ("", "2000-01-01-000000", "_"), "prisma": ("", "20000101000000", "_"), "flyway": ("V", "0", "__"),
    "goose": ("", "00000", "_"), "sql-migrate": ("", "000", "_"),
}  # fmt: skip
"""What the file before the first one would be called, where there is none."""


def _flyway_habit(names: Sequence[str]) -> Habit | None:
    versioned = [
        (name, match) for name in names if (match := _FLYWAY.match(_said("flyway", name))) and match["version"]
    ]
    if not versioned:
        return Habit("V", "0", "__")
    last, match = max(versioned, key=lambda each: place("flyway", each[0]))
    numbers = tuple(int(found) for name, _ in versioned if (found := number("flyway", name)).isdigit())
    return Habit("V", match["version"], "__", "_", "".join(last.rpartition("/")[:2]), numbers)


def _next(habit: Habit, layout: Name, now: datetime) -> str:
    last = habit.last
    if layout == "diesel" and (match := re.fullmatch(r"\d{4}-\d\d-\d\d-\d{6}(-\d{4})?", last)):
        stamp = now.strftime("%Y-%m-%d-%H%M%S") + ("-0000" if match[1] else "")
        return stamp if stamp > last else _after(last)
    if not last.isdigit():  # Flyway's 1.2, 1_2
        tail = re.split(r"[._]", last)[-1]
        return f"{last.removesuffix(tail)}{str(int(tail) + 1).zfill(len(tail))}"
    greatest = max((*habit.numbers, int(last)))
    stamp = _stamp(last, now)
    if stamp:
        return stamp if int(stamp) > greatest else str(greatest + 1).zfill(len(last))
    steps = [each for each in habit.numbers if each]
    by_tens = len(steps) > 1 and all(each % 10 == 0 for each in steps)
    return str(greatest + (10 if by_tens else 1)).zfill(len(last))


def _after(stamp: str) -> str:
    """The stamp that is one greater, digits in their places: for a clock that is behind the last file."""
    digits = str(int(stamp.replace("-", "")) + 1)
    for at, char in enumerate(stamp):
        if char == "-":
            digits = f"{digits[:at]}-{digits[at:]}"
    return digits


def _stamp(last: str, now: datetime) -> str:
    """The time in the form of the last number, or "" where that is no time."""
    if len(last) == EPOCH_DIGITS and last.startswith("1"):
        return str(int(now.timestamp()))
    form = STAMPS.get(len(last))
    if form is None or not last.startswith(FIRST_YEARS) or not _is_date(last):
        return ""
    return now.strftime(form)[: len(last)]


def _is_date(digits: str) -> bool:
    return 1 <= int(digits[4:6]) <= 12 and 1 <= int(digits[6:8]) <= 31


def _files(layout: Name, called: str, folder: Folder | None) -> tuple[tuple[str, str], ...]:
    """The files of a migration as its layout has them; a way back only where the folder's others have one."""
    downs = folder is None or any(each.down is not None for each in folder.migrations)
    if layout == "up-down":
        return ((f"{called}.up.sql", ""), *(((f"{called}.down.sql", ""),) if downs else ()))
    if layout == "diesel":
        return ((f"{called}/up.sql", ""), *(((f"{called}/down.sql", ""),) if downs else ()))
    if layout == "prisma":
        return ((f"{called}/migration.sql", ""),)
    if layout in _PARTS:
        up, down = _PARTS[layout]
        return ((f"{called}.sql", f"{up}\n\n\n{down}\n\n"),)
    back = layout == "flat" and folder is not None and downs
    return ((f"{called}.sql", ""), *(((f"{called}.rollback.sql", ""),) if back else ()))


_PARTS: dict[str, tuple[str, str]] = {
    "dbmate": ("-- migrate:up", "-- migrate:down"), "goose": ("-- +goose Up", "-- +goose Down"),
    "sql-migrate": ("-- +migrate Up", "-- +migrate Down"),
}  # fmt: skip
