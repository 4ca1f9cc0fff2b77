"""Options that more than one command has, and what they mean together."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from lancio.cli import environments
from lancio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lancio.cli.terminal import Terminal
    from lancio.reading.layouts import Name
    from lancio.reading.source import Folder

P = ParamSpec("P")
R = TypeVar("R")

LAYOUTS = (
    "flat", "timestamps", "up-down", "diesel", "prisma", "flyway", "dbmate", "goose", "sql-migrate", "sqitch",
)  # fmt: skip
"""`reading.layouts.NAMES`; written again, because a command line is parsed before anything heavy is imported."""

USUAL = Path("migrations")
"""The folder that is meant where none is named."""


@dataclass(frozen=True, slots=True)
class Source:
    """Which folder of migrations is meant, and how a command line names it."""

    path: Path
    said: str
    """What stands for it in a command: the path, or `--platform`."""
    platform: bool
    layout: Name | None = None
    """How it is laid out, where that is not to be recognized."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What fills the places that other programs fill."""

    @property
    def words(self) -> str:
        """The folder and how to read it, as a command line has them."""
        layout = (f"--layout {self.layout}",) if self.layout else ()
        given = (f"--var {shlex.quote(f'{name}={value}')}" for name, value in self.variables.items())
        return " ".join((shlex.quote(self.said), *layout, *given))

    def read(self) -> Folder:
        """The migrations of the folder; a layout that is more than plain files is said on stderr.

        Raises:
            SourceError: the folder or one of its files cannot be read.
        """
        from lancio.reading import cache, known, layouts

        folder = known.read_folder(self.path, layout=self.layout, variables=self.variables, kept=cache.usual())
        context = click.get_current_context(silent=True)
        if folder.layout != "flat" and context is not None and context.meta.get(LAYOUT_SAID) != self.path:
            context.meta[LAYOUT_SAID] = self.path
            terminal_of(context).talk(f"Layout {folder.layout}: {layouts.SAYS[folder.layout]}.")
        return folder


def jobs_option(function: Callable[P, R]) -> Callable[P, R]:
    """--jobs N."""
    return click.option(
        "--jobs",
        type=click.IntRange(1, 64),
        default=1,
        metavar="N",
        help="So many steps at once, where the graph proves them independent.",
    )(function)


LAYOUT, VARIABLES = "lancio.layout", "lancio.variables"
"""Where a command line's --layout and --var are kept until `source` asks for them."""
LAYOUT_SAID = "lancio.layout-said"
"""The folder whose layout was told: one that is read again is not told again."""


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
    how = click.get_current_context().meta
    layout, variables = how.get(LAYOUT), how.get(VARIABLES, {})
    folder = how.get(environments.FOLDER) if folder is None else folder
    if folder is not None:
        return Source(Path(folder), folder, False, layout, variables)
    if USUAL.is_dir():
        return Source(USUAL, USUAL.as_posix(), False, layout, variables)
    raise UsageError(
        "no folder of migrations is named",
        cause=f"There is no DIR on the command line and no ./{USUAL} here.",
        remedy="Name the folder that holds the .sql files, or take the packaged one with --platform.",
        commands=("lancio graph path/to/migrations", "lancio graph --platform"),
    )


def json_option(command: Callable[P, R]) -> Callable[P, R]:
    """`--json`: one document, or for `apply` one line an event, instead of a text for people."""

    return click.option("--json", "json_", is_flag=True, help="Print JSON instead of text.")(command)


_VARIABLE = re.compile(r"([^\s=]+)=(.*)", re.DOTALL)


def _variables(context: click.Context, _: click.Parameter, given: tuple[str, ...]) -> None:
    found: dict[str, str] = dict(context.meta.get(environments.FOLDER_VARIABLES, {}))
    for each in given:
        match = _VARIABLE.fullmatch(each)
        if match is None or "\n" in match[2] or "\0" in match[2]:
            raise UsageError(
                f"--var {each!r} is no variable",
                cause="It takes a name and a value in one line, with = between them.",
                remedy="Give it as --var NAME=VALUE; the value may be empty.",
            )
        found[match[1]] = match[2]
    context.meta[VARIABLES] = found


