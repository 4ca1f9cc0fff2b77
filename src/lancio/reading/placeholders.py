"""Where does a file leave a place that another program fills before it is sent, and with what?

Five forms are known: `{{ … }}` (Go's templates and their like), `${name}` (Flyway, goose), `$(name)`, psql's `:name`,
`:'name'` and `:"name"`, and River's comment `/* TEMPLATE: name */`. Outside of quotes none of the first three is SQL,
so there they are places in every layout. Inside of strings, quoted names and comments a place is what the layout's
own tool would take for one: nothing to psql, everything to Flyway, and everything to a template, once the folder
proves to be one by a place that cannot be SQL.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from lancio.errors import SourceError
from lancio.reading.places import pointed
from lancio.syntax import lexer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

Form = Literal["template", "dollar", "parenthesis", "psql", "river"]


@dataclass(frozen=True, slots=True)
class Habits:
    """What a layout's own tool fills: whether psql runs the files, and whether `${name}` is filled in quotes too."""

    psql: bool = False
    dollar_everywhere: bool = False
    switched: bool = False  # `${name}` only between `-- +goose ENVSUB ON` and `OFF`, and there everywhere


@dataclass(frozen=True, slots=True)
class Gap:
    """One place to be filled: its form, the variable's name ("" for what is more than a name) and its bytes."""

    form: Form
    name: str
    start: int
    end: int
    style: str = ""  # of psql's: the quote, or `?` for the test whether the variable is set
    default: str | None = None  # `${name:-default}`


class Piece(NamedTuple):
    """A filled place: its bytes in the text and in the file."""

    start: int
    end: int
    from_: int
    to: int


@dataclass(frozen=True, slots=True)
class Filled:
    """A text without gaps, and the places that were filled, in order."""

    text: bytes
    pieces: tuple[Piece, ...]

    def written(self, at: int) -> int:
        """The byte of the file that a byte of the filled text comes from; of a filled place, where it begins."""
        index = bisect_right(self.pieces, at, key=lambda piece: piece.start) - 1
        if index < 0:
            return at
        piece = self.pieces[index]
        return piece.from_ if at < piece.end else piece.to + at - piece.end


_SIGN = re.compile(rb"(?=[{$T:])(?:\{\{|\$[({A-Za-z_]|TEMPLATE: |(?<![:\"]):['\"]?[A-Za-z_{])")
"""What every place begins with or holds: a file without it has none, and is not looked at again."""

_GAP = re.compile(
    rb"""
    (?=[{$/:])(?:  # looked at first: the rest is tried nowhere else
    (?P<template>\{\{-?\s*+(?P<action>(?:(?!\{\{|\}\})[^\n])*+)\s*+-?\}\})
  | (?P<dollar>\$\{(?P<dname>[^{}\n:]++(?::(?!-)[^{}\n]++)?+)(?::-(?P<default>[^{}\n]*+))?+\}
      |\$(?P<plain>[A-Za-z_]\w*)(?![\w$]))
  | (?P<parenthesis>\$\((?P<pname>[A-Za-z_]\w*)\))
  | (?P<river>/\*[ ]TEMPLATE:[ ](?P<rname>[A-Za-z_]\w*)[ ]\*/)
  | (?P<psql>(?<![:"]):(?:(?P<bare>[A-Za-z_]\w*)|'(?P<single>\w+)'|"(?P<double>\w+)"|\{\?(?P<test>\w+)\})))
    """,
    re.VERBOSE,
)
_NAMES = {
    "dollar": ("dname", "plain"), "parenthesis": ("pname",), "river": ("rname",),
    "psql": ("bare", "single", "double", "test"),
}  # fmt: skip
_STYLES = {"single": "'", "double": '"', "test": "?"}
_INDEX = re.compile(r"""index\s+\.\w*\s+"(\w+)"$""")
_PLAIN = re.compile(r"\.?([A-Za-z_]\w*(?:\.\w+)*)$")
_SWITCH = re.compile(rb"(?mi)^--[ \t]*\+goose[ \t]+ENVSUB(?:ST)?[ \t]+(ON|OFF)[ \t]*\r?$")


_COPY = re.compile(rb"(?mi)^[ \t\r\f\v]*copy\b")
_FROM_STDIN = re.compile(rb"(?i)\bfrom\s+stdin\b")


def copy_in(text: bytes) -> tuple[int, int] | None:
    """The first COPY … FROM STDIN: behind it stand lines of data, which psql does not look into."""
    looked = 0
    for copy in _COPY.finditer(text):
        if copy.start() < looked:  # of a statement that was looked through already
            continue
        end = text.find(b";", copy.end())
        looked = end if end >= 0 else len(text)
        if found := _FROM_STDIN.search(text, copy.end(), looked):
            return copy.start(), found.end()
    return None


def gaps(text: bytes, habits: Habits) -> list[tuple[Gap, bool]]:
    """Each place that may be a gap, and whether it stands where it cannot be SQL."""
    if _SIGN.search(text) is None:
        return []
    quotes: _Quotes | None = None
    switched = list(_switched(text)) if habits.switched else []
    copy = copy_in(text) if habits.psql else None
    found: list[tuple[Gap, bool]] = []
    for match in _GAP.finditer(text):
        if match.lastgroup == "psql" and (not habits.psql or (copy is not None and match.start() > copy[1])):
            continue
        if match["plain"] is not None and not habits.switched:
            continue
        gap = _gap(match)
        quotes = quotes or _Quotes(text)
        kind = quotes.around(gap.start)
        if gap.form == "psql":
            if not kind:  # the colon of `a[1:n]` is SQL's own, until there is a variable of that name
                found.append((gap, not quotes.subscript(gap.start)))
        elif gap.form == "river":
            found.append((gap, False))
        elif gap.form == "dollar" and habits.switched:
            if any(start <= gap.start < end for start, end in switched):
                found.append((gap, True))
        else:
            found.append((gap, kind in ("", "quoted") or (gap.form == "dollar" and habits.dollar_everywhere)))
    return found


