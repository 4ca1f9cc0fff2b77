"""What would become of the databases that a file lists: which are new, which are changed, which cannot be?

    planned = imports.plan(work, keys, listed.read(text, "env"), "shop")
    imports.carry_out(work, keys, planned)

A second run of the same file changes nothing. What is registered already is opened to be compared, which leaves its
entry in the audit trail.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from lancio.errors import LancioError
from lancio.registry import databases, names
from lancio.registry.acting import shown
from lancio.registry.refusal import NameRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lancio.registry.acting import Acting
    from lancio.registry.connection_strings import ConnectionString
    from lancio.registry.connection_strings.listed import Entry, Listing
    from lancio.registry.data_keys import DataKeys
    from lancio.registry.projects import Project

What = Literal["new", "same", "changed", "refused"]


@dataclass(frozen=True, slots=True)
class Planned:
    """One line of the file, and what is to be done with it. Nothing of it shows a secret."""

    line: int
    what: What
    name: str = ""
    """Empty where the line cannot be read, and so no name is certain."""
    project: str = ""
    value: ConnectionString | None = field(default=None, repr=False)
    database: databases.Database | None = None
    """The one that is there already."""
    into: Project | None = None
    refused: LancioError | None = None

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "line": self.line,
            "what": self.what,
            "name": self.name or None,
            "project": self.project or None,
            "type": self.value.kind if self.value is not None else None,
            "display": self.value.display if self.value is not None else None,
            "refused": self.refused.as_dict() if self.refused is not None else None,
        }


def plan(work: Acting, keys: DataKeys, listing: Listing, project: str | None) -> tuple[Planned, ...]:
    """What is to be done, by line. `project` is that of the lines that name none.

    Raises:
        NotAllowed: the actor may not look at databases.
    """
    work.require("database.read")
    found = [Planned(each.line, "refused", each.name, refused=each.refused) for each in listing.problems]
    seen: dict[tuple[str, str], int] = {}
    intos: dict[str | None, Project] = {}
    for entry in listing.entries:
        try:
            named = entry.project or project
            if named not in intos:
                intos[named] = databases.project_of(work, named)
            planned = _planned(work, keys, entry, intos[named], seen)
        except LancioError as refused:
            planned = Planned(entry.line, "refused", entry.name, entry.project, entry.value, refused=refused)
        found.append(planned)
    return tuple(sorted(found, key=lambda each: each.line))


def carry_out(work: Acting, keys: DataKeys, planned: Sequence[Planned]) -> None:
    """Register what is new and write what is changed; the rest is left alone.

    Raises:
        LancioError: what `databases.add` and `databases.update` raise.
    """
    for each in planned:
        if each.what == "new" and each.into is not None and each.value is not None:
            databases.add(work, keys, each.into, each.name, each.value)
        elif each.what == "changed" and each.database is not None:
            databases.update(
                work, keys, each.database, databases.Change(value=each.value), version=each.database.version
            )


def _planned(
    work: Acting, keys: DataKeys, entry: Entry, into: Project, seen: dict[tuple[str, str], int]
) -> Planned:  # fmt: skip
    name = names.name(entry.name)
    if (before := seen.setdefault((into.slug, name), entry.line)) != entry.line:
        raise NameRefused(
            f"{shown(name)} stands in line {before} already",
            cause="Names are unique within a project.",
            remedy="Give one of the two another name, or another project.",
        )
    if (there := databases.find(work, into, name)) is None:
        work.require("database.add", into.id)
        return Planned(entry.line, "new", name, into.slug, entry.value, into=into)
    work.require("database.update", into.id)
    if there.type != entry.value.kind:
        raise NameRefused(
            f"{shown(name)} is registered as a database of another kind",
            cause=f"It is of type {there.type}, and the line has one of type {entry.value.kind}.",
            remedy="Give the line another name.",
        )
    if not there.placeholder:
        now = databases.value_of(work, keys, there)
        if databases.same(now, entry.value):
            return Planned(entry.line, "same", name, into.slug, entry.value, there, into)
    return Planned(entry.line, "changed", name, into.slug, entry.value, there, into)
