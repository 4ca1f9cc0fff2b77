"""What does PostgreSQL say to a file, in one transaction, and what does the database hold then?"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from lancio.errors import ServerError
from lancio.postgres import named_queries
from lancio.reading import operations
from lancio.syntax import lexer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lancio.proof.scratch import Scratch
    from lancio.reading.model import FileOps, Statement
    from lancio.reading.source import Migration

QUERIES = named_queries("lancio.proof", "replay.sql")

Item = tuple[str, str]
"""A kind and a full name, as the planner's catalog has them: ("column", "public.t.a")."""

KINDS = frozenset(
    ("schema", "extension", "relation", "column", "type", "label", "routine", "constraint", "trigger", "policy", "rule")
)
"""The kinds that `held` tells."""

SESSION = "-c client_min_messages=error -c statement_timeout=60s -c jit=off"
"""How sessions on scratch databases begin; a statement that takes a minute on empty tables waits for something."""

UNSAFE_ENUM = "55P04"
"""A new enum value that is used in the transaction which made it."""

WITHOUT = frozenset(("CONCURRENTLY", "DETACH PARTITION CONCURRENTLY"))


@dataclass(frozen=True, slots=True)
class Script:
    """A file, prepared to run as one transaction.

    Its own transaction commands and the word CONCURRENTLY are blanked out, byte by byte, so that every place in
    `text` is the same place in the file. `pieces` are its statements one by one, each with its offset; they are sent
    so where `together` is False: a statement in it (VACUUM) stands in no transaction.
    """

    name: str
    digest: str
    text: bytes
    pieces: tuple[tuple[int, bytes], ...]
    together: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """PostgreSQL's refusal: its sentence, its SQLSTATE and the line of the file (0 where it gave no place)."""

    message: str
    sqlstate: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class Ran:
    """A file that ran: the tags of its statements ("INSERT 0 1"), without those that only read."""

    tags: tuple[str, ...]


def script(migration: Migration, ops: FileOps | None = None) -> Script:
    """Prepare a file.

    Raises:
        SyntaxRefused: PostgreSQL's grammar does not accept it.
    """
    statements = (ops or operations.read(migration)).statements
    text = bytearray(migration.text)
    for statement in statements:
        if statement.control:
            text[statement.span.start : statement.span.end] = b" " * (statement.span.end - statement.span.start)
        elif statement.alone in WITHOUT:
            _blank_concurrently(text, statement)
    pieces = tuple(
        (each.span.start, bytes(text[each.span.start : each.span.end])) for each in statements if not each.control
    )
    together = not any(each.alone and each.alone not in WITHOUT for each in statements)
    # Where only comments and semicolons would be left, nothing is sent.
    return Script(migration.name, migration.digest, bytes(text) if pieces else b"", pieces, together)


def as_written(migration: Migration, ops: FileOps | None = None) -> Script:
    """The same with CONCURRENTLY left in, to be sent statement by statement.

    Raises:
        SyntaxRefused: PostgreSQL's grammar does not accept it.
    """
    statements = (ops or operations.read(migration)).statements
    pieces = tuple((each.span.start, each.sql.encode()) for each in statements if not each.control)
    return Script(migration.name, migration.digest, migration.text if pieces else b"", pieces, together=False)


def _blank_concurrently(text: bytearray, statement: Statement) -> None:
    for token in lexer.tokens(bytes(text), statement.span.start, statement.span.end):
        if token.kind == "word" and text[token.start : token.end].lower() == b"concurrently":
            text[token.start : token.end] = b" " * (token.end - token.start)
            return


def run(connection: psycopg.Connection[Any], script: Script) -> Ran | Failed:
    """Run a file; where it fails nothing of it stays, unless it is sent in pieces. The session is reset.

    A file that uses an enum value which it made itself is sent in pieces after all.
    """
    if not script.text:
        return Ran(())
    done = send(connection, script)
    if isinstance(done, Failed) and done.sqlstate == UNSAFE_ENUM and script.together:
        done = _sent(connection, script.pieces, script.text)
    if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        connection.execute("ROLLBACK")
    connection.execute(QUERIES["reset"].encode())
    return done


def send(connection: psycopg.Connection[Any], script: Script) -> Ran | Failed:
    """Run a file in whatever transaction the session is in, and leave the session as the file leaves it."""
    if not script.text:
        return Ran(())
    return _sent(connection, ((0, script.text),) if script.together else script.pieces, script.text)


def _sent(connection: psycopg.Connection[Any], pieces: tuple[tuple[int, bytes], ...], text: bytes) -> Ran | Failed:
    tags: list[str] = []
    for offset, piece in pieces:
        try:
            cursor = connection.execute(piece)
            more: bool | None = True
            while more:
                if (tag := cursor.statusmessage) and not tag.startswith("SELECT"):
                    tags.append(tag)
                more = cursor.nextset()
        except psycopg.Error as error:
            if error.sqlstate is None:  # the connection, not the file
                raise
            return Failed(error.diag.message_primary or str(error), error.sqlstate, _line(text, offset, piece, error))
    return Ran(tuple(tags))


def _line(text: bytes, offset: int, piece: bytes, error: psycopg.Error) -> int:
    """The line in the file; PostgreSQL counts characters from the beginning of what was sent."""
    if not (position := error.diag.statement_position):
        return 0
    at = offset + len(piece.decode()[: int(position) - 1].encode())
    return text.count(b"\n", 0, at) + 1


def held(connection: psycopg.Connection[Any]) -> frozenset[Item]:
    """The names of all that the database holds, of the kinds in KINDS."""
    return frozenset((row[0], row[1]) for row in connection.execute(QUERIES["held"].encode()))


@dataclass(frozen=True, slots=True)
class History:
    """What is replayed: files in their order, behind SQL that makes what must be there first."""

    scripts: tuple[Script, ...]
    preamble: bytes = b""

    def file(self, position: int) -> Script:
        """The file at a position, counted from 1."""
        return self.scripts[position - 1]


class Replay:
    """A history on a scratch server: one database that walks forward from file to file, and copies of it."""

    def __init__(self, server: Scratch, history: History) -> None:
        """Make the database and run the preamble.

        Raises:
            ServerError: the database cannot be made, or the preamble does not run.
        """
        self.server = server
        self.history = history
        self.name = server.create()
        self.at = 1
        """The file that the database stands before."""
        with self.server.connect(self.name, SESSION) as connection:
            try:
                connection.execute(history.preamble)
            except psycopg.Error as error:
                raise ServerError(
                    "what is to be there before the first file cannot be made",
                    cause=" ".join(str(error).split()),
                    remedy="Mend the preamble; it runs as one transaction on an empty database.",
                ) from None

    def before(self, position: int) -> None:
        """Walk on to the state before a file; there is no way back."""
        if position <= self.at:
            return
        with self.server.connect(self.name, SESSION) as connection:
            for each in range(self.at, position):
                run(connection, self.history.file(each))
        self.at = position

    @contextlib.contextmanager
    def copy(self) -> Iterator[psycopg.Connection[Any]]:
        """A session on a copy of the database as it stands, dropped afterwards."""
        name = self.server.create(self.name)
        try:
            with self.server.connect(name, SESSION) as connection:
                yield connection
        finally:
            self.server.drop(name)

    def close(self) -> None:
        """Drop the database."""
        self.server.drop(self.name)
