"""The steps of a rotation, in their order, from wherever it stands.

    machine = Machine(registry, administrator=..., told=print)
    rotation = machine.begin(database, way="two-logins", keep_seconds=0)
    rotation = machine.go_on(rotation)          # also after a kill
    rotation = machine.abandon(rotation)        # instead

Between any two things that change something `told` is called with what comes next; whoever kills the process there or
anywhere else can go on or take back.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from lancio.registry.connection_strings import PostgreSQL, Redis
from lancio.registry.secrets import Secret
from lancio.rotation import model
from lancio.rotation.model import AFTER, WAYS, CredentialRotationRefused, Outlook, Rotation
from lancio.rotation.registry import Registered, Registry, under_way

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from lancio.registry.connection_strings import ConnectionString
    from lancio.rotation.model import Step, Way

T = TypeVar("T", bound="ConnectionString")

USUAL: Final[dict[str, Way]] = {"postgresql": "two-logins", "redis": "same-login"}


class Source(Protocol):
    """Where the login lives. Each method looks before it acts, and may be called again."""

    def make(self) -> tuple[str, ...]:
        """The new login is there; what is to be known besides."""

    def prove(self) -> tuple[str, ...]:
        """The new login was used."""

    def end(self) -> tuple[str, ...]:
        """The old login is gone."""

    def restore_old(self) -> None:
        """The old login works."""

    def take_back(self) -> tuple[str, ...]:
        """The new login is gone."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A database, and what its rotation would do."""

    registered: Registered
    outlook: Outlook


