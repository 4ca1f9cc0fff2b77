"""Does a secret stay sealed? Plant one, go every way with it, and look for it everywhere.

Two runs: on a server of our own, where every file can be searched, and on a given one, where what can be seen from here
is. Both search each place for a control as well: a search that does not find what is there proves nothing.
"""

from __future__ import annotations

import contextlib
import importlib.resources
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import psycopg
from psycopg import conninfo, sql

import lancio
from lancio import postgres
from lancio.errors import EmbeddedError, LancioError
from lancio.postgres import named_queries, redact
from lancio.proof import places, scratch, ways
from lancio.proof import programs as using
from lancio.proof.canary import Canary
from lancio.proof.places import Scene, Searched
from lancio.registry import secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lancio.postgres import Target
    from lancio.proof.scratch import Scratch

QUERIES: Final = named_queries("lancio.proof", "leaks.sql")

Layout = Literal["platform", "plain", "literals"]
LAYOUTS: Final[tuple[Layout, ...]] = ("platform", "plain", "literals")

PARAMETERS_SINCE: Final = 13
"""The major version from which log_parameter_max_length keeps bound parameters out of the log."""

_CONFIGURED: Final = {
    "full_page_writes": "on",
    "wal_level": "replica",
    "min_wal_size": "512MB",  # a segment that was written is kept until it is searched
    "max_wal_size": "1GB",
}
_STATEMENTS: Final = {
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track": "all",
    "pg_stat_statements.max": "20000",  # none is to be dropped for another one
}
_LOUD: Final = {
    "log_statement": "all",
    "log_parameter_max_length": "0",
    "log_min_duration_statement": "0",
    "log_connections": "on",
    "log_disconnections": "on",
    "log_error_verbosity": "verbose",
    "log_lock_waits": "on",
    "log_temp_files": "0",
}
_RELOADED_SECONDS: Final = 10.0
_SEEN_SECONDS: Final = 5.0


class ProofFailed(LancioError):  # noqa: N818  (a refusal, named as those of lancio.errors)
    """The ways could not be gone, so nothing is proved."""

    code = "no-leak"


@dataclass(frozen=True, slots=True)
class Report:
    """What a run found, and how far it can be trusted."""

    server: str
    layout: Layout
    canary: str
    """The beginning of the secret, as much as may be shown."""
    gone: tuple[str, ...]
    """The ways that were gone."""
    places: tuple[Searched, ...]
    doubts: tuple[str, ...]
    """Why the run proves less than it should."""
    seconds: float

    @property
    def leaking(self) -> tuple[Searched, ...]:
        """The places where the secret or the key was found."""
        return tuple(each for each in self.places if each.found)

    @property
    def sound(self) -> bool:
        """Everything went as it should, and the search of each place that was searched found its control."""
        return not self.doubts and all(each.proved for each in self.places if not each.why_not)


# --- on a server of our own -------------------------------------------------------------------------------------------


def on_our_own(layout: Layout = "platform", environ: Mapping[str, str] | None = None) -> Report:
    """Prove it on a server that is started for this and removed at the end, with the platform's migrations.

    Raises:
        EmbeddedError, ServerError: no PostgreSQL can be started here.
        ProofFailed: a command that has to succeed did not.
        BackupFailed: there is no pg_dump that knows the server.
    """
    begun = time.monotonic()
    environ = os.environ if environ is None else environ
    with contextlib.ExitStack() as stack:
        server = _server(stack, environ)
        stack.enter_context(_without_words())
        if server.folder is None:
            raise AssertionError("a server of our own has a folder")
        kept = server.folder / "ours"
        kept.mkdir(mode=0o700)
        secret, control, key = Canary.random("secret"), Canary.random("control"), secrets.Key.random()

        def connect(name: str) -> psycopg.Connection[Any]:
            target = conninfo.make_conninfo(server.conninfo, dbname=name)
            return psycopg.connect(target, autocommit=True, prepare_threshold=None)

        scene = Scene(control, (secret, Canary.of_key("key", key.secret)), connect)
        scene.data, scene.log, scene.kept = server.folder / "data", server.folder / "log", kept
        scene.marks.append((places.LOG, 0))
        (kept / "control").write_text(control.text, encoding="utf-8")
        commands = Commands(scene, secret, key, kept, environ)
        grounds = []
        with places.Watch(scene, lambda: connect("postgres")) as watch:
            grounds.append(_round(commands, server, places.LOG, (), layout))
            label = _louder(scene, server, connect)
            grounds.append(_round(commands, server, label, ("--json",), layout))
            _pass_by(watch, control)
        _settle(scene, connect)
        found = tuple(places.search(place, scene) for place in places.OWN)
    return Report(
        server.said,
        layout,
        secret.prefix,
        tuple(dict.fromkeys(way for ground in grounds for way in ground.gone)),
        found,
        tuple(dict.fromkeys(doubt for ground in grounds for doubt in ground.doubts)),
        time.monotonic() - begun,
    )


