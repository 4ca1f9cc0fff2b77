"""PostgreSQL's side of a rotation: a second login that works as the first, or a new password for the same.

Two logins: `app` owns everything and goes on doing so. `app_a` logs in, is a member of `app` and has `SET role = app`,
so that its sessions work as `app`: what they make belongs to `app`, grants, default privileges and policies for `app`
hold, and `"$user"` is `app`. Settings of the old login are copied, since they are taken from who logs in. The role says
in its comment which rotation made it; one that does not is never dropped.

Same login: one statement changes the password. There is no time in which both work.

Each function looks at the server before it acts, and may be run again after it was killed anywhere.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import sql
from psycopg.rows import dict_row, tuple_row

from lancio.drivers import DatabaseRefused
from lancio.postgres import named_queries
from lancio.registry.secrets import Secret
from lancio.rotation import login
from lancio.rotation.model import CredentialRotationRefused, Outlook, group_of, logins_beside, new_password

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from uuid import UUID

    from lancio.registry.connection_strings import PostgreSQL
    from lancio.rotation.model import Way

_QUERIES = named_queries("lancio.rotation", "postgresql.sql")

LAG_S: Final = 10.0
"""How long a replica may take to hear of a new login."""

_ENDING_S: Final = 2.0
"""How long a server may take to end a session that was closed."""

_LISTS: Final = frozenset(
    {
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    }
)
"""The settings whose value is a list of quoted names (GUC_LIST_QUOTE); as pg_dump knows them."""

_MARK: Final = "lancio rotation "
"""How the comment of a role begins that a rotation made; its id follows."""

_NO_OVERLAP: Final = (
    "PostgreSQL holds one password of a role: programs that log in between the change and the registration, or that "
    "keep a copy of the old string, are refused. Two logins overlap."
)


@dataclass(frozen=True, slots=True)
class Login:
    """A login as the server has it, with what its sessions get from it."""

    name: str
    superuser: bool
    replication: bool
    limit: int
    valid_until: str | None
    said: str | None
    """Its comment."""
    memberships: tuple[tuple[str, bool], ...]
    """Roles that it is a member of, and whether it may pass them on."""
    settings: tuple[tuple[str | None, str, str], ...]
    """Database or None, name, value."""

    @property
    def passing(self) -> bool:
        """Whether a rotation made it, to be dropped by the next one."""
        return self.said is not None and self.said.startswith(_MARK)

    @property
    def group(self) -> str:
        """The role that owns what this login works with."""
        role = next((value for database, name, value in self.settings if database is None and name == "role"), None)
        return group_of(self.name, role, tuple(name for name, _ in self.memberships))


class Source:
    """The server that a database is on, for one rotation. `administrator` works there instead of the login itself."""

    def __init__(
        self,
        old: PostgreSQL,
        new: PostgreSQL | None,
        way: Way,
        id_: UUID,
        administrator: PostgreSQL | None = None,
        *,
        files: bool = False,
    ) -> None:
        self._old, self._way, self._administrator, self._files = old, way, administrator, files
        self._new = new
        self._mark = f"{_MARK}{id_}"

    # --- before anything is written down ------------------------------------------------------------------------------

    def look(self, name: str | None) -> Outlook:
        """What would be done. All of it is done once in a transaction that is rolled back, so that rights are known.

        `name` is the second login's, else the first that is free of `<user>_a`, `<user>_b`, ….

        Raises:
            CredentialRotationRefused: it cannot be done.
        """
        try:
            with self._as(self._old):
                pass
        except DatabaseRefused as refused:
            raise _old_login(self._old, refused) from None
        with self._session() as connection:
            old = self._login(connection, self._user(self._old))
            if old is None:
                raise _changed(f"role {self._user(self._old)} is not on the server where the administrator logs in")
            # Of a password that nobody will have: what is sent may be logged, and people's passwords can be guessed.
            verifier = self._verifier(connection, self._old.with_password(Secret(new_password())))
            if self._way == "same-login":
                with connection.transaction(force_rollback=True):
                    self._set_password(connection, old.name, verifier)
                return Outlook(
                    self._way,
                    old.name,
                    old.name,
                    (
                        f"role {old.name} gets a new password; from then on the old one is refused",
                        *self._prove_words(old.name),
                        "the new connection string is registered",
                    ),
                    (_NO_OVERLAP, *_lifetime(old)),
                )
            if old.superuser:
                raise CredentialRotationRefused(
                    "superuser",
                    f"{old.name} is a superuser, and a second one is not made",
                    cause="A member of a superuser's role does not have its rights until it takes the role.",
                    remedy="Change its password, or register a role with fewer rights.",
                    commands=("lancio db rotate NAME --way same-login",),
                )
            new = self._free(connection, old, name)
            with connection.transaction(force_rollback=True):
                self._create(connection, old, new, verifier)
                self._close(connection, old.name)
            group = old.group
            return Outlook(
                self._way,
                old.name,
                new,
                (
                    f"role {new} is made: a member of {group}, works as {group}, with {old.name}'s settings",
                    *self._prove_words(new),
                    "the new connection string is registered",
                    f"role {old.name} "
                    + ("is dropped" if old.passing else "may not log in any more; it goes on owning what it owns"),
                ),
                (
                    f"pg_hba.conf and poolers that name {old.name} have to let {new} in as well.",
                    *_lifetime(old),
                ),
            )

    def _prove_words(self, name: str) -> tuple[str, ...]:
        hosts = ", ".join(host.shown for host in self._old.hosts)
        return (f"{name} logs in at {hosts}",)

    def _free(self, connection: psycopg.Connection[Any], old: Login, name: str | None) -> str:
        wanted = logins_beside(old.group) if name is None else (name,)
        with connection.cursor(row_factory=tuple_row) as cursor:
            taken = {row[0] for row in cursor.execute(_QUERIES["taken"], (list(wanted),)).fetchall()}
        free = next((each for each in wanted if each not in taken), None)
        if free is None:
            raise _taken(wanted[0])
        return free

    # --- the steps ----------------------------------------------------------------------------------------------------

    def make(self) -> tuple[str, ...]:
        """The new login is there."""
        new = self._candidate()
        with self._session() as connection:
            verifier = self._verifier(connection, new)
            if self._way == "same-login":
                self._set_password(connection, self._user(new), verifier)
                return ()
            name = self._user(new)
            found = self._login(connection, name)
            old = self._login(connection, self._user(self._old))
            if old is None:
                raise _changed(f"role {self._user(self._old)} is not there any more")
            if found is None:
                self._create(connection, old, name, verifier)
            elif found.said == self._mark:
                self._set_password(connection, name, verifier)
            else:
                raise _taken(name)
        return ()

    def prove(self) -> tuple[str, ...]:
        """The new login was used at each host that answers; a sentence for each that does not, and on what it may lose.

        Raises:
            CredentialRotationRefused: a host that answers does not let it in, or lets it work as somebody else.
        """
        new = self._candidate()
        works_as = self._works_as()
        with self._proving(new) as connection:
            self._same_role(connection, works_as)
            notes = list(self._lost(connection, works_as))
        if len(new.hosts) == 1:
            return tuple(notes)
        for host in new.hosts:
            try:
                with self._proving(new.single(host)) as connection:
                    self._same_role(connection, works_as)
            except CredentialRotationRefused as refused:
                if refused.reason != "unreachable":
                    raise
                notes.append(f"{host.shown} did not answer, so the new login was not tried there.")
        return tuple(notes)

    @contextlib.contextmanager
    def _proving(self, string: PostgreSQL) -> Iterator[psycopg.Connection[Any]]:
        with contextlib.ExitStack() as stack:
            try:
                seconds = LAG_S if len(self._old.hosts) > 1 else 0
                connection = stack.enter_context(login.patiently(string, files=self._files, seconds=seconds))
            except DatabaseRefused as refused:
                raise self._not_proved(string, refused) from None
            yield connection

    def _not_proved(self, string: PostgreSQL, refused: DatabaseRefused) -> CredentialRotationRefused:
        if not login.answered(refused):
            return _unreachable(refused)
        where = ", ".join(host.shown for host in string.hosts)
        return CredentialRotationRefused(
            "proof",
            f"{self._user(string)} is not let in at {where}",
            cause=f"{refused.message}. The login was made: perhaps pg_hba.conf has no line for it, or the connection "
            "goes through a pooler that does not know it.",
            remedy=f"Let {self._user(string)} in as {self._user(self._old)} is, then go on; or take it back.",
        )

    def _works_as(self) -> str | None:
        """Whom the old login's sessions work as; None where that login is closed already."""
        if self._way == "same-login":
            return None
        try:
            with self._as(self._old) as connection:
                return str(_one(connection, "who")["works_as"])
        except DatabaseRefused:
            return None

    def _same_role(self, connection: psycopg.Connection[Any], works_as: str | None) -> None:
        found = _one(connection, "who")
        if works_as is not None and found["works_as"] != works_as:
            raise CredentialRotationRefused(
                "proof",
                f"{found['login']} logs in and does not work as {works_as}",
                cause="Its setting of role was changed, or something between resets it.",
                remedy="Take the rotation back and look at the role's settings.",
            )

    def _lost(self, connection: psycopg.Connection[Any], works_as: str | None) -> tuple[str, ...]:
        """What to know where a session that is given to the next one does not work as `works_as` any more."""
        with connection.transaction(force_rollback=True):
            # What it consists of, as far as it touches the role: itself it cannot be taken back.
            connection.execute("SET SESSION AUTHORIZATION DEFAULT")
            connection.execute("RESET ALL")
            found = _one(connection, "who")
        if works_as is None or found["works_as"] == works_as:
            return ()
        words = (
            f"On this server DISCARD ALL has a session work as {found['login']}, not as {works_as}: what it makes then "
            f"belongs to {found['login']}. If a pooler or a driver sends it between two sessions (PgBouncer in session "
            "mode, Npgsql), switch that off, or rotate by --way same-login."
        )
        return (words,)

    def end(self) -> tuple[str, ...]:
        """The old login is gone: dropped, or kept as the role that owns things and lets nobody in."""
        if self._way == "same-login":
            return ()
        name = self._user(self._old)
        with self._session(leaving=self._old) as connection:
            old = self._login(connection, name)
            new = self._login(connection, self._user(self._candidate()))
            if new is None:
                raise _changed(f"role {self._user(self._candidate())} is not there any more")
            if old is None:
                return ()
            sessions = self._sessions(connection, name)
            notes = (
                (f"{sessions} {'session' if sessions == 1 else 'sessions'} of {name} that logged in before still run.",)
                if sessions
                else ()
            )
            if old.passing and not sessions:
                if self._dropped(connection, name):
                    return notes
                notes = (*notes, f"{name} is not dropped, since something belongs to it or is granted to it.")
            self._close(connection, name)
        return (*notes, f"{name} may not log in any more; the role stays.")

    def restore_old(self) -> None:
        """The old login works, as before the rotation.

        Raises:
            CredentialRotationRefused: it was dropped, or it does not log in all the same.
        """
        name = self._user(self._old)
        try:
            with self._as(self._old):
                return
        except DatabaseRefused as refused:
            if not login.answered(refused):
                raise _unreachable(refused) from None
        with self._session() as connection:
            if self._login(connection, name) is None:
                raise _changed(f"role {name} was dropped already, so only going on is left")
            verifier = self._verifier(connection, self._old)
            if self._way == "two-logins":
                connection.execute(sql.SQL("ALTER ROLE {} LOGIN").format(sql.Identifier(name)))
            self._set_password(connection, name, verifier)
        try:
            with self._as(self._old):
                return
        except DatabaseRefused as refused:
            raise _old_login(self._old, refused) from None

    def take_back(self) -> tuple[str, ...]:
        """Nothing of the new login is there."""
        if self._way == "same-login":
            self.restore_old()
            return ()
        name = self._user(self._candidate())
        with self._session() as connection:
            found = self._login(connection, name)
            if found is None:
                return ()
            if found.said != self._mark:
                return (f"role {name} is not this rotation's, and was left as it is.",)
            if not self._sessions(connection, name) and self._dropped(connection, name):
                return ()
            self._close(connection, name)
        return (f"{name} is in use or owns something: it may not log in any more, and is to be dropped by hand.",)

    # --- statements ---------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _session(self, *, leaving: PostgreSQL | None = None) -> Iterator[psycopg.Connection[Any]]:
        """A session that may change roles: the administrator's, else that of whichever login works.

        `leaving` is tried last, since nobody can drop the role that he has logged in as.
        """
        if self._administrator is not None:
            strings = [self._administrator]
        else:
            strings = sorted((self._old, self._new or self._old), key=lambda each: each is leaving)
        with contextlib.ExitStack() as stack:
            try:
                connection = stack.enter_context(login.first([self._as(_writing(each)) for each in strings]))
            except DatabaseRefused as refused:
                if not login.answered(refused):
                    raise _unreachable(refused) from None
                if self._administrator is None:
                    raise _old_login(self._old, refused) from None
                raise CredentialRotationRefused(
                    "administrator",
                    "the administrator's login is refused",
                    cause=f"{refused.message}.",
                    remedy=f"{refused.remedy} Nothing was changed.",
                ) from None
            who = _one(connection, "who")
            if who["replica"]:
                raise CredentialRotationRefused(
                    "unreachable",
                    "only replicas answer, and they take no new logins",
                    cause="None of the hosts is a primary at the moment.",
                    remedy="Try again when there is one.",
                )
            if self._administrator is not None:
                self._refuse_elsewhere(who["started"])
            elif self._way == "same-login":
                # A role may change its own password, but not while it works as another one.
                connection.execute("SET LOCAL ROLE NONE")
            yield connection

    def _as(self, string: PostgreSQL) -> contextlib.AbstractContextManager[psycopg.Connection[Any]]:
        return login.postgresql(string, files=self._files)

    def _refuse_elsewhere(self, started: datetime) -> None:
        """Return if the administrator is on the server that the login is for, as far as either login can tell."""
        logins = [self._as(_writing(each)) for each in (self._old, self._new) if each is not None]
        try:
            with login.first(logins) as connection:
                here = _one(connection, "who")["started"]
        except DatabaseRefused:
            return  # neither gets in, which is perhaps what is to be mended
        if here != started:
            raise CredentialRotationRefused(
                "administrator",
                "the administrator's login is for another server",
                cause="Its server was started at another moment than the one that the database is on.",
                remedy="Give a connection string of the same server.",
            )

    def _create(self, connection: psycopg.Connection[Any], old: Login, name: str, verifier: bytes) -> None:
        role, group = sql.Identifier(name), old.group
        attributes = [sql.SQL("LOGIN INHERIT"), sql.SQL("CONNECTION LIMIT {}").format(sql.Literal(old.limit))]
        if old.replication:
            attributes.append(sql.SQL("REPLICATION"))
        if old.valid_until is not None:
            attributes.append(sql.SQL("VALID UNTIL {}").format(sql.Literal(old.valid_until)))
        attributes.append(sql.SQL("PASSWORD {}").format(sql.Literal(verifier.decode())))
        connection.execute(sql.SQL("CREATE ROLE {} {}").format(role, sql.SQL(" ").join(attributes)))
        passed = () if group == old.name else ((each, admin) for each, admin in old.memberships if each != group)
        for each, admin in ((group, False), *passed):
            option = sql.SQL(" WITH ADMIN OPTION" if admin else "")
            connection.execute(sql.SQL("GRANT {} TO {}{}").format(sql.Identifier(each), role, option))
        for database, setting, value in old.settings:
            if (database, setting) != (None, "role"):
                self._set(connection, role, database, setting, value)
        self._set(connection, role, None, "role", group)
        connection.execute(sql.SQL("COMMENT ON ROLE {} IS {}").format(role, sql.Literal(self._mark)))

    def _set(
        self, connection: psycopg.Connection[Any], role: sql.Identifier, database: str | None, name: str, value: str
    ) -> None:
        where = sql.SQL("" if database is None else " IN DATABASE {}").format(
            *(() if database is None else (sql.Identifier(database),))
        )
        values = _listed(value) if name in _LISTS else [value]
        words = sql.SQL(", ").join(sql.Literal(each) for each in values) if values else sql.Literal("")
        # A name with dots is an extension's setting, of which each part is quoted for itself.
        setting = sql.SQL(".").join(sql.Identifier(part) for part in name.split("."))
        connection.execute(sql.SQL("ALTER ROLE {}{} SET {} TO {}").format(role, where, setting, words))

    def _dropped(self, connection: psycopg.Connection[Any], name: str) -> bool:
        try:
            with connection.transaction():
                connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
        except psycopg.errors.DependentObjectsStillExist:
            return False
        return True

    def _close(self, connection: psycopg.Connection[Any], name: str) -> None:
        connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN PASSWORD NULL").format(sql.Identifier(name)))

    def _set_password(self, connection: psycopg.Connection[Any], name: str, verifier: bytes) -> None:
        connection.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(name), sql.Literal(verifier.decode()))
        )

    def _verifier(self, connection: psycopg.Connection[Any], string: PostgreSQL) -> bytes:
        """What the server keeps instead of the password; only this is ever sent.

        SCRAM where the old login is asked for that, since it is then what pg_hba.conf wants; else what the server's
        password_encryption says.
        """
        password: Secret | None = string.password
        assert password is not None  # noqa: S101  a string without one is not rotated
        algorithm = b"scram-sha-256" if self._scram() else None
        return connection.pgconn.encrypt_password(password.reveal().encode(), self._user(string).encode(), algorithm)

    def _scram(self) -> bool:
        if psycopg.pq.version() < 160000:
            return False
        for string in (self._old, self._new):
            if string is None:
                continue
            others = (option for option in string.options if option[0] != "require_auth")
            try:
                with self._as(replace(string, options=(*others, ("require_auth", "scram-sha-256")))):
                    return True
            except DatabaseRefused:
                continue
        return False

    def _login(self, connection: psycopg.Connection[Any], name: str) -> Login | None:
        with connection.cursor(row_factory=dict_row) as cursor:
            role = cursor.execute(_QUERIES["role"], (name,)).fetchone()
            if role is None:
                return None
            memberships = cursor.execute(_QUERIES["memberships"], (name,)).fetchall()
            settings = cursor.execute(_QUERIES["settings"], (name,)).fetchall()
        return Login(
            name=name,
            superuser=role["rolsuper"],
            replication=role["rolreplication"],
            limit=role["rolconnlimit"],
            valid_until=role["valid_until"],
            said=role["said"],
            memberships=tuple((row["role"], row["admin"]) for row in memberships),
            settings=tuple((row["database"], *_pair(row["setting"])) for row in settings),
        )

    def _sessions(self, connection: psycopg.Connection[Any], name: str) -> int:
        """How many run. One that was closed a moment ago, as ours was, is given time to end."""
        until = time.monotonic() + _ENDING_S
        while True:
            # Without it PostgreSQL says for the whole transaction what it has said first.
            connection.execute("SELECT pg_catalog.pg_stat_clear_snapshot()")
            found = int(_one(connection, "sessions", name)["count"])
            if not found or time.monotonic() >= until:
                return found
            time.sleep(0.05)

    def _candidate(self) -> PostgreSQL:
        assert self._new is not None  # noqa: S101  only `look` works without one
        return self._new

    @staticmethod
    def _user(string: PostgreSQL) -> str:
        assert string.user is not None  # noqa: S101  a string without one is not rotated
        return string.user


