"""Which types take one another's values? As far as their names tell, for PostgreSQL's own types."""

from __future__ import annotations

_NUMBERS = frozenset(("smallint", "integer", "bigint", "numeric", "real", "double precision"))
_TEXTS = frozenset(("text", "character varying", "character", "name", "citext"))
_TIMES = frozenset(("date", "timestamp without time zone", "timestamp with time zone"))
_JSON = frozenset(("json", "jsonb"))
_ALONE = frozenset(("boolean", "bytea", "uuid", "inet", "cidr", "interval", "time without time zone"))
_KNOWN = _NUMBERS | _TEXTS | _TIMES | _JSON | _ALONE


def bare(type_name: str) -> str:
    """A type's name without its schema."""
    return type_name.rsplit(".", 1)[-1]


def _pair(one: str, other: str) -> set[str]:
    """Two types without their schemas and modifiers; empty where one of them is not among those known here."""
    found = {bare(each.split("(")[0].strip()) for each in (one, other)}
    return found if found <= _KNOWN else set()


def comparable(one: str, other: str) -> bool:
    """Whether PostgreSQL compares values of two types; True where that is not known."""
    found = _pair(one, other)
    return len(found) < 2 or any(found <= family for family in (_NUMBERS, _TEXTS, _TIMES))


def is_text(type_name: str) -> bool:
    """Whether values of any type can be assigned to this one."""
    return bare(type_name.split("(")[0].strip()) in _TEXTS


def assignable(before: str, now: str) -> bool:
    """Whether PostgreSQL casts a default of one built-in type to another by itself; True where that is not known."""
    return comparable(before, now) or is_text(now) or _pair(before, now) == _JSON


def made_of_columns(result: str) -> bool:
    """A result whose columns are arguments: they are compared with those."""
    return result in ("record", "trigger") or result.startswith("TABLE")


def known(type_name: str) -> bool:
    """Whether it is one of PostgreSQL's own types that are known here."""
    return bare(type_name) in _KNOWN
