"""`lancio project`: the projects of an organization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lancio.cli import acting as cli_acting
from lancio.cli.org import nothing_to_change

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


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    return cli_acting.org_option(cli_acting.common(command))


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
@cli_acting.paged
@_common
@click.pass_context
def list_(
    context: click.Context, like: str | None, removed: bool, limit: int, after: str | None, database: str | None,
    role: str | None, json_: bool,
) -> None:  # fmt: skip
    """List the projects of an organization that you reach."""
    from lancio.registry import projects

    del json_
    cli_acting.reads(context)
    with cli_acting.session(database, role) as session, cli_acting.work(context, session) as work:
        page = projects.page(work, like=like, removed=removed, after=after, limit=limit)
    cli_acting.show_page(
        context, page, name="projects",
        heading=("SLUG", "NAME", "DATABASES", "REGION", "MADE", "REMOVED" if removed else ""),
        row=lambda each: (
            each.slug, each.name, str(each.databases), each.region or "-", f"{each.created_at:%Y-%m-%d}",
            cli_acting.moment(each.deleted_at),
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
@_common
@click.pass_context
def show(context: click.Context, slug: str, database: str | None, role: str | None, json_: bool) -> None:
    """Show a project, named by its slug or its ref."""
    from lancio.registry import projects

    del json_
    cli_acting.reads(context)
    with cli_acting.session(database, role) as session, cli_acting.work(context, session) as work:
        found = projects.one(work, slug, removed=True)
    cli_acting.show_one(context, f"{found.slug}: {found.name}", cli_acting.with_version(found), _lines(found))


def _lines(found: Project) -> list[tuple[str, str | None]]:
    return [
        ("ref", found.ref),
        ("region", found.region),
        ("provider", found.cloud_provider),
        ("sensitive", "yes" if found.is_sensitive else None),
        ("databases", str(found.databases)),
        ("made", f"{cli_acting.moment(found.created_at)} UTC"),
        ("removed", cli_acting.utc(found.deleted_at)),
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
@cli_acting.changes
@_common
@click.pass_context
def add(
    context: click.Context, slug: str, name: str | None, region: str | None, cloud_provider: str | None,
    is_sensitive: bool | None, dry_run: bool, yes: bool, database: str | None, role: str | None, json_: bool,
) -> None:  # fmt: skip
    """Make a project; without --name it is called by its slug."""
    from lancio.registry import projects

    del yes, json_
    with (
        cli_acting.session(database, role) as session,
        cli_acting.work(context, session, dry_run=dry_run) as work,
    ):
        made = projects.add(
            work, slug=slug, name=slug if name is None else name, region=region, cloud_provider=cloud_provider,
            is_sensitive=bool(is_sensitive),
        )  # fmt: skip
        of = work.slug
    said = cli_acting.done(f"Made {made.slug} in {of}.", dry_run=dry_run)
    cli_acting.show_one(context, said, cli_acting.with_version(made))


@project.command(
    epilog="""\b
Examples:
  lancio project update shop --name "The new shop" --org acme
""",
)
@click.argument("slug", metavar="SLUG")
@click.option("--slug", "new_slug", metavar="SLUG", help="Another slug.")
@_fields
@cli_acting.if_version
@cli_acting.changes
@_common
@click.pass_context
def update(
    context: click.Context, /, slug: str, new_slug: str | None, version: int | None, dry_run: bool, yes: bool,
    database: str | None, role: str | None, json_: bool, **given: Any,
) -> None:  # fmt: skip
    """Change a project; an empty value takes one away."""
    from lancio.registry import projects

    del yes, json_
    changes = {name: value for name, value in {**given, "slug": new_slug}.items() if value is not None}
    if not changes:
        raise nothing_to_change(context)
    with cli_acting.session(database, role) as session, cli_acting.work(context, session, dry_run=dry_run) as work:
        after = projects.update(work, slug, changes, version=version)
    said = cli_acting.done(f"Changed {after.slug}.", dry_run=dry_run)
    cli_acting.show_one(context, said, cli_acting.with_version(after), _lines(after))


@project.command(
    epilog="""\b
Examples:
  lancio project remove shop --org acme
""",
)
@click.argument("slug", metavar="SLUG")
@cli_acting.if_version
@cli_acting.changes
@_common
@click.pass_context
def remove(
    context: click.Context, slug: str, version: int | None, dry_run: bool, yes: bool, database: str | None,
    role: str | None, json_: bool,
) -> None:  # fmt: skip
    """Close a project. Its databases stay registered, and `restore` brings it back."""
    from lancio.registry import projects
    from lancio.render.lines import counted

    del yes, json_
    with cli_acting.session(database, role) as session, cli_acting.work(context, session, dry_run=dry_run) as work:
        after = projects.remove(work, slug, version=version)
        of = work.slug
    said = (
        f"Removed {after.slug}, with {counted(after.databases, 'database')} in it. "
        f"lancio project restore {after.slug} --org {of} brings it back."
    )
    cli_acting.show_one(context, cli_acting.done(said, dry_run=dry_run), cli_acting.with_version(after))


@project.command(
    epilog="""\b
Examples:
  lancio project restore shop --org acme
""",
)
@click.argument("slug", metavar="SLUG")
@cli_acting.changes
@_common
@click.pass_context
def restore(
    context: click.Context, slug: str, dry_run: bool, yes: bool, database: str | None, role: str | None, json_: bool
) -> None:
    """Bring a removed project back."""
    from lancio.registry import projects

    del yes, json_
    with cli_acting.session(database, role) as session, cli_acting.work(context, session, dry_run=dry_run) as work:
        after = projects.restore(work, slug)
    said = cli_acting.done(f"Brought {after.slug} back.", dry_run=dry_run)
    cli_acting.show_one(context, said, cli_acting.with_version(after))
