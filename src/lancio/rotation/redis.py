"""Redis's side of a rotation: a second password for the same user, then the first one is removed.

An ACL user may have several passwords, each known by its SHA-256: that is what is added (`#…`) and removed (`!…`), so
that no password is in a command. `requirepass` is the exception, see `end`.

What ACL SETUSER changes is forgotten with the process, unless it is written to the file that the server has.
"""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import (
    ConnectionError as NoConnection,
)
from redis.exceptions import (
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.exceptions import (
    TimeoutError as TooLate,
)

from lancio.drivers import DatabaseRefused
from lancio.rotation import login
from lancio.rotation.model import CredentialRotationRefused, Outlook

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

    from lancio.registry.connection_strings import Redis
    from lancio.rotation.model import Reason, Way

DEFAULT: Final = "default"
"""The user that a connection without a user's name is."""

_UNKNOWN_COMMAND: Final = "unknown command"


class Source:
    """The server that a database is on, for one rotation. `administrator` works there instead of the login itself."""

    def __init__(
        self,
        old: Redis,
        new: Redis | None,
        way: Way,
        administrator: Redis | None = None,
        *,
        persist: bool = True,
        files: bool = False,
    ) -> None:
        self._old, self._new, self._administrator, self._persist = old, new, administrator, persist
        self._files = files
        self._way = way
        self._user = old.user or DEFAULT

    # --- before anything is written down ------------------------------------------------------------------------------

    def look(self) -> Outlook:
        """What would be done; nothing is changed.

        Raises:
            CredentialRotationRefused: it cannot be done.
        """
        if self._old.mode != "single":
            raise CredentialRotationRefused(
                "unsupported",
                f"a login of Redis {'Cluster' if self._old.mode == 'cluster' else 'Sentinel'} is not rotated",
                cause="Users are kept by each node for itself, and no node tells the others.",
                remedy="Add the new password at every node (ACL SETUSER name >new), register the new connection "
                "string, then remove the old one everywhere (ACL SETUSER name <old).",
                commands=("lancio db update NAME",),
            )
        if self._way != "same-login":
            raise CredentialRotationRefused(
                "way",
                "a Redis user gets a second password, not a second login",
                cause="Both passwords log in until the old one is removed: all that a second login would give.",
                remedy="Leave --way out.",
            )
        self._log_in_as_before()
        with self._session() as client:
            self._refuse_password_less(self._passwords(client))
            # Asked for a change that changes nothing: whether it may be asked for at all.
            ask(client, "ACL", "SETUSER", self._user)
            notes = [*self._file_notes(client)]
            replicas = self._info(client, "replication").get("connected_slaves", 0)
        if replicas:
            notes.append(
                f"{replicas} {'replica is' if replicas == 1 else 'replicas are'} connected: they keep their own users, "
                f"and log in here by masterauth. Where that is {self._user}'s password, change it there before the old "
                "one ends (--keep-old)."
            )
        return Outlook(
            "same-login",
            self._user,
            self._user,
            (
                f"user {self._user} gets a second password; both are taken",
                f"{self._user} logs in with it at {self._old.hosts[0].shown}",
                "the new connection string is registered",
                f"the old password of {self._user} is removed",
            ),
            tuple(notes),
        )

    # --- the steps ----------------------------------------------------------------------------------------------------

    def make(self) -> tuple[str, ...]:
        """The new password is taken, the old one too."""
        with self._session() as client:
            self._refuse_password_less(self._passwords(client))
            if (new := _hash(self._candidate())) not in self._passwords(client):
                ask(client, "ACL", "SETUSER", self._user, f"#{new}")
            notes, refused = self._keep(client)
        if refused:
            # A restart would leave programs with a password that the server never heard of.
            raise self._refusal(
                "refused",
                f"the server does not save its users: {refused}",
                f"{_FORGOTTEN}, and does not know the new one.",
                "See to it that the server may write its file, and go on. Or go on with --no-persist, and write it "
                "there by hand. The old password works.",
                "lancio db rotate NAME --resume --no-persist",
            )
        return notes

    def prove(self) -> tuple[str, ...]:
        """The new password logs in.

        Raises:
            CredentialRotationRefused: it does not.
        """
        with contextlib.ExitStack() as stack:
            try:
                client = stack.enter_context(self._as(self._candidate()))
            except DatabaseRefused as refused:
                if not login.answered(refused):
                    raise self._unreachable(refused) from None
                raise CredentialRotationRefused(
                    "proof",
                    f"{self._user} is not let in at {self._old.hosts[0].shown} with the new password",
                    cause=f"{refused.message}. It was added, and something took it away: a restart, ACL LOAD, or "
                    "another program.",
                    remedy="Take the rotation back and run it again. The old password works.",
                ) from None
            with self._told():
                found = ask(client, "ACL", "WHOAMI") if self._may_ask(client) else self._user
        if found != self._user:
            raise self._changed(f"the new password logs in as another user than {self._user}")
        return ()

    def end(self) -> tuple[str, ...]:
        """The old password is refused."""
        new, old = _hash(self._candidate()), _hash(self._old)
        with self._session() as client:
            if new not in self._passwords(client):
                raise self._changed(f"the new password of {self._user} is not there any more")
            if old in self._passwords(client):
                ask(client, "ACL", "SETUSER", self._user, f"!{old}")
            asked = self._requirepass(client, self._old, self._candidate())
            notes, refused = self._keep(client)
        if refused:
            notes = (f"{_FORGOTTEN}: {refused}. Write it into the file by hand.",)
        return (*asked, *notes)

    def restore_old(self) -> None:
        """The old password is taken."""
        with self._session() as client:
            if (old := _hash(self._old)) not in self._passwords(client):
                ask(client, "ACL", "SETUSER", self._user, f"#{old}")
        self._log_in_as_before()

    def take_back(self) -> tuple[str, ...]:
        """The new password is refused, the old one is taken."""
        new, old = _hash(self._candidate()), _hash(self._old)
        with self._session() as client:
            there = self._passwords(client)
            if old not in there:
                raise self._changed(f"the old password of {self._user} is not there, and the new one is not taken away")
            if new in there:
                ask(client, "ACL", "SETUSER", self._user, f"!{new}")
            notes = self._requirepass(client, self._candidate(), self._old)
            _, refused = self._keep(client)
        if not self._persist:
            refused = "it was left alone, as --no-persist says"
        return (*notes, f"The server's file may still have the new password: {refused}.") if refused else notes

    # --- commands -----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _session(self) -> Iterator[redis.Redis]:
        """A client that may change users: the administrator's, else that of whichever password works."""
        strings = [self._administrator] if self._administrator else [self._old, *((self._new,) if self._new else ())]
        with contextlib.ExitStack() as stack:
            try:
                client = stack.enter_context(login.first([self._as(each) for each in strings]))
            except DatabaseRefused as refused:
                if not login.answered(refused) or self._administrator is None:
                    raise self._old_login(refused) from None
                raise self._refusal(
                    "administrator",
                    "the administrator's login is refused",
                    f"{refused.message}.",
                    f"{refused.remedy} Nothing was changed.",
                ) from None
            with self._told():
                yield client

    def _as(self, string: Redis) -> contextlib.AbstractContextManager[redis.Redis]:
        return login.redis_(string, files=self._files)

    def _log_in_as_before(self) -> None:
        try:
            with self._as(self._old):
                return
        except DatabaseRefused as refused:
            raise self._old_login(refused) from None

    def _passwords(self, client: redis.Redis) -> tuple[str, ...]:
        """The SHA-256 of each password of the user, in hexadecimal digits."""
        found = _mapping(ask(client, "ACL", "GETUSER", self._user))
        if not found:
            raise self._changed(f"user {self._user} is not on the server where the administrator logs in")
        if "nopass" in found.get("flags", ()):
            return ()
        return tuple(str(each).removeprefix("#") for each in found.get("passwords", ()))

    def _refuse_password_less(self, there: tuple[str, ...]) -> None:
        if not there:
            raise self._refusal(
                "no-password",
                f"user {self._user} needs no password",
                "It is nopass: any password is taken. A password for it would shut out who gives none.",
                "Give it a password first, where every program that logs in knows it.",
            )
        if _hash(self._old) not in there:
            raise self._changed(f"the registered password is not one of {self._user}'s")

    def _requirepass(self, client: redis.Redis, from_: Redis, to: Redis) -> tuple[str, ...]:
        """`requirepass` follows, where it has the password that goes.

        It is the default user's password by another name. Left as it is, it would stay in the configuration file and
        come back when the lines of users are taken out there. CONFIG takes the password alone, no hash; Redis keeps it
        out of the slow log, and monitors see no CONFIG.
        """
        if self._user != DEFAULT or from_.password is None or to.password is None:
            return ()
        try:
            said = _mapping(ask(client, "CONFIG", "GET", "requirepass")).get("requirepass", "")
            if said != from_.password.reveal():
                return ()
            if self._passwords(client) != (_hash(to),):
                return ("requirepass still has the password from before, since the default user has others besides.",)
            ask(client, "CONFIG", "SET", "requirepass", to.password.reveal())
        except ResponseError as error:
            return (
                f"requirepass could not be looked at ({type(error).__name__}); it may have the password from before.",
            )
        return ()

    def _keep(self, client: redis.Redis) -> tuple[tuple[str, ...], str]:
        """Have the server remember its users; what is to be known where it has no file, and what it refused."""
        how = self._file(client)
        if isinstance(how, str):
            return (how,), ""
        try:
            ask(client, *how)
        except ResponseError as error:
            return (), f"{' '.join(how)} was refused ({type(error).__name__})"
        return (), ""

    def _file_notes(self, client: redis.Redis) -> tuple[str, ...]:
        how = self._file(client)
        if isinstance(how, str):
            return (how,)
        if how[0] == "CONFIG":
            words = (
                "CONFIG REWRITE writes the change into the server's configuration file, and with it whatever else was "
                "changed at run time (--no-persist leaves the file alone)."
            )
            return (words,)
        return ("ACL SAVE writes the change into the server's file of users.",)

    def _file(self, client: redis.Redis) -> tuple[str, str] | str:
        """The command that saves users, or why there is none."""
        if not self._persist:
            return f"{_FORGOTTEN}, as --no-persist says."
        try:
            if _mapping(ask(client, "CONFIG", "GET", "aclfile")).get("aclfile"):
                return ("ACL", "SAVE")
            if self._info(client, "server").get("config_file"):
                return ("CONFIG", "REWRITE")
        except ResponseError:
            pass  # CONFIG is often not there on managed servers, which keep users by themselves
        return f"{_FORGOTTEN}: the server has no file for its users, or does not tell."

    def _info(self, client: redis.Redis, section: str) -> dict[str, Any]:
        try:
            found = client.info(section)
        except ResponseError:
            return {}
        return dict(found)

    def _may_ask(self, client: redis.Redis) -> bool:
        try:
            ask(client, "ACL", "WHOAMI")
        except ResponseError:
            return False
        return True

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """What the server refuses, as one of our codes, without its own words."""
        try:
            yield
        except NoPermissionError:
            raise self._refusal(
                "no-rights",
                "this login may not change users",
                "It takes the right to ACL SETUSER and ACL GETUSER, which few users have but default.",
                "Give an administrator's connection string.",
                "lancio db rotate NAME --admin-file FILE",
            ) from None
        except ResponseError as error:
            if _UNKNOWN_COMMAND in str(error).lower() or "unknown subcommand" in str(error).lower():
                raise self._refusal(
                    "unsupported",
                    "this server has no users, or ACL is taken from it",
                    "Users came with Redis 6, and managed servers may keep them elsewhere.",
                    "Change the password where the server is configured, then register it.",
                    "lancio db update NAME",
                ) from None
            raise self._refusal(
                "refused",
                f"Redis refuses it ({type(error).__name__})",
                "What it said is not shown, since it may quote a command.",
                "Look at the server's log, mend it, and go on or take the rotation back.",
            ) from None
        except (NoConnection, TooLate, OSError):
            raise self._refusal(
                "unreachable",
                "the connection to the server broke",
                "It was stopped, or it does not answer any more.",
                "Try again.",
            ) from None
        except RedisError as error:
            raise self._refusal(
                "refused",
                f"Redis is not understood ({type(error).__name__})",
                "What answers there may be something else.",
                "Look at the server, then go on or take the rotation back.",
            ) from None

    def _candidate(self) -> Redis:
        assert self._new is not None  # noqa: S101  only `look` works without one
        return self._new

    def _changed(self, what: str) -> CredentialRotationRefused:
        return self._refusal(
            "changed",
            what,
            "The source is not as the rotation left it: a restart without a file brings old users back.",
            "Look at the users there, then go on or take the rotation back.",
        )

    def _unreachable(self, refused: DatabaseRefused) -> CredentialRotationRefused:
        return self._refusal(
            "unreachable",
            "the server does not answer",
            f"{refused.message}.",
            f"{refused.remedy} Then try again.",
        )

    def _old_login(self, refused: DatabaseRefused) -> CredentialRotationRefused:
        if not login.answered(refused):
            return self._unreachable(refused)
        return self._refusal(
            "old-login",
            f"the registered login is not let in at {self._old.hosts[0].shown}",
            f"{refused.message}.",
            "Register what works there, or give an administrator's connection string to go on.",
            "lancio db test NAME",
            "lancio db update NAME",
        )

    @staticmethod
    def _refusal(reason: Reason, message: str, cause: str, remedy: str, *commands: str) -> CredentialRotationRefused:
        return CredentialRotationRefused(reason, message, cause=cause, remedy=remedy, commands=commands)


_FORGOTTEN: Final = "A restart of the server brings the old password back"


def ask(client: redis.Redis, *words: str) -> Any:
    """The reply to a command."""
    return client.execute_command(*words)  # type: ignore[no-untyped-call]


def _hash(string: Redis) -> str:
    assert string.password is not None  # noqa: S101  a string without one is not rotated
    return hashlib.sha256(string.password.reveal().encode()).hexdigest()


def _mapping(answer: Any) -> dict[str, Any]:
    """A reply of names and values: a map in RESP3, a flat list in RESP2; empty for none."""
    if not answer:
        return {}
    if isinstance(answer, dict):
        return {str(name): value for name, value in answer.items()}
    return {str(name): value for name, value in zip(answer[::2], answer[1::2], strict=True)}
