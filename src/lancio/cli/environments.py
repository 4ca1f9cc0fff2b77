"""Which databases does `lancio.toml` name, and which of them may not be changed by mistake?

    default = "dev"
    folder = "db/migrations"

    [environments.dev]
    database = "postgresql://dev@localhost/app"

    [environments.production]
    database_env = "PROD_URL"
    role = "migrator"
    protected = true

No password may stand in it: it is a file that is committed.
"""

from __future__ import annotations

import os
import re
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lancio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lancio.cli.terminal import Terminal

FILE = "lancio.toml"
ENVIRONMENT, FOLDER, FOLDER_VARIABLES = "lancio.environment", "lancio.folder", "lancio.folder variables"
"""Where a command line's environment, and the folder and the variables that the file names, are kept."""
KEK = "lancio.kek"
"""Where the file itself is kept, with what it says of the key-encryption key."""

READING = frozenset(
    ("graph", "history", "commute", "check", "plan", "preflight", "verify", "status", "explain", "checklist", "new",
     "backup", "drift", "squash", "baseline", "report")
)  # fmt: skip
"""Commands that change no database (the note of a backup is the ledger's alone); whatever is not among them asks before
it touches a protected one."""

_FOLDER_KEYS: Mapping[str, type] = {"folder": str, "layout": str, "order": str, "vars": dict}
_WAITING: Mapping[str, type] = {"lock_timeout": str, "lock_wait": str, "retries": int}
_SHARED: Mapping[str, type] = {**_FOLDER_KEYS, **_WAITING}
_KEK_KEYS: Mapping[str, type] = {"kek_file": str, "kek_env": str, "kek_command": list}
_KEYS: Mapping[str, type] = {
    "database": str, "database_env": str, "role": str, "protected": bool, "pooler": str, **_KEK_KEYS, **_SHARED
}  # fmt: skip
_TOP: Mapping[str, type] = {"default": str, "environments": dict, "check": dict, "drift": dict, **_SHARED}
_CHECK: Mapping[str, type] = {"base": str, "select": list, "ignore": list, "severity": dict}
_DRIFT: Mapping[str, type] = {"ignore": list}
_CHOICES = {"order": ("name", "graph"), "pooler": ("session",)}
_SAID = {str: "a string", int: "a whole number", bool: "true or false", dict: "a table", list: "a list of strings"}


@dataclass(frozen=True, slots=True)
class Environment:
    """One named database, and the folder and the way of reading it that go with it."""

    name: str
    database: str | None = field(default=None, repr=False)
    database_env: str | None = None
    role: str | None = None
    protected: bool = False
    chosen: bool = False
    """Named by --env; otherwise it is the file's default, and DATABASE_URL goes before it."""
    config: str | None = None
    """What --config said, for commands that are proposed."""

    def address(self, environ: Mapping[str, str]) -> str | None:
        """The connection string; None where the environment names none and the usual ways serve.

        Raises:
            UsageError: the variable that holds it is not set.
        """
        if self.database_env is None:
            return self.database
        if not (found := environ.get(self.database_env, "").strip()):
            raise UsageError(
                f"{self.database_env} is not set",
                cause=f"{FILE} says that it holds the address of the environment {self.name}.",
                remedy="Set it, or name the database by --database.",
                commands=(f"export {self.database_env}=postgresql://USER@HOST/DATABASE",),
            )
        return found

    @property
    def flags(self) -> str:
        """What a command line needs to mean the same environment."""
        import shlex

        config = f" --config {shlex.quote(self.config)}" if self.config else ""
        return f" --env {shlex.quote(self.name)}{config}"


@dataclass(frozen=True, slots=True)
class Config:
    """A `lancio.toml`, understood: `shared` is what all environments go by, `check` and `drift` what those
    commands do."""

    path: Path
    default: str | None
    environments: Mapping[str, Mapping[str, Any]]
    shared: Mapping[str, Any]
    check: Mapping[str, Any]
    drift: Mapping[str, Any] = field(default_factory=dict)


def find(folder: str | None) -> Path | None:
    """The file beside the named folder, or in it, else in the current folder or one above it.

    Looking upwards ends with the folder of a git repository, the home, or one that everybody may write to.
    """
    if folder is not None:
        for place in (Path(folder).absolute().parent, Path(folder)):
            if (place / FILE).is_file():
                return place / FILE
    home = Path.home()
    for place in (here := Path.cwd(), *here.parents):
        try:
            if place != here and place.stat().st_mode & 0o002:
                return None
        except OSError:
            return None
        if (place / FILE).is_file():
            return place / FILE
        if (place / ".git").exists() or place == home:
            return None
    return None


