"""What does a server of this version have by itself, and what do its extensions bring?

The facts come from real servers (`scripts/make_profile.py`, which describes the files); a live server's own answers
stand above them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lancio.reading.model import Kind

LATEST = 18
"""The newest major version whose facts are packaged; the version a folder is read for where none is named."""


@dataclass(frozen=True)
class Extension:
    """What CREATE EXTENSION makes: (kind, name, argument types) of its members."""

    name: str
    schema: str | None
    requires: tuple[str, ...]
    trusted: bool
    members: tuple[tuple[Kind, str, str], ...]


class Profile:
    """The built-in names of one major version, and its extensions."""

    def __init__(self, major: int, builtins: dict[str, Any], extensions: dict[str, Any]) -> None:
        versions = builtins["versions"]
        self.major = major
        self._at = min(max(major, versions[0]), versions[-1])
        self._builtins = builtins
        self._extensions = extensions["extensions"]

    def _in(self, span: list[Any]) -> bool:
        return bool(span[-2] <= self._at <= span[-1])

    def _named(self, group: str) -> frozenset[str]:
        """The names of a group in pg_catalog that this version has."""
        found: dict[str, Any] = self._builtins[group].get("pg_catalog", {})
        return frozenset(name for name, span in found.items() if self._in(span))

    @cached_property
    def _functions(self) -> dict[str, list[tuple[int, int | None]]]:
        found: dict[str, list[tuple[int, int | None]]] = {}
        for name, ranges in self._builtins["functions"]["pg_catalog"].items():
            fitting = [(least, most) for least, most, *rest in ranges if self._in(rest)]
            if fitting:
                found[name] = fitting
        return found

    @cached_property
    def _names(self) -> dict[str, frozenset[str]]:
        plain = {
            kind: frozenset(name for name, span in self._builtins[group].items() if self._in(span))
            for kind, group in (("access method", "access_methods"), ("language", "languages"), ("role", "roles"))
        }
        classes = {
            name
            for group in ("operator_classes", "operator_families")
            for method in self._builtins[group].get("pg_catalog", {}).values()
            for name, span in method.items()
            if self._in(span)
        }
        searches = {
            name
            for names in self._builtins["text_search"].get("pg_catalog", {}).values()
            for name, span in names.items()
            if self._in(span)
        }
        return {
            **plain,
            "type": self._named("types") | _SPELLINGS,
            "relation": self._named("relations"),
            "operator": self._named("operators"),
            "collation": self._named("collations"),
            "opclass": frozenset(classes),
            "text search": frozenset(searches),
        }

    def has(self, kind: Kind, name: str, arity: int | None = None) -> bool:
        """Whether pg_catalog has an object of that kind and name; of a function, one that takes so many arguments."""
        if kind == "routine":
            ranges = self._functions.get(name)
            if ranges is None:
                return False
            return arity is None or any(least <= arity and (most is None or arity <= most) for least, most in ranges)
        if kind == "type" and name.startswith("_") and name[1:] in self._names["type"]:
            return True
        if kind == "collation":
            return True  # the operating system's own are on no list
        if kind == "language" and name == "plpgsql":
            return True
        return name in self._names.get(kind, ())

    def extension(self, name: str) -> Extension | None:
        """The extension of that name, if this version's servers ship it."""
        found = self._extensions.get(name)
        if found is None:
            return None
        return _extension(self, name)

    def members(self, name: str) -> Extension:
        """The extension of that name; KeyError if there is none."""
        found = self._extensions[name]
        members: list[tuple[Kind, str, str]] = []
        for function, ranges in found.get("functions", {}).items():
            members.extend(("routine", function, args.replace(",", ", ")) for args, *rest in ranges if self._in(rest))
        for group, kind in (("types", "type"), ("relations", "relation"), ("operators", "operator")):
            members.extend((kind, item, "") for item, span in found.get(group, {}).items() if self._in(span))  # type: ignore[misc]
        for group in ("operator_classes", "operator_families"):
            for names in found.get(group, {}).values():
                members.extend(("opclass", item, "") for item, span in names.items() if self._in(span))
        trusted = found.get("trusted")
        return Extension(
            name,
            found.get("schema"),
            tuple(each for each in found.get("requires", ()) if each != "plpgsql"),
            bool(trusted and self._in(trusted)),
            tuple(dict.fromkeys(members)),
        )

    @cached_property
    def _owners(self) -> dict[tuple[str, str], str]:
        """(kind, name) of members, and the extension that has it; the smaller name where several do."""
        owners: dict[tuple[str, str], str] = {}
        for name in sorted(self._extensions, reverse=True):
            for kind, member, _ in self.members(name).members:
                owners[kind, member] = name
        return owners

    def extension_of(self, kind: Kind, name: str, arity: int | None = None) -> str | None:
        """The extension that brings an object of that kind and name, or None."""
        owner = self._owners.get((kind, name))
        if owner is None or kind != "routine" or arity is None:
            return owner
        ranges = self._extensions[owner].get("functions", {}).get(name, ())
        fits = any(least <= arity and (most is None or arity <= most) for _, least, most, *_ in ranges)
        return owner if fits else None


_SPELLINGS = frozenset(("int", "integer", "smallint", "bigint", "real", "decimal", "dec", "boolean", "character",
                        "serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"))  # fmt: skip
"""Words for types that the grammar turns into others, where a text names them without it."""


@cache
def _extension(profile: Profile, name: str) -> Extension:
    return profile.members(name)


@cache
def _data(name: str) -> dict[str, Any]:
    text = resources.files("lancio.catalog").joinpath(f"profiles/{name}.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


@cache
def load(major: int = LATEST) -> Profile:
    """The profile of a major version; of one that is not packaged, that of the nearest."""
    return Profile(major, _data("builtins"), _data("extensions"))
