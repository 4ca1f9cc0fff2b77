"""How does a secret come into a command? By prompt, from stdin, a file or a variable; never as an argument."""

from __future__ import annotations

import os
import re
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, cast

import click

from lancio.cli import credentials
from lancio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lancio.cli.terminal import Terminal
    from lancio.registry.connection_strings import ConnectionString, Kind

P = ParamSpec("P")
R = TypeVar("R")

LONGEST: Final = 1 << 16
"""Characters; a connection string has less."""

VARIABLES: Final = {
    "postgresql": ("DATABASE_URL", "DATABASE_PRIVATE_URL", "POSTGRES_URL", "DATABASE_PUBLIC_URL"),
    "redis": ("REDIS_URL", "REDIS_PRIVATE_URL", "REDIS_PUBLIC_URL"),
    "mongodb": ("MONGO_URL", "MONGO_PRIVATE_URL", "MONGODB_URL", "MONGODB_URI", "MONGO_PUBLIC_URL"),
}
"""Where --from-env looks for the string of a kind when no variable is named; the first that is set."""

_SAID: Final = {"name": "NAME", "names": "NAME", "extra": "an argument", "file": "FILE"}
_LOOKS: Final = re.compile(r"://|\b(?:ssl)?password\s*=|^[^\s/]+:[^\s/]+@", re.IGNORECASE)


def secret_options(command: Callable[P, R]) -> Callable[P, R]:
    """`--stdin`, `--file` and `--from-env`: where a connection string is read from instead of being asked for."""
    for decorate in reversed(
        (
            click.option("--stdin", is_flag=True, help="Read the connection string from stdin."),
            click.option(
                "--file", "file", metavar="FILE", help="Read it from a file that only its owner may read (0600)."
            ),
            click.option(
                "--from-env",
                metavar="[VARIABLE]",
                is_flag=False,
                flag_value="",
                default=None,
                help="Read it from a variable of the environment: REDIS_URL, MONGO_URL, DATABASE_URL …",
            ),
        )
    ):
        command = decorate(command)
    return command


def no_secret(_context: click.Context, parameter: click.Parameter, given: Any) -> Any:
    """A callback of arguments: one that looks like a connection string is refused, and not repeated.

    Raises:
        UsageError: it does.
    """
    for each in (given,) if isinstance(given, str) else given or ():
        if _LOOKS.search(each):
            raise UsageError(
                f"{_SAID.get(parameter.name or '', parameter.opts[0])} looks like a connection string",
                cause="Arguments stand in the shell's history and in the list of processes, for everyone to see.",
                remedy="Give the name alone. The connection string is asked for, or read from --stdin, --file or "
                "--from-env. What was typed here is known by now: change its password.",
            )
    return given


