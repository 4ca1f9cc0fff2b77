"""Where could a secret rest or pass, and how is each of these places searched?

A `Place` gives what there is to search, piece by piece; `search` looks through it for the canaries and for a control,
a text that was put there in clear so that the search is known to find what is there. A place that cannot be searched
says why (`NotSearched`): it does not count as clean.

To add a place (an API's answers, metrics, a web page), let the ways that pass by it `note` what they saw, and add a
line to `OWN` and `GIVEN`.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
import traceback
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import psycopg

from lancio.postgres import named_queries
from lancio.proof import canary as canaries
from lancio.proof.canary import Canary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping


QUERIES: Final = named_queries("lancio.proof", "places.sql")

ACTIVITY_SECONDS: Final = 0.02
PROCESS_SECONDS: Final = 0.1
LARGEST_TABLE: Final = 64 * 1024 * 1024
"""Bytes of a table whose rows are looked through on a given server."""
LARGEST_WAL: Final = 256 * 1024 * 1024
_FLUSHED_SECONDS: Final = 5.0
SIGHTINGS: Final = 20
"""So many sightings of a place are kept with where they are, and the first in each form; the others are counted."""

_BATCH: Final = 2000
"""So many rows are looked through at once."""

_LARGE: Final = 4096
"""From so many bytes on it pays to know whether the same was looked through before."""

Control = Literal["found", "missing", "none"]


class NotSearched(Exception):  # noqa: N818  (a fact, which the report tells)
    """A place that cannot be searched from here; the message says why."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of a place."""

    where: str
    """A file, a table, a step."""
    data: bytes = field(repr=False)
    base: int = 0
    """What an offset in `data` is counted from."""
    count: int = 1
    """So many rows are in it, one a line."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A canary where it should not be."""

    where: str
    offset: int
    what: str
    """`secret`, `key`, `organization's key`, `organization's new key` or `key-encryption key`."""
    form: str


@dataclass(frozen=True, slots=True)
class Searched:
    """What the search of one place came to."""

    name: str
    how: str
    unit: str
    pieces: int = 0
    bytes: int = 0
    control: Control = "none"
    sightings: tuple[Sighting, ...] = ()
    more: int = 0
    """Sightings beyond those that are listed."""
    why_not: str = ""
    """Why it could not be searched; "" if it was."""
    note: str = ""

    @property
    def found(self) -> int:
        """How many sightings there are."""
        return len(self.sightings) + self.more

    @property
    def proved(self) -> bool:
        """It was searched, and the search found its control."""
        return not self.why_not and self.control == "found"


@dataclass(frozen=True, slots=True)
class Given:
    """What was noted of a given server as the transaction on it began."""

    connection: psycopg.Connection[Any]
    """In the transaction."""
    since: int
    """The transaction's number, of 32 bits."""
    wal: int
    """The byte of the write-ahead log; -1 where this role may not know."""
    log: str
    """The file of the server's log; "" where there is none to be read."""
    log_at: int
    why: Mapping[str, str]
    """Why places cannot be searched."""


@dataclass
class Scene:
    """What a run plants, where it does so, and what its ways have seen."""

    control: Canary
    canaries: tuple[Canary, ...]
    connect: Callable[[str], psycopg.Connection[Any]]
    """A session on a database of that name."""
    databases: list[str] = field(default_factory=list)
    """Those that the ways ran in."""
    data: Path | None = None
    """The server's data folder, where its files are ours to read."""
    log: Path | None = None
    marks: list[tuple[str, int]] = field(default_factory=list)
    """Which settings the server logs by, and from which byte of its log on."""
    kept: Path | None = None
    """The folder that Lancio's own files are kept in meanwhile."""
    noted: dict[str, list[Piece]] = field(default_factory=lambda: defaultdict(list))
    notes: dict[str, str] = field(default_factory=dict)
    """What is to be said of a place besides."""
    entitled: set[int] = field(default_factory=set)
    """Processes that were handed the secret in their environment, as `lancio apply` is by REDIS_URL."""
    environments: list[tuple[int, bytes, bytes]] = field(default_factory=list, repr=False)
    """Of each process that was seen: its number, its command line and its environment."""
    given: Given | None = None
    """The transaction on a given database."""
    look: Callable[[], None] = lambda: None
    """Look at pg_stat_activity at once; set while a run is on."""
    digests: set[bytes] = field(default_factory=set)
    """Of pieces that were looked through and hold nothing: most files of a database are those of its template."""

    def watch_for(self, name: str, key: bytes) -> None:
        """Look for one more key, which was made on the way."""
        self.canaries = (*self.canaries, Canary.of_key(name, key))

    def note(self, place: str, where: str, said: object) -> None:
        """Keep what was seen at a place: a text, bytes, an exception with all that it says, or a value's `repr`."""
        if isinstance(said, bytes):
            data = said
        elif isinstance(said, BaseException):
            data = told(said).encode(errors="surrogateescape")
        else:
            data = (said if isinstance(said, str) else repr(said)).encode(errors="surrogateescape")
        self.noted[place].append(Piece(where, data))


