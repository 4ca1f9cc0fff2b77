"""`lancio db rotate`: a registered database gets a new login at its source."""

from __future__ import annotations

import contextlib
import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from lancio.cli.acting import common, org_option
from lancio.cli.keys import kek_options
from lancio.cli.options import terminal_of
from lancio.cli.secret_input import name_argument
from lancio.errors import LancioError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from lancio.cli.terminal import Terminal
    from lancio.cli.work import Session
    from lancio.registry.acting import Acting
    from lancio.registry.connection_strings import ConnectionString
    from lancio.registry.data_keys import DataKeys
    from lancio.rotation.machine import Machine, Planned
    from lancio.rotation.model import Rotation
    from lancio.rotation.registry import Registry

_ADMINISTRATORS = ("admin_file", "admin_stdin", "admin_prompt", "admin_db")

_PROGRESS = {
    "make the new login": "making the new login",
    "prove the new login": "trying the new login",
    "register the new login": "registering the new login",
    "end the old login": "ending the old login",
    "put the old password back": "putting the old password back",
    "see to it that the old login works": "checking the old login",
    "register the old login": "registering the old login",
    "take the new login back": "removing the new login",
}
"""What people are told of the machine's own words: a line each step, nothing of what is written down between."""


@click.command(
    epilog="""\b
Examples:
  lancio db rotate main --project shop --dry-run
  lancio db rotate main --project shop --admin-file admin.url --keep-old 24h
  lancio db rotate cache --project shop
  lancio db rotate main --project shop --way same-login
  lancio db rotate --list
  lancio db rotate --resume --admin-file admin.url
  lancio db rotate main --resume --drop-old --admin-file admin.url
  lancio db rotate main --abandon --admin-file admin.url
""",
)
@name_argument(required=False)
@click.option("--project", metavar="SLUG", help="The project that the database belongs to.")
@click.option(
    "--way", type=click.Choice(["two-logins", "same-login"]),
    help="A second login, or a new password.  [default: PostgreSQL two-logins, Redis same-login]",
)  # fmt: skip
@click.option("--login", metavar="ROLE", help="The second login's name.  [default: <user>_a, <user>_b, …]")
@click.option(
    "--keep-old", default="0", show_default=True, metavar="TIME",
    help="How long the old login works on: 30m, 24h, 7d, until-said.",
)  # fmt: skip
@click.option("--admin-file", metavar="FILE", help="A file (0600) with an administrator's connection string.")
@click.option("--admin-stdin", is_flag=True, help="Read that connection string from stdin.")
@click.option("--admin-prompt", is_flag=True, help="Ask for it.")
@click.option("--admin-db", metavar="NAME", help="Take that of another database registered in the project.")
@click.option("--no-persist", is_flag=True, help="Redis: leave the server's files alone.")
@click.option(
    "--local-files", is_flag=True,
    help="Use what a connection string names of this machine: certificates, keys, Unix sockets.",
)  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on with an unfinished one; without NAME with all that are due.")
@click.option("--drop-old", is_flag=True, help="With --resume: end the old login now, however long it was to be kept.")
@click.option("--abandon", is_flag=True, help="Take an unfinished one back.")
@click.option("--forget-source", is_flag=True, help="With --abandon: don't go to the server, which is gone.")
@click.option("--list", "list_", is_flag=True, help="Show the unfinished ones.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and change nothing.")
@click.option("-y", "--yes", is_flag=True, help="Don't ask, nor mind other databases with the same login.")
@org_option
@kek_options
@common
@click.pass_context
def rotate(context: click.Context, /, database: str | None, role: str | None, json_: bool, **given: Any) -> None:
    """Give a registered database a new login at its source, prove it, register it, and end the old one.

    PostgreSQL gets a second login that works as the first, so that both log in meanwhile; Redis a second password.
    The old login is ended last. Killed or refused half-way the old one works: --resume goes on, --abandon takes back.
    """
    from lancio.cli import acting as who
    from lancio.rotation import model

    terminal = terminal_of(context)
    keep_seconds = model.kept_seconds(given["keep_old"])
    _refuse_mixed(given)
    if given["list_"]:
        who.reads(context)
    administrator = _administrator_given(terminal, given)
    with who.session(database, role) as session:
        desk = _Desk(context, session)
        if given["list_"]:
            _show(terminal, desk.unfinished(given["project"], "database.read"), json_=json_)
            return
        keys = _keys(context, session)
        registry = desk.registry(keys)
        registry.refuse_unready()
        if given["name"] is None:
            unfinished_ones = desk.unfinished(given["project"], "database.rotate")

            def machine_for(each: Rotation) -> Machine:
                # Of all that are due, the administrator is one of the servers of his kind.
                one = administrator if administrator is not None and administrator.kind == each.kind else None
                return _machine(registry, one, given, terminal, each.database_name)

            def pasted_for(each: Rotation) -> _Pasted:
                return _pasted(context, session, given, each.database_name, given["project"], each)

            _resume_all(terminal, machine_for, pasted_for, unfinished_ones, json_=json_)
            return
        found = desk.database(given["name"], given["project"], begun=given["resume"] or given["abandon"])
        if given["admin_db"] is not None:
            administrator = registry.registered(desk.database(given["admin_db"], found.project).id).string
        unfinished = registry.unfinished_of(found.id)
        pasted = _pasted(context, session, given, found.name, found.project, unfinished)
        with _named(pasted):
            machine = _machine(registry, administrator, given, terminal, found.name)
            if given["dry_run"]:
                _would(terminal, machine, found, given, json_=json_)
                return
            rotation = _done(machine, unfinished, found, given, keep_seconds)
    said = 0 if unfinished is None else len(unfinished.notes)
    notes = rotation.notes[said:]
    _tell(terminal, rotation, pasted, notes, given_up=given["forget_source"], json_=json_)


