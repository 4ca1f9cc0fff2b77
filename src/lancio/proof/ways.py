"""By which ways does a secret come into the registry and out of it? Each is gone once, under watch.

What is seen on a way is noted with the place it belongs to (`places`): errors, answers, output. A way that cannot be
gone, is not refused where it should be, or opens something else than was put in, is told: a secret that never was there
cannot be missed.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from lancio.postgres import named_queries
from lancio.proof import places
from lancio.registry import key_rotation, opening, secrets
from lancio.registry.data_keys import DataKeys
from lancio.registry.key_encryption_key import KeyEncryptionKey, Ring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lancio.proof.canary import Canary
    from lancio.proof.places import Scene

QUERIES: Final = named_queries("lancio.proof", "ways.sql")
HOST: Final = "canary.invalid"
"""The host of every database that is registered here; the name is one that never resolves (RFC 6761)."""

KEY_ID: Final = 999_999_999
"""Of a key that is made for a run and forgotten: the last number that a key may have."""
_LEAST: Final = 2
_LONG: Final = 100_000
"""Characters of a connection string that PostgreSQL keeps outside of its row."""


@dataclass
class Ground:
    """A database that the ways are gone in."""

    scene: Scene
    secret: Canary
    key: secrets.Key
    connect: Callable[[], psycopg.Connection[Any]]
    label: str
    """What the pieces are noted under: the settings of the log at that time."""
    exact: bool = True
    """The platform's own layout: what is opened is what was put in, and what should be refused is."""
    held: psycopg.Connection[Any] | None = None
    """The one connection of all sessions, in a transaction that is rolled back at the end: a given database's."""
    bound: bool = False
    """Policies bind the role: PostgreSQL takes no COPY FROM there, and the control's tables are closed to it."""
    gone: list[str] = field(default_factory=list)
    """The ways that were gone."""
    doubts: list[str] = field(default_factory=list)
    """What did not go as it should, so that the run proves less."""
    project: UUID | None = None
    """Where databases are registered; the first one that is seen, if none is named."""
    others: tuple[secrets.Key, ...] = ()
    """Keys that rows were sealed with before."""

    @property
    def name(self) -> str:
        """The name of every database that is registered: the control, which may be seen."""
        return f"canary {self.scene.control.bare}"

    def url(self, path: str = "/0") -> str:
        """The connection string with the secret in it as it is."""
        return f"redis://default:{self.secret.text}@{HOST}:6379{path}"

    def address(self, path: str = "/0") -> str:
        """The connection string as an address: the secret percent-encoded."""
        return f"redis://default:{quoted(self.secret)}@{HOST}:6379{path}"

    @contextlib.contextmanager
    def session(self, *, keyed: bool = True) -> Iterator[Session]:
        """A session under watch, with the key unless it is to have none."""
        with contextlib.ExitStack() as stack:
            connection = self.held
            if connection is None:
                connection = stack.enter_context(contextlib.closing(self.connect()))
            connection.add_notice_handler(self._noticed)
            stack.callback(connection.remove_notice_handler, self._noticed)
            session = Session(self, connection)
            if keyed:
                session.give(self.key, *self.others)
            elif self.held is not None:
                for name in self.key.SETTINGS:
                    session.run("set", {"name": name, "value": "", "local": False})
            yield session

    def _noticed(self, notice: psycopg.errors.Diagnostic) -> None:
        self.scene.note(places.ERRORS, f"{self.label}: notice", f"{notice.message_primary} {notice.message_detail}")


def quoted(secret: Canary) -> str:
    """The secret as an address has it."""
    return quote(secret.text, safe="")