@dataclass(frozen=True, slots=True)
class Place:
    """One place, and how what is there is got at."""

    name: str
    how: str
    unit: str
    material: Callable[[Scene], Iterable[Piece]]


def told(error: BaseException) -> str:
    """All that an error says: its text, PostgreSQL's fields, its traceback, and those of the errors behind it."""
    said = ["".join(traceback.format_exception(error))]
    at: BaseException | None = error
    while at is not None:
        if isinstance(at, psycopg.Error):
            names = [name for name in dir(at.diag) if not name.startswith("_")]
            said += [str(value) for name in names if (value := getattr(at.diag, name)) is not None]
        if (as_dict := getattr(at, "as_dict", None)) is not None:
            said.append(repr(as_dict()))
        at = at.__cause__ if at.__suppress_context__ else at.__context__
    return "\n".join(said)


def search(place: Place, scene: Scene) -> Searched:
    """Look through a place for every canary in every form, and for the control."""
    pieces = size = more = 0
    control = False
    sightings: list[Sighting] = []
    forms: set[str] = set()
    kinds: set[tuple[str, str]] = set()
    try:
        for piece in place.material(scene):
            pieces += piece.count
            size += len(piece.data)
            control = control or any(each in piece.data for _, each in scene.control.pieces)
            forms.update(hit.form for hit in _control(piece, scene.control))
            for hit in _hits(piece, scene):
                kind = (hit.canary, hit.form)
                if len(sightings) < SIGHTINGS or kind not in kinds:
                    kinds.add(kind)
                    sightings.append(Sighting(piece.where, piece.base + hit.offset, hit.canary, hit.form))
                else:
                    more += 1
    except NotSearched as reason:
        return Searched(place.name, place.how, place.unit, why_not=str(reason))
    note = scene.notes.get(place.name, "")
    if place.name == HEAP and place in OWN and (missed := scene.control.forms().keys() - forms):
        control = False
        note = f"the control was not found {', '.join(sorted(missed))}"
    said: Control = "found" if control else "missing"
    return Searched(place.name, place.how, place.unit, pieces, size, said, tuple(sightings), more, note=note)


def _hits(piece: Piece, scene: Scene) -> list[canaries.Hit]:
    if len(piece.data) < _LARGE:
        return canaries.find(piece.data, scene.canaries)
    digest = hashlib.blake2b(piece.data, digest_size=16).digest()
    if digest in scene.digests:
        return []
    hits = canaries.find(piece.data, scene.canaries)
    if not hits:
        scene.digests.add(digest)
    return hits


def _control(piece: Piece, control: Canary) -> list[canaries.Hit]:
    """The control in each of its forms, which stand side by side in one table: where it is in clear."""
    return control.find(piece.data) if control.pieces[0][1] in piece.data else []


# --- files ------------------------------------------------------------------------------------------------------------

HEAP, WAL, OTHER, TEMPORARY = "data files", "write-ahead log", "other server files", "temporary files"
LOG, LOUD = "server log", "server log, log_statement = all"
ACTIVITY, STATEMENTS, STATISTICS = "pg_stat_activity", "pg_stat_statements", "pg_stats"
ROWS, AUDIT, ANSWERS, ERRORS = "rows", "audit_logs", "answers", "errors and notices"
DUMP, OUTPUT, KEPT = "dump", "Lancio's output", "Lancio's files"
COMMANDS, ENVIRONMENTS = "command lines", "environments"
KEY_FILE = "key"
"""The one file that holds the key; it is to be there."""