class _Named(NamedTuple):
    """Which database is meant."""

    id: UUID
    name: str
    project: str | None


class _Desk:
    """Who rotates, and what that one may see."""

    def __init__(self, context: click.Context, session: Session) -> None:
        self._context, self._session = context, session

    @contextlib.contextmanager
    def within(self) -> Iterator[Acting]:
        """One transaction in which secrets may be opened."""
        from lancio.cli import acting as who
        from lancio.registry.acting import BROKER

        with who.work(self._context, self._session, works_as=BROKER) as work:
            yield work

    def registry(self, keys: DataKeys | None) -> Registry:
        from lancio.cli import acting as who
        from lancio.rotation.registry import Registry

        connection = self._session.connection
        return Registry(connection, keys, self.within, who.actor(self._context, connection))

    def database(self, name: str, project: str | None, *, begun: bool = False) -> _Named:
        """The database of that name, if the actor may rotate it.

        With `begun` also one that was removed meanwhile, as long as a rotation of it is unfinished.
        """
        from lancio.cli import acting as who
        from lancio.registry import databases
        from lancio.registry.refusal import NotThere

        try:
            with who.work(self._context, self._session) as work:
                found = databases.one(work, name, project=project)
                work.require("database.rotate", found.project_id)
        except NotThere:
            left = [each for each in self.unfinished(project, "database.rotate") if each.database_name == name]
            if not begun or len(left) != 1:
                raise
            return _Named(left[0].database_id, name, project)
        return _Named(found.id, found.name, found.project)

    def unfinished(self, project: str | None, action: str) -> tuple[Rotation, ...]:
        """What is unfinished, of the projects in which the actor may do this."""
        from lancio.cli import acting as who
        from lancio.registry import projects

        registry = self.registry(None)
        registry.refuse_unready()
        with who.work(self._context, self._session) as work:
            only = None if project is None else projects.one(work, project).id
        found = registry.unfinished(only)
        with who.work(self._context, self._session) as work:
            return tuple(each for each in found if work.may(action, each.project_id))


def _machine(
    registry: Registry, administrator: ConnectionString | None, given: dict[str, Any], terminal: Terminal, name: str
) -> Machine:
    from lancio.rotation.machine import Machine

    def told(what: str) -> None:
        if what in _PROGRESS and not terminal.json:
            terminal.talk(f"{name}: {_PROGRESS[what]} …")

    return Machine(
        registry, administrator=administrator, persist=not given["no_persist"], files=given["local_files"], told=told
    )


