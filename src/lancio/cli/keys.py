"""`lancio keys`: the keys that secrets are sealed with, from their making to their end."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from lancio.cli import asked, environments
from lancio.cli.acting import reads
from lancio.cli.acting import session as session_of
from lancio.cli.alike import Alike
from lancio.cli.options import database_options, environment_options, json_option, terminal_of
from lancio.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lancio.cli.terminal import Terminal
    from lancio.cli.work import Session
    from lancio.registry.data_keys import DataKeys
    from lancio.registry.key_encryption_key import KeyEncryptionKey, Ring, Source
    from lancio.registry.key_rotation import Organization, Progress
    from lancio.registry.key_state import State
    from lancio.registry.secrets import Key

P = ParamSpec("P")
R = TypeVar("R")

KEK, OLD_KEK = "lancio.keys.kek", "lancio.keys.old-kek"
"""Where a command line's sources of the key-encryption keys are kept until they are read."""

SECONDS = "lancio.keys.seconds"

_YES = click.option("-y", "--yes", is_flag=True, help="Don't ask.")
_DRY = click.option("--dry-run", is_flag=True, help="Show what would be done, and change nothing.")


# --- where the keys come from -----------------------------------------------------------------------------------------


def _source(context: click.Context, parameter: click.Parameter, given: str | None) -> None:
    from lancio.registry import key_encryption_key as keks

    if given is None:
        return
    option = parameter.opts[0]
    where = OLD_KEK if option.startswith("--old") else KEK
    if where in context.meta:
        raise UsageError(
            f"{context.meta[where].said} and {option} are both given",
            cause="Each of them names a key-encryption key.",
            remedy="Give one of them.",
        )
    if not given.strip():
        raise UsageError(f"{option} is empty", cause="An empty value names nothing.", remedy=f"Omit {option}.")
    context.meta[where] = (
        keks.Source(file=Path(given).expanduser(), said=option)
        if option.endswith("file")
        else keks.Source(command=keks.words(given, option), said=option)
    )


def _options(old: bool) -> Callable[[Callable[P, R]], Callable[P, R]]:
    prefix, what = ("--old-", "the KEK that is left") if old else ("--", "the key-encryption key")

    def decorate(command: Callable[P, R]) -> Callable[P, R]:
        for option in (
            click.option(
                f"{prefix}kek-command", metavar="COMMAND", expose_value=False, callback=_source,
                help=f"A program that prints {what}; no shell runs it.",
            ),
            click.option(
                f"{prefix}kek-file", metavar="FILE", expose_value=False, callback=_source,
                help=f"The file of {what}; only its owner may read it.",
            ),
        ):  # fmt: skip
            command = option(command)
        return command

    return decorate


def _seconds(context: click.Context, _: click.Parameter, given: float) -> None:
    if not 0 < given <= 3600:
        raise UsageError(
            f"--kek-timeout {given:g} is no time limit",
            cause="It takes seconds, more than none and no more than an hour.",
            remedy="Give it as --kek-timeout 30.",
        )
    context.meta[SECONDS] = given


def kek_options(command: Callable[P, R]) -> Callable[P, R]:
    """`--kek-file`, `--kek-command`, those of the old one, and how long a command may take."""
    limit = click.option(
        "--kek-timeout", type=float, default=30.0, show_default=True, metavar="SECONDS", expose_value=False,
        callback=_seconds, help="How long such a program may take.",
    )  # fmt: skip
    return _options(False)(_options(True)(limit(command)))


def _configured(context: click.Context) -> Source | None:
    """What lancio.toml says of the KEK."""
    from lancio.registry import key_encryption_key as keks

    path, said = context.meta.get(environments.KEK, (None, {}))
    if not said:
        return None
    if "kek_file" in said:
        # A relative path is beside the file that names it, wherever the command is run.
        return keks.Source(file=path.absolute().parent / Path(said["kek_file"]).expanduser(), said=str(path))
    if "kek_env" in said:
        return keks.Source(variable=said["kek_env"], said=str(path))
    status = path.stat()
    if status.st_uid not in (os.geteuid(), 0) or status.st_mode & 0o022:
        raise UsageError(
            f"the kek_command of {path} is not run",
            cause="Others than you can write to that file, and so have a program of theirs run as you.",
            remedy="Make it yours alone to write, or name the program by --kek-command.",
            commands=(f"chmod go-w {path}",),
        )
    if not said["kek_command"]:
        raise UsageError(f"the kek_command of {path} is empty", remedy="Name a program, or remove the line.")
    return keks.Source(command=tuple(said["kek_command"]), said=str(path))