class Machine:
    """Rotations through one registry.

    `administrator` is the connection string that changes logins at the source; without one, the login itself does. With
    `files` connection strings may name files of this machine: certificates, keys.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        administrator: ConnectionString | None = None,
        persist: bool = True,
        files: bool = False,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._registry, self._administrator, self._told = registry, administrator, told
        self._persist, self._files = persist, files

    def plan(self, database: UUID, *, way: Way | None = None, login: str | None = None) -> Planned:
        """What a rotation would do; nothing is changed.

        Raises:
            CredentialRotationRefused: it would be refused.
        """
        if self._registry.unfinished_of(database) is not None:
            raise under_way(self._registry.registered(database).name)
        registered = self._registry.registered(database)
        string = registered.string
        way = way or USUAL.get(string.kind, WAYS[0])
        self._refuse_other_kind(string)
        if isinstance(string, PostgreSQL):
            from lancio.rotation import postgresql

            outlook = postgresql.Source(string, None, way, registered.id, self._as(PostgreSQL), files=self._files).look(
                login
            )
        elif isinstance(string, Redis):
            from lancio.rotation import redis

            if login is not None:
                raise CredentialRotationRefused(
                    "way",
                    "a Redis user keeps its name",
                    cause="It gets a second password, not a second login.",
                    remedy="Leave --login out.",
                )
            outlook = redis.Source(string, None, way, self._as(Redis), persist=self._persist, files=self._files).look()
        else:
            raise CredentialRotationRefused(
                "unsupported",
                "a login of MongoDB is not rotated",
                cause="A user of MongoDB has one password, and changing it takes rights that differ by service.",
                remedy="Change it there, db.getSiblingDB(<authentication database>).updateUser(<user>, {pwd: "
                "passwordPrompt()}), then register the new connection string.",
                commands=("lancio db update NAME",),
            )
        if registered.sharing:
            names = ", ".join(registered.sharing)
            shared = (
                f"At the same address, perhaps with the same login: {names}. They are not changed; register their new "
                "strings before the old login ends."
            )
            outlook = replace(outlook, notes=(*outlook.notes, shared))
        return Planned(registered, outlook)

    def begin(
        self,
        database: UUID,
        *,
        way: Way | None = None,
        login: str | None = None,
        keep_seconds: int | None = 0,
        shared: bool = False,
    ) -> Rotation:
        """Look at the source, draw the new secret and write it down: `planned`. Nothing is changed at the source.

        `shared` says that other databases of the registry may be shut out at once.

        Raises:
            CredentialRotationRefused: it cannot be done.
        """
        self._registry.refuse_unready()
        with self._registry.alone(database):
            planned = self.plan(database, way=way, login=login)
            if not shared:
                _refuse_shared(planned, keep_seconds)
            self._told("write down")
            new = _drawn(planned.registered.string, planned.outlook.new_login)
            return self._registry.begin(planned.registered, new, planned.outlook, uuid.uuid4(), keep_seconds)

    def go_on(self, rotation: Rotation, *, end_now: bool = False) -> Rotation:
        """Do what is left, up to the time for which the old login is kept.

        Raises:
            CredentialRotationRefused: a step was refused; the rotation stays where it is, with the reason.
        """
        with self._registry.alone(rotation.database_id):
            rotation = self._registry.again(rotation)
            while (step := model.step_of(rotation, end_now=end_now)) is not None:
                try:
                    rotation = self._step(step, rotation)
                except CredentialRotationRefused as refused:
                    if refused.reason != "held":
                        self._registry.fail(rotation, refused.reason)
                    raise
        return rotation

    def abandon(self, rotation: Rotation, *, source: bool = True) -> Rotation:
        """All is as it was before: the old login works and is registered, the new one is gone.

        Without `source` nobody goes there, and what is registered stays: for a server that is gone for good.

        Raises:
            CredentialRotationRefused: it cannot be taken back, or is over.
        """
        with self._registry.alone(rotation.database_id):
            rotation = self._registry.again(rotation)
            if rotation.finished:
                raise CredentialRotationRefused(
                    "none",
                    f"the rotation of {rotation.database_name} is over",
                    cause=f"It is {rotation.state}.",
                    remedy="Rotate again to have another login.",
                )
            if not source:
                note = f"The source was not asked: login {rotation.new_login} may be there."
                return self._registry.advance(rotation, "abandoned", (note,))
            try:
                old, new = self._registry.strings(rotation)
                notes = self._take_back(rotation, old, new)
            except CredentialRotationRefused as refused:
                self._registry.fail(rotation, refused.reason)
                raise
            self._told("write down that it is abandoned")
            return self._registry.advance(rotation, "abandoned", notes)

    # --- one step -----------------------------------------------------------------------------------------------------

    def _step(self, step: Step, rotation: Rotation) -> Rotation:
        old, new = self._registry.strings(rotation)
        source = self._source(rotation, old, new)
        if step == "register":
            self._told("register the new login")
            return self._registry.register(rotation, old, new)
        if step == "make":
            self._told("make the new login")
            notes = source.make()
        elif step == "prove":
            self._told("prove the new login")
            notes = self._proved(rotation, source)
        else:
            self._told("prove the new login once more")
            notes = source.prove()
            self._told("end the old login")
            self._registry.refuse_overtaken(rotation, new)
            notes = (*notes, *source.end())
        self._told(f"write down that it is {AFTER[step]}")
        return self._registry.advance(rotation, AFTER[step], notes)

    def _proved(self, rotation: Rotation, source: Source) -> tuple[str, ...]:
        try:
            return source.prove()
        except CredentialRotationRefused:
            if (rotation.kind, rotation.way) == ("postgresql", "same-login"):
                # The one password that there is has to be the one that programs have.
                self._told("put the old password back")
                source.restore_old()
                self._registry.advance(rotation, "planned")
            raise

    def _take_back(self, rotation: Rotation, old: ConnectionString, new: ConnectionString) -> tuple[str, ...]:
        source = self._source(rotation, old, new)
        # First the old login works, then programs get it, then the new one goes: at no time there is none.
        self._told("see to it that the old login works")
        source.restore_old()
        self._told("register the old login")
        self._registry.give_back(rotation, old, new)
        self._told("take the new login back")
        return source.take_back()

    def _source(self, rotation: Rotation, old: ConnectionString, new: ConnectionString) -> Source:
        self._refuse_other_kind(old)
        if isinstance(old, PostgreSQL) and isinstance(new, PostgreSQL):
            from lancio.rotation import postgresql

            return postgresql.Source(old, new, rotation.way, rotation.id, self._as(PostgreSQL), files=self._files)
        if isinstance(old, Redis) and isinstance(new, Redis):
            from lancio.rotation import redis

            return redis.Source(old, new, rotation.way, self._as(Redis), persist=self._persist, files=self._files)
        raise AssertionError("the table allows these two kinds only")

    def _as(self, kind: type[T]) -> T | None:
        return self._administrator if isinstance(self._administrator, kind) else None

    def _refuse_other_kind(self, string: ConnectionString) -> None:
        if self._administrator is not None and self._administrator.kind != string.kind:
            raise CredentialRotationRefused(
                "administrator",
                "the administrator's connection string is of another kind",
                cause=f"The database is {string.kind}, the administrator's {self._administrator.kind}.",
                remedy="Give one of the same server.",
            )


def _refuse_shared(planned: Planned, keep_seconds: int | None) -> None:
    same = (planned.registered.string.kind, planned.outlook.way) == ("postgresql", "same-login")
    if not planned.registered.sharing or not (same or keep_seconds == 0):
        return
    names = ", ".join(planned.registered.sharing)
    raise CredentialRotationRefused(
        "shared",
        f"other databases may have the same login, which would end at once: {names}",
        cause="They are registered at the same address, and their connection strings are not changed.",
        remedy=("Have two logins" if same else "Keep the old one") + " for a while, in which you register the new one "
        "for the others as well. Or say --yes, and do that afterwards.",
        commands=(
            "lancio db rotate NAME" + (" --way two-logins" if same else "") + " --keep-old 24h",
            "lancio db rotate NAME" + (" --way same-login" if same else "") + " --yes",
        ),
    )


def _drawn(old: ConnectionString, login: str) -> ConnectionString:
    """The old connection string with a new password, and with the new login's name."""
    secret = Secret(model.new_password())
    if isinstance(old, Redis):
        return old.with_password(secret)
    return replace(old.with_password(secret), user=login)