def _server(stack: contextlib.ExitStack, environ: Mapping[str, str]) -> Scratch:
    try:
        return stack.enter_context(scratch.server(environ=environ, configured={**_CONFIGURED, **_STATEMENTS}))
    except EmbeddedError as error:
        if "pg_stat_statements" not in error.cause:
            raise
    # An installation without its contributed modules: that place is told as not searched.
    return stack.enter_context(scratch.server(environ=environ, configured=_CONFIGURED))


def _round(commands: Commands, server: Scratch, label: str, form: Sequence[str], layout: Layout) -> ways.Ground:
    """All ways once, in a database of their own; `form` is how Lancio's commands are to print."""
    scene = commands.scene
    name, restored = server.create(), server.create()
    scene.databases.append(name)
    target = conninfo.make_conninfo(server.conninfo, dbname=name)
    commands.apply(target, form)
    with scene.connect(name) as connection:
        with contextlib.suppress(psycopg.Error):  # not installed: told as not searched
            connection.execute(QUERIES["statements"].encode())
        if layout == "plain":
            connection.execute(importlib.resources.files("lancio.proof").joinpath("plain.sql").read_bytes())
        ways.plant(connection, scene.control)
    exact = layout != "plain"
    ground = ways.Ground(scene, commands.secret, commands.key, lambda: scene.connect(name), label, exact=exact)
    with commands.others(target, form):
        ways.go(ground)
        ways.by_a_member(ground)
        if exact and form:  # once is enough
            ways.with_own_key(ground)
        if layout == "literals":
            ways.literally(ground)
    ground.gone.append("by Lancio's commands: apply, status, report, explain, preflight")
    _dump_and_restore(commands, server, name, restored)
    scene.databases.append(restored)
    ground.connect = lambda: scene.connect(restored)
    ways.restored(ground)
    return ground


def _louder(scene: Scene, server: Scratch, connect: Callable[[str], psycopg.Connection[Any]]) -> str:
    """Let the server log all it can log without parameters; the place that its log is from here on."""
    if server.major < PARAMETERS_SINCE:
        scene.notes[places.LOUD] = (
            f"PostgreSQL {server.major} cannot keep bound parameters out of it (log_parameter_max_length is of 13): "
            "there log_statement = all and log_min_duration_statement show secrets"
        )
        return places.LOG
    with connect("postgres") as connection:
        for name, value in _LOUD.items():
            connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
        connection.execute("SELECT pg_reload_conf()")
    deadline = time.monotonic() + _RELOADED_SECONDS
    while True:
        with connect("postgres") as connection:
            row = connection.execute(QUERIES["shown"].encode(), {"name": "log_statement"}).fetchone()
        if row == ("all",):
            break
        if time.monotonic() > deadline:
            raise ProofFailed(
                "the server does not take other settings of its log",
                cause="It was asked to reload them and still has the old ones.",
                remedy="Run it again.",
            )
        time.sleep(0.02)
    if scene.log is not None:
        scene.marks.append((places.LOUD, scene.log.stat().st_size))
    return places.LOUD


def _dump_and_restore(commands: Commands, server: Scratch, name: str, into: str) -> None:
    scene = commands.scene
    archive = commands.kept / f"{name}.dump"
    programs = using.find(server.major)
    words = ["--no-password", "-Fc", "-Z0", "-f", str(archive)]  # -Z0: what is packed could not be searched
    done = using.run(programs, "pg_dump", words, conninfo.make_conninfo(server.conninfo, dbname=name))
    scene.note(places.OUTPUT, "pg_dump", done.stderr)
    if done.returncode:
        raise ProofFailed(
            "the database could not be dumped", cause=f"pg_dump: {using.problem(done.stderr)}.", remedy="Run it again."
        )
    scene.note(places.DUMP, archive.name, archive.read_bytes())
    there = conninfo.make_conninfo(server.conninfo, dbname=into)
    done = using.run(programs, "pg_restore", ["--no-password", str(archive)], there)
    scene.note(places.OUTPUT, "pg_restore", done.stderr)
    archive.unlink()


def _pass_by(watch: places.Watch, control: Canary) -> None:
    """Let the control pass by in a command line and an environment, until it was seen."""
    idle = [sys.executable, "-c", f"import sys; sys.stdin.read()  # {control.text}"]
    environment = {"PATH": os.defpath, "LANCIO_CONTROL": control.text}
    with subprocess.Popen(idle, env=environment, stdin=subprocess.PIPE) as child:
        deadline = time.monotonic() + _SEEN_SECONDS
        try:
            while not watch.saw(child.pid) and time.monotonic() < deadline:
                time.sleep(0.01)
        finally:
            child.communicate()