def _layout(context: click.Context, _: click.Parameter, given: str | None) -> None:
    context.meta[LAYOUT] = given


def layout_options(command: Callable[P, R]) -> Callable[P, R]:
    """`--layout` and `--var`; `source` takes them from the context, so that no command passes them on."""
    for decorate in reversed(
        (
            click.option(
                "--layout",
                type=click.Choice(LAYOUTS),
                expose_value=False,
                callback=_layout,
                help="How DIR is laid out.  [default: recognized]",
            ),
            click.option(
                "--var",
                metavar="NAME=VALUE",
                multiple=True,
                expose_value=False,
                callback=_variables,
                help="Fill ${NAME}, {{ .NAME }}, :NAME and their like; may be given again.",
            ),
        )
    ):
        command = decorate(command)
    return command


def _environment(what: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    def decorate(command: Callable[P, R]) -> Callable[P, R]:
        config = click.option(
            "--config", metavar="FILE", expose_value=False, help="The lancio.toml.  [default: looked for]"
        )
        env = click.option(
            "--env",
            metavar="NAME",
            cls=environments.EnvironmentOption,
            is_eager=True,
            expose_value=False,
            help=f"The {what} that lancio.toml has under this name.",
        )
        return env(config(command))

    return decorate


def environment_options(command: Callable[P, R]) -> Callable[P, R]:
    """`--env` and `--config`, for commands without a folder."""
    return _environment("database and role")(command)


def folder_options(command: Callable[P, R]) -> Callable[P, R]:
    """`[DIR]`, `--platform`, `--order`, `--layout` and `--var`."""
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
            layout_options,
            _environment("database, folder and role"),
            click.option(
                "--no-cache",
                is_flag=True,
                expose_value=False,
                callback=_no_cache,
                help="Read every file anew; LANCIO_CACHE=off does the same.",
            ),
        )
    ):
        command = decorate(command)
    return command


def _no_cache(_context: click.Context, _parameter: click.Parameter, given: bool) -> None:
    if given:
        os.environ["LANCIO_CACHE"] = "off"


