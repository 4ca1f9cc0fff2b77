"""Which projects has an organization, and how do they come, change and go?

A slug is one in the whole platform, as migration 001 has it; a `ref` of twenty letters never changes. A removed project
is closed with all that hangs on it, and can be brought back. All of it works in the transaction of an `Acting`.
"""

from __future__ import annotations

import secrets
import string
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.rows import class_row

from lancio.postgres import named_queries
from lancio.registry import audit_entry, limits, names, pages
from lancio.registry.acting import shown, storable
from lancio.registry.refusal import RegistryRefused, Taken, not_there, refuse_changed
from lancio.registry.versions import version_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from lancio.registry.acting import Acting
    from lancio.registry.pages import Page

_QUERIES: Final = named_queries("lancio.registry", "projects.sql")

CHANGEABLE: Final = ("slug", "name", "region", "cloud_provider", "is_sensitive")


@dataclass(frozen=True, slots=True)
class Project:
    """A row of platform.projects."""

    id: UUID
    slug: str
    ref: str | None
    name: str
    region: str | None
    cloud_provider: str | None
    status: str
    is_sensitive: bool
    deleted_at: datetime | None
    databases: int
    """How many are registered in it."""
    created_at: datetime
    updated_at: datetime

    @property
    def version(self) -> int:
        """Another after each change."""
        return version_of(self.updated_at)


def page(
    work: Acting,
    *,
    like: str | None = None,
    removed: bool = False,
    after: str | None = None,
    limit: int = pages.USUAL,
) -> Page[Project]:
    """The organization's projects that the actor reaches, by slug; `like` is looked for in slug and name.

    Raises:
        NotAllowed: the actor may not look at projects.
        NameRefused: `after` is no mark of such a list.
    """
    work.require("project.read")
    key = pages.key_of(after, 1)
    with work.connection.cursor(row_factory=class_row(Project)) as cursor:
        found = cursor.execute(
            _QUERIES["page"],
            {
                **_reach(work),
                "after": None if key is None else key[0],
                "like": pages.like(like),
                "removed": removed,
                "limit": limit + 1,
            },
        ).fetchall()
    return pages.cut(found, limit, lambda each: (each.slug,))


def one(work: Acting, name: str, *, removed: bool = False) -> Project:
    """The project of that slug, ref or id.

    Raises:
        NotAllowed: the actor may not look at projects.
        NotThere: there is none in this organization, or none that the actor reaches.
        RegistryRefused: it was removed, and `removed` is not asked for.
    """
    work.require("project.read")
    values = {**_reach(work), "name": name}
    with work.connection.cursor(row_factory=class_row(Project)) as cursor:
        found = cursor.execute(_QUERIES["one"], values).fetchone() if storable(name) else None
    if found is None:
        slugs = (
            [each for (each,) in work.connection.execute(_QUERIES["slugs"], values).fetchall()]
            if len(name) <= names.LONGEST_SLUG and storable(name)
            else []
        )
        not_there(
            "project", name, organization=work.slug, among=slugs, list_=f"lancio project list --org {work.slug}"
        )  # fmt: skip
    if found.deleted_at is not None and not removed:
        raise RegistryRefused(
            f"the project {found.slug} was removed",
            cause="Its rows are still there, and nothing is done with them.",
            remedy="Bring it back first.",
            commands=(f"lancio project restore {found.slug} --org {work.slug}",),
        )
    return found


def add(
    work: Acting,
    *,
    slug: str,
    name: str,
    region: str | None = None,
    cloud_provider: str | None = None,
    is_sensitive: bool = False,
) -> Project:
    """A new project.

    Raises:
        NotAllowed: the actor may not.
        NameRefused: slug or name cannot be.
        Taken: the slug is another project's, of whatever organization.
        LimitReached: the organization's plan allows no more projects.
    """
    work.require("project.add")
    fields = _checked(
        {
            "slug": slug, "name": name, "region": region, "cloud_provider": cloud_provider,
            "is_sensitive": is_sensitive,
        }
    )  # fmt: skip
    limits.require(work, "projects")
    ref = "".join(secrets.choice(string.ascii_lowercase) for _ in range(20))
    connection = work.connection
    try:
        with connection.transaction():
            connection.execute(_QUERIES["add"], {**fields, "organization": work.organization, "ref": ref})
    except psycopg.errors.UniqueViolation as error:
        raise _taken(fields["slug"]) from error
    made = _read(work, ref)
    audit_entry.insert(
        connection, work.actor, "project.add", "project", made.id, organization=work.organization, project=made.id,
        after=asdict(made),
    )  # fmt: skip
    return made