def _settle(scene: Scene, connect: Callable[[str], psycopg.Connection[Any]]) -> None:
    """Let everything be on the disk, the statistics of all columns among it."""
    control = scene.control
    with connect("postgres") as connection:
        # A setting that nothing uses, so that the control is in a file that is no table's.
        connection.execute(sql.SQL("ALTER SYSTEM SET bonjour_name = {}").format(sql.Literal(control.text)))
        connection.execute("SET work_mem = '64kB'")
        connection.execute(places.QUERIES["control_spill"].encode(), {"text": control.text})
        if scene.data is not None:
            for piece in places.files(scene.data, places.is_temporary):
                scene.note(places.TEMPORARY, piece.where, piece.data)
    for name in scene.databases:
        with connect(name) as connection:
            connection.execute(QUERIES["settle"].encode())
    with connect("postgres") as connection:
        connection.execute(QUERIES["written"].encode())


# --- on a given server ------------------------------------------------------------------------------------------------


def on_given(
    target: Target,
    connection: psycopg.Connection[Any],
    environ: Mapping[str, str] | None = None,
    *,
    role: str | None = None,
    by_commands: bool = True,
) -> Report:
    """Prove it on a given database, as far as can be seen from here, in one transaction that is rolled back.

    `connection` is an idle session on `target`, as `role`. Nothing stays in the database, neither rows nor settings.
    Without `by_commands` no command of Lancio's is run, and its output is not searched.

    Raises:
        ProofFailed: the platform is not there, or this role may not work on it.
    """
    begun = time.monotonic()
    environ = os.environ if environ is None else environ
    secret, control, key = Canary.random("secret"), Canary.random("control"), secrets.Key.random(ways.KEY_ID)

    def connect(_: str) -> psycopg.Connection[Any]:
        return postgres.connect(target, role=role)

    with tempfile.TemporaryDirectory(prefix="lancio-no-leak-") as folder:
        kept = Path(folder)
        scene = Scene(control, (secret, Canary.of_key("key", key.secret)), connect)
        scene.kept = kept if by_commands else None
        (kept / "control").write_text(control.text, encoding="utf-8")
        commands = Commands(scene, secret, key, kept, environ, given=True)
        ground = ways.Ground(scene, secret, key, lambda: connect(""), places.LOG, held=connection)
        with (
            _without_words(),
            places.Watch(scene, lambda: connect("")) as watch,
            contextlib.suppress(_Back),
            connection.transaction(),
        ):
            scene.given = places.begin(connection)
            _ready(connection)
            try:
                with connection.transaction():
                    ways.plant(connection, control, temporary=True)
            except psycopg.Error as error:
                ground.doubts.append(f"the control could not be planted: {error.diag.message_primary}")
            else:
                ways.own_place(ground)
                with commands.others(target.conninfo, ()) if by_commands else contextlib.nullcontext():
                    ways.go(ground)
            _pass_by(watch, control)
            found = tuple(places.search(place, scene) for place in places.GIVEN)
            raise _Back
    return Report(
        target.display,
        "platform",
        secret.prefix,
        tuple(dict.fromkeys(ground.gone)),
        found,
        tuple(dict.fromkeys(ground.doubts)),
        time.monotonic() - begun,
    )


@contextlib.contextmanager
def _without_words() -> Iterator[None]:
    """An error of PostgreSQL's that nobody expected is told by its number: its words may have the secret in them."""
    number = ""
    try:
        yield
        return
    except psycopg.Error as error:
        number = error.sqlstate or "unknown: the connection ended"
    raise ProofFailed(
        "the proof could not be brought to its end",
        cause=f"PostgreSQL refused a statement that has to succeed, SQLSTATE {number}. "
        "(Its words are not shown, for the secret may be in them.)",
        remedy="Look into the server's log.",
    ) from None


class _Back(Exception):  # noqa: N818  (nothing of what was done is to stay)
    pass


def _ready(connection: psycopg.Connection[Any]) -> None:
    row = connection.execute(QUERIES["there"].encode()).fetchone()
    if row is None or not row[0]:
        raise ProofFailed(
            "the platform's registry is not in this database",
            cause="There is no table platform.databases, so there is nothing that could keep a secret.",
            remedy="Apply the platform's migrations, or leave --database out: then a server of our own is started.",
            commands=("lancio apply --platform",),
        )


# --- Lancio's own commands --------------------------------------------------------------------------------------------


