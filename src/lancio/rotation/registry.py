"""What of a rotation is written down: each step in one transaction with its entry in the audit log.

A step changes the state only from the one it began in, so that of two runs one goes on and the other is told. The
connection strings are sealed in rows of platform.credentials while the rotation lasts; reading one leaves its entry
there too.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row, tuple_row

from lancio.postgres import named_queries
from lancio.registry import audit_entry, connection_strings, opening, secrets
from lancio.registry.acting import Acting, operator
from lancio.rotation.model import CredentialRotationRefused, Rotation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from uuid import UUID

    from lancio.registry.acting import Actor
    from lancio.registry.connection_strings import ConnectionString
    from lancio.registry.data_keys import DataKeys
    from lancio.rotation.model import Kind, Outlook, Reason, State

_QUERIES = named_queries("lancio.rotation", "registry.sql")


@dataclass(frozen=True, slots=True)
class Registered:
    """A database of the registry, and its connection string."""

    id: UUID
    organization_id: UUID
    project_id: UUID
    name: str
    string: ConnectionString
    host: str
    port: int
    sharing: tuple[str, ...] = ()
    """Other databases at the same address that may have the same login."""


class Registry:
    """The registry's side of rotations, through one connection that nothing else uses meanwhile, and one for the lock.

    `within` gives the transaction of each step, with the role and the context to work in (`acting`); without it a plain
    one. Without `keys` it can be looked at what is unfinished, and no more. `actor` is who the audit log names; without
    one, the operator. `patience_s` is how long another run on the same database is waited for.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        keys: DataKeys | None,
        within: Callable[[], AbstractContextManager[object]] | None = None,
        actor: Actor | None = None,
        *,
        patience_s: float = 5.0,
    ) -> None:
        self._connection, self._given_keys = connection, keys
        self._actor = actor or operator()
        self._patience_s = patience_s
        self._within = within or connection.transaction

    @property
    def _keys(self) -> DataKeys:
        assert self._given_keys is not None  # noqa: S101  see above
        return self._given_keys

    def refuse_unready(self) -> None:
        """Return if migration 011 is applied.

        Raises:
            CredentialRotationRefused: it is not.
        """
        with self._within(), self._connection.cursor(row_factory=tuple_row) as cursor:
            found = cursor.execute(_QUERIES["there"]).fetchone()
        if found is None or not found[0]:
            raise CredentialRotationRefused(
                "unsupported",
                "this registry keeps no rotations",
                cause="Migration 011 is not applied here.",
                remedy="Apply it.",
                commands=("lancio apply --platform",),
            )

    @contextlib.contextmanager
    def alone(self, database: UUID) -> Iterator[None]:
        """Nobody else rotates this database meanwhile; let go when the block or the process ends.

        The lock is a transaction's, on a connection of its own: a pooler may change the server's process between two
        transactions of ours, and a session's lock would stay behind there.

        Raises:
            CredentialRotationRefused: another run is at it.
        """
        number = int.from_bytes(database.bytes[:8], signed=True)
        info = self._connection.info
        # Without the driver's own prepared statements, which poolers mix up as well.
        lock = psycopg.connect(info.dsn, password=info.password or None, prepare_threshold=None)
        with contextlib.closing(lock) as holder:
            # A run that was killed a moment ago holds its lock until the server has seen that it is gone.
            holder.execute(_QUERIES["limits"], (f"{max(1, round(self._patience_s * 1000))}ms",))
            try:
                holder.execute(_QUERIES["lock"], (number,))
            except psycopg.errors.LockNotAvailable:
                raise CredentialRotationRefused(
                    "held",
                    "this database is being rotated by another run",
                    cause="Of two runs one has to wait, so that each knows what is at the source.",
                    remedy="Wait until it is over. If it was killed, its lock ends with its connection.",
                    commands=("lancio db rotate --list",),
                ) from None
            yield

    def registered(self, database: UUID) -> Registered:
        """A database with its connection string.

        Raises:
            CredentialRotationRefused: it is a placeholder, or names no user or no password.
            OpeningRefused, SealBroken, KeyRefused, ConnectionStringRefused: it cannot be read.
        """
        with self._within() as work:
            found = self._registered(database)
            return replace(found, sharing=(*found.sharing, *self._sharing_elsewhere(work, found)))

    def unfinished_of(self, database: UUID) -> Rotation | None:
        """The rotation of a database that is not over."""
        with self._within(), self._connection.cursor(row_factory=tuple_row) as cursor:
            found = cursor.execute(_QUERIES["unfinished_of"], (database,)).fetchone()
            return None if found is None else self._by_id(found[0])

    def unfinished(self, project: UUID | None = None) -> tuple[Rotation, ...]:
        """All rotations that are not over and that this session sees, the oldest first."""
        with self._within(), self._connection.cursor(row_factory=dict_row) as cursor:
            return tuple(_rotation(row) for row in cursor.execute(_QUERIES["unfinished"], {"project": project}))

    def again(self, rotation: Rotation) -> Rotation:
        """The row as it is now."""
        with self._within():
            return self._by_id(rotation.id)

    def begin(
        self, registered: Registered, new: ConnectionString, outlook: Outlook, id_: UUID, keep_seconds: int | None
    ) -> Rotation:
        """Write down that a login is to be changed, with both strings sealed.

        Raises:
            CredentialRotationRefused: an unfinished rotation is there, or the string was changed meanwhile.
        """
        with self._within():
            now = self._registered(registered.id)
            if now.string.build() != registered.string.build():
                raise _overtaken(registered.name, begun=False)
            old_id, candidate_id = (
                self._add_secret(registered, f"{which} string of rotation {id_}", string)
                for which, string in (("old", registered.string), ("new", new))
            )
            try:
                self._connection.execute(
                    _QUERIES["add"],
                    {
                        "id": id_,
                        "organization": registered.organization_id,
                        "project": registered.project_id,
                        "database": registered.id,
                        "name": registered.name,
                        "kind": registered.string.kind,
                        "way": outlook.way,
                        "old_login": outlook.old_login,
                        "new_login": outlook.new_login,
                        "old_id": old_id,
                        "candidate_id": candidate_id,
                        "keep_seconds": keep_seconds,
                        "notes": json.dumps(outlook.notes),
                    },
                )
            except psycopg.errors.UniqueViolation:
                raise under_way(registered.name) from None
            rotation = self._by_id(id_)
            self._audit(rotation, "plan")
        return rotation

    def strings(self, rotation: Rotation) -> tuple[ConnectionString, ConnectionString]:
        """The old and the new connection string.

        Raises:
            CredentialRotationRefused: they are not there any more.
        """
        if rotation.old_id is None or rotation.candidate_id is None:
            raise _lost(rotation)
        with self._within():
            return self._string(rotation, rotation.old_id), self._string(rotation, rotation.candidate_id)

    def advance(self, rotation: Rotation, to: State, notes: Sequence[str] = ()) -> Rotation:
        """Write down what was reached. With `done` and `abandoned` the sealed strings are deleted.

        Raises:
            CredentialRotationRefused: another run was there first.
        """
        with self._within():
            return self._advance(rotation, to, notes)

    def register(self, rotation: Rotation, old: ConnectionString, new: ConnectionString) -> Rotation:
        """Let programs have the new login: the string of platform.databases and the state, together.

        Raises:
            CredentialRotationRefused: another login or another place was registered meanwhile.
        """
        with self._within():
            now = self._now(rotation)
            if now is None or not (_same_login(now, old) or _same_login(now, new)) or now.hosts != new.hosts:
                raise _overtaken(rotation.database_name, begun=True)
            self._write(rotation, now, new, rotation.old_login, rotation.new_login)
            return self._advance(rotation, "registered", ())

    def refuse_overtaken(self, rotation: Rotation, new: ConnectionString) -> None:
        """Return if the new login is what is registered: the old one may be ended then.

        Raises:
            CredentialRotationRefused: another one is.
        """
        with self._within():
            now = self._now(rotation)
        if now is None or not _same_login(now, new):
            raise _overtaken(rotation.database_name, begun=True)

    def give_back(self, rotation: Rotation, old: ConnectionString, new: ConnectionString) -> None:
        """Let programs have the old login again, where it is the new one that they have."""
        with self._within():
            now = self._now(rotation)
            if now is not None and _same_login(now, new):
                self._write(rotation, now, old, rotation.new_login, rotation.old_login)
                self._audit(rotation, "give-back")

    def fail(self, rotation: Rotation, reason: Reason) -> None:
        """Write down what stopped an attempt."""
        with self._within():
            self._connection.execute(_QUERIES["fail"], {"id": rotation.id, "failure": reason})
            self._audit(rotation, "fail", reason=reason)

    # --- inside of a transaction --------------------------------------------------------------------------------------

    def _registered(self, database: UUID) -> Registered:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(_QUERIES["database"], (database,)).fetchone()
        if row is None:
            raise CredentialRotationRefused(
                "lost",
                f"database {database} is not there",
                cause="It was removed, or it belongs to another organization than the one in the context.",
                remedy="Look at what is registered.",
                commands=("lancio db list",),
            )
        secret = opening.open_connection_string(self._connection, database, self._keys.unwrap)
        if secret is None:
            raise CredentialRotationRefused(
                "placeholder",
                f"{row['name']} is a placeholder: there is no login to rotate",
                cause="Its connection string was never registered.",
                remedy="Register it first.",
                commands=("lancio db update --from-env",),
            )
        string = connection_strings.parse(secret.reveal(), row["type"])
        if string.password is None or (string.user is None and string.kind != "redis"):
            raise CredentialRotationRefused(
                "no-password",
                f"the connection string of {row['name']} names no {'user' if string.password else 'password'}",
                cause="What the server is told by other means (a certificate, a password file, trust) is not in it.",
                remedy="Change that login where it is kept, or register a connection string with user and password.",
            )
        with self._connection.cursor(row_factory=tuple_row) as cursor:
            sharing = cursor.execute(
                _QUERIES["sharing"],
                {
                    "organization": row["organization_id"],
                    "database": database,
                    "type": row["type"],
                    "host": row["host"],
                    "port": row["port"],
                    "login": string.user or "default",  # only Redis has logins without a name
                },
            ).fetchall()
        return Registered(
            id=row["id"],
            organization_id=row["organization_id"],
            project_id=row["project_id"],
            name=row["name"],
            string=string,
            host=row["host"],
            port=row["port"],
            sharing=tuple(name for (name,) in sharing),
        )

    def _sharing_elsewhere(self, work: object, found: Registered) -> tuple[str, ...]:
        """As `Registered.sharing`, in other organizations: for the operator, whose login sees them all."""
        if not isinstance(work, Acting) or self._actor.kind != "system":
            return ()
        # A login that reads no databases but as the role that it works as is told of its own organization only.
        with contextlib.suppress(psycopg.errors.InsufficientPrivilege), work.as_login():
            rows = self._connection.cursor(row_factory=tuple_row).execute(
                _QUERIES["sharing_elsewhere"],
                {
                    "organization": found.organization_id,
                    "type": found.string.kind,
                    "host": found.host,
                    "port": found.port,
                    "login": found.string.user or "default",
                },
            )
            return tuple(name for (name,) in rows.fetchall())
        return ()

    def _by_id(self, id_: UUID) -> Rotation:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(_QUERIES["by_id"], (id_,)).fetchone()
        if row is None:
            raise CredentialRotationRefused(
                "none",
                f"rotation {id_} is not there",
                cause="Its project was removed, or this session may not see it.",
                remedy="Look at what is unfinished.",
                commands=("lancio db rotate --list",),
            )
        return _rotation(row)

    def _add_secret(self, registered: Registered, name: str, string: ConnectionString) -> UUID:
        id_ = uuid.uuid4()
        values = {
            "id": id_,
            "organization": registered.organization_id,
            "project": registered.project_id,
            "name": name,
            "envelope": self._seal(registered.organization_id, id_, string, secrets.CREDENTIAL),
        }
        self._connection.execute(_QUERIES["add_secret"], values)
        return id_

    def _seal(self, organization: UUID, row: UUID, string: ConnectionString, column: str) -> bytes:
        key = self._keys.active(self._connection, organization)
        return secrets.seal(string.build(), row_id=row, key=key, column=column)

    def _string(self, rotation: Rotation, credential: UUID) -> ConnectionString:
        try:
            secret = opening.open_credential(self._connection, credential, self._keys.unwrap)
        except opening.OpeningRefused as error:
            raise _lost(rotation) from error
        if secret is None:
            raise _lost(rotation)
        return connection_strings.parse(secret.reveal(), rotation.kind)

    def _write(
        self, rotation: Rotation, now: ConnectionString, to: ConnectionString, old_login: str, new_login: str
    ) -> None:
        """User and password of `to` in what is registered; what else was changed meanwhile stays."""
        string = replace(now, user=to.user, password=to.password)
        if string.build() == now.build():
            return
        with self._connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(_QUERIES["database"], (rotation.database_id,)).fetchone()
        assert row is not None  # noqa: S101  it was there, and is locked
        envelope = self._seal(row["organization_id"], row["id"], string, secrets.CONNECTION_STRING)
        self._connection.execute(
            _QUERIES["write_string"],
            {
                "id": row["id"],
                "envelope": envelope,
                "shown": secrets.sealed_form(envelope, row["type"], row["host"], row["port"]),
                "old_login": old_login,
                "new_login": new_login,
            },
        )

    def _now(self, rotation: Rotation) -> ConnectionString | None:
        """What is registered, locked until the transaction ends; None where nothing is, or nothing that can be read."""
        with self._connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(_QUERIES["database"], (rotation.database_id,)).fetchone()
        if row is None:
            return None
        secret = opening.open_connection_string(self._connection, rotation.database_id, self._keys.unwrap)
        if secret is None:
            return None
        try:
            return connection_strings.parse(secret.reveal(), row["type"])
        except connection_strings.ConnectionStringRefused:
            return None

    def _advance(self, rotation: Rotation, to: State, notes: Sequence[str]) -> Rotation:
        changed = self._connection.execute(
            _QUERIES["advance"], {"id": rotation.id, "from": rotation.state, "to": to, "notes": json.dumps(list(notes))}
        )
        if changed.rowcount != 1:
            raise CredentialRotationRefused(
                "held",
                f"the rotation of {rotation.database_name} is not {rotation.state} any more",
                cause="Another run has gone on with it meanwhile.",
                remedy="Look at where it is.",
                commands=("lancio db rotate --list",),
            )
        if to in ("done", "abandoned"):
            self._connection.execute(_QUERIES["remove_secrets"], ([rotation.old_id, rotation.candidate_id],))
        self._audit(rotation, to)
        return self._by_id(rotation.id)

    def _audit(self, rotation: Rotation, step: str, reason: str | None = None) -> None:
        after = {
            "step": step,
            "database": rotation.database_id,
            "name": rotation.database_name,
            "way": rotation.way,
            "old_login": rotation.old_login,
            "new_login": rotation.new_login,
            "reason": reason,
        }
        audit_entry.insert(
            self._connection,
            self._actor,
            "database.rotate",
            "credential_rotation",
            rotation.id,
            organization=rotation.organization_id,
            project=rotation.project_id,
            after=after,
        )