def _writing(string: PostgreSQL) -> PostgreSQL:
    """Of several hosts, the primary."""
    if len(string.hosts) == 1:
        return string
    others = tuple(
        option for option in string.options if option[0] not in ("target_session_attrs", "load_balance_hosts")
    )
    return replace(string, options=(*others, ("target_session_attrs", "read-write")))


def _one(connection: psycopg.Connection[Any], query: str, *values: str) -> dict[str, Any]:
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(_QUERIES[query], values).fetchone()
    assert row is not None  # noqa: S101  these have one row
    return row


def _pair(setting: str) -> tuple[str, str]:
    name, _, value = setting.partition("=")
    return name, value


def _listed(text: str) -> list[str]:
    """The names of a list as PostgreSQL keeps it: separated by commas, in double quotes where need be."""
    found, at = [], 0
    while at < len(text):
        if text[at] in ", \t\n":
            at += 1
        elif text[at] == '"':
            name, at = "", at + 1
            while at < len(text):
                if text[at] == '"' and text[at : at + 2] != '""':
                    break
                at += 1 if text[at] == '"' else 0
                name, at = name + text[at], at + 1
            found.append(name)
            at += 1
        else:
            end = at
            while end < len(text) and text[end] not in ", \t\n":
                end += 1
            found.append(text[at:end])
            at = end
    return found