def _keys(context: click.Context, session: Session) -> DataKeys:
    from lancio.cli import keys
    from lancio.registry import data_keys

    data_keys.refuse_unready(session.connection)
    ring = keys.ring(context)
    data_keys.refuse_wrong(session.connection, ring)
    return data_keys.DataKeys(ring, single=keys.single())


def _done(
    machine: Machine, unfinished: Rotation | None, found: _Named, given: dict[str, Any], keep_seconds: int | None
) -> Rotation:
    from lancio.rotation.model import CredentialRotationRefused

    if not (given["resume"] or given["abandon"]):
        rotation = machine.begin(
            found.id, way=given["way"], login=given["login"], keep_seconds=keep_seconds, shared=given["yes"]
        )
        return _going_on(machine, rotation)
    if unfinished is None:
        raise CredentialRotationRefused(
            "none",
            f"no rotation of {found.name} is unfinished",
            cause="There was none, or it is over.",
            remedy="Begin one, or look at what is unfinished.",
            commands=("lancio db rotate NAME --dry-run", "lancio db rotate --list"),
        )
    if given["abandon"]:
        try:
            return machine.abandon(unfinished, source=not given["forget_source"])
        except LancioError as error:
            _propose(error, {"none": (), "changed": ("--resume",)}, ("--abandon",))
            raise
    return _going_on(machine, unfinished, end_now=given["drop_old"])


def _going_on(machine: Machine, rotation: Rotation, *, end_now: bool = False) -> Rotation:
    try:
        return machine.go_on(rotation, end_now=end_now)
    except LancioError as error:
        _propose(error, {}, ("--resume --drop-old" if end_now else "--resume", "--abandon"))
        raise


def _propose(error: LancioError, by_reason: dict[str, tuple[str, ...]], else_: tuple[str, ...]) -> None:
    """While a rotation is under way: nothing that would begin one, but to go on with it or to take it back."""
    mine = tuple(
        each
        for each in error.commands
        if not each.startswith("lancio db rotate NAME") or "--resume" in each or "--abandon" in each
    )
    if not any(each.startswith("lancio db rotate") for each in mine):
        options = by_reason.get(str(error.more.get("reason")), else_)
        mine = (*mine, *(f"lancio db rotate NAME {each}" for each in options))
    error.commands = mine
    if error.more.get("reason") == "no-rights":
        error.remedy = "Give an administrator's connection string."


def _resume_all(
    terminal: Terminal,
    machine_for: Callable[[Rotation], Machine],
    pasted_for: Callable[[Rotation], _Pasted],
    unfinished: tuple[Rotation, ...],
    *,
    json_: bool,
) -> None:
    from lancio.render import json
    from lancio.rotation import model

    due = [each for each in unfinished if model.step_of(each) is not None]
    done, refused = [], []
    for each in due:
        try:
            done.append(_going_on(machine_for(each), each))
        except LancioError as error:
            pasted_for(each).fill(error)
            refused.append({"database": each.database_name, "rotation": str(each.id), **error.as_dict()})
            if not json_:
                error.message = f"{each.database_name}: {error.message}"
                terminal.refuse(error)
    if json_:
        terminal.data(json.document({"rotations": [as_dict(each) for each in done], "refused": refused}))
    else:
        waiting = len(unfinished) - len(due)
        terminal.data(
            f"{len(done)} gone on with, {len(refused)} refused, {waiting} not due yet.\n"
            if unfinished
            else "No rotation is unfinished.\n"
        )
    if refused:
        raise click.exceptions.Exit(1)


# --- the administrator's login ----------------------------------------------------------------------------------------


def _administrator_given(terminal: Terminal, given: dict[str, Any]) -> ConnectionString | None:
    from lancio.cli import secret_input
    from lancio.registry import connection_strings

    if not (given["admin_prompt"] or given["admin_stdin"] or given["admin_file"] is not None):
        return None
    text = secret_input.read(
        terminal,
        stdin=given["admin_stdin"],
        file=given["admin_file"],
        from_env=None,
        prompt="Administrator's connection string",
    )
    return connection_strings.parse(text.strip())