def under_way(name: str) -> CredentialRotationRefused:
    """The refusal of a second rotation."""
    return CredentialRotationRefused(
        "under-way",
        f"a rotation of {name} is under way",
        cause="It was begun and is not over: its new login may be at the source already.",
        remedy="Go on with it, or take it back.",
        commands=("lancio db rotate NAME --resume", "lancio db rotate NAME --abandon"),
    )


def _same_login(one: ConnectionString, other: ConnectionString) -> bool:
    return (one.kind, one.user, one.password) == (other.kind, other.user, other.password)


def _overtaken(name: str, *, begun: bool) -> CredentialRotationRefused:
    return CredentialRotationRefused(
        "overtaken",
        f"the connection string of {name} was changed meanwhile",
        cause="What is registered now is not what this rotation began with.",
        remedy="Take the rotation back: what is registered stays." if begun else "Run it again.",
        commands=("lancio db rotate NAME --abandon",) if begun else (),
    )


def _lost(rotation: Rotation) -> CredentialRotationRefused:
    return CredentialRotationRefused(
        "lost",
        f"the sealed connection strings of the rotation of {rotation.database_name} are not there",
        cause="Their rows in platform.credentials were removed, or their data key was destroyed.",
        remedy=f"Look at login {rotation.new_login} at the source by hand, give this rotation up, and register what "
        "works there.",
        commands=("lancio db rotate NAME --abandon --forget-source", "lancio db update NAME"),
    )


def _rotation(row: dict[str, Any]) -> Rotation:
    notes: list[str] = row["notes"]
    kind: Kind = row["kind"]
    return Rotation(**{**row, "kind": kind, "notes": tuple(notes)})