def _extra(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> None:
    no_secret(context, parameter, given)
    if given:
        raise UsageError(
            "there are words too many",
            cause=f"{context.command_path} takes one name. One with spaces in it stands in quotes.",
            remedy="Write it so.",
        )


def name_argument(*, required: bool = True) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """The name of a database, and nothing behind it."""

    def decorate(command: Callable[P, R]) -> Callable[P, R]:
        extra = click.argument("extra", nargs=-1, expose_value=False, callback=_extra, metavar="")
        name = click.argument("name", metavar="NAME" if required else "[NAME]", required=required, callback=no_secret)
        return name(extra(command))

    return decorate


def read(
    terminal: Terminal, *, stdin: bool, file: str | None, from_env: str | None, prompt: str, again: str = ""
) -> str:  # fmt: skip
    """The secret, from where the command line says; without its last line end.

    From then on the terminal shows it nowhere. `again` is a command that says where it is, for who cannot be asked.

    Raises:
        UsageError: two sources are named, or the one that is named has nothing, or nobody is there to be asked.
    """
    named = [option for option, given in (("--stdin", stdin), ("--file", file is not None),
                                          ("--from-env", from_env is not None)) if given]  # fmt: skip
    if len(named) > 1:
        raise UsageError(
            f"{' and '.join(named)} are given together", cause="Each names the secret.", remedy="Give one of them."
        )
    if stdin:
        text = sys.stdin.read(LONGEST + 1)
    elif file is not None:
        text = read_file(file)
    elif from_env is not None:
        text = variable(from_env)
    else:
        if terminal.json or not (sys.stdin.isatty() and terminal.err.isatty()):
            raise UsageError(
                "the connection string is not said, and nobody can be asked",
                cause="There is no terminal to ask on, and it is never an argument.",
                remedy="Give it by --stdin, --file FILE or --from-env VARIABLE.",
                commands=(again,) if again else (),
            )
        text = click.prompt(prompt, hide_input=True, err=True, default="", show_default=False)
    text = text.removeprefix("\ufeff").removesuffix("\n").removesuffix("\r")
    hide(terminal, text)
    return text


def parsed(terminal: Terminal, text: str, kind: str | None = None) -> ConnectionString:
    """The parts of a connection string that somebody gave; from then on the terminal shows its secret nowhere.

    Raises:
        ConnectionStringRefused: it is none.
    """
    from lancio.registry import connection_strings

    hide(terminal, text)
    return connection_strings.parse(text, cast("Kind | None", kind))


def hide(terminal: Terminal, text: str) -> None:
    """Let the terminal show nothing of this connection string's secret, whatever is printed."""
    terminal.secrets += tuple(
        each for each in credentials.secrets_of((text,), {}) if each not in terminal.secrets
    )  # fmt: skip


def variable(name: str) -> str:
    """The value of a variable of the environment.

    Raises:
        UsageError: it is not set, or empty.
    """
    from lancio.registry.acting import shown, storable

    no_secret(click.get_current_context(), click.Option(["--from-env"]), name)
    if not (found := os.environ.get(name, "") if storable(name) else ""):
        raise UsageError(
            f"the variable {shown(name)} is not set" if name else "no variable is named",
            cause="There is nothing of it in the environment of this command.",
            remedy="Set it, or run the command where it is: railway run lancio … has Railway's.",
        )
    return found


def first_set(kind: str, database: str | None) -> str | None:
    """The variable of the environment that holds a string of this kind; None where none is set.

    DATABASE_URL counts where the registry is named by something else: by `database` or by lancio.toml.
    """
    return next((each for each in _looked(kind, database) if os.environ.get(each)), None)


def of_kind(kind: str | None, database: str | None) -> str:
    """As `first_set`.

    Raises:
        UsageError: none is set, or the kind is not known.
    """
    if kind is None:
        raise UsageError(
            "--from-env names no variable",
            cause="Without the kind of database nothing tells which one is meant.",
            remedy="Name it: --from-env REDIS_URL; or say --type.",
        )
    if (found := first_set(kind, database)) is None:
        raise UsageError(
            f"no variable holds a connection string of {kind}",
            cause=f"None of these is set: {', '.join(_looked(kind, database))}.",
            remedy="Set one, or run the command where it is: railway run lancio … has Railway's.",
        )
    return found


def _looked(kind: str, database: str | None) -> tuple[str, ...]:
    from lancio.cli import environments

    elsewhere = database is not None or environments.serving(database, os.environ) is not None
    return tuple(each for each in VARIABLES[kind] if elsewhere or each != "DATABASE_URL")


def path_of(named: str) -> Path:
    """The path of a file that somebody named.

    Raises:
        UsageError: no file can be called so.
    """
    try:
        os.fsencode(named)
    except UnicodeEncodeError:
        named = "\0"
    if "\0" in named:
        raise UsageError(
            "no file can be called so", cause="Its name has a zero byte, or is no text.", remedy="Name it."
        )
    return Path(named).expanduser()


def read_file(named: str, *, instead: str = "--stdin") -> str:
    """What stands in a file that only its owner may read. `instead` is the option that takes it from stdin.

    Raises:
        UsageError: it cannot be read, others may read it, or it is too long.
    """
    path = path_of(named)
    try:
        with path.open("rb") as opened:
            # Of the opened file, not of the path: between two looks the path could become another file.
            status = os.fstat(opened.fileno())
            content = opened.read(LONGEST + 1)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read", cause=f"{error.strerror}.", remedy="Name a file that can be."
        ) from error
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(
            f"{path} is not a file", cause="A folder, a pipe or a device has no permissions that protect a secret.",
            remedy=f"Name an ordinary file, or give it by {instead}.",
        )  # fmt: skip
    if status.st_mode & 0o077:
        raise UsageError(
            f"{path} may be read by others than its owner",
            cause=f"Its mode is {stat.S_IMODE(status.st_mode):04o}.",
            remedy="Take the rights of the others away. If others may have read it, change the secret.",
            commands=(f"chmod 600 {path}",),
        )
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise UsageError(
            f"{path} is not a text in UTF-8", cause="Its bytes are none.", remedy="Write it in UTF-8."
        ) from None
