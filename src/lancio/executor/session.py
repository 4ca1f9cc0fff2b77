"""How does the runner talk to the server: many commands in one go, and which of them failed?

psycopg's own cursors cost more than a small statement does, so the runner uses libpq's pipeline through psycopg's
`pq` layer: everything of a step is sent at once, and the results come back one by one in the same order.
"""

from __future__ import annotations

import select
import signal
import socket
import threading
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import pq

from lancio.errors import ConnectionLost, LancioError, ServerError
from lancio.executor import pooler
from lancio.postgres import named_queries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from psycopg.pq.abc import PGresult

QUERIES = named_queries("lancio.executor", "session.sql")
LOCK_QUERIES = named_queries("lancio.executor", "lock.sql")
LEDGER_QUERIES = named_queries("lancio.executor", "ledger.sql")

Connection = psycopg.Connection[Any]

_FATAL = ("FATAL", "PANIC")
_LAST_ANSWERS = 64
"""So many answers are read behind a broken connection: libpq gives some that say nothing for what was still to come."""

_ERRORS = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE)
_COPIES = (pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT, pq.ExecStatus.COPY_BOTH)


@dataclass(frozen=True, slots=True)
class Command:
    """One statement to send, with its parameters as text.

    With a `name` it is prepared once a session. `flush` asks the server for its result at once instead of with the
    last one, for statements whose progress a person watches.
    """

    sql: str
    parameters: Sequence[str | None] = ()
    name: str = ""
    flush: bool = False
    keep: bool | None = None
    """Whether its rows are wanted (a file's SELECT may return a great many); None: not even that it succeeded."""