def read(path: Path) -> Config:
    """Read and understand a file.

    Raises:
        UsageError: it cannot be read, has a key that is not known or a value that cannot be right, or a password.
    """
    try:
        text = path.read_text(encoding="utf-8")
        found = tomllib.loads(text)
    except OSError as error:
        raise _wrong(path, 0, "cannot be read", f"{error.strerror}.", "Check its path and its rights.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        place = re.search(r"line (\d+)", str(error))
        raise _wrong(path, int(place[1]) if place else 0, "is no TOML", f"{error}.", "Mend it.") from None
    _known(path, text, found, _TOP, ())
    environments = {}
    for name, values in found.get("environments", {}).items():
        table = ("environments", name)
        if not isinstance(values, dict):
            raise _wrong(
                path, _line(text, name, ("environments",)), f"has a value where environments.{name} is a table",
                "An environment is a table of settings.", f"Write [environments.{name}] above its settings.",
            )  # fmt: skip
        _known(path, text, values, _KEYS, table)
        if "database" in values and "database_env" in values:
            line = _line(text, "database_env", table)
            message = f"names the database of {name} twice"
            raise _wrong(path, line, message, "database and database_env are both there.", "Keep one of them.")
        if len(said := [key for key in _KEK_KEYS if key in values]) > 1:
            message = f"names the key-encryption key of {name} twice"
            cause = f"{' and '.join(said)} are there together."
            raise _wrong(path, _line(text, said[1], table), message, cause, "Keep one of them.")
        if "database" in values:
            _no_password(path, _line(text, "database", table), name, values["database"])
        environments[name] = values
    _known(path, text, found.get("check", {}), _CHECK, ("check",))
    _known(path, text, found.get("drift", {}), _DRIFT, ("drift",))
    default = found.get("default")
    if default is not None and default not in environments:
        line = _line(text, "default", ())
        raise _wrong(path, line, f"has no environment {default}", _there(environments), "Mend the name behind default.")
    return Config(
        path, default, environments, {key: found[key] for key in _SHARED if key in found},
        found.get("check", {}), found.get("drift", {}),
    )  # fmt: skip


def _known(path: Path, text: str, values: Mapping[str, Any], keys: Mapping[str, type], table: tuple[str, ...]) -> None:
    where = f"[{'.'.join(table)}]" if table else "the top"
    for key, value in values.items():
        line = _line(text, key, table)
        if key not in keys:
            cause = f"In {where} there may be: {', '.join(keys)}."
            hint = "A password stands in no file that is committed: take database_env, ~/.pgpass or a service file."
            raise _wrong(path, line, f"has the unknown key {key}", cause,
                         hint if "pass" in key.lower() else "Mend or remove the line.")  # fmt: skip
        wanted = keys[key]
        # To Python, true is a number as well.
        fits = isinstance(value, wanted) and value not in ("", " ") and isinstance(value, bool) == (wanted is bool)
        if wanted in (list, dict) and key not in ("environments", "check", "drift") and fits:
            fits = all(isinstance(each, str) for each in (value.values() if isinstance(value, dict) else value))
        if not fits:
            cause = f"{key} is {_SAID[wanted]}{' of strings' if wanted is dict and key == 'vars' else ''}."
            raise _wrong(path, line, f"has a {key} that cannot be right", cause, "Mend the line.")
        choices = _CHOICES.get(key, _layouts() if key == "layout" else ())
        if choices and value not in choices:
            raise _wrong(path, line, f"has no such {key} as {value}", f"There are: {', '.join(choices)}.", "Mend it.")


def _layouts() -> tuple[str, ...]:
    from lancio.cli.options import LAYOUTS

    return LAYOUTS


def _no_password(path: Path, line: int, name: str, database: str) -> None:
    """Refuse an address with a secret in it; the address is not repeated."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        given = conninfo_to_dict(database) if "=" in database or "://" in database else {}
    except ProgrammingError:
        raise _wrong(
            path, line, f"has a database of {name} that is no connection string", "libpq cannot read it.",
            "Write it as postgresql://USER@HOST:PORT/DATABASE or as a database's name.",
        ) from None  # fmt: skip
    secret = next((key for key in ("password", "sslpassword") if given.get(key)), None)
    if secret is not None:
        raise _wrong(
            path,
            line,
            f"has a {secret} in the database of {name}",
            "The file is made to be committed, and everybody who reads the repository would have it.",
            "Take the password away (and change it, if it was committed): let libpq find it in ~/.pgpass or a service "
            "file (service=NAME), or let a variable hold the whole address: "
            f'database_env = "{re.sub(r"[^A-Z0-9]+", "_", name.upper())}_URL"',
        )


def _there(environments: Mapping[str, object]) -> str:
    return f"There {'are' if len(environments) != 1 else 'is'}: {', '.join(environments) or 'none'}."


def _line(text: str, key: str, table: tuple[str, ...]) -> int:
    """The line of a key of a table, from 1; 0 where it is written in a way that is not looked for."""
    inside = not table
    wanted = re.compile(rf"""\s*["']?{re.escape(key)}["']?\s*=""")
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[+\s*([^\[\]]+?)\s*\]+", line)
        if header:
            path = tuple(part.strip().strip("\"'") for part in header[1].split("."))
            inside = path == table
            if path == (*table, key):
                return number
        elif inside and wanted.match(line):
            return number
    return 0


def _wrong(path: Path, line: int, what: str, cause: str, remedy: str) -> UsageError:
    where = f"{path}:{line}" if line else str(path)
    return UsageError(f"{path.name} {what}", where=where, cause=cause, remedy=remedy)


# The command line.


class EnvironmentOption(click.Option):
    """`--env`: what the file says becomes the defaults of the command's other options.

    It is looked at before the others, and with --config and DIR as they were given, whatever their order.
    """

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        """Read the file, if there is one, and set the defaults.

        Raises:
            UsageError: what `read` refuses, an environment that is not there, or --env without a file.
        """
        value, rest = super().handle_parse_result(ctx, opts, args)
        if not ctx.resilient_parsing:
            # What was not given is None, or a mark of click's own.
            _use(ctx, value if isinstance(value, str) else None, opts)
        return value, rest


def _use(ctx: click.Context, name: str | None, opts: Mapping[str, Any]) -> None:
    given = {key: each for key in ("config", "folder") if isinstance(each := opts.get(key), str)}
    config = given.get("config")
    path = Path(config) if config is not None else find(given.get("folder"))
    if path is None:
        if name is not None:
            raise UsageError(
                f"there is no {FILE} that could name the environment {name}",
                cause="It is looked for beside the folder of migrations, in the current folder and above it.",
                remedy=f'Write one, or name it by --config: [environments.{name}] with database_env = "…".',
            )
        return
    found = read(path)
    if name is not None and name not in found.environments:
        raise UsageError(
            f"there is no environment {name}", where=str(path), cause=_there(found.environments), remedy="Name another."
        )
    values = {**found.shared, **(found.environments.get(name or found.default or "", {}))}
    if name is not None or found.default is not None:
        ctx.meta[ENVIRONMENT] = Environment(
            name or found.default or "",
            values.get("database"),
            values.get("database_env"),
            values.get("role"),
            bool(values.get("protected")),
            name is not None,
            config,
        )
    ctx.meta[KEK] = (path, {key: values[key] for key in _KEK_KEYS if key in values})
    if "folder" in values:
        ctx.meta[FOLDER] = os.path.relpath(path.absolute().parent / values["folder"])
    ctx.meta[FOLDER_VARIABLES] = dict(values.get("vars", {}))
    ctx.default_map = _defaults(ctx, values, found, ctx.meta.get(ENVIRONMENT))


def _defaults(
    ctx: click.Context, values: Mapping[str, Any], found: Config, environment: Environment | None
) -> dict[str, Any]:
    defaults: dict[str, Any] = {key: values[key] for key in ("layout", "order", "pooler", *_WAITING) if key in values}
    check = found.check
    if ctx.command.name == "drift":
        defaults |= found.drift
    if ctx.command.name == "check":
        defaults |= {key: check[key] for key in ("base", "select", "ignore") if key in check}
        defaults["severity"] = [f"{rule}={level}" for rule, level in check.get("severity", {}).items()]
    if environment is not None and environment.chosen and ctx.command.name == "graph":
        defaults["database"] = environment.address(os.environ)  # it asks a database only where one is named
    return defaults


def current() -> Environment | None:
    """The environment of the command line that is being run."""
    context = click.get_current_context(silent=True)
    found = context.meta.get(ENVIRONMENT) if context is not None else None
    return found if isinstance(found, Environment) else None


def serving(database: str | None, environ: Mapping[str, str]) -> Environment | None:
    """The environment that the command's database comes from, where --database and DATABASE_URL leave it the choice."""
    found = current()
    if found is None or database is not None or (not found.chosen and environ.get("DATABASE_URL")):
        return None
    return found


def permit() -> None:
    """Ask before a command that may change a database touches a protected environment.

    On a terminal its name is to be typed; `--yes` answers for it.

    Raises:
        UsageError: another name was typed, or nobody is there to be asked.
    """
    from lancio.cli.options import terminal_of

    context = click.get_current_context(silent=True)
    environment = current()
    if context is None or environment is None or not environment.protected:
        return
    words = context.command_path.split()[1:]
    command = " ".join(words)
    if READING & set(words[:1]) or context.params.get("yes") or context.params.get("dry_run"):
        return
    terminal = terminal_of(context)
    if not _asked(terminal):
        raise UsageError(
            f"the environment {environment.name} is protected",
            cause=f"lancio {command} may change its database, and there is no terminal to ask on.",
            remedy="Say so beforehand with --yes.",
            commands=(f"lancio {command}{environment.flags} --yes",),
        )
    typed = click.prompt(
        f"{environment.name} is protected. Type its name to go on", err=True, default="", show_default=False
    )
    if typed.strip() != environment.name:
        raise UsageError(
            f"{environment.name} was not touched",
            cause="Another name was typed.",
            remedy=f"Run it again and type {environment.name}, if that is the database you mean.",
        )


def _asked(terminal: Terminal) -> bool:
    return sys.stdin.isatty() and terminal.err.isatty() and not terminal.json