def _gap(match: re.Match[bytes]) -> Gap:
    form: Form = match.lastgroup  # type: ignore[assignment]
    if form == "template":
        action = match["action"].decode(errors="replace").rstrip().removesuffix("-").rstrip()
        return Gap(form, template_name(action), match.start(), match.end())
    group = next(each for each in _NAMES[form] if match[each] is not None)
    default = match["default"].decode(errors="replace") if match["default"] is not None else None
    return Gap(form, match[group].decode(errors="replace").strip(), *match.span(), _STYLES.get(group, ""), default)


def template_name(action: str) -> str:
    """The variable that an action of a template names, or "" where it does more than that."""
    match = _INDEX.match(action) or _PLAIN.match(action)
    return "" if match is None or match[1] in ("end", "else", "break", "continue") else match[1]


class _Quotes:
    """Which bytes of a text stand in a string, in a quoted name, in a comment or in brackets."""

    def __init__(self, text: bytes) -> None:
        self.spans: list[tuple[int, int, str]] = []
        self.brackets: list[tuple[int, int]] = [(0, 0)]  # from this byte on, how many are open
        for token in lexer.tokens(text):
            if token.kind in ("string", "quoted", "line comment", "block comment"):
                self.spans.append((token.start, token.end, token.kind))
            elif token.kind == "mark" and text[token.start : token.end] in (b"[", b"]"):
                step = 1 if text[token.start : token.end] == b"[" else -1
                self.brackets.append((token.end, self.brackets[-1][1] + step))

    def around(self, at: int) -> str:
        """The kind of token that a byte stands inside of, "" for none; the first byte of a token is outside of it."""
        index = bisect_right(self.spans, at, key=lambda span: span[0]) - 1
        if index < 0:
            return ""
        start, end, kind = self.spans[index]
        return kind if start < at < end else ""

    def subscript(self, at: int) -> bool:
        """Whether a byte stands in brackets."""
        return self.brackets[bisect_right(self.brackets, at, key=lambda each: each[0]) - 1][1] > 0


def _switched(text: bytes) -> Iterator[tuple[int, int]]:
    """The parts of a file in which goose fills variables of the environment."""
    begin: int | None = None
    for match in _SWITCH.finditer(text):
        if match[1].upper() == b"ON" and begin is None:
            begin = match.end()
        elif match[1].upper() == b"OFF" and begin is not None:
            yield begin, match.start()
            begin = None
    if begin is not None:
        yield begin, len(text)


@dataclass(frozen=True, slots=True)
class Template:
    """What is known of a folder as a whole: the variables that were given, and the forms its files prove to have."""

    variables: Mapping[str, str]
    proved: frozenset[Form]

    def value(self, gap: Gap) -> str | None:
        """What a gap is filled with; None for nothing."""
        given = self.variables.get(gap.name, gap.default) if gap.name else None
        if gap.style == "?":
            return "TRUE" if given is not None else "FALSE"
        if given is None:
            return None
        if gap.style == "'":
            quoted = "'" + given.replace("'", "''") + "'"
            return f" E{quoted}".replace("\\", "\\\\") if "\\" in given else quoted
        if gap.style == '"':
            return '"' + given.replace('"', '""') + '"'
        if gap.form == "river" and gap.name == "schema":
            return f"{given.removesuffix('.')}." if given else ""
        return given


def proved(found: Iterable[list[tuple[Gap, bool]]]) -> frozenset[Form]:
    """The forms of which one file of the folder has a place that cannot be SQL."""
    return frozenset(gap.form for each in found for gap, sure in each if sure)


def fill(text: bytes, found: list[tuple[Gap, bool]], template: Template) -> tuple[Filled, list[Gap]]:
    """The text with its gaps filled, and those that nothing fills.

    A gap in a quoted place counts where its variable was given, or where the folder proves to be a template. River's
    comment is SQL as it stands, so without a value it stays.
    """
    texts: list[bytes] = []
    pieces: list[Piece] = []
    left: list[Gap] = []
    at = length = 0
    for gap, sure in found:
        value = template.value(gap)
        if value is None:
            if sure or (gap.form == "template" and "template" in template.proved):
                left.append(gap)
            continue
        encoded = value.encode()
        texts += [text[at : gap.start], encoded]
        start = length + gap.start - at
        at, length = gap.end, start + len(encoded)
        pieces.append(Piece(start, length, gap.start, gap.end))
    texts.append(text[at:])
    return Filled(b"".join(texts), tuple(pieces)), left


def unfilled(left: list[tuple[str, bytes, Gap]]) -> SourceError:
    """The refusal for places that nothing fills: of each file its name and text; the first one is shown."""
    name, text, gap = left[0]
    shown = text[gap.start : gap.end].decode(errors="replace")
    where = pointed(name, text, gap.start)
    if not gap.name:
        return SourceError(
            f"{name} is a template, and `{shown}` is more than the name of a variable",
            where=where,
            cause="Another program works it out before it sends the file; Lancio fills in variables only.",
            remedy="Let that program write the files out, and name the folder of what it wrote.",
        )
    names = sorted({each.name for _, _, each in left if each.name})
    flags = " ".join(f"--var {each}=VALUE" for each in names)
    others = f"; {len(left) - 1} more such places wait for {', '.join(names)}" if len(left) > 1 else ""
    return SourceError(
        f"{name}: nothing fills `{shown}`",
        where=where,
        cause=f"Another program puts a value there before it sends the file{others}.",
        remedy=f"Give what it would put there: {flags}",
    )
