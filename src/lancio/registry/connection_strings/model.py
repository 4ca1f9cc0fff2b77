"""The parts of a connection string, as values that can only be right."""

from __future__ import annotations

import ipaddress
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Final, Literal, Self

from lancio.registry.connection_strings.pieces import Option, encoded
from lancio.registry.connection_strings.refusal import ENCODE, ConnectionStringRefused
from lancio.registry.secrets import Secret

if TYPE_CHECKING:
    from lancio.registry.connection_strings.refusal import Kind

Tls = Literal["off", "optional", "unverified", "ca", "full"]
"""How the line is secured: not at all; if the server likes; encrypted to whoever answers; to a server with a
certificate of a known authority; and with the host's own name in it."""

_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_ZONE: Final = re.compile(r"[A-Za-z0-9_.~-]{1,64}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_NAME: Final = 253
_LONGEST_PATH: Final = 107
"""Bytes of a socket's path, as the kernel's sockaddr_un has room for."""
_MOST_HOSTS: Final = 100
"""Each is looked up and connected to side by side; a replica set of MongoDB's has 50 members at most."""


@dataclass(frozen=True, slots=True)
class Host:
    """Where one server listens.

    Raises:
        ConnectionStringRefused: the name is neither a host's name, an IP address nor a socket's path; the port is no
            port.
    """

    name: str
    """A host's name in ASCII; an IPv4 address; an IPv6 address without brackets, with its zone behind a %; a socket's
    absolute path (of PostgreSQL: its folder); @ and a name for an abstract socket; empty for libpq's own default."""
    port: int | None = None
    """From 1 to 65535; None for a socket of Redis or MongoDB, and where DNS tells it (mongodb+srv)."""
    address: str = ""
    """An IP address that is connected to instead of looking the name up: libpq's hostaddr."""

    def __post_init__(self) -> None:
        if self.name and not _valid_name(self.name):
            raise _no_host()
        if self.address and not _is_ip(self.address):
            raise _no_host()
        if self.port is not None and (isinstance(self.port, bool) or not 1 <= self.port <= 65535):
            raise ConnectionStringRefused(
                "port", "a port is not a whole number from 1 to 65535", cause="No server listens there.",
                remedy="Give the port that the server listens on.",
            )  # fmt: skip

    @property
    def socket(self) -> bool:
        """Whether it is a Unix socket. With an address beside it a path is a name only, as libpq has it."""
        return not self.address and self.name[:1] in ("/", "@")

    @property
    def railway(self) -> bool:
        """Whether it is a name of Railway's private network: it resolves inside one environment of one project only."""
        return self.name.lower().rstrip(".").endswith(".railway.internal")

    @property
    def shown(self) -> str:
        """Host and port as they stand in a URL."""
        name = self.name or self.address
        if name[:1] in ("/", "@"):
            name = encoded(name)
        elif ":" in name:
            name = f"[{name.replace('%', '%25')}]"
        return name if self.port is None else f"{name}:{self.port}"


@dataclass(frozen=True, slots=True)
class ConnectionString(ABC):
    """A connection string's parts, each validated: by `parse()`, and when it is made from parts.

    Nothing of it shows a secret: `password` and the options that may hold one are Secrets, and what is shown
    (`display`, `as_dict`, `repr`) is made from the parts. Only `build()` gives the whole in clear.
    """

    kind: ClassVar[Kind]
    default_port: ClassVar[int]

    hosts: tuple[Host, ...]
    user: str | None = field(default=None, repr=False)
    password: Secret | None = None
    """None where there is none, also where an empty one is written: no driver tells the two apart."""
    database: str | None = None
    options: tuple[Option, ...] = ()
    """By name, each name as its driver spells it. Only MongoDB's readPreferenceTags may be there twice."""

    @abstractmethod
    def build(self) -> str:
        """The connection string, secrets included, that the kind's driver reads as these parts."""

    @property
    @abstractmethod
    def display(self) -> str:
        """Scheme, hosts, ports and database: made from these parts, without user, password and options."""

    @property
    @abstractmethod
    def tls(self) -> Tls:
        """How the line is secured, by the driver's defaults where the string says nothing."""

    @abstractmethod
    def single(self, host: Host) -> Self:
        """The same for one of the hosts alone, as for a probe of each; credentials and TLS stay."""

    @property
    def railway(self) -> bool:
        """Whether a host is on Railway's private network, and can't be reached from elsewhere."""
        return any(host.railway for host in self.hosts)

    @property
    def shown_user(self) -> str | None:
        """The user, but masked where it may be a password: redis-py takes a lone word before the @ for a user."""
        if self.user and self.kind == "redis" and not self.password:
            return str(Secret(self.user))
        return self.user

    def option(self, name: str) -> str | None:
        """The value of an option, in clear; None where it is not there."""
        found = (value for option, value in self.options if option == name)
        value = next(found, None)
        return value.reveal() if isinstance(value, Secret) else value

    def with_password(self, password: Secret | None) -> Self:
        """The same with another password."""
        return replace(self, password=password)

    def as_dict(self) -> dict[str, object]:
        """The parts for `--json` and the API; of secrets it says only that they are there."""
        return {
            "kind": self.kind,
            "display": self.display,
            "hosts": [
                {"name": host.name, "port": host.port} | ({"address": host.address} if host.address else {})
                for host in self.hosts
            ],
            "user": self.shown_user,
            "password": self.password is not None,
            "database": self.database,
            "tls": self.tls,
            "railway": self.railway,
            "options": [{"name": name, "value": str(value)} for name, value in self.options],
        }

    def __str__(self) -> str:
        return self.display


def lowered(hosts: tuple[Host, ...]) -> tuple[Host, ...]:
    """The hosts in small letters, as their drivers take them; paths and zones stay."""
    if all(host.socket or host.name == _small(host.name) for host in hosts):
        return hosts
    return tuple(host if host.socket else replace(host, name=_small(host.name)) for host in hosts)


def checked_hosts(hosts: tuple[Host, ...], kind: Kind) -> None:
    """Refuse no hosts, and more of them than one could mean.

    Raises:
        ConnectionStringRefused: it is so.
    """
    if not 0 < len(hosts) <= _MOST_HOSTS:
        raise ConnectionStringRefused(
            "host", f"it names {f'more than {_MOST_HOSTS} hosts' if hosts else 'no host'}", kind=kind,
            cause="A database is somewhere, and not everywhere.", remedy="Name its host, or some of its hosts.",
        )  # fmt: skip


def _small(name: str) -> str:
    bare, percent, zone = name.partition("%")
    return bare.lower() + percent + zone


def normal(password: Secret | None) -> Secret | None:
    """None for an empty password."""
    return password or None


def checked_credentials(user: str | None, password: Secret | None, kind: Kind, *, nul: bool) -> None:
    """Refuse what a driver can't send.

    Raises:
        ConnectionStringRefused: an empty user, or a NUL where there may be none.
    """
    if user is not None and (not user or _CONTROL.search(user)):
        raise ConnectionStringRefused(
            "user", "the user's name is empty or has a control character", kind=kind,
            cause="No server has such a user.", remedy=ENCODE,
        )  # fmt: skip
    if password is not None and not nul and "\0" in password.reveal():
        raise ConnectionStringRefused(
            "percent", "there is a zero byte (%00) in the password", kind=kind,
            cause="The driver hands the password on as a C string, which would end there.",
            remedy="Give the user another password.",
        )  # fmt: skip


def checked_database(name: str | None, kind: Kind) -> None:
    """Refuse a database's name that is empty or has control characters.

    Raises:
        ConnectionStringRefused: it is so.
    """
    if name is not None and (not name or _CONTROL.search(name)):
        raise ConnectionStringRefused(
            "database", "the database's name is empty or has a control character", kind=kind,
            cause="No database has such a name.", remedy="Write the database's name behind the host: host:port/name.",
        )  # fmt: skip


def _valid_name(name: str) -> bool:
    if name[0] in "/@":
        if "=" in name:  # the options of a URL whose ? was lost
            return False
        return len(name) > 1 and len(name.encode()) <= _LONGEST_PATH and _CONTROL.search(name) is None
    if ":" in name:
        return _is_ip(name)
    return len(name) <= _LONGEST_NAME + 1 and _NAME.fullmatch(name) is not None


def _is_ip(text: str) -> bool:
    bare, percent, zone = text.partition("%")
    if percent and not _ZONE.fullmatch(zone):
        return False
    try:
        return ipaddress.ip_address(bare).version == 6 or not percent
    except ValueError:
        return False


def _no_host() -> ConnectionStringRefused:
    return ConnectionStringRefused(
        "host",
        "a host is neither a host's name, an IP address nor the path of a socket",
        cause="A host's name has letters, digits, -, _ and dots; other alphabets are written in their ASCII form "
        "(xn--…). An IPv6 address stands in brackets in a URL. Often a special character of the password stands there "
        "as it is, so that the password's rest is taken for a host.",
        remedy=ENCODE,
    )
