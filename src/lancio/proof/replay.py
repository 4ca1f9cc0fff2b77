"""What does PostgreSQL say to a file, in one transaction, and what does the database hold then?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from lancio.postgres import named_queries
from lancio.reading import operations
from lancio.syntax import lexer

if TYPE_CHECKING:
    from lancio.reading.model import FileOps, Statement
    from lancio.reading.source import Migration

QUERIES = named_queries("lancio.proof", "replay.sql")

Item = tuple[str, str]
"""A kind and a full name, as the planner's catalog has them: ("column", "public.t.a")."""

KINDS = frozenset(
    ("schema", "extension", "relation", "column", "type", "label", "routine", "constraint", "trigger", "policy", "rule")
)
"""The kinds that `held` tells."""

UNSAFE_ENUM = "55P04"
"""A new enum value that is used in the transaction which made it."""

_WITHOUT = frozenset(("CONCURRENTLY", "DETACH PARTITION CONCURRENTLY"))


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
        elif statement.alone in _WITHOUT:
            _blank_concurrently(text, statement)
    pieces = tuple(
        (each.span.start, bytes(text[each.span.start : each.span.end])) for each in statements if not each.control
    )
    together = not any(each.alone and each.alone not in _WITHOUT for each in statements)
    # Where only comments and semicolons would be left, nothing is sent.
    return Script(migration.name, migration.digest, bytes(text) if pieces else b"", pieces, together)


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
    done = _sent(connection, ((0, script.text),) if script.together else script.pieces, script.text)
    if isinstance(done, Failed) and done.sqlstate == UNSAFE_ENUM and script.together:
        done = _sent(connection, script.pieces, script.text)
    connection.execute(QUERIES["reset"].encode())
    return done


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
            if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                connection.execute("ROLLBACK")
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
