"""`lancio project`: the projects of an organization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lancio.cli import acting
from lancio.cli.call import Call, takes
from lancio.cli.org import changed

if TYPE_CHECKING:
    from collections.abc import Callable

    from lancio.registry.projects import Project


def _fields(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--sensitive/--not-sensitive", "is_sensitive", default=None,
                     help="Whether what it holds asks for more care."),
        click.option("--provider", "cloud_provider", metavar="TEXT", help="Who runs it: railway, aws, …"),
        click.option("--region", metavar="TEXT", help="Where it runs."),
        click.option("--name", metavar="NAME", help="What people call it."),
    ):  # fmt: skip
        command = option(command)
    return command


@click.group(
    epilog="""\b
Examples:
  lancio project add shop --name "The shop" --org acme
  lancio project list --org acme
  lancio project update shop --region eu-west-1 --org acme
"""
)
def project() -> None:
    """Make, show, change, remove and bring back projects: an application, and the databases that it uses."""


@project.command(
    name="list",
    epilog="""\b
Examples:
  lancio project list --org acme
  lancio project list --org acme --like shop --json
""",
)
@click.option("--like", metavar="TEXT", help="Only those whose slug or name has this in it.")
@click.option("--removed", is_flag=True, help="Those too that were removed.")
@acting.paged
@acting.org_option
@takes
def list_(call: Call, like: str | None, removed: bool, limit: int, after: str | None) -> None:
    """List the projects of an organization that you reach."""
    from lancio.registry import projects

    with call.work() as work:
        page = projects.page(work, like=like, removed=removed, after=after, limit=limit)
    call.page(
        page, name="projects",
        heading=("SLUG", "NAME", "DATABASES", "REGION", "MADE", "REMOVED" if removed else ""),
        row=lambda each: (
            each.slug, each.name, str(each.databases), each.region or "-", f"{each.created_at:%Y-%m-%d}",
            acting.moment(each.deleted_at),
        ),
        cut=(0, 1, 3), none="No project." if like is None else "No project is called so.",
    )  # fmt: skip


@project.command(
    epilog="""\b
Examples:
  lancio project show shop --org acme
""",
)
@click.argument("slug", metavar="SLUG")
@acting.org_option
@takes
def show(call: Call, slug: str) -> None:
    """Show a project, named by its slug or its ref."""
    from lancio.registry import projects

    with call.work() as work:
        found = projects.one(work, slug, removed=True)
    call.one(f"{found.slug}: {found.name}", found, _lines(found))


def _lines(found: Project) -> list[tuple[str, str | None]]:
    return [
        ("ref", found.ref),
        ("region", found.region),
        ("provider", found.cloud_provider),
        ("sensitive", "yes" if found.is_sensitive else None),
        ("databases", str(found.databases)),
        ("made", acting.utc(found.created_at)),
        ("removed", acting.utc(found.deleted_at)),
    ]


@project.command(
    epilog="""\b
Examples:
  lancio project add shop --name "The shop" --org acme
  lancio project add shop --org acme --dry-run
""",
)
@click.argument("slug", metavar="SLUG")
@_fields
@acting.changes
@acting.org_option
@takes
def add(call: Call, slug: str, name: str | None, **fields: Any) -> None:
    """Make a project; without --name it is called by its slug."""
    from lancio.registry import projects

    fields["is_sensitive"] = bool(fields["is_sensitive"])
    with call.work() as work:
        made = projects.add(work, slug=slug, name=slug if name is None else name, **fields)
        of = work.slug
    call.done(f"Made {made.slug} in {of}.", made)


@project.command(
    epilog="""\b
Examples:
  lancio project update shop --name "The new shop" --org acme
""",
)
@click.argument("slug", metavar="SLUG")
@click.option("--slug", "new_slug", metavar="SLUG", help="Another slug.")
@_fields
@acting.if_version
@acting.changes
@acting.org_option
@takes
def update(call: Call, /, slug: str, new_slug: str | None, version: int | None, **given: Any) -> None:
    """Change a project; an empty value takes one away."""
    from lancio.registry import projects

    changes = changed(call, {**given, "slug": new_slug})
    with call.work() as work:
        after = projects.update(work, slug, changes, version=version)
    call.done(f"Changed {after.slug}.", after, _lines(after))


@project.command(
    epilog="""\b
Examples:
  lancio project remove shop --org acme
""",
)
@click.argument("slug", metavar="SLUG")
@acting.if_version
@acting.changes
@acting.org_option
@takes
def remove(call: Call, slug: str, version: int | None) -> None:
    """Close a project. Its databases stay registered, and `restore` brings it back."""
    from lancio.registry import projects
    from lancio.render.lines import counted

    with call.work() as work:
        after = projects.remove(work, slug, version=version)
        of = work.slug
    said = (
        f"Removed {after.slug}, with {counted(after.databases, 'database')} in it. "
        f"lancio project restore {after.slug} --org {of} brings it back."
    )
    call.done(said, after)


@project.command(
    epilog="""\b
Examples:
  lancio project restore shop --org acme
""",
)
@click.argument("slug", metavar="SLUG")
@acting.changes
@acting.org_option
@takes
def restore(call: Call, slug: str) -> None:
    """Bring a removed project back."""
    from lancio.registry import projects

    with call.work() as work:
        after = projects.restore(work, slug)
    call.done(f"Brought {after.slug} back.", after)