@dataclass(frozen=True, slots=True)
class ServerMessage:
    """An error or a notice as the server sent it; positions count characters from 1, 0 where there is none."""

    severity: str
    sqlstate: str
    message: str
    detail: str = ""
    hint: str = ""
    context: str = ""
    position: int = 0
    internal_query: str = ""
    internal_position: int = 0
    schema: str = ""
    table: str = ""
    column: str = ""
    constraint: str = ""
    datatype: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of one command: its index, its rows as text, and the tag ("CREATE TABLE")."""

    index: int
    tag: str
    rows: tuple[tuple[str | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """The first command without a result, and why; all behind it were skipped by the server."""

    index: int
    error: ServerMessage


@dataclass(frozen=True, slots=True)
class Told:
    """A NOTICE, WARNING or INFO that came while the command of that index ran."""

    index: int
    notice: ServerMessage


@dataclass(frozen=True, slots=True)
class Quiet:
    """Nothing came for a while; `index` is the command that the server is at."""

    index: int


class Lost(Exception):  # noqa: N818  (caught by the runner, which finds out what became of the step)
    """The connection ended; `index` is the first command without a result, `said` the last words heard, `sqlstate`
    what the server gave as the reason ("" where it ended without a word)."""

    def __init__(self, index: int, said: str, sqlstate: str = "") -> None:
        super().__init__(said)
        self.index = index
        self.said = said
        self.sqlstate = sqlstate


class Signals:
    """Ctrl-C and SIGTERM as a fact to be looked at, so that no result is lost half read.

    Python would raise KeyboardInterrupt between any two instructions, also between reading the answer to COMMIT and
    keeping it. A second signal does raise it: who asks twice wants out.
    """

    def __init__(self) -> None:
        self.name = ""
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)

    @contextmanager
    def caught(self) -> Iterator[Signals]:
        """Take the two signals over for a while; outside of the main thread there are none to take."""
        before: dict[signal.Signals, Any] = {}
        try:
            if threading.current_thread() is threading.main_thread():
                for number in (signal.SIGINT, signal.SIGTERM):
                    # Ignored ones stay so: nohup and job control mean it.
                    if signal.getsignal(number) is not signal.SIG_IGN:
                        before[number] = signal.signal(number, self._take)
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self._reader.close()
            self._writer.close()

    def fileno(self) -> int:
        """Readable once a signal came."""
        return self._reader.fileno()

    def _take(self, number: int, _frame: object) -> None:
        if self.name:
            raise KeyboardInterrupt
        self.name = signal.Signals(number).name
        self._writer.send(b"!")


_Sent = tuple["Sequence[Command]", list[tuple[bool, int]]]
"""Commands under way, and for each result to come: is it of a preparation, and of which command?"""


@dataclass
class Session:
    """A connection that belongs to the runner while it runs.

    `role` is the role that the files run as (None: the one that is logged in); `search_path` what a file finds, and
    `synchronous_commit` how a commit waits for the disk here.
    """

    connection: Connection
    role: str | None
    application: str
    lock_timeout_ms: int
    backend_pid: int
    server_version: int
    server_version_text: str
    user: str
    database: str
    search_path: str = ""
    synchronous_commit: str = "on"
    pooled: bool = False
    """It goes through a pooler that was proved to keep one server process for it."""
    lock_number: int | None = None
    """The advisory lock that proves in each ledger row that the run goes on; None: the runner's own."""
    _ahead: deque[_Sent] = field(default_factory=deque, repr=False)
    _prepared: set[str] = field(default_factory=set, repr=False)
    _notices: deque[ServerMessage] = field(default_factory=deque, repr=False)
    _farewell: ServerMessage | None = field(default=None, repr=False)

    @property
    def lost(self) -> bool:
        """Whether the connection is beyond use."""
        return self.connection.closed or self.connection.pgconn.status != pq.ConnStatus.OK

    def run(
        self,
        commands: Sequence[Command],
        *,
        quiet: float = 1.0,
        signals: Signals | None = None,
        meanwhile: Callable[[], Iterable[Sequence[Command]]] | None = None,
    ) -> Iterator[Answer | Failure | Told | Quiet]:
        """Send all commands at once and give their answers in order, ending behind the first failure.

        `meanwhile` is called once everything is sent; each list of commands that it gives is sent at once behind what
        is under way and answered by a later call, in the same order. All are thrown away where these fail, so each
        must begin with a guard that then refuses it (`guard`). `Quiet` comes every `quiet` seconds without a word from
        the server, and at once when a signal came; the commands go on. The iterator must be read to its end (a
        generator that is closed early cancels what runs).

        Raises:
            Lost: the connection ended.
        """
        index = 0
        try:
            connection = self.connection.pgconn
            if self._ahead and self._ahead[0][0] is commands:
                expected = self._ahead.popleft()[1]
            else:
                self._ahead.clear()
                connection.enter_pipeline_mode()
                connection.nonblocking = 1
                expected = self._send(commands)
            done, unsent = False, True
            try:
                if meanwhile is not None:
                    connection.flush()
                    for following in meanwhile():
                        self._ahead.append((following, self._send(following)))
                for preparing, index in expected:
                    result: PGresult | None = None
                    while result is None:
                        # Most results are here already when they are asked for.
                        if unsent or connection.is_busy():
                            yield from self._wait(index, quiet, signals)
                            unsent = False
                        result = connection.get_result()
                    status = result.status
                    if status in _ERRORS:
                        message = _server_message(result)
                        if connection.status != pq.ConnStatus.OK or message.severity in _FATAL:
                            raise Lost(index, message.message if message.sqlstate else _said(result), message.sqlstate)
                        # What stands behind a failure was skipped, its preparation too.
                        self._prepared -= {commands[each].name for fresh, each in expected if fresh and each >= index}
                        yield from self._told(index)
                        for _ in self._until_sync(quiet, signals):
                            yield Quiet(index)
                        for _ in self.give_up(quiet, signals):
                            yield Quiet(index)
                        done = True
                        yield Failure(index, message)
                        return
                    if status in _COPIES:
                        raise AssertionError("COPY to or from the client is refused before anything is sent")
                    if self._notices:
                        yield from self._told(index)
                    if not preparing and commands[index].keep is not None:
                        yield Answer(
                            index,
                            (result.command_status or b"").decode(),
                            _rows(result) if commands[index].keep else (),
                        )
                index = len(commands)
                for _ in self._until_sync(quiet, signals):
                    yield Quiet(index)
                done = True
            finally:
                if done and not self._ahead:
                    connection.exit_pipeline_mode()
                    connection.nonblocking = 0
                elif done:
                    connection.flush()
                elif connection.status == pq.ConnStatus.OK:
                    # Somebody stopped reading in the middle: what still runs must not be committed.
                    self.cancel()
                    self.connection.close()
        except psycopg.OperationalError as error:
            said, sqlstate = self._last_words()
            raise Lost(index, said or " ".join(str(error).split()), sqlstate) from error

    def _last_words(self) -> tuple[str, str]:
        """Why the server ended the session, and its SQLSTATE: it says so before it hangs up, in an answer that was not
        read yet, or in a notice."""
        with suppress(psycopg.Error):
            for _ in range(_LAST_ANSWERS):
                result = self.connection.pgconn.get_result()
                if result is not None and result.status in _ERRORS:
                    message = _server_message(result)
                    if message.severity in _FATAL and message.sqlstate:
                        return message.message, message.sqlstate
        return (self._farewell.message, self._farewell.sqlstate) if self._farewell is not None else ("", "")

    @property
    def in_flight(self) -> bool:
        """Whether commands were sent ahead whose answers nobody has read yet."""
        return bool(self._ahead)

    def give_up(self, quiet: float = 1.0, signals: Signals | None = None) -> Iterator[None]:
        """Read and forget the answers of what was sent ahead; behind a failure its own guard has refused it.

        It yields before each of what was sent, and every `quiet` seconds without a word from the server.
        """
        while self._ahead:
            yield None
            commands, expected = self._ahead.popleft()
            # The guard comes first, so it was prepared before it refused the rest, whose preparation was skipped.
            self._prepared -= {commands[each].name for fresh, each in expected if fresh and each > 0}
            yield from self._until_sync(quiet, signals)

    def abandon(self) -> None:
        """Cancel what was sent ahead and read its answers: it is then committed, or nothing of it is left.

        Raises:
            Lost: the connection ended.
        """
        if not self._ahead:
            return
        try:
            for _ in self.give_up():
                self.cancel()  # one that came between two of them stopped nothing
            self.connection.pgconn.exit_pipeline_mode()
            self.connection.pgconn.nonblocking = 0
        except psycopg.OperationalError as error:
            raise Lost(0, " ".join(str(error).split())) from error

    def ask(self, sql: str, *parameters: str | None) -> tuple[tuple[str | None, ...], ...]:
        """Run one statement and give its rows as text.

        Raises:
            Refused: the server said no.
            Lost: the connection ended.
        """
        rows: tuple[tuple[str | None, ...], ...] = ()
        for answer in self.run([Command(sql, parameters, keep=True)]):
            if isinstance(answer, Failure):
                raise Refused(answer.error)
            if isinstance(answer, Answer):
                rows = answer.rows
        return rows

    def hear(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        """Keep a notice; its text is gone once libpq's call is over."""
        message = message_of(diagnostic)
        self._notices.append(message)
        # A crash is announced by a WARNING, and any end as a notice to a session that waits for no answer.
        if message.severity in _FATAL or message.sqlstate.startswith("57P"):
            self._farewell = message

    def cancel(self) -> None:
        """Ask the server to stop what it is doing for this session; a request that fails is no harm."""
        try:
            self.connection.cancel_safe(timeout=5)
        except psycopg.Error:
            self.connection.close()  # what cannot be asked to stop ends with its client

    def guard(self, stood: str) -> Command:
        """Refuse what stands behind it unless the session was reset with this word: the step before is complete."""
        return Command(QUERIES["guard"], (stood,), name="lancio_guard")

    def reset(self, stood: str = "") -> list[Command]:
        """What makes the session a fresh one: nothing of an earlier file is left, the runner's settings stand.

        Not DISCARD ALL, which drops the advisory lock; nor DISCARD PLANS, which costs a fifth of a small step's time
        by throwing away the runner's own plans, and gives files nothing: PostgreSQL itself plans again whatever a
        changed object, role or search_path has made stale.
        """
        return [
            Command("RESET ALL", name="lancio_reset"),
            Command("RESET SESSION AUTHORIZATION", name="lancio_authorization"),
            Command("DISCARD TEMP", name="lancio_temp"),
            Command("DISCARD SEQUENCES", name="lancio_sequences"),
            Command("UNLISTEN *", name="lancio_unlisten"),
            Command(
                QUERIES["settings"],
                (self.role or "none", self.application, f"{self.lock_timeout_ms}ms", stood),
                name="lancio_settings",
            ),
        ]

    def settle(self, *, durable: bool, lookups: bool) -> Command:
        """What takes back, inside the step, a role and a path that the file may have set.

        The commit of a step that is not `durable` is not waited for: it is on the disk with the next durable one.
        `lookups`: what is still to be asked in this step are lookups alone, all by the indexes of the catalogs.
        """
        commit = self.synchronous_commit if durable else "off"
        scans = "off" if lookups else "on"
        return Command(
            QUERIES["settle"], (self.user, self.role or "none", self.search_path, commit, scans), name="lancio_settle"
        )

    def forget_prepared(self) -> None:
        """Prepare everything anew, without what is left of a file that said PREPARE, DEALLOCATE or WITH HOLD.

        Raises:
            Lost: the connection ended.
        """
        self.ask("CLOSE ALL")
        self.ask("DEALLOCATE ALL")
        self._prepared.clear()

    def _send(self, commands: Sequence[Command]) -> list[tuple[bool, int]]:
        connection = self.connection.pgconn
        expected = []
        for index, command in enumerate(commands):
            parameters = [None if value is None else value.encode() for value in command.parameters]
            if command.name:
                name = command.name.encode()
                if command.name not in self._prepared:
                    connection.send_prepare(name, command.sql.encode())
                    self._prepared.add(command.name)
                    expected.append((True, index))
                connection.send_query_prepared(name, parameters)
            else:
                connection.send_query_params(command.sql.encode(), parameters)
            expected.append((False, index))
            if command.flush:
                connection.send_flush_request()
        connection.pipeline_sync()
        return expected

    def _wait(self, index: int, quiet: float, signals: Signals | None) -> Iterator[Quiet | Told]:
        connection = self.connection.pgconn
        while (unsent := connection.flush()) or connection.is_busy():
            watched: list[Any] = [connection.socket]
            if signals is not None and not signals.name:
                watched.append(signals)
            readable, writable, _ = select.select(watched, [connection.socket] if unsent else [], [], quiet)
            if connection.socket in readable:
                connection.consume_input()
            elif not writable:
                yield Quiet(index)
            yield from self._told(index)

    def _until_sync(self, quiet: float, signals: Signals | None) -> Iterator[None]:
        connection = self.connection.pgconn
        while True:
            if connection.is_busy():
                for _ in self._wait(0, quiet, signals):
                    yield None
            result = connection.get_result()
            if result is not None and result.status == pq.ExecStatus.PIPELINE_SYNC:
                return
            if connection.status != pq.ConnStatus.OK:
                raise Lost(0, _said(result))

    def _told(self, index: int) -> Iterator[Told]:
        while self._notices:
            yield Told(index, self._notices.popleft())


class Refused(Exception):  # noqa: N818  (a server's answer on its way to become a LancioError)
    """The server answered one of the runner's own statements with an error."""

    def __init__(self, error: ServerMessage) -> None:
        super().__init__(error.message)
        self.error = error


def begin(
    connection: Connection,
    *,
    role: str | None = None,
    application: str = "lancio",
    lock_timeout_ms: int = 5000,
    pooled: bool | None = None,
) -> Session:
    """Make a connection the runner's: autocommit, checked, not yet reset.

    `pooled`: whether it goes through a pooler that keeps one server process for it, as was proved; None: if
    `pooler.prove` has proved it of this connection.

    Raises:
        ServerError: a transaction is open on it, a pooler stands between, the server is a standby or read-only.
    """
    if connection.closed:
        raise ServerError("the connection is closed", cause="It was closed before the run.", remedy="Open a new one.")
    if connection.info.transaction_status != pq.TransactionStatus.IDLE:
        raise ServerError(
            "the connection is in a transaction",
            cause="Each step is a transaction of its own, which cannot begin inside another.",
            remedy="Commit or roll back first, or hand over a connection of its own.",
        )
    connection.autocommit = True
    pooled = pooler.proved(connection) if pooled is None else pooled
    with psycopg.RawCursor(connection) as cursor:
        try:
            row = cursor.execute(QUERIES["identity"].encode()).fetchone()
            # A pooler that passes on the process id of one server process may go on with another one.
            processes = [pooler.process(connection) for _ in range(pooler.LOOKS)]
        except psycopg.Error as error:
            raise ConnectionLost(
                "the server did not say who it is",
                cause=str(error.diag.message_primary or error),
                remedy="Connect again.",
            ) from error
    if row is None:
        raise AssertionError("a SELECT without FROM gives one row")
    backend_pid, version, version_text, in_recovery, read_only, user, database = row
    told = backend_pid if pooled else connection.pgconn.backend_pid
    if other := next((each for each in (backend_pid, *processes) if each != told), None):
        raise pooler.refusal(connection, other)
    if in_recovery or read_only:
        raise ServerError(
            "this server takes no changes",
            cause="It is a standby, in recovery." if in_recovery else "default_transaction_read_only is on.",
            remedy="Connect to the primary; target_session_attrs=read-write in the connection string finds it."
            if in_recovery
            else "Connect as a role, or to a database, without that setting.",
        )
    session = Session(
        connection,
        role,
        application,
        lock_timeout_ms,
        backend_pid,
        version,
        version_text,
        user,
        database,
        pooled=pooled,
    )
    if connection.prepare_threshold is not None:
        # What the driver prepared by itself ends with DEALLOCATE ALL some time, and would take ours with it.
        connection.prepare_threshold = None
        connection.execute("DEALLOCATE ALL")
        connection.execute("SELECT")  # the driver's own DEALLOCATE comes with the statement behind it
    connection.add_notice_handler(session.hear)
    try:
        # The guard is asked once, so that it is prepared before it has to refuse what stands behind it.
        failure = collect(session, [Command("BEGIN"), *session.reset(), session.guard(""), Command("COMMIT")])
        if failure is None:
            search_path, synchronous_commit = session.ask(QUERIES["defaults"])[0]
            session.search_path, session.synchronous_commit = search_path or "", synchronous_commit or "on"
    except Lost as lost:
        raise ConnectionLost(
            "the connection ended before the run began", cause=lost.said, remedy="Connect again."
        ) from lost
    if failure is not None:
        connection.execute("ROLLBACK")
        raise refusal(failure.error, "the session could not be prepared")
    return session


def end(session: Session) -> None:
    """Give the connection back as it came: no settings, no role, no handler of ours."""
    session.connection.remove_notice_handler(session.hear)
    if not session.lost:
        session.connection.execute("RESET SESSION AUTHORIZATION")
        session.connection.execute("RESET ALL")
        session.connection.execute("DEALLOCATE ALL")


def collect(session: Session, commands: Sequence[Command]) -> Failure | None:
    """Run commands for their effect alone; the failure, if there was one. Notices are dropped.

    Raises:
        Lost: the connection ended.
    """
    failure = None
    for answer in session.run(commands):
        if isinstance(answer, Failure):
            failure = answer
    return failure


def refusal(error: ServerMessage, what: str) -> LancioError:
    """A server's error on one of the runner's own statements, as a refusal."""
    remedies = {
        "42501": "Connect as a role that may, or name one by --role.",
        "25006": "Connect to the primary.",
        "22023": "Check the spelling of --role.",
    }
    return ServerError(
        f"{what}: {error.message}",
        cause=error.detail or f"PostgreSQL answered with SQLSTATE {error.sqlstate}.",
        remedy=error.hint or remedies.get(error.sqlstate, "Look into the server's log for what it says around this."),
    )


def message_of(diagnostic: psycopg.errors.Diagnostic) -> ServerMessage:
    """psycopg's record of an error or a notice as a value."""
    return ServerMessage(
        severity=diagnostic.severity_nonlocalized or diagnostic.severity or "",
        sqlstate=diagnostic.sqlstate or "",
        message=diagnostic.message_primary or "",
        detail=diagnostic.message_detail or "",
        hint=diagnostic.message_hint or "",
        context=diagnostic.context or "",
        position=int(diagnostic.statement_position or 0),
        internal_query=diagnostic.internal_query or "",
        internal_position=int(diagnostic.internal_position or 0),
        schema=diagnostic.schema_name or "",
        table=diagnostic.table_name or "",
        column=diagnostic.column_name or "",
        constraint=diagnostic.constraint_name or "",
        datatype=diagnostic.datatype_name or "",
    )


def array(values: Sequence[object]) -> str:
    """A PostgreSQL array's text form of these values."""
    escaped = [str(value).replace("\\", "\\\\").replace('"', '\\"') for value in values]
    return "{" + ",".join([f'"{value}"' for value in escaped]) + "}"


def _server_message(result: PGresult) -> ServerMessage:
    fields: Mapping[pq.DiagnosticField, str] = {
        field: value.decode(errors="replace")
        for field in pq.DiagnosticField
        if (value := result.error_field(field)) is not None
    }
    code = pq.DiagnosticField
    return ServerMessage(
        severity=fields.get(code.SEVERITY_NONLOCALIZED, "ERROR"),
        sqlstate=fields.get(code.SQLSTATE, ""),
        message=fields.get(code.MESSAGE_PRIMARY, _said(result)),
        detail=fields.get(code.MESSAGE_DETAIL, ""),
        hint=fields.get(code.MESSAGE_HINT, ""),
        context=fields.get(code.CONTEXT, ""),
        position=int(fields.get(code.STATEMENT_POSITION, 0)),
        internal_query=fields.get(code.INTERNAL_QUERY, ""),
        internal_position=int(fields.get(code.INTERNAL_POSITION, 0)),
        schema=fields.get(code.SCHEMA_NAME, ""),
        table=fields.get(code.TABLE_NAME, ""),
        column=fields.get(code.COLUMN_NAME, ""),
        constraint=fields.get(code.CONSTRAINT_NAME, ""),
        datatype=fields.get(code.DATATYPE_NAME, ""),
    )


def _said(result: PGresult | None) -> str:
    text = result.error_message if result is not None else b""
    return " ".join((text or b"").decode(errors="replace").split()) or "the connection ended without a word"


def _rows(result: PGresult) -> tuple[tuple[str | None, ...], ...]:
    return tuple(
        tuple(
            None if (value := result.get_value(row, column)) is None else value.decode(errors="replace")
            for column in range(result.nfields)
        )
        for row in range(result.ntuples)
    )