@dataclass
class Session:
    """A session whose statements are watched: after each of them another one looks at pg_stat_activity."""

    ground: Ground
    connection: psycopg.Connection[Any]

    def give(self, key: secrets.Key, *more: secrets.Key) -> None:
        """Set the key, and those that older rows are sealed with, by bound parameters."""
        for name, value in key.settings(*more).items():
            self.run("set", {"name": name, "value": value.reveal(), "local": False})

    def run(self, query: str, values: Mapping[str, object] | None = None, *, prepare: bool | None = None) -> list[Any]:
        """Run a statement of ways.sql and return its rows, which are noted as answers."""
        rows = self.opened(query, values, prepare=prepare)
        if rows:
            self.ground.scene.note(places.ANSWERS, f"{self.ground.label}: {query}", rows)
        return rows

    def opened(
        self, query: str, values: Mapping[str, object] | None = None, *, prepare: bool | None = None
    ) -> list[Any]:
        """The same for a statement whose answer is the secret itself."""
        return self.execute(QUERIES[query].encode(), values, prepare=prepare)

    def execute(
        self, query: bytes | sql.Composed, values: Mapping[str, object] | None = None, *, prepare: bool | None = None
    ) -> list[Any]:
        """Run a statement as it is."""
        try:
            cursor = self.connection.execute(query, values, prepare=prepare)
            return cursor.fetchall() if cursor.description is not None else []
        finally:
            self.ground.scene.look()

    def refused(self, what: str, query: str, values: Mapping[str, object] | None = None, **words: str) -> None:
        """Run a statement that must fail; all that its error says is noted."""
        text = QUERIES[query]
        for name, word in words.items():
            text = text.replace(f"{{{name}}}", word)
        self.fails(what, lambda: self.execute(text.encode(), values))

    def fails(self, what: str, act: Callable[[], object]) -> None:
        """Do what must fail; in a savepoint, if a transaction is open."""
        ground = self.ground
        ground.gone.append(f"refused: {what}")
        try:
            with self.connection.transaction():
                act()
        except (psycopg.Error, secrets.SealBroken, secrets.KeyRefused) as error:
            ground.scene.note(places.ERRORS, f"{ground.label}: {what}", error)
            return
        if ground.exact:
            ground.doubts.append(f"not refused: {what}")

    def copy_in(self, query: str, rows: list[tuple[object, ...]]) -> None:
        """COPY rows in; in the binary format with their types."""
        try:
            with self.connection.cursor() as cursor, cursor.copy(QUERIES[query].encode()) as copy:
                if "binary" in QUERIES[query]:
                    copy.set_types(["uuid", "uuid", "text", "text", "text", "text", "int4"])
                for row in rows:
                    copy.write_row(row)
        finally:
            self.ground.scene.look()

    def copy_out(self, query: str) -> None:
        """COPY out, noted as an answer."""
        with self.connection.cursor() as cursor, cursor.copy(QUERIES[query].encode()) as copy:
            self.ground.scene.note(places.ANSWERS, f"{self.ground.label}: COPY", b"".join(bytes(part) for part in copy))
        self.ground.scene.look()


# --- in ---------------------------------------------------------------------------------------------------------------


def go(ground: Ground) -> None:
    """Go every way once."""
    with ground.session() as session:
        if ground.project is None:
            rows = session.run("project")
            if not rows:
                ground.doubts.append("no project is seen, so nothing could be registered")
                return
            ground.project = rows[0][0]
        ids = [*_in(session)]
        if len(ids) < _LEAST:
            ground.doubts.append("too few databases could be registered to go the other ways")
            return
        _out(session, ids)
        _refusals(session, ids)
        _rolled_back(session)
        if not ground.bound:
            _controls(session)
    with ground.session(keyed=False) as session:
        _without_key(session, ids)
        with _way(session, "deleted"):
            session.run("delete", {"id": ids[-1]})


def _named(ground: Ground) -> str:
    """A name of its own for each row: they are unique within a project."""
    return f"{ground.name} {uuid4()}"


def _row(ground: Ground, **more: object) -> dict[str, Any]:
    return {"id": uuid4(), "project": ground.project, "name": _named(ground), "url": ground.url(), "host": HOST} | more


@contextlib.contextmanager
def _way(session: Session, name: str) -> Iterator[None]:
    """What is done in the block is one way, and a transaction; an error that stops it is told, and noted as all are."""
    ground = session.ground
    try:
        with session.connection.transaction():
            yield
    except psycopg.Error as error:
        ground.scene.note(places.ERRORS, f"{ground.label}: {name}", error)
        ground.doubts.append(f"{name}: refused by the database, SQLSTATE {error.sqlstate or 'unknown'}")
    except secrets.SealBroken as error:
        ground.scene.note(places.ERRORS, f"{ground.label}: {name}", error)
        ground.doubts.append(f"{name}: {error.message}")
    else:
        ground.gone.append(name)