def _refuse_mixed(given: dict[str, Any]) -> None:
    """Refuse options that do not go together.

    Raises:
        UsageError: with those two.
    """
    modes = [f"--{name}" for name in ("resume", "abandon") if given[name]] + (["--list"] if given["list_"] else [])
    if len(modes) > 1:
        raise UsageError(f"{modes[0]} and {modes[1]} are both given", cause="Each of them is all there is to do.",
                         remedy="Give one of them.")  # fmt: skip
    admins = [f"--{name.replace('_', '-')}" for name in _ADMINISTRATORS if given[name]]
    if len(admins) > 1:
        raise UsageError(f"{admins[0]} and {admins[1]} are both given", cause="Each of them names the administrator.",
                         remedy="Give one of them.")  # fmt: skip
    if given["name"] is None and not (given["resume"] or given["list_"]):
        raise UsageError(
            "which database is not said",
            cause="NAME is left out only with --list and --resume.",
            remedy="Name it.",
            commands=("lancio db list", "lancio db rotate --list"),
        )
    if given["name"] is None and (given["drop_old"] or given["admin_db"]):
        raise UsageError("this goes with one database", cause="--drop-old and --admin-db are not for all at once.",
                         remedy="Name the database.")  # fmt: skip
    for name, needs in (("drop_old", "resume"), ("forget_source", "abandon")):
        if given[name] and not given[needs]:
            option = name.replace("_", "-")
            raise UsageError(f"--{option} goes with --{needs} only", cause="Alone it says nothing.",
                             remedy=f"Add --{needs}, or leave it out.")  # fmt: skip
    if modes and (given["way"] or given["login"] or given["keep_old"] != "0"):
        raise UsageError(
            f"--way, --login and --keep-old do not go with {modes[0]}",
            cause="They are said when a rotation begins, and kept with it.",
            remedy="Leave them out.",
        )
    if given["dry_run"] and modes and modes != ["--list"]:
        raise UsageError(
            f"--dry-run does not go with {modes[0]}",
            cause="What is unfinished is shown by --list.",
            remedy="Look there.",
            commands=("lancio db rotate --list",),
        )


class _Pasted(NamedTuple):
    """What proposed commands need besides, to work wherever they are pasted."""

    name: str
    project: str | None
    organization: str | None
    administrator: str
    """The option that names one; empty where none is needed."""
    here: Callable[[tuple[str, ...]], tuple[str, ...]]

    def filled(self, command: str, administrator: str) -> str:
        if not command.startswith("lancio db "):
            return self.here((command,))[0]
        beginning = not ("--resume" in command or "--abandon" in command)
        rotates = command.startswith("lancio db rotate NAME") and "--admin-" not in command
        if rotates and "--forget-source" not in command and "same-login" not in command:
            command += self.administrator if beginning else administrator
        named = f" {shlex.quote(self.name)}" + _option("--project", self.project)
        of = _option("--org", self.organization)
        command = command.replace(" NAME", f"{named}{of}", 1) if " NAME" in command else f"{command}{of}"
        return self.here((command,))[0]

    def fill(self, error: LancioError) -> None:
        # Whoever was refused for want of rights needs another one.
        wanting = error.more.get("reason") in ("no-rights", "administrator")
        administrator = " --admin-file FILE" if wanting else self.administrator
        error.commands = tuple(self.filled(each, administrator) for each in error.commands)


def _option(name: str, value: str | None) -> str:
    return "" if value is None else f" {name} {shlex.quote(value)}"


def _pasted(
    context: click.Context,
    session: Session,
    given: dict[str, Any],
    name: str,
    project: str | None,
    unfinished: Rotation | None,
) -> _Pasted:
    from lancio.cli.acting import ORGANIZATION

    option = next((each for each in _ADMINISTRATORS if given[each]), None)
    if option is not None:
        value = given[option]
        administrator = (
            _option(f"--{option.replace('_', '-')}", value) if value is not True else (f" --{option.replace('_', '-')}")
        )
    elif unfinished is not None and (unfinished.kind, unfinished.way) == ("postgresql", "two-logins"):
        administrator = " --admin-file FILE"  # as it was begun with one, most likely
    else:
        administrator = ""  # what was begun without one has shown that the login may do it
    return _Pasted(name, project, context.meta.get(ORGANIZATION), administrator, session.here)