def files(folder: Path, wanted: Callable[[Path], bool]) -> Iterator[Piece]:
    """The files below a folder that are wanted, by their path within it; one that goes meanwhile is left out."""
    for path in sorted(folder.rglob("*")):
        within = path.relative_to(folder)
        if not wanted(within):
            continue
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and not path.is_symlink():
                yield Piece(within.as_posix(), path.read_bytes())


def _ours(scene: Scene) -> Path:
    if scene.data is None:
        raise NotSearched("the server's files are on another machine, or not ours to read")
    return scene.data


def is_temporary(path: Path) -> bool:
    """Whether a file of a data folder is one that a query writes for itself and removes."""
    return "pgsql_tmp" in path.parts


def _heap(scene: Scene) -> Iterator[Piece]:
    return files(_ours(scene), lambda path: path.parts[0] in ("base", "global") and not is_temporary(path))


def _wal(scene: Scene) -> Iterator[Piece]:
    return files(_ours(scene), lambda path: path.parts[0] == "pg_wal")


def _other(scene: Scene) -> Iterator[Piece]:
    return files(_ours(scene), lambda path: path.parts[0] not in ("base", "global", "pg_wal"))


def _temporary(scene: Scene) -> Iterator[Piece]:
    folder = _ours(scene)
    yield from scene.noted[TEMPORARY]
    yield from files(folder, is_temporary)


def _logged(how: str) -> Callable[[Scene], Iterator[Piece]]:
    def material(scene: Scene) -> Iterator[Piece]:
        if scene.log is None:
            raise NotSearched("the server's log is on another machine, or not ours to read")
        if how not in dict(scene.marks):
            raise NotSearched(scene.notes.get(how, "the server was not run with these settings"))
        content = scene.log.read_bytes()
        ends = [at for _, at in scene.marks[1:]] + [len(content)]
        for (name, begin), end in zip(scene.marks, ends, strict=True):
            if name == how:
                yield Piece("log", content[begin:end], begin)

    return material


def _kept(scene: Scene) -> Iterator[Piece]:
    if scene.kept is None:
        raise NotSearched("no command of Lancio's was run here")
    return files(scene.kept, lambda path: path.name != KEY_FILE)


# --- what the server tells --------------------------------------------------------------------------------------------


def _statements(scene: Scene) -> Iterator[Piece]:
    for name in scene.databases[:1]:
        with scene.connect(name) as connection:
            yield from statements(connection)


def statements(connection: psycopg.Connection[Any]) -> Iterator[Piece]:
    """The texts that pg_stat_statements keeps, of all databases of the server.

    Raises:
        NotSearched: it is not there, or this role may not read it.
    """
    place = connection.execute(QUERIES["statements_at"].encode()).fetchone()
    if place is None:
        raise NotSearched("the extension pg_stat_statements is not in this database")
    try:
        rows = connection.execute(QUERIES["statements"].replace("{statements}", place[0]).encode()).fetchall()
    except psycopg.Error as error:
        raise NotSearched(f"it cannot be read: {error.diag.message_primary}") from None
    for where, query in rows:
        yield Piece(where, (query or "").encode())


def _statistics(scene: Scene) -> Iterator[Piece]:
    for name in scene.databases:
        with scene.connect(name) as connection:
            for where, values in connection.execute(QUERIES["statistics"].encode()):
                yield Piece(f"{name}: {where}", values.encode())


def _rows(scene: Scene) -> Iterator[Piece]:
    for name in scene.databases:
        with scene.connect(name) as connection:
            for quoted, table, _ in connection.execute(QUERIES["tables"].encode()).fetchall():
                if table == "pg_catalog.pg_statistic":  # nothing prints its values; they are in pg_stats
                    continue
                cursor = connection.execute(QUERIES["rows"].replace("{table}", quoted).encode())
                while rows := cursor.fetchmany(_BATCH):
                    yield Piece(f"{name}: {table}", "\n".join(row for (row,) in rows).encode(), count=len(rows))