def _in(session: Session) -> dict[UUID, str]:
    """Register databases by each way; their ids, with what each is to open to."""
    ground = session.ground
    url, address, long = ground.url(), ground.address(), ground.url("/?" + "x" * _LONG)
    made: dict[UUID, str] = {}
    for way, text, prepare in (
        ("registered by a bound parameter", url, False),
        ("by a prepared statement", url, True),
        ("a long one, kept outside of its row", long, False),
    ):
        with _way(session, way):
            row = _row(ground, url=text)
            session.run("insert", row, prepare=prepare)
            made[row["id"]] = text
    if ground.exact:
        with _way(session, "sealed by Python"):
            id_ = uuid4()
            envelope = secrets.seal(url, row_id=id_, key=ground.key)
            form = secrets.sealed_form(envelope, "redis", HOST, 6379)
            session.run("insert_sealed", _row(ground, id=id_, envelope=envelope, form=form))
            made[id_] = url
    copies = () if ground.bound else (("by COPY", "copy_in"), ("by COPY in the binary format", "copy_in_binary"))
    for way, query in copies:
        with _way(session, way):
            id_ = uuid4()
            session.copy_in(query, [(id_, ground.project, _named(ground), "redis", url, HOST, 6379)])
            made[id_] = url
    with _way(session, "by an upsert and by an UPDATE"):
        again = next(iter(made), uuid4())
        session.run("upsert", _row(ground, id=again, url=f"{url}?again"))
        session.run("update", {"id": again, "url": url})
    with _way(session, "from a setting"):
        session.run("set", {"name": "lancio.canary_url", "value": address, "local": False})
        row = {"project": ground.project, "name": "canary from a setting"}
        made[session.run("from_setting", row)[0][0]] = address
    with _way(session, "a health check's outcome"):
        session.run("health", {"id": next(iter(made), uuid4())})
    for id_, expected in made.items():
        with _way(session, "opened in SQL"):
            if session.opened("open", {"id": id_}) != [(expected,)]:
                ground.doubts.append("what was opened in SQL is not what was put in")
    return made


def _out(session: Session, ids: Sequence[UUID]) -> None:
    ground = session.ground
    with _way(session, "read without opening, also by COPY"):
        session.run("read")
        session.run("read_safe")
        session.run("read_project", {"project": ground.project})
        session.copy_out("copy_out")
    with _way(session, "opened by the view and by a cursor"):
        if session.opened("open_view", {"id": ids[0]}) != [(ground.url(),)]:
            ground.doubts.append("the view opens something else than was put in")
        with session.connection.transaction():
            session.opened("open_all", {"host": HOST})
            session.execute(b"FETCH ALL FROM lancio_opened")
    if ground.exact:
        with _way(session, "opened in Python"):
            envelope = _envelope(session, ids[0])
            opened = secrets.open_sealed(envelope, row_id=ids[0], key=ground.key)
            if opened.reveal() != ground.url():
                ground.doubts.append("what was opened in Python is not what was put in")
            shown = f"{opened!r} {opened} {ground.key!r}"
            ground.scene.note(places.ANSWERS, f"{ground.label}: what a program prints of it", shown)


def _envelope(session: Session, id_: UUID) -> bytes:
    """What is sealed in a row; empty, and so refused by who opens it, where nothing is."""
    rows = session.run("envelope", {"id": id_})
    return bytes(rows[0][0] or b"") if rows else b""


def by_a_member(ground: Ground) -> None:
    """Go every way once more as the broker, for an organization, where 007 keeps organizations apart."""
    with contextlib.closing(ground.connect()) as connection:
        if not _one(connection, "isolated"):
            return
        with contextlib.suppress(_Back), connection.transaction():
            with connection.cursor(row_factory=dict_row) as cursor:
                member = cursor.execute(QUERIES["member"].encode(), {"user": uuid4()}).fetchone()
            connection.execute(QUERIES["broker"].encode())
            connection.execute(QUERIES["context"].encode(), member)
            also = replace(ground, held=connection, bound=True, gone=[], label=f"{ground.label}, as the broker")
            go(also)
            ground.gone += [f"{way} (as the broker)" for way in also.gone]
            raise _Back


def with_own_key(ground: Ground) -> None:
    """Go every way once more with the organization's own key, then rotate that one, where 008 gives each its own."""
    with contextlib.closing(ground.connect()) as connection:
        keys = _data_keys(ground, connection)
        if keys is None:
            return
        organization = _one(connection, "organization", {"project": ground.project})
        key = keys.active(connection, organization)
        ground.scene.watch_for("organization's key", key.secret)
        own = replace(
            ground, key=key, others=(ground.key,), gone=[], label=f"{ground.label}, with the organization's key"
        )
        go(own)
        by_a_member(own)
        ground.gone += [f"{way} (with the organization's key)" for way in own.gone]
        with _way(Session(ground, connection), "rotated: the organization's key, and all that it sealed"):
            for _ in key_rotation.rotate(connection, keys, organization, settle_s=0):
                ground.scene.look()
        now = keys.active(connection, organization)
        if now.id == key.id:
            ground.doubts.append("the organization's key is the same after its rotation")
        ground.scene.watch_for("organization's new key", now.secret)
        _opened_after(ground, connection, keys, organization)
        ground.others, ground.key = (ground.key,), now