@contextlib.contextmanager
def _named(pasted: _Pasted) -> Iterator[None]:
    """What a refusal proposes, for this database."""
    try:
        yield
    except LancioError as error:
        pasted.fill(error)
        raise


# --- what is said -----------------------------------------------------------------------------------------------------


def as_dict(rotation: Rotation) -> dict[str, object]:
    """For `--json` and the API."""
    kept = rotation.kept
    return {
        "id": str(rotation.id),
        "database_id": str(rotation.database_id),
        "database": rotation.database_name,
        "kind": rotation.kind,
        "way": rotation.way,
        "state": rotation.state,
        "old_login": rotation.old_login,
        "new_login": rotation.new_login,
        "old_works_for_s": None if kept is None or kept == float("inf") else max(0, round(kept)),
        "until_said": kept == float("inf"),
        "failure": rotation.failure,
        "notes": list(rotation.notes),
        "created_at": rotation.created_at.isoformat(),
        "updated_at": rotation.updated_at.isoformat(),
    }


def _would(terminal: Terminal, machine: Machine, found: _Named, given: dict[str, Any], *, json_: bool) -> None:
    from lancio.render import json

    planned: Planned = machine.plan(found.id, way=given["way"], login=given["login"])
    outlook = planned.outlook
    if json_:
        terminal.data(json.document({"would": json.plain(outlook)}))
        return
    lines = [f"{found.name}, {outlook.way}:"]
    lines += [f"  {number}. {step}" for number, step in enumerate(outlook.steps, 1)]
    terminal.data("\n".join((*lines, "Nothing was changed.", "")))
    for note in outlook.notes:
        terminal.talk(note)


def _tell(
    terminal: Terminal,
    rotation: Rotation,
    pasted: _Pasted,
    notes: tuple[str, ...],
    *,
    given_up: bool,
    json_: bool,
) -> None:
    from lancio.render import json

    if json_:
        terminal.data(json.document({"rotation": as_dict(rotation)}))
        return
    name, old, new = rotation.database_name, rotation.old_login, rotation.new_login
    same = "its old password" if rotation.way == "same-login" else old
    login = f"a new password of {new}" if rotation.way == "same-login" else new
    if rotation.state == "done":
        terminal.data(f"{name} logs in with {login}; {same} is refused.\n")
    elif rotation.state == "abandoned" and given_up:
        terminal.data(f"The rotation of {name} is given up; what is registered stays.\n")
    elif rotation.state == "abandoned":
        terminal.data(f"The rotation of {name} is taken back: it logs in as {old}, as before.\n")
    else:
        terminal.data(f"{name} logs in with {login}; {same} works {_until(rotation)}.\n")
        drop = " --drop-old" if rotation.kept == float("inf") else ""
        then = pasted.filled(f"lancio db rotate NAME --resume{drop}", pasted.administrator)
        terminal.talk(f"Then: {then}")
    for note in dict.fromkeys(notes):  # two steps may say the same
        terminal.talk(note)


def _until(rotation: Rotation) -> str:
    if rotation.kept is None:
        return "on"
    if rotation.kept == float("inf"):
        return "until --drop-old ends it"
    if rotation.kept <= 0:
        return "until --resume ends it"
    seconds = round(rotation.kept)
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds >= 2 * length or length == 1:
            count = round(seconds / length)
            return f"for {count} {unit}{'' if count == 1 else 's'} more"
    raise AssertionError("a second is the last unit")


def _show(terminal: Terminal, rotations: tuple[Rotation, ...], *, json_: bool) -> None:
    from lancio.cli import acting as who
    from lancio.render import json, table

    if json_:
        terminal.data(json.document({"rotations": [as_dict(each) for each in rotations]}))
        return
    if not rotations:
        terminal.data("No rotation is unfinished.\n")
        return
    rows = [("DATABASE", "STATE", "OLD LOGIN", "NEW LOGIN", "OLD WORKS", "STOPPED BY")]
    rows += [
        (each.database_name, each.state, each.old_login, each.new_login, _until(each), each.failure or "-")
        for each in rotations
    ]
    terminal.data(table.fitted(rows, who.columns(terminal), cut=(0, 2, 3)))