def _audit(scene: Scene) -> Iterator[Piece]:
    for name in scene.databases:
        with scene.connect(name) as connection:
            for id_, row in connection.execute(QUERIES["audited"].encode()):
                yield Piece(f"{name}: {id_}", row.encode())


def noted(place: str) -> Callable[[Scene], Iterable[Piece]]:
    """What the ways have noted at a place.

    Raises:
        NotSearched: nothing was noted there; the scene may say why.
    """

    def material(scene: Scene) -> Iterable[Piece]:
        if place not in scene.noted:
            raise NotSearched(scene.notes.get(place, "nothing passed by it"))
        return scene.noted[place]

    return material


def _environments(scene: Scene) -> Iterable[Piece]:
    if not scene.environments:
        raise NotSearched(scene.notes.get(ENVIRONMENTS, "no process could be seen"))
    # Between its fork and its exec a child has its parent's environment, and its parent's command line.
    handed = {line for pid, line, _ in scene.environments if pid in scene.entitled}
    for pid, line, data in scene.environments:
        if pid not in scene.entitled and line not in handed:
            yield Piece(f"process {pid}", data)


OWN: Final = (
    Place(HEAP, "every file of every database, after a checkpoint; the control in each form", "file", _heap),
    Place(WAL, "every segment", "file", _wal),
    Place(OTHER, "settings, statistics, transaction status, texts of statements", "file", _other),
    Place(TEMPORARY, "pgsql_tmp, sampled all the while", "file", _temporary),
    Place(LOG, "as PostgreSQL is delivered", "file", _logged(LOG)),
    Place(LOUD, "with log_parameter_max_length = 0, durations and connections", "file", _logged(LOUD)),
    Place(ACTIVITY, "from another session: after each statement, and sampled all the while", "text", noted(ACTIVITY)),
    Place(STATEMENTS, "track = all, so what functions run is in it", "text", _statements),
    Place(STATISTICS, "after ANALYZE", "column", _statistics),
    Place(ROWS, "each row of each table and catalog, as SQL shows it", "row", _rows),
    Place(AUDIT, "each entry", "row", _audit),
    Place(ANSWERS, "what is read without opening: RETURNING, the safe view, COPY", "text", noted(ANSWERS)),
    Place(ERRORS, "all fields and tracebacks of statements that fail, notices", "text", noted(ERRORS)),
    Place(DUMP, "pg_dump, restored as well", "file", noted(DUMP)),
    Place(OUTPUT, "stdout, stderr and --json of its commands", "text", noted(OUTPUT)),
    Place(KEPT, "cache and temporary files of its commands", "file", _kept),
    Place(COMMANDS, "of every process, sampled all the while", "text", noted(COMMANDS)),
    Place(ENVIRONMENTS, "of every process but those that were handed the secret", "text", _environments),
)
"""The places of a server of our own, where everything can be searched."""


# --- what can be seen of a given server -------------------------------------------------------------------------------


def begin(connection: psycopg.Connection[Any]) -> Given:
    """Note where log and write-ahead log stand; `connection` is in the transaction."""
    why: dict[str, str] = {}
    since = _value(connection, "begun")
    wal, log, log_at = -1, "", 0
    try:
        with connection.transaction():
            wal = _value(connection, "wal_now")
            _value(connection, "bytes_of", {"file": "PG_VERSION", "begin": 0, "length": 1})
    except psycopg.Error as error:
        wal, why[WAL] = -1, f"this role may not read it: {error.diag.message_primary}"
    try:
        with connection.transaction():
            if (log := _value(connection, "log_file") or "") == "":
                why[LOG] = "the server does not collect its log in a file of its own (logging_collector is off)"
            else:
                log_at = _value(connection, "log_size", {"file": log})
    except psycopg.Error as error:
        log, why[LOG] = "", f"this role may not read it: {error.diag.message_primary}"
    return Given(connection, since, wal, log, log_at, why)