def _lifetime(old: Login) -> tuple[str, ...]:
    if old.valid_until is None:
        return ()
    return (f"{old.name}'s password is valid until {old.valid_until}; the new one too.",)


def _taken(name: str) -> CredentialRotationRefused:
    return CredentialRotationRefused(
        "login-taken",
        f"a role {name} is there already",
        cause="It was not made by this rotation, and is left as it is.",
        remedy="Name another one.",
        commands=("lancio db rotate NAME --login OTHER",),
    )


def _changed(what: str) -> CredentialRotationRefused:
    return CredentialRotationRefused(
        "changed",
        what,
        cause="The source is not as the rotation left it.",
        remedy="Look at the roles there, then go on or take the rotation back.",
    )


def _unreachable(refused: DatabaseRefused) -> CredentialRotationRefused:
    return CredentialRotationRefused(
        "unreachable",
        "the server does not answer",
        cause=f"{refused.message}.",
        remedy=f"{refused.remedy} Then try again.",
    )


def _old_login(old: PostgreSQL, refused: DatabaseRefused) -> CredentialRotationRefused:
    if not login.answered(refused):
        return _unreachable(refused)
    where = ", ".join(host.shown for host in old.hosts)
    return CredentialRotationRefused(
        "old-login",
        f"the registered login is not let in at {where}",
        cause=f"{refused.message}.",
        remedy="Register what works there, or give an administrator's connection string to go on.",
        commands=("lancio db test NAME", "lancio db update NAME"),
    )