def _opened_after(ground: Ground, connection: psycopg.Connection[Any], keys: DataKeys, organization: UUID) -> None:
    """Open what was sealed again, in SQL and by what hands the envelope to Python and writes it down."""
    session = Session(ground, connection)
    with _way(session, "opened after the rotation, in SQL and in Python"):
        keys.give(connection, organization)
        rows = session.opened("open_sealed_by", {"host": HOST, "key_id": keys.active(connection, organization).id})
        if not rows or {row[1] for row in rows} - {ground.url(), ground.address()} - {ground.url("/?" + "x" * _LONG)}:
            ground.doubts.append("what was sealed again opens to something else")
        for id_, expected in rows[:2]:
            opened = opening.open_connection_string(connection, id_, keys.unwrap)
            ground.scene.look()
            ground.scene.note(places.ANSWERS, f"{ground.label}: opened in Python", f"{opened!r} {keys!r}")
            if opened is None or opened.reveal() != expected:
                ground.doubts.append("what was opened in Python is not what was opened in SQL")


def own_place(ground: Ground) -> None:
    """Work in an organization of our own, with a key of its own from 008 on, if this role may make one."""
    connection, organization, project = ground.held, uuid4(), uuid4()
    if connection is None:
        raise AssertionError("an organization is made in a transaction that is rolled back")
    values = {"organization": organization, "project": project, "slug": f"canary-{project}"}
    try:
        with connection.transaction():
            connection.execute(QUERIES["own_place"].encode(), values)
            keys = _data_keys(ground, connection)
            key = ground.key if keys is None else keys.active(connection, organization)
    except (psycopg.errors.InsufficientPrivilege, secrets.KeyRefused) as error:
        ground.scene.note(places.ERRORS, f"{ground.label}: an organization of our own", error)
        return  # what there is has to do
    ground.project = project
    if key is not ground.key:
        ground.key = key
        ground.scene.watch_for("organization's key", key.secret)


def _data_keys(ground: Ground, connection: psycopg.Connection[Any]) -> DataKeys | None:
    """Organizations' keys, wrapped by a key-encryption key that is made for the run; None before 008."""
    if not _one(connection, "keys_there"):
        return None
    kek = KeyEncryptionKey.random()
    ground.scene.watch_for("key-encryption key", kek.secret)
    return DataKeys(Ring(kek), single=ground.key)


def _one(connection: psycopg.Connection[Any], query: str, values: Mapping[str, object] | None = None) -> Any:
    row = connection.execute(QUERIES[query].encode(), values).fetchone()
    return row[0] if row is not None else None


def restored(ground: Ground) -> None:
    """Open what a dump gave back in another database."""
    with ground.session() as session, _way(session, "dumped and restored"):
        opened = {row[0] for row in session.opened("open_restored", {"host": HOST})} if ground.exact else set()
        if ground.exact and not {ground.url(), ground.address()} <= opened:
            ground.doubts.append("what was restored opens to something else")


# --- refused ----------------------------------------------------------------------------------------------------------


def _refusals(session: Session, ids: Sequence[UUID]) -> None:
    ground = session.ground
    id_, other = ids[0], ids[1]
    url = ground.url("/refused")
    session.refused("a duplicate id", "insert", _row(ground, id=id_))
    session.refused("another row's id", "refused", {"id": other, "url": url, "value": id_}, column="id")
    for column, value in (("port", 99999), ("type", "oracle"), ("status", "x"), ("project_id", uuid4())):
        session.refused(f"a {column} that is none", "refused", {"id": id_, "url": url, "value": value}, column=column)
    for column in ("project_id", "name", "type", "host", "port"):
        session.refused(f"no {column}", "refused", {"id": id_, "url": url, "value": None}, column=column)
    session.refused("a port that is no number", "wrong_type", {"id": id_, "url": url, "value": "sixty"})
    if not ground.bound:
        row = (uuid4(), ground.project, _named(ground), "redis", url, HOST, 99999)
        session.fails("a row of a binary COPY", lambda: session.copy_in("copy_in_binary", [row]))
    # RAISE, in every function that is given a secret.
    userinfo = {"id": id_, "url": url, "value": f"default:{ground.secret.text}@{HOST}"}
    session.refused("a secret in the host", "refused", userinfo, column="host")
    password = {"id": id_, "url": f"redis://{HOST}", "value": ground.secret.text}
    session.refused("a password beside the connection string", "refused", password, column="password")
    session.refused("an envelope beside it", "both", {"id": id_, "url": url, "envelope": b"\x01" * 101})
    session.refused("the sealed form of another", "update",
                    {"id": id_, "url": f"redis://sealed:00000000@{ground.secret.text}"})  # fmt: skip
    for path in ("/x", "?x", "#x"):
        broken = f"redis://:{ground.secret.bare}{path}@{HOST}"
        session.run("set", {"name": "lancio.canary_url", "value": broken, "local": False})
        session.refused("a setting whose host cannot be told from the password", "from_setting",
                        {"project": ground.project, "name": "refused"})  # fmt: skip
    session.run("set", {"name": "lancio.canary_url", "value": ground.secret.text, "local": False})
    session.refused("a setting that is no address", "from_setting", {"project": ground.project, "name": "refused"})
    if ground.exact:
        envelope = _envelope(session, id_)
        session.fails("opening in Python for another row",
                      lambda: secrets.open_sealed(envelope, row_id=other, key=ground.key))  # fmt: skip
        session.fails("opening in Python with another key",
                      lambda: secrets.open_sealed(envelope, row_id=id_, key=secrets.Key.random(2)))  # fmt: skip
        session.fails("a key that is too short", lambda: secrets.Key(1, ground.key.secret[:40]))