def _kek(context: click.Context, *, old: bool = False) -> KeyEncryptionKey | None:
    from lancio.registry import key_encryption_key as keks

    source = context.meta.get(OLD_KEK if old else KEK) or keks.named(os.environ, old=old)
    if source is None and not old:
        source = _configured(context)
    return None if source is None else source.read(os.environ, seconds=context.meta[SECONDS])


def ring(context: click.Context) -> Ring:
    """The KEKs that the command line, the environment and lancio.toml name.

    Raises:
        KeyRefused: none is named, or one cannot be had.
    """
    from lancio.registry import key_encryption_key as keks

    if (found := ring_if_named(context)) is None:
        raise keks.missing()
    return found


def ring_if_named(context: click.Context) -> Ring | None:
    """As `ring`; None where no KEK is named."""
    from lancio.registry import key_encryption_key as keks

    current = _kek(context)
    if current is None:
        return None
    old = _kek(context, old=True)
    return keks.Ring(current, () if old is None or old == current else (old,))


def single() -> Key | None:
    """The first single key, where LANCIO_KEY_FILE names its file."""
    from lancio.registry import secrets

    named = os.environ.get("LANCIO_KEY_FILE", "").strip()
    return secrets.read_key_file(Path(named).expanduser()) if named else None


# --- progress, questions ----------------------------------------------------------------------------------------------


def _watch(terminal: Terminal, steps: Iterator[Progress], *, every_s: float = 5.0) -> dict[str, int]:
    """Let it run, with a line on stderr that moves, or one every few seconds; how much was done, by kind."""
    done: dict[str, int] = {}
    live, said = terminal.live(terminal.err), time.monotonic()
    try:
        for step in steps:
            done[step.what] = step.done
            line = f"{step.what}: {step.done} of {step.of}"
            if live:
                terminal.err.write(f"\r\x1b[K{line}")
                terminal.err.flush()
            elif time.monotonic() - said >= every_s and not terminal.json:
                said = time.monotonic()
                terminal.talk(line)
    finally:
        if live:
            terminal.err.write("\r\x1b[K")
            terminal.err.flush()
    return done


def ready(context: click.Context, session: Session, *, wrong_is_refused: bool = True) -> DataKeys:
    """The keys of a command that needs the KEK; a wrong one is told before anything else is done.

    Raises:
        KeyRefused: none is named, it is not the one of this database, or migration 008 is not applied.
    """
    from lancio.registry import data_keys

    data_keys.refuse_unready(session.connection)
    found = ring(context)
    if wrong_is_refused:
        data_keys.refuse_wrong(session.connection, found)
    return data_keys.DataKeys(found, single=single())


def _common(command: Callable[P, R]) -> Callable[P, R]:
    return database_options(environment_options(json_option(command)))


# --- the commands -----------------------------------------------------------------------------------------------------


@click.group(
    cls=Alike,
    like=("key", "The API keys by which programs get in"),
    epilog="""\b
Examples:
  lancio keys init --kek-file lancio.kek
  lancio keys status
  lancio keys rotate acme
  lancio keys rotate-kek --kek-file new.kek --old-kek-file lancio.kek
  lancio keys backup keys.backup
""",
)
def keys() -> None:
    """Make, rotate, back up and destroy the keys that secrets are sealed with.

    Each organization has a data key, which rests in the database wrapped by the key-encryption key (KEK). The KEK is
    in a file (--kek-file, LANCIO_KEK_FILE), the variable LANCIO_KEK, or printed by a program (--kek-command,
    LANCIO_KEK_COMMAND); lancio.toml may name one of them. It is never sent to PostgreSQL.

    Not to be confused with `lancio key`: that is `lancio api-key`, by which programs get in.
    """


