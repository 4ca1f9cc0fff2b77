"""What the three kinds of connection string have in common: percent-encoding, ports, lists of options."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote, unquote_plus

from lancio.registry.connection_strings.refusal import ENCODE, ConnectionStringRefused
from lancio.registry.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from lancio.registry.connection_strings.refusal import Kind

LONGEST: Final = 65_536
"""Characters of the longest text that is looked at."""

SPACES: Final = " \t\n\v\f\r"
"""White space as C's isspace has it; a no-break space may end a password."""

Check = tuple["Callable[[str], bool]", str]
"""Whether a value is right for its option, and what it takes, in words."""

Option = tuple[str, str | Secret]
"""An option's name as its driver spells it, and its value; a Secret where it is one or may hold one."""

_LONE_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_WHOLE: Final = re.compile(r"-?[0-9]{1,10}")
_NUMBER: Final = re.compile(r"[0-9]{1,10}(\.[0-9]{1,10})?")


def readable(text: str, kind: Kind) -> str:
    """The text of a URL without the white space around it.

    Raises:
        ConnectionStringRefused: a control character in it. Drivers drop some of them silently (Python's urlsplit does
            so with tabs and line ends), so that another password would be sent than the one that is written.
    """
    text = text.strip(SPACES)
    if _CONTROL.search(text):
        raise ConnectionStringRefused(
            "text",
            "there is a control character in it",
            kind=kind,
            cause="A tab, a line end or another control character stands in the URL as it is.",
            remedy="Take it out, or write it percent-encoded (%0A for a line end) if it belongs to the password.",
        )
    return text


def decoded(text: str, kind: Kind, what: str, *, strict: bool, plus: bool = False) -> str:
    """The text without its percent-encoding.

    A percent sign without two hex digits is refused if `strict`, and otherwise stands for itself. `plus` reads + as
    a space.

    Raises:
        ConnectionStringRefused: such a percent sign, or bytes that are no UTF-8.
    """
    if "%" not in text:
        return text.replace("+", " ") if plus else text
    if strict and _LONE_PERCENT.search(text):
        raise ConnectionStringRefused(
            "percent",
            f"a percent sign in {what} is not followed by two hex digits",
            kind=kind,
            cause="% begins an encoded character there. One that stands for itself is written %25.",
            remedy=ENCODE,
        )
    try:
        return unquote_plus(text, errors="strict") if plus else unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ConnectionStringRefused(
            "percent",
            f"what is percent-encoded in {what} is not UTF-8",
            kind=kind,
            cause="Each character is encoded as its bytes in UTF-8: %C3%A9 for é, not %E9.",
            remedy="Encode it anew, as UTF-8.",
        ) from None


def encoded(text: str) -> str:
    """The text with everything but letters, digits and -._~ percent-encoded."""
    return quote(text, safe="")


def port_of(text: str, kind: Kind, default: int) -> int:
    """The port's number; `default` where none is written.

    Raises:
        ConnectionStringRefused: it is no number from 1 to 65535.
    """
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= 65535):
        raise ConnectionStringRefused(
            "port",
            "a port is not a whole number from 1 to 65535",
            kind=kind,
            cause="What stands behind the colon of a host is no port. Often a special character of the password stands "
            "there as it is, so that the password's rest is taken for host and port.",
            remedy=ENCODE,
        )
    return int(text)


def unknown_option(place: int, kind: Kind, driver: str, also: str = "") -> ConnectionStringRefused:
    """A refusal of an option that is not known, told by its place: its name may be a piece of a password."""
    return ConnectionStringRefused(
        "option",
        f"option {place} is none that {driver} knows",
        kind=kind,
        cause="It is not named here, for a piece of a misread password would be. Options of other programs "
        f"(of an ORM, of another language's driver) are refused by {driver} too." + (f" {also}" if also else ""),
        remedy="Take it out, or correct its spelling. " + ENCODE,
    )


def bad_value(name: str, kind: Kind, expected: str) -> ConnectionStringRefused:
    """A refusal of a known option's value."""
    return ConnectionStringRefused(
        "option",
        f"the value of {name} is not what it may be",
        kind=kind,
        cause=f"{name} takes {expected}.",
        remedy=f"Give {name} such a value, or take it out.",
    )


def conflict(
    problem: str, kind: Kind, remedy: str, cause: str = "The driver refuses the two together."
) -> ConnectionStringRefused:
    """A refusal of parts that exclude one another."""
    return ConnectionStringRefused("conflict", problem, kind=kind, cause=cause, remedy=remedy)


def misread(kind: Kind) -> ConnectionStringRefused:
    """A refusal of an @ where it shows that the password's end was taken for a host or a database."""
    return ConnectionStringRefused(
        "misread",
        "an @ stands behind the host as it is",
        kind=kind,
        cause="Then a special character of the password stands there as it is, so that the password's rest is taken "
        "for a host, a port or a database.",
        remedy=ENCODE,
    )


def one_of(*values: str) -> Check:
    """The check of a choice, and what it takes in words."""
    return frozenset(values).__contains__, " or ".join((", ".join(values[:-1]), values[-1])) if values[1:] else values[
        0
    ]


def whole(low: int, high: int = 2**31 - 1) -> Check:
    """The check of a whole number."""
    return (
        lambda text: _WHOLE.fullmatch(text) is not None and low <= int(text) <= high,
        f"a whole number from {low} to {high}",
    )


def number(low: float, high: float) -> Check:
    """The check of a number that may have a fraction, between the bounds or 0."""
    return (
        lambda text: _NUMBER.fullmatch(text) is not None and (low < float(text) < high or text == "0"),
        f"a number from {low:g} to {high:g}",
    )


def any_text(limit: int = 4096) -> Check:
    """The check of a text without control characters."""
    return (
        lambda text: len(text.encode()) <= limit and _CONTROL.search(text) is None,
        f"a text of at most {limit} bytes without control characters",
    )


def any_secret() -> Check:
    """The check of a secret: any text without a zero byte."""
    return (lambda text: "\0" not in text and len(text) <= LONGEST, "a text without a zero byte")


def checked(
    options: Iterable[Option], known: Mapping[str, Check], secrets: frozenset[str], kind: Kind, driver: str
) -> tuple[Option, ...]:
    """The options by name; those of one name keep their order.

    Raises:
        ConnectionStringRefused: one is not known, has a wrong value, is there twice (MongoDB's tags may be), or is a
            secret that stands in clear.
    """
    before = ""
    for place, (name, value) in enumerate(found := tuple(sorted(options, key=lambda option: option[0])), 1):
        check = known.get(name)
        if check is None or isinstance(value, Secret) != (name in secrets):
            raise unknown_option(place, kind, driver)
        if name == before and name != "readPreferenceTags":
            raise conflict(f"{name} is there twice", kind, "Give it once.", "It has one value.")
        if not check[0](plain(value)):
            raise bad_value(name, kind, check[1])
        before = name
    return found


def plain(value: str | Secret) -> str:
    """An option's value in clear."""
    return value.reveal() if isinstance(value, Secret) else value


def query(options: Iterable[Option]) -> str:
    """The options as a URL's query, with its question mark; nothing if there are none."""
    written = "&".join(f"{name}={encoded(plain(value))}" for name, value in options)
    return f"?{written}" if written else ""