def _value(connection: psycopg.Connection[Any], query: str, values: Mapping[str, object] | None = None) -> Any:
    row = connection.execute(QUERIES[query].encode(), values).fetchone()
    if row is None:
        raise AssertionError("a SELECT without FROM gives one row")
    return row[0]


def _held(scene: Scene) -> Given:
    if scene.given is None:
        raise AssertionError("a place of a given server is searched in its transaction")
    return scene.given


def _given_wal(scene: Scene) -> Iterator[Piece]:
    given = _held(scene)
    if given.wal < 0:
        raise NotSearched(given.why[WAL])
    end, at = _value(given.connection, "wal_now"), given.wal
    if end - at > LARGEST_WAL:
        raise NotSearched(f"{(end - at) >> 20} MB were written to it meanwhile")
    with contextlib.suppress(psycopg.Error), contextlib.closing(scene.connect("")) as other:
        other.execute("SET synchronous_commit = local")
        other.execute(QUERIES["flush"].encode())
    deadline = time.monotonic() + _FLUSHED_SECONDS
    while _value(given.connection, "wal_flushed") < end:  # if not by us, the server's WAL writer does it
        if time.monotonic() > deadline:
            raise NotSearched("the server has not written it to its disk yet")
        time.sleep(0.05)
    while at < end:
        # One byte into it: PostgreSQL gives a boundary the segment before.
        place = f"{(at + 1) >> 32:X}/{(at + 1) & 0xFFFFFFFF:X}"
        row = given.connection.execute(QUERIES["wal_segment"].encode(), {"at": place}).fetchone()
        if row is None:
            raise AssertionError("a SELECT without FROM gives one row")
        name, segment = row
        begin, until = at % segment, min(segment, at % segment + end - at)
        values = {"file": f"pg_wal/{name}", "begin": begin, "length": until - begin}
        yield Piece(f"pg_wal/{name}", bytes(_value(given.connection, "bytes_of", values)), begin)
        at += until - begin


def _given_log(scene: Scene) -> Iterator[Piece]:
    given = _held(scene)
    if not given.log:
        raise NotSearched(given.why[LOG])
    scene.notes[LOG] = _value(given.connection, "log_by") or ""
    size = _value(given.connection, "log_size", {"file": given.log})
    values = {"file": given.log, "begin": given.log_at, "length": size - given.log_at}
    yield Piece(given.log, bytes(_value(given.connection, "bytes_of", values)), given.log_at)


def _given_statements(scene: Scene) -> Iterator[Piece]:
    return statements(_held(scene).connection)


def _given_rows(scene: Scene) -> Iterator[Piece]:
    given = _held(scene)
    left: list[str] = []
    for quoted, table, size in given.connection.execute(QUERIES["tables"].encode()).fetchall():
        if size > LARGEST_TABLE and table != "platform.databases":
            left.append(table)
            continue
        query = QUERIES["rows_since"].replace("{table}", quoted).encode()
        try:
            with given.connection.transaction():
                rows = given.connection.execute(query, {"since": given.since}).fetchall()
        except psycopg.Error:
            left.append(table)
            continue
        if rows:
            yield Piece(table, "\n".join(row for (row,) in rows).encode(), count=len(rows))
    if left:
        scene.notes[ROWS] = f"not looked through, since large or closed to this role: {', '.join(left)}"


def _given_audit(scene: Scene) -> Iterator[Piece]:
    given = _held(scene)
    try:
        with given.connection.transaction():
            rows = given.connection.execute(QUERIES["audited_since"].encode(), {"since": given.since}).fetchall()
    except psycopg.Error as error:
        raise NotSearched(f"it cannot be read: {error.diag.message_primary}") from None
    for id_, row in rows:
        yield Piece(id_, row.encode())


def _not_here(why: str) -> Callable[[Scene], Iterable[Piece]]:
    def material(scene: Scene) -> Iterable[Piece]:
        del scene
        raise NotSearched(why)

    return material


_FILES = "the server's files are not ours to read"
_BY_NAME = {place.name: place for place in OWN}