@keys.command(
    epilog="""\b
Examples:
  lancio keys generate lancio.kek
""",
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@json_option
@click.pass_context
def generate(context: click.Context, file: Path, json_: bool) -> None:
    """Make a new key-encryption key in a new file of mode 0600. No database is asked, and none is changed."""
    from lancio.registry import key_encryption_key as keks
    from lancio.render import json

    terminal = terminal_of(context)
    made = keks.generate(file)
    if json_:
        terminal.data(json.document({"kek": made.id, "file": str(file)}))
    else:
        terminal.data(f"Made {file}: key-encryption key {made.id}.\n")
        terminal.talk("Keep a copy where the backups of the database are not. Without it nothing opens.")


@keys.command(
    epilog="""\b
Examples:
  lancio keys init --kek-file lancio.kek
  LANCIO_KEK_COMMAND='vault kv get -field=kek secret/lancio' lancio keys init
""",
)
@_YES
@kek_options
@_common
@click.pass_context
def init(context: click.Context, yes: bool, database: str | None, role: str | None, json_: bool) -> None:
    """Give a data key to each organization that has none.

    Where no data key is there yet and --kek-file or LANCIO_KEK_FILE names a file that does not exist, the
    key-encryption key is made there first. Where data keys are there, none is made: the one that wraps them is needed.
    """
    from lancio.registry import data_keys, key_rotation
    from lancio.render import json

    del yes  # asked for by the protected environments
    terminal = terminal_of(context)
    with session_of(database, role) as session:
        data_keys.refuse_unready(session.connection)
        made = _made(context, session)
        found = ready(context, session)
        done = _watch(terminal, key_rotation.make_missing(session.connection, found.ring))
    count, kek = done.get("data keys", 0), found.ring.current.id
    if json_:
        terminal.data(json.document({"kek": kek, "made_kek": made, "data_keys": count}))
        return
    if made:
        terminal.data(f"Made {made}: key-encryption key {kek}.\n")
        terminal.talk("Keep a copy where the backups of the database are not. Without it nothing opens.")
    terminal.data(f"{_counted(count, 'data key')} made, wrapped by {kek}.\n")


def _made(context: click.Context, session: Session) -> str | None:
    """The file in which the first KEK was made, if it was to be made."""
    from lancio.registry import key_encryption_key as keks
    from lancio.registry import key_state
    from lancio.registry.secrets import KeyRefused

    source = context.meta.get(KEK) or keks.named(os.environ) or _configured(context)
    if source is None or source.file is None or source.file.exists():
        return None
    if wrapping := key_state.state(session.connection).keks:
        raise KeyRefused(
            f"{source.file} is not there, and none is made: data keys are wrapped already",
            cause=f"They need the key-encryption key {', '.join(wrapping)}; another would open none of them.",
            remedy="Bring its file back. To rotate it, make another and give both.",
            commands=(
                "lancio keys generate new.kek",
                "lancio keys rotate-kek --kek-file new.kek --old-kek-file lancio.kek",
            ),
        )
    keks.generate(source.file)
    return str(source.file)


@keys.command(
    epilog="""\b
Examples:
  lancio keys status
  lancio keys status --json | jq .secrets
""",
)
@_common
@click.pass_context
def status(context: click.Context, database: str | None, role: str | None, json_: bool) -> None:
    """Show which keys there are, what is sealed with which, and what is left to do. No key is needed."""
    from lancio.registry import key_state
    from lancio.render import json

    terminal = terminal_of(context)
    reads(context)
    with session_of(database, role) as session:
        found = key_state.state(session.connection)
    if json_:
        terminal.data(json.document({**json.plain(found), "keks": found.keks}))
    else:
        _tell(terminal, found)


def _tell(terminal: Terminal, found: State) -> None:
    from lancio.render import text

    rows = [("KEY-ENCRYPTION KEY", "DATA KEYS", "STATE", "OF")]
    for each in found.counts:
        missing = "none" if each.state == "destroyed" else "its file only"
        rows.append(
            (each.kek_id or missing, str(each.keys), each.state, "before 008" if each.single else "organizations")
        )
    terminal.data(text.table(rows) if len(rows) > 1 else "There are no data keys.\n")
    said = {
        "active": "sealed with their organizations' active keys",
        "retired": "sealed with keys that were rotated",
        "single": "sealed with a single key of before 008",
        "destroyed": "unreadable for ever: their keys were destroyed",
        "lost": "unreadable: their keys are not in this database",
        "misplaced": "unreadable: sealed with a key of another organization",
        "foreign": "not sealed by Lancio",
    }
    for kind, words in said.items():
        if count := found.secrets.get(kind):
            terminal.data(f"{_counted(count, 'secret')} {words}.\n")
    if found.plain:
        terminal.data(f"{_counted(found.plain, 'database')} with a connection string or a password in clear.\n")
    for line in _left(found):
        terminal.data(f"{line}\n")


def _left(found: State) -> list[str]:
    """What is left to do, each with its command."""
    lines = []
    if found.without_key:
        lines.append(f"{_counted(found.without_key, 'organization')} without a data key: lancio keys init")
    if found.plain or found.rewrite or found.secrets.get("single"):
        lines.append("To be taken over: lancio keys take-over")
    lines += [
        f"Rotation to be finished: lancio keys rotate {slug} (old key {key_id})" for slug, key_id in found.unfinished
    ]
    if len(found.keks) > 1:
        lines.append(f"Wrapped by {len(found.keks)} key-encryption keys: lancio keys rotate-kek")
    if found.lost is not None:
        lines.append(f"Keys to be restored (key {found.lost}, for one): lancio keys restore keys.backup")
    return lines


@keys.command(
    epilog="""\b
Examples:
  lancio keys check
  lancio keys check --json
""",
)
@kek_options
@_common
@click.pass_context
def check(context: click.Context, database: str | None, role: str | None, json_: bool) -> int:
    """Open every data key, and tell whether every secret names one that is here.

    Exit status 3 if some secret cannot be opened; a data key that does not open is refused.
    """
    from lancio.errors import NoGo
    from lancio.registry import key_rotation, key_state
    from lancio.render import json

    terminal = terminal_of(context)
    reads(context)
    with session_of(database, role) as session:
        found = ready(context, session)
        count = key_rotation.check(session.connection, found.ring)
        state = key_state.state(session.connection)
    bad = {kind: state.secrets[kind] for kind in ("lost", "misplaced", "destroyed", "foreign") if kind in state.secrets}
    if json_:
        terminal.data(json.document({"data_keys": count, "unreadable": bad}))
    else:
        terminal.data(f"{_counted(count, 'data key')}, and each opens.\n")
        _tell(terminal, state)
    return NoGo.exit_status if bad else 0


@keys.command(
    name="rotate-kek",
    epilog="""\b
Examples:
  lancio keys generate new.kek
  lancio keys rotate-kek --kek-file new.kek --old-kek-file lancio.kek --dry-run
  lancio keys rotate-kek --kek-file new.kek --old-kek-file lancio.kek
""",
)
@_DRY
@_YES
@kek_options
@_common
@click.pass_context
def rotate_kek(
    context: click.Context, dry_run: bool, yes: bool, database: str | None, role: str | None, json_: bool
) -> None:
    """Wrap every data key with the new key-encryption key; the old one is given beside it.

    Programs that have both go on reading and writing: give them both first (LANCIO_OLD_KEK_FILE), and take the old one
    from them afterwards. Killed half-way, run it again.
    """
    from lancio.registry import key_rotation, key_state
    from lancio.render import json

    del yes  # asked for by the protected environments
    terminal = terminal_of(context)
    with session_of(database, role) as session:
        found = ready(context, session)
        new = found.ring.current.id
        if dry_run:
            left = sum(n for kek, n in key_state.state(session.connection).keks.items() if kek != new)
            if json_:
                terminal.data(json.document({"kek": new, "would_wrap": left}))
            else:
                terminal.data(f"{_counted(left, 'data key')} would be wrapped by {new}. Nothing was changed.\n")
            return
        done = _watch(terminal, key_rotation.rewrap(session.connection, found.ring)).get("data keys", 0)
        if done:
            key_rotation.forget_old_bytes(session.connection)
    if json_:
        terminal.data(json.document({"kek": new, "wrapped": done}))
        return
    terminal.data(f"{_counted(done, 'data key')} wrapped by {new}.\n")
    if done:
        terminal.talk(
            "Backups of the keys and dumps from before still need the old key-encryption key: back the keys up anew "
            "(lancio keys backup), and destroy the old one when no dump that needs it is kept. Where the audit trail "
            "is sealed, give lancio audit seal both once, before."
        )


@keys.command(
    epilog="""\b
Examples:
  lancio keys rotate acme
  lancio keys rotate 6f2dd6c7-8f5c-4b6e-9d5c-0a1b2c3d4e5f --dry-run
""",
)
@click.argument("organization")
@click.option("--batch", type=click.IntRange(1, 10_000), default=500, show_default=True, help="Rows a transaction.")
@click.option(
    "--settle", type=click.FloatRange(0, 3600), default=30.0, show_default=True, metavar="SECONDS",
    help="How long programs may seal with the old key; the last look comes after that.",
)  # fmt: skip
@_DRY
@_YES
@kek_options
@_common
@click.pass_context
def rotate(
    context: click.Context,
    organization: str,
    batch: int,
    settle: float,
    dry_run: bool,
    yes: bool,
    database: str | None,
    role: str | None,
    json_: bool,
) -> None:
    """Give an organization (its slug or id) a new data key, and seal its secrets again with that.

    Programs go on reading and writing. Killed half-way, run it again: it goes on. The old key stays and opens what
    backups hold, until `lancio keys destroy --key` ends it.
    """
    from lancio.registry import key_rotation
    from lancio.render import json

    del yes  # asked for by the protected environments
    terminal = terminal_of(context)
    with session_of(database, role) as session:
        found = ready(context, session)
        named = key_rotation.organization(session.connection, organization)
        if dry_run:
            _would_rotate(terminal, session, named, json_=json_)
            return

        def wait(seconds: float) -> None:
            if seconds >= 1 and not terminal.json:
                clear = "\r\x1b[K" if terminal.live(terminal.err) else ""
                why = "programs may still seal with the old key (--settle)"
                terminal.talk(f"{clear}Waiting {seconds:.0f} seconds: so long {why}.")
            time.sleep(seconds)

        steps = key_rotation.rotate(session.connection, found, named.id, batch=batch, settle_s=settle, sleep=wait)
        done = _watch(terminal, steps)
        kept = key_rotation.kept(session.connection, named.id)
    active = next(each.stored.key_id for each in kept if each.stored.state == "active")
    retired = [each.stored.key_id for each in kept if each.stored.state == "retired"]
    count = sum(done.values())
    if json_:
        terminal.data(json.document({"organization": named.slug, "active": active, "retired": retired, "sealed": done}))
        return
    terminal.data(f"{_counted(count, 'secret')} of {named.slug} sealed again; key {active} is active.\n")
    for each in retired:
        terminal.talk(f"Key {each} is retired. When no backup needs it: lancio keys destroy --key {each}")


def _would_rotate(terminal: Terminal, session: Session, named: Organization, *, json_: bool) -> None:
    from lancio.registry import key_rotation
    from lancio.render import json

    kept = key_rotation.kept(session.connection, named.id)
    ids = [each.stored.key_id for each in kept if each.stored.state == "retired"]
    unfinished = bool(ids) and any(key_rotation.sealed_with(session.connection, ids, named.id).values())
    if not unfinished:
        ids += [each.stored.key_id for each in kept if each.stored.state == "active"]
    count = sum(key_rotation.sealed_with(session.connection, ids, named.id).values()) if ids else 0
    if json_:
        terminal.data(
            json.document({"organization": named.slug, "would_seal": count, "goes_on_with_another": unfinished})
        )
        return
    goes_on = "An unfinished rotation would be gone on with: " if unfinished else ""
    words = f"{goes_on}{_counted(count, 'secret')} of {named.slug} would be sealed again. Nothing was changed."
    terminal.data(f"{words}\n")


@keys.command(
    name="take-over",
    epilog="""\b
Examples:
  LANCIO_KEY_FILE=lancio.key lancio keys take-over --kek-file lancio.kek --dry-run
  LANCIO_KEY_FILE=lancio.key lancio keys take-over --kek-file lancio.kek
  lancio keys take-over --no-rewrite
""",
)
@click.option("--batch", type=click.IntRange(1, 10_000), default=500, show_default=True, help="Rows a transaction.")
@click.option("--no-rewrite", is_flag=True, help="Leave the table's file; it keeps old rows in clear.")
@_DRY
@_YES
@kek_options
@_common
@click.pass_context
def take_over(
    context: click.Context,
    batch: int,
    no_rewrite: bool,
    dry_run: bool,
    yes: bool,
    database: str | None,
    role: str | None,
    json_: bool,
) -> None:
    """Seal with the organizations' keys what the first single key has sealed, and what an older 006 left in clear.

    The single key is read from LANCIO_KEY_FILE. Programs go on; where something was in clear, platform.databases is
    written anew at the end (VACUUM FULL, which nobody reads beside). Killed half-way, run it again.
    """
    from lancio.registry import key_takeover
    from lancio.render import json

    del yes  # asked for by the protected environments
    terminal = terminal_of(context)
    with session_of(database, role) as session:
        found = ready(context, session)
        if dry_run:
            seen = key_takeover.outlook(session.connection, found, found.single)
            if json_:
                terminal.data(json.document(json.plain(seen)))
                return
            terminal.data(
                f"{_counted(seen.single, 'secret')} of the single key and {_counted(seen.plain, 'database')} in clear "
                f"would be sealed{'; the table would be written anew' if seen.rewrite and not no_rewrite else ''}. "
                "Nothing was changed.\n"
            )
            return
        taken = key_takeover.Taken()
        steps = key_takeover.take_over(
            session.connection, found, found.single, taken, batch=batch, write_anew=not no_rewrite
        )
        _watch(terminal, steps)
    if json_:
        words = {"single": taken.single, "plain": taken.plain, "kept": taken.kept, "rewritten": taken.rewritten}
        terminal.data(json.document(words))
        return
    terminal.data(
        f"{_counted(taken.single, 'secret')} of the single key and {_counted(taken.plain, 'database')} in clear sealed"
        f"{'; the table was written anew' if taken.rewritten else ''}.\n"
    )
    if taken.kept:
        terminal.data(
            f"{_counted(taken.kept, 'second secret')} sealed into platform.credentials, named "
            "'taken over from database <id>'.\n"
        )
    if taken.rewritten and not taken.statistics:
        terminal.talk(
            "The planner's old statistics may still hold values in clear. Let a superuser run: VACUUM FULL pg_statistic"
        )
    if taken.plain:
        terminal.talk(
            "What was in clear is still in the write-ahead log, in backups and on standbys: change those passwords "
            "where they are used, and let the old backups go."
        )


@keys.command(
    epilog="""\b
Examples:
  lancio keys destroy --key 1004
  lancio keys destroy --organization acme --dry-run
  lancio keys destroy --organization acme --yes
""",
)
@click.option("--organization", metavar="NAME", help="All keys of this organization: its secrets die with them.")
@click.option("--key", "key_id", type=click.IntRange(1, 999_999_999), help="A retired key that seals nothing any more.")
@_DRY
@_YES
@_common
@click.pass_context
def destroy(
    context: click.Context,
    organization: str | None,
    key_id: int | None,
    dry_run: bool,
    yes: bool,
    database: str | None,
    role: str | None,
    json_: bool,
) -> None:
    """Destroy a key that a rotation left, or all keys of an organization: its secrets are unreadable for ever then."""
    from lancio.registry import data_keys, key_rotation
    from lancio.render import json

    terminal = terminal_of(context)
    if (organization is None) == (key_id is None):
        raise UsageError(
            "what is to be destroyed is not said",
            cause="It is either --key NUMBER or --organization NAME.",
            remedy="Give one of them.",
        )
    with session_of(database, role) as session:
        data_keys.refuse_unready(session.connection)
        if key_id is not None:
            if not dry_run:
                key_rotation.destroy_retired(session.connection, key_id)
            used = key_rotation.sealed_with(session.connection, [key_id], None)
            named, dying = f"key {key_id}", used
        else:
            assert organization is not None  # noqa: S101  asked above
            found = key_rotation.organization(session.connection, organization)
            named, dying = found.slug, key_rotation.dying(session.connection, found.id)
            if not dry_run:
                why = f"{_counted(sum(dying.values()), 'secret')} of {found.slug} will be unreadable for ever."
                asked.typed(terminal, f"Type {found.slug} to destroy its keys", found.slug, yes=yes, why=why)
                dying = key_rotation.destroy(session.connection, found.id)
    count = sum(dying.values())
    if json_:
        terminal.data(json.document({"destroyed": not dry_run, "what": named, "secrets": dying}))
    elif dry_run:
        terminal.data(f"{_counted(count, 'secret')} would be unreadable for ever. Nothing was changed.\n")
    elif key_id is not None:
        terminal.data(f"Key {key_id} is destroyed. Nothing was sealed with it.\n")
    else:
        terminal.data(f"The keys of {named} are destroyed: {_counted(count, 'secret')} unreadable for ever.\n")
        terminal.talk(
            "Copies of the wrapped keys in backups still open with the key-encryption key: let those backups go, or "
            "rotate the key-encryption key and destroy the old one."
        )


@keys.command(
    epilog="""\b
Examples:
  lancio keys backup keys-2026-11-26.backup
""",
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@_common
@click.pass_context
def backup(context: click.Context, file: Path, database: str | None, role: str | None, json_: bool) -> None:
    """Write the data keys, wrapped as they are, to a new file of mode 0600. Without the KEK it opens nothing."""
    from lancio.registry import data_keys, key_backup
    from lancio.render import json

    terminal = terminal_of(context)
    reads(context)
    with session_of(database, role) as session:
        data_keys.refuse_unready(session.connection)
        count, keks = key_backup.backup(session.connection, file)
    if json_:
        terminal.data(json.document({"file": str(file), "data_keys": count, "keks": list(keks)}))
    else:
        terminal.data(f"Wrote {_counted(count, 'data key')} to {file}; opened by {', '.join(keks) or 'none'}.\n")


@keys.command(
    epilog="""\b
Examples:
  lancio keys restore keys-2026-11-26.backup --dry-run
  lancio keys restore keys-2026-11-26.backup --kek-file lancio.kek
""",
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--other-kek", is_flag=True, help="Write also over keys whose key-encryption key is not given.")
@_DRY
@_YES
@kek_options
@_common
@click.pass_context
def restore(
    context: click.Context,
    file: Path,
    other_kek: bool,
    dry_run: bool,
    yes: bool,
    database: str | None,
    role: str | None,
    json_: bool,
) -> None:
    """Give back the data keys of a backup that are missing here or do not open. Destroyed ones stay destroyed.

    Keys that are here under another key-encryption key, as after a rotation, are refused unless that one is given too.
    """
    from lancio.registry import key_backup
    from lancio.render import json

    del yes  # asked for by the protected environments
    terminal = terminal_of(context)
    saved = key_backup.read(file)
    with session_of(database, role) as session:
        found = ready(context, session, wrong_is_refused=False)
        done = key_backup.restore(session.connection, saved, found.ring, write=not dry_run, other_kek=other_kek)
    if json_:
        terminal.data(json.document({"restored": not dry_run, **json.plain(done)}))
        return
    would = "would be " if dry_run else ""
    aside = f", {done.destroyed} stay destroyed" if done.destroyed else ""
    if done.without_organization:
        aside += f", {done.without_organization} left out: their organizations are not here"
    terminal.data(
        f"{_counted(done.added, 'data key')} {would}added, {done.mended} {would}mended, {done.there} were there"
        f"{aside}.{' Nothing was changed.' if dry_run else ''}\n"
    )


def _counted(count: int, what: str) -> str:
    from lancio.render.lines import counted

    return counted(count, what)
