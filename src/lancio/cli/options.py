"""Options that more than one command has, and what they mean together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from lancio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lancio.cli.terminal import Terminal

P = ParamSpec("P")
R = TypeVar("R")

USUAL = Path("migrations")
"""The folder that is meant where none is named."""


@dataclass(frozen=True, slots=True)
class Source:
    """Which folder of migrations is meant, and how a command line names it."""

    path: Path
    said: str
    """What stands for it in a command: the path, or `--platform`."""
    platform: bool


def platform_folder() -> Path:
    """The folder of the packaged platform migrations."""
    import lancio.registry

    return Path(lancio.registry.__file__).parent / "schema"


def source(folder: str | None, *, platform: bool) -> Source:
    """The folder that DIR and --platform name together.

    Raises:
        UsageError: both, or neither and no ./migrations.
    """
    if platform:
        if folder is not None:
            raise UsageError(
                "DIR and --platform are both given",
                cause="--platform means the packaged folder of the platform's own migrations.",
                remedy="Give one of them.",
            )
        return Source(platform_folder(), "--platform", platform=True)
    if folder is not None:
        return Source(Path(folder), folder, platform=False)
    if USUAL.is_dir():
        return Source(USUAL, USUAL.as_posix(), platform=False)
    raise UsageError(
        "no folder of migrations is named",
        cause=f"There is no DIR on the command line and no ./{USUAL} here.",
        remedy="Name the folder that holds the .sql files, or take the packaged one with --platform.",
        commands=("lancio graph path/to/migrations", "lancio graph --platform"),
    )


def json_option(command: Callable[P, R]) -> Callable[P, R]:
    """`--json`: one document, or for `apply` one line an event, instead of a text for people."""

    return click.option("--json", "json_", is_flag=True, help="Print JSON instead of text.")(command)


def folder_options(command: Callable[P, R]) -> Callable[P, R]:
    """`[DIR]`, `--platform` and `--order`."""
    for decorate in reversed(
        (
            click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=str)),
            click.option("--platform", is_flag=True, help="The packaged migrations of the platform instead of DIR."),
            click.option(
                "--order",
                type=click.Choice(["name", "graph"]),
                default="name",
                show_default=True,
                help="Keep the order of the files' names, or take the one their needs give.",
            ),
        )
    ):
        command = decorate(command)
    return command


def database_options(command: Callable[P, R]) -> Callable[P, R]:
    """`--database` and `--role`."""
    for decorate in reversed(
        (
            click.option("--database", metavar="URL", help="The database; else DATABASE_URL, PG*, the embedded one."),
            click.option("--role", metavar="NAME", help="Become this role (SET ROLE) once connected."),
        )
    ):
        command = decorate(command)
    return command


def choice_options(command: Callable[P, R]) -> Callable[P, R]:
    """`--to` and `--only`: which of the files."""
    for decorate in reversed(
        (
            click.option("--to", metavar="FILE", help="Stop behind this file."),
            click.option("--only", metavar="FILE", multiple=True, help="This file alone; may be given again."),
        )
    ):
        command = decorate(command)
    return command


def terminal_of(context: click.Context) -> Terminal:
    """The terminal this command line talks to."""
    from lancio.cli.terminal import Terminal

    found: Any = context.find_root().obj
    return found if isinstance(found, Terminal) else Terminal()