GIVEN: Final = (
    Place(HEAP, "", "file", _not_here(f"{_FILES}; each change of a page is in the write-ahead log")),
    Place(WAL, "what was written meanwhile", "file", _given_wal),
    Place(OTHER, "", "file", _not_here(_FILES)),
    Place(TEMPORARY, "", "file", _not_here(_FILES)),
    Place(LOG, "what was written meanwhile, with the settings that the server has", "file", _given_log),
    _BY_NAME[ACTIVITY],
    Place(STATEMENTS, "the texts that it keeps", "text", _given_statements),
    Place(STATISTICS, "", "column", _not_here("rows that are not committed come into no statistics")),
    Place(ROWS, "the rows of this transaction, in each table and catalog", "row", _given_rows),
    Place(AUDIT, "the entries of this transaction", "row", _given_audit),
    _BY_NAME[ANSWERS],
    _BY_NAME[ERRORS],
    Place(DUMP, "", "file", _not_here("nothing is committed, so no dump has it; what COPY sends is among the answers")),
    _BY_NAME[OUTPUT],
    _BY_NAME[KEPT],
    Place(COMMANDS, "of every process of this machine, sampled all the while", "text", noted(COMMANDS)),
    Place(ENVIRONMENTS, "of this machine's processes but those that were handed the secret", "text", _environments),
)
"""The places of a given server: what can be seen of it from here, in one transaction that is rolled back."""


# --- watched all the while --------------------------------------------------------------------------------------------


class Watch:
    """Threads that look at pg_stat_activity, at the processes and for temporary files until the block ends."""

    def __init__(self, scene: Scene, connect: Callable[[], psycopg.Connection[Any]]) -> None:
        self._scene, self._connect = scene, connect
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._seen: set[bytes] = set()
        self._unreadable: set[int] = set()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._activity, self._processes)]

    def __enter__(self) -> Self:
        self._own = self._connect()
        self._scene.look = self._look
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        self._scene.look = lambda: None
        self._own.close()
        if self._unreadable:
            self._scene.notes[ENVIRONMENTS] = (
                f"processes of others whose environment is closed to us: {len(self._unreadable)}"
            )

    def _look(self) -> None:
        self._sample(self._own)

    def _sample(self, connection: psycopg.Connection[Any]) -> None:
        for pid, row in connection.execute(QUERIES["activity"].encode()).fetchall():
            self._keep(ACTIVITY, f"process {pid}", row.encode())

    def _keep(self, place: str, where: str, data: bytes) -> None:
        digest = hashlib.blake2b(f"{place} {where} ".encode() + data, digest_size=16).digest()
        with self._lock:
            if digest not in self._seen:
                self._seen.add(digest)
                self._scene.note(place, where, data)

    def _activity(self) -> None:
        # A session that is ended (the server stops, the run was interrupted) ends the watching, too.
        with contextlib.suppress(psycopg.Error), self._connect() as connection:
            while not self._over.wait(ACTIVITY_SECONDS):
                self._sample(connection)

    def _processes(self) -> None:
        known: dict[int, bytes] = {}
        while not self._over.wait(PROCESS_SECONDS):
            self.processes(known)
            if self._scene.data is not None:
                with contextlib.suppress(OSError):  # gone between two looks
                    for piece in files(self._scene.data / "base" / "pgsql_tmp", lambda _: True):
                        self._keep(TEMPORARY, f"base/pgsql_tmp/{piece.where}", piece.data)

    def saw(self, pid: int) -> bool:
        """Whether a process was seen, its environment too."""
        return any(each == pid for each, _, _ in tuple(self._scene.environments))

    def processes(self, known: dict[int, bytes]) -> None:
        """One look at all processes; `known` has their command lines of the last one."""
        if not Path("/proc/self/cmdline").exists():
            for place in (COMMANDS, ENVIRONMENTS):
                self._scene.notes[place] = "this system has no /proc"
            return
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            pid = int(entry.name)
            with contextlib.suppress(OSError):  # it ended
                line = Path(f"/proc/{pid}/cmdline").read_bytes()
                if known.get(pid) == line:
                    continue
                known[pid] = line
                self._keep(COMMANDS, f"process {pid}", line)
                try:
                    self._scene.environments.append((pid, line, Path(f"/proc/{pid}/environ").read_bytes()))
                except PermissionError:
                    self._unreadable.add(pid)