def update(work: Acting, name: str, changes: Mapping[str, Any], *, version: int | None = None) -> Project:
    """The project as it is after `changes`: fields of `CHANGEABLE`. With `version`, only if it is still that one.

    Raises:
        NotAllowed: the actor may not.
        NotThere: there is none of that name here.
        NameRefused: a value cannot be.
        Taken: the slug is another's.
        LostRace: it is another version by now.
    """
    before = _locked(work, name, version)
    work.require("project.update", before.id)
    fields = _checked({**{each: getattr(before, each) for each in CHANGEABLE}, **changes})
    try:
        with work.connection.transaction():
            work.connection.execute(_QUERIES["update"], {**fields, "id": before.id})
    except psycopg.errors.UniqueViolation as error:
        raise _taken(fields["slug"]) from error
    return _written(work, "project.update", before)


def remove(work: Acting, name: str, *, version: int | None = None) -> Project:
    """Close it; its databases stay registered and are not to be reached through it.

    Raises:
        NotAllowed: the actor may not.
        NotThere: there is none of that name here.
        LostRace: it is another version by now.
    """
    before = _locked(work, name, version)
    work.require("project.remove", before.id)
    work.connection.execute(_QUERIES["remove"], {"id": before.id})
    return _written(work, "project.remove", before)


def restore(work: Acting, name: str) -> Project:
    """Bring it back; it counts against the plan's limit again.

    Raises:
        NotAllowed: the actor may not.
        NotThere: there is none of that name here.
        RegistryRefused: it was not removed.
        LimitReached: the organization's plan allows no more projects.
    """
    before = _locked(work, name, None, removed=True)
    work.require("project.restore", before.id)
    if before.deleted_at is None:
        raise RegistryRefused(
            f"the project {before.slug} was not removed",
            cause="There is nothing to bring back.",
            remedy="Look at it.",
            commands=(f"lancio project show {before.slug} --org {work.slug}",),
        )
    limits.require(work, "projects")
    work.connection.execute(_QUERIES["restore"], {"id": before.id})
    return _written(work, "project.restore", before)


def ids(work: Acting, given: tuple[str, ...]) -> list[UUID]:
    """The ids of projects by their names, each once.

    Raises:
        NotThere: one is not there.
    """
    return list(dict.fromkeys(one(work, each).id for each in given))


def _reach(work: Acting) -> dict[str, Any]:
    return {
        "organization": work.organization,
        "projects": None if work.projects is None else list(work.projects),
    }


def _read(work: Acting, name: str) -> Project:
    with work.connection.cursor(row_factory=class_row(Project)) as cursor:
        found = cursor.execute(
            _QUERIES["one"], {"organization": work.organization, "projects": None, "name": name}
        ).fetchone()
    assert found is not None  # noqa: S101  this transaction has just written it
    return found


def _locked(work: Acting, name: str, version: int | None, *, removed: bool = False) -> Project:
    work.require("project.read")
    if storable(name):
        work.connection.execute(_QUERIES["lock"], {"organization": work.organization, "name": name})
    found = one(work, name, removed=removed)
    if version is not None and version != found.version:
        refuse_changed(
            "project", str(version), found.version, f"lancio project show {found.slug} --org {work.slug}"
        )  # fmt: skip
    return found


def _written(work: Acting, action: str, before: Project) -> Project:
    after = _read(work, str(before.id))
    audit_entry.insert(
        work.connection, work.actor, action, "project", after.id, organization=work.organization, project=after.id,
        before=asdict(before), after=asdict(after),
    )  # fmt: skip
    return after


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    checked = dict(fields)
    checked["slug"] = names.slug(fields["slug"])
    checked["name"] = names.name(fields["name"])
    for each, said in (("region", "region"), ("cloud_provider", "provider")):
        checked[each] = names.name(fields[each], said) if fields[each] else None
    return checked


def _taken(slug: str) -> Taken:
    return Taken(
        f"the slug {shown(slug)} is taken",
        cause="Slugs of projects are one in the whole platform: another has this one, or had it and was removed.",
        remedy="Take another: the organization's slug before it, for one.",
    )