def database_options(command: Callable[P, R]) -> Callable[P, R]:
    """`--database`, `--role` and `--pooler`."""
    for decorate in reversed(
        (
            click.option("--database", metavar="URL", help="The database; else DATABASE_URL, PG*, the embedded one."),
            click.option("--role", metavar="NAME", help="Become this role (SET ROLE) once connected."),
            click.option(
                "--pooler",
                type=click.Choice(["session"]),
                expose_value=False,
                callback=_pooler,
                help="The pooler between is in session mode; that is proved first.",
            ),
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


WAITING = "lancio.waiting"
"""Where --lock-timeout, --lock-wait and --retries are kept until `patience` asks for them."""

_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|)")
_LONGEST_S = 7 * 86_400.0


def duration(option: str, text: str) -> float:
    """Seconds that a person wrote as `500ms`, `10s`, `10m` or `2h`; a number alone is seconds.

    Raises:
        UsageError: it is none, or longer than a week.
    """
    found = _DURATION.fullmatch(text.strip())
    seconds = float(found[1]) * _UNITS[found[2]] if found else -1.0
    if not 0 <= seconds <= _LONGEST_S:
        raise UsageError(
            f"{option} {text[:40]!r} is no time",
            cause="It takes a number with ms, s, m or h behind it, up to a week.",
            remedy=f"Write it as {option} 500ms, 10s or 10m.",
        )
    return seconds


def _lock_timeout(context: click.Context, _: click.Parameter, given: str) -> None:
    seconds = duration("--lock-timeout", given)
    if not 0.01 <= seconds <= 3600:
        raise UsageError(
            f"--lock-timeout {given} is out of bounds",
            cause="Below 10 ms no lock is got on a busy table; above an hour all others stand still for as long.",
            remedy="Write it as --lock-timeout 500ms or 2s.",
        )
    context.meta.setdefault(WAITING, {})["lock_timeout_ms"] = round(seconds * 1000)


def _lock_wait(context: click.Context, _: click.Parameter, given: str) -> None:
    context.meta.setdefault(WAITING, {})["lock_wait_s"] = duration("--lock-wait", given)


def _retries(context: click.Context, _: click.Parameter, given: int | None) -> None:
    context.meta.setdefault(WAITING, {})["retries"] = given


def waiting_options(command: Callable[P, R]) -> Callable[P, R]:
    """`--lock-timeout`, `--lock-wait` and `--retries`; `patience` takes them from the context."""
    for decorate in reversed(
        (
            click.option(
                "--lock-timeout",
                metavar="TIME",
                default="2s",
                show_default=True,
                expose_value=False,
                callback=_lock_timeout,
                help="How long one try of a step waits for locks, and others behind it.",
            ),
            click.option(
                "--lock-wait",
                metavar="TIME",
                default="10m",
                show_default=True,
                expose_value=False,
                callback=_lock_wait,
                help="How long it is tried again in all, and another runner waited for.",
            ),
            click.option(
                "--retries",
                metavar="N",
                type=click.IntRange(min=0),
                default=None,
                expose_value=False,
                callback=_retries,
                help="Try a step again so often at most.  [default: as --lock-wait allows]",
            ),
        )
    ):
        command = decorate(command)
    return command


def patience() -> Mapping[str, Any]:
    """How the run of this command line waits, as `runner.apply` takes it."""
    context = click.get_current_context(silent=True)
    return context.meta.get(WAITING, {}) if context is not None else {}


POOLER = "lancio.pooler"
"""Where --pooler is kept until a session is opened."""


def _pooler(context: click.Context, _: click.Parameter, given: str | None) -> None:
    context.meta[POOLER] = given


def pooler() -> str | None:
    """The mode that the command line says the pooler is in."""
    context = click.get_current_context(silent=True)
    found = context.meta.get(POOLER) if context is not None else None
    return found if isinstance(found, str) else None


DATA = "lancio.data"
"""Where --data-limit and --no-data are kept until `data_limit` asks for them."""


def _data_limit(context: click.Context, _: click.Parameter, given: float) -> None:
    if not 0 < given <= 86_400:
        raise UsageError(
            f"--data-limit {given:g} is no time limit",
            cause="It takes seconds, more than none and no more than a day.",
            remedy="Give it as --data-limit 60, or leave the rows alone with --no-data.",
        )
    context.meta.setdefault(DATA, given)


def _no_data(context: click.Context, _: click.Parameter, given: bool) -> None:
    if given:
        context.meta[DATA] = None


def data_options(command: Callable[P, R]) -> Callable[P, R]:
    """`--data-limit` and `--no-data`; `data_limit` takes them from the context."""
    for decorate in reversed(
        (
            click.option(
                "--data-limit",
                type=float,
                metavar="SECONDS",
                default=10.0,
                show_default=True,
                expose_value=False,
                callback=_data_limit,
                help="How long one question about the rows may take; all of them six times that.",
            ),
            click.option(
                "--no-data",
                is_flag=True,
                expose_value=False,
                callback=_no_data,
                help="Don't look at the rows: a statement may fail on them.",
            ),
        )
    ):
        command = decorate(command)
    return command


def data_limit() -> float | None:
    """The seconds that one question about the rows may take; None where nobody wants them looked at."""
    given: float | None = click.get_current_context().meta[DATA]
    return given


def terminal_of(context: click.Context) -> Terminal:
    """The terminal this command line talks to."""
    from lancio.cli.terminal import Terminal

    found: Any = context.find_root().obj
    return found if isinstance(found, Terminal) else Terminal()