@dataclass
class Commands:
    """Lancio's commands as their users run them, in processes of their own; what they print is noted."""

    scene: Scene
    secret: Canary
    key: secrets.Key
    kept: Path
    """A folder for the key file, the cache and all that the commands write."""
    environ: Mapping[str, str]
    given: bool = False
    """On a given server: PG* variables belong to how it is reached, and no wrong password is tried there."""

    def apply(self, target: str, form: Sequence[str]) -> None:
        """Launch the platform with the secret in REDIS_URL and MONGO_URL.

        Raises:
            ProofFailed: it did not succeed.
        """
        file = self.kept / places.KEY_FILE
        if not file.exists():
            text = f"key_id = {self.key.id}\nkey = {self.key.secret.hex()}\n"
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as opened:
                opened.write(text)
        words = ["apply", "--platform", "--no-backup", "--yes", *form]
        with self._begun(words, target, {**self.services(), "LANCIO_KEY_FILE": str(file)}) as child:
            said = self._ended(words, child)
        if child.returncode:
            raise ProofFailed(
                "the platform's migrations did not run",
                cause=self._harmless(said),
                remedy="Look at the cause; with lancio apply --platform on an empty database it shows as well.",
            )

    def services(self) -> dict[str, str]:
        """The variables in which a platform's services are named, with the secret."""
        quoted = ways.quoted(self.secret)
        return {
            "REDIS_URL": f"redis://default:{quoted}@{ways.HOST}:6379/0",
            "MONGO_URL": f"mongodb://mongo:{quoted}@{ways.HOST}:27017/lancio",
        }

    @contextlib.contextmanager
    def others(self, target: str, form: Sequence[str]) -> Iterator[None]:
        """What is asked and what is refused, while the block runs: the secret is in what is given or what is there."""
        address = f"redis://default:{self.secret.text}@{ways.HOST}:6379"
        error = (
            f'ERROR:  new row for relation "{self.scene.control.bare}" violates check constraint "port_check"\n'
            f"DETAIL:  Failing row contains (one, redis, {address}, 99999).\n"
        )
        calls: list[tuple[list[str], str, Mapping[str, str], str]] = [
            (["preflight", "--platform"], target, self.services(), ""),  # a credential, and no key
            (["explain", "-", "--offline"], target, {}, error),
        ]
        calls.append((["report", "--format", "json" if form else "html"], target, {}, ""))
        if not self.given and not form:
            wrong = conninfo.make_conninfo(target, password=self.secret.text)
            calls.append((["status", "--platform"], wrong, {}, ""))
        with contextlib.ExitStack() as stack:
            begun = []
            for words, where, more, given in calls:
                asked = words if words[0] == "report" else [*words, *form]
                begun.append((asked, stack.enter_context(self._begun(asked, where, more, given))))
            yield
            for asked, child in begun:
                self._ended(asked, child)

    @contextlib.contextmanager
    def _begun(
        self, words: Sequence[str], target: str, more: Mapping[str, str], given: str = ""
    ) -> Iterator[subprocess.Popen[str]]:
        """A command that was started, with what it is `given` to read; ended with the block, whatever ends that."""
        own = {
            name: value
            for name, value in self.environ.items()
            if not name.startswith(("LANCIO_", "DATABASE_URL") if self.given else ("PG", "LANCIO_", "DATABASE_URL"))
            or name in ("LANCIO_HOME", "LANCIO_PGBIN")
        }
        cache = self.kept / "cache"
        cache.mkdir(exist_ok=True)
        reached = {"DATABASE_URL": target} if target else {}  # else PG* variables say it
        source = str(Path(lancio.__file__).parent.parent)
        environment = {**own, **reached, "LANCIO_CACHE": str(cache), "TMPDIR": str(cache), **more}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (source, own.get("PYTHONPATH"))))
        with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
            file.write(given)
            file.seek(0)
            with subprocess.Popen(
                [sys.executable, "-m", "lancio", *words], env=environment, cwd=self.kept, text=True,
                errors="surrogateescape", stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            ) as child:  # fmt: skip
                # Each is handed the secret in its environment, or may be.
                self.scene.entitled.add(child.pid)
                try:
                    yield child
                except BaseException:
                    child.terminate()
                    child.communicate(timeout=30)
                    raise

    def _ended(self, words: Sequence[str], child: subprocess.Popen[str]) -> str:
        """All that it printed, noted; the end of it."""
        out, err = child.communicate()
        for stream, said in (("stdout", out), ("stderr", err)):
            self.scene.note(places.OUTPUT, f"lancio {' '.join(words)}: {stream}", said)
        return (err or out)[-600:]

    def _harmless(self, said: str) -> str:
        """What a command said, unless a canary is in it."""
        if any(each.find(said.encode(errors="surrogateescape")) for each in self.scene.canaries):
            return "What it said has the canary in it."
        return redact(" ".join(said.split()), [self.secret.text])