def _rolled_back(session: Session) -> None:
    way = _way(session, "rolled back: a savepoint and its transaction")
    with way, contextlib.suppress(_Back), session.connection.transaction():
        session.run("insert", _row(session.ground))
        with contextlib.suppress(_Back), session.connection.transaction():
            session.run("insert", _row(session.ground))
            raise _Back
        raise _Back


class _Back(Exception):  # noqa: N818
    pass


def _without_key(session: Session, ids: Sequence[UUID]) -> None:
    ground = session.ground
    values = {"id": ids[0], "url": ground.url()}
    session.refused("sealing without a key", "update", values)
    session.refused("opening without a key", "open", values)
    session.run("set", {"name": "lancio.key_id", "value": "1", "local": False})
    session.run("set", {"name": "lancio.key", "value": ground.key.secret.hex()[:-2], "local": False})
    session.refused("sealing with a key that is cut off", "update", values)
    session.give(secrets.Key.random(2))
    session.refused("opening with another key", "open", values)
    if ground.exact:
        with contextlib.suppress(_Back), session.connection.transaction():
            with _way(session, "tampered with"):
                session.run("tamper", {"id": ids[0]})
            session.give(ground.key)
            session.refused("opening what was tampered with", "open", values)
            raise _Back


# --- as nobody should -------------------------------------------------------------------------------------------------


def literally(ground: Ground) -> None:
    """Write the secret as a literal and by a COPY of text that fails: what shows then is PostgreSQL's doing."""
    with ground.session() as session:
        rows = session.run("project")
        row = _row(ground, project=rows[0][0])
        session.run("insert", row)
        literals = {"url": sql.Literal(ground.url()), "id": sql.Literal(str(row["id"]))}
        session.execute(sql.SQL(QUERIES["literal"]).format(**literals))
        ground.gone.append("by a literal in the statement")
        failing = sql.SQL(QUERIES["literal_refused"]).format(**literals)
        session.fails("a literal in a statement that fails", lambda: session.execute(failing))
        line = (ground.url(), rows[0][0], ground.name, "redis", HOST, 99999)
        session.fails("a row of a COPY of text", lambda: session.copy_in("literal_copy", [line]))


# --- controls ---------------------------------------------------------------------------------------------------------


def _controls(session: Session) -> None:
    """Let the control pass where the secret must not: through a statement, an error, an answer."""
    control = session.ground.scene.control
    named = sql.Identifier(control.bare)
    for query in ("control_said", "control_logged"):
        with contextlib.suppress(psycopg.errors.DivisionByZero), session.connection.transaction():
            session.execute(sql.SQL(QUERIES[query]).format(control=named))
    try:
        with session.connection.transaction():
            session.run("control_failing", {"text": control.text})
    except psycopg.errors.UniqueViolation as error:
        session.ground.scene.note(places.ERRORS, "control", error)


def plant(connection: psycopg.Connection[Any], control: Canary, *, temporary: bool = False) -> None:
    """Make tables with the control in each of its forms, and an audit entry with it."""
    queries = places.QUERIES
    made = queries["control_tables"].replace("{temporary}", "TEMPORARY" if temporary else "")
    connection.execute(made.encode())
    for number, (form, content) in enumerate(control.forms().items()):
        shown = control.text if number == 0 else None
        connection.execute(
            queries["control_row"].encode(), {"id": number, "form": form, "content": content, "shown": shown}
        )
    if not temporary:
        connection.execute(queries["control_statistics"].encode())
    connection.execute(queries["control_audit"].encode(), {"text": json.dumps(control.text)})
