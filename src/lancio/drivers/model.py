"""What a probe tells: how far it came, how long each layer took, who answered, and what was wrong.

A probe goes through layers, each of which needs the one before:

    name     the host's name has an address
    reach    a connection to one of its addresses is taken
    tls      the line is encrypted, to whom it should be
    hello    what answers is a server of this kind, and is ready
    login    the user is let in, to this database
    read     something can be read, and the server says what it is

What a driver says when it fails holds hosts, users, and now and then a password. It is never shown: each failure is
one of a closed list of codes, and its sentence is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

if TYPE_CHECKING:
    from lancio.registry.connection_strings import Host, Kind

Layer = Literal["name", "reach", "tls", "hello", "login", "read"]
LAYERS: Final[tuple[Layer, ...]] = get_args(Layer)

Code = Literal[
    # name
    "name-unknown",  # the name has no address
    "name-failed",  # the resolver did not answer
    "private-network",  # a name of Railway's private network, looked up from outside of it
    # reach
    "refused",  # nobody listens there
    "unreachable",  # no route, or the network says no
    "socket-missing",  # no such Unix socket
    "socket-denied",  # its permissions keep us out
    # tls
    "tls-unsupported",  # the server has no TLS
    "tls-required",  # the server takes nothing else
    "tls-failed",  # the handshake broke off: no common version or cipher, or no TLS at that port
    "tls-files",  # a certificate or key that the options name cannot be read or does not fit
    "certificate-untrusted",
    "certificate-expired",  # or not valid yet, or revoked
    "certificate-name",  # it is another host's
    "client-certificate",  # the server wants one, or refuses ours
    # hello
    "other-kind",  # something answers, and it is not a server of this kind
    "starting",  # starting up, recovering, or loading its data
    "stopping",
    "too-many-connections",
    "closed",  # it hung up without saying why
    "unsupported-version",
    # login
    "login-failed",  # wrong user or password; which of them is not told
    "login-required",  # a password is wanted, and none was given
    "login-method",  # the server wants a way to log in that is not there
    "login-forbidden",  # this user, from here, is not let in, whatever the password
    "database-missing",
    # read
    "read-denied",
    "read-failed",
    "no-primary",  # servers answer, none of them takes writes
    # any layer
    "timeout",  # the time limit passed; the layer tells at what
    "option",  # an option of the connection string cannot be used here
    "unexpected",  # what no rule tells; the class of the driver's error is named, never its text
]
CODES: Final[frozenset[str]] = frozenset(get_args(Code))
FROM_HERE: Final[frozenset[Code]] = frozenset(("private-network", "option"))
"""What says nothing of the database, only of where it was asked from and how."""

Role = Literal["primary", "replica", "read-only", "loading", "router", "arbiter", "sentinel"]
"""What the server is: takes writes; follows another; takes none by its settings; not ready; and of MongoDB mongos or an
arbiter, of Redis a sentinel."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things may take, in seconds. Every call ends within `total_s`, whatever the server does."""

    connect_s: float = 5.0
    """For a name's lookup and for a connection to be taken, each."""
    total_s: float = 10.0


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Finding:
    """What was wrong: a code, a sentence and what to do. None of them holds a password or a driver's words."""

    layer: Layer
    code: Code
    message: str
    remedy: str

    def as_dict(self) -> dict[str, object]:
        """For `--json` and the API."""
        return {"layer": self.layer, "code": self.code, "message": self.message, "remedy": self.remedy}


@dataclass(frozen=True, slots=True)
class Probe:
    """How far one server could be reached."""

    kind: Kind
    host: Host
    took_ms: tuple[tuple[Layer, float], ...]
    """The layers that were passed, in their order, each with its time in milliseconds."""
    version: str | None = None
    """As the server calls itself: 16.4, 7.0.15."""
    role: Role | None = None
    address: str | None = None
    """The IP address that took the connection."""
    finding: Finding | None = None
    """None where all layers that were asked for were passed."""

    @property
    def passed(self) -> tuple[Layer, ...]:
        """The layers that hold."""
        return tuple(layer for layer, _ in self.took_ms)

    def as_dict(self) -> dict[str, object]:
        """For `--json` and the API: times in milliseconds, rounded to microseconds."""
        return {
            "kind": self.kind,
            "host": self.host.shown,
            "passed": {layer: round(took, 3) for layer, took in self.took_ms},
            "version": self.version,
            "role": self.role,
            "address": self.address,
            "finding": self.finding.as_dict() if self.finding else None,
        }
