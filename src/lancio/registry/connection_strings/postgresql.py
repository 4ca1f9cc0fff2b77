"""PostgreSQL's connection strings, by libpq's rules: the URI and the keyword form.

Sources: the manual's "Connection Strings", and what libpq does (`tests/registry` asks it): in a URI user and password
end at the first @ that no / precedes; a host list and a port list are matched by number; a query parameter wins over
the same part before it, the last of two wins; a value in single quotes escapes with a backslash.

Stricter than libpq, each because the string is kept and shown and not only tried once:

- the checks that libpq makes on connecting (ports, counts, choices, whole numbers) are made here;
- an @ as it is behind the host: the rest of a password would be shown as a host or a database;
- raw spaces and control characters in a URI (libpq before 17 and since read them differently), bytes that are no UTF-8;
- a database's name with = or beginning with a scheme: psql and libpq's dbname expand it as another connection string;
- hosts that are no hosts' names; control characters in names of users and databases;
- sslkeylogfile: whoever connects would write the line's TLS keys into a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Final

from lancio.registry.connection_strings import pieces
from lancio.registry.connection_strings.model import (
    ConnectionString,
    Host,
    Tls,
    checked_credentials,
    checked_database,
    checked_hosts,
    normal,
)
from lancio.registry.connection_strings.refusal import ENCODE, ConnectionStringRefused
from lancio.registry.secrets import Secret

if TYPE_CHECKING:
    from typing import Self

    from lancio.registry.connection_strings.refusal import Kind, Reason

SCHEMES: Final = ("postgresql://", "postgres://")
DEFAULT_PORT: Final = 5432

_SWITCH: Final = pieces.one_of("0", "1")
_TLS_VERSION: Final = (
    frozenset({"tlsv1", "tlsv1.1", "tlsv1.2", "tlsv1.3"}),
    "TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3",
)
_TEXT: Final = pieces.any_text()
_AUTH: Final = frozenset({"password", "md5", "gss", "sspi", "scram-sha-256", "oauth", "none"})


def _auth_methods(text: str) -> bool:
    methods = text.split(",")
    bare = [method.removeprefix("!") for method in methods]
    return (
        all(method in _AUTH for method in bare)
        and len({m[0] == "!" for m in methods}) == 1
        and len(bare) == len(set(bare))
    )


OPTIONS: Final[dict[str, pieces.Check]] = {
    "service": _TEXT,
    "passfile": _TEXT,
    "channel_binding": pieces.one_of("disable", "prefer", "require"),
    "connect_timeout": pieces.whole(-1),
    "client_encoding": _TEXT,
    "options": pieces.any_secret(),
    "application_name": _TEXT,
    "fallback_application_name": _TEXT,
    "keepalives": pieces.whole(0),
    "keepalives_idle": pieces.whole(0),
    "keepalives_interval": pieces.whole(0),
    "keepalives_count": pieces.whole(0),
    "tcp_user_timeout": pieces.whole(0),
    "sslmode": pieces.one_of("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": pieces.one_of("postgres", "direct"),
    "sslcompression": _SWITCH,
    "sslcert": _TEXT,
    "sslkey": _TEXT,
    "sslcertmode": pieces.one_of("disable", "allow", "require"),
    "sslpassword": pieces.any_secret(),
    "sslrootcert": _TEXT,
    "sslcrl": _TEXT,
    "sslcrldir": _TEXT,
    "sslsni": _SWITCH,
    "requirepeer": _TEXT,
    "require_auth": (_auth_methods, "methods separated by commas, all with ! before them or none"),
    "min_protocol_version": pieces.one_of("3.0", "3.2", "latest"),
    "max_protocol_version": pieces.one_of("3.0", "3.2", "latest"),
    "ssl_min_protocol_version": (lambda text: text.lower() in _TLS_VERSION[0], _TLS_VERSION[1]),
    "ssl_max_protocol_version": (lambda text: text.lower() in _TLS_VERSION[0], _TLS_VERSION[1]),
    "gssencmode": pieces.one_of("disable", "prefer", "require"),
    "krbsrvname": _TEXT,
    "gsslib": pieces.one_of("gssapi"),
    "gssdelegation": _SWITCH,
    "replication": pieces.one_of("true", "on", "yes", "1", "database", "false", "off", "no", "0"),
    "target_session_attrs": pieces.one_of("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "load_balance_hosts": pieces.one_of("disable", "random"),
    "scram_client_key": (lambda text: re.fullmatch(r"[A-Za-z0-9+/]{43}=", text) is not None, "32 bytes in base64"),
    "scram_server_key": (lambda text: re.fullmatch(r"[A-Za-z0-9+/]{43}=", text) is not None, "32 bytes in base64"),
    "oauth_issuer": _TEXT,
    "oauth_client_id": _TEXT,
    "oauth_client_secret": pieces.any_secret(),
    "oauth_scope": _TEXT,
}
"""What libpq 18 knows besides host, hostaddr, port, user, password, dbname and sslkeylogfile, and what each takes."""

SECRETS: Final = frozenset({"sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key", "options"})
"""Options that are secrets, and one that may hold any (`options` sets the server's variables)."""

_PARTS: Final = frozenset({"host", "hostaddr", "port", "user", "password", "dbname"})
_FREE: Final = frozenset(name for name, check in OPTIONS.items() if check is _TEXT) | SECRETS
_PROTOCOLS: Final = ("3.0", "3.2", "latest")


@dataclass(frozen=True, slots=True)
class PostgreSQL(ConnectionString):
    """A connection string of PostgreSQL. A host without a name is libpq's own default, mostly a local socket."""

    kind: ClassVar[Kind] = "postgresql"
    default_port: ClassVar[int] = DEFAULT_PORT

    def __post_init__(self) -> None:
        object.__setattr__(self, "password", normal(self.password))
        checked_hosts(self.hosts, "postgresql")
        if any("," in host.name for host in self.hosts):
            raise _refused("host", "there is a comma in a socket's path", "libpq splits there.", "Use another folder.")
        if any(host.port is None for host in self.hosts):
            raise _refused("port", "a host has no port", "libpq needs one for a socket too.", "Give 5432.")
        checked_credentials(self.user, self.password, "postgresql", nul=False)
        checked_database(self.database, "postgresql")
        if self.database and ("=" in self.database or self.database.startswith(SCHEMES)):
            raise _refused(
                "database",
                "the database's name reads as another connection string",
                "psql and libpq expand a database's name that holds = or begins with postgresql://.",
                "Write the connection string itself, or rename the database.",
            )
        options = pieces.checked(self.options, OPTIONS, SECRETS, "postgresql", "libpq")
        object.__setattr__(self, "options", options)
        _together(dict(options))

    @property
    def tls(self) -> Tls:
        """By sslmode, and as libpq takes it with a root certificate; `prefer`, the default, is `optional`."""
        root = self.option("sslrootcert")
        mode = self.option("sslmode") or ("verify-full" if root == "system" else "prefer")
        if mode == "require":
            return "ca" if root else "unverified"
        return {"disable": "off", "verify-ca": "ca", "verify-full": "full"}.get(mode, "optional")  # type: ignore[return-value]

    @property
    def display(self) -> str:
        """As postgresql://host:port,host:port/database."""
        places = ",".join(host.shown for host in self.hosts)
        if places == f":{DEFAULT_PORT}":
            places = ""
        return f"postgresql://{places}/{pieces.encoded(self.database or '')}".removesuffix("/" if places else "")

    def build(self) -> str:
        """A URI; every host with its port, so that PGPORT has no say."""
        userinfo = ""
        if self.user or self.password:
            password = f":{pieces.encoded(self.password.reveal())}" if self.password else ""
            userinfo = f"{pieces.encoded(self.user or '')}{password}@"
        places = ",".join(replace(host, address="").shown for host in self.hosts)
        options = list(self.options)
        if any(host.address for host in self.hosts):
            options.append(("hostaddr", ",".join(host.address for host in self.hosts)))
        database = f"/{pieces.encoded(self.database)}" if self.database else ""
        return f"postgresql://{userinfo}{places}{database}{pieces.query(options)}"

    def single(self, host: Host) -> Self:
        """The same for one of the hosts alone, in whatever role it is."""
        alone = (option for option in self.options if option[0] not in ("target_session_attrs", "load_balance_hosts"))
        return replace(self, hosts=(host,), options=tuple(alone))


def read(text: str) -> PostgreSQL:
    """The parts of a connection string in either form.

    Raises:
        ConnectionStringRefused: it is none; the refusal holds nothing of it.
    """
    bare = text.strip(pieces.SPACES)
    if bare.startswith(SCHEMES):
        return _value(_uri(pieces.readable(text, "postgresql")))
    if not re.match(r"[A-Za-z][A-Za-z0-9+.:-]{0,40}//", bare) and "=" in bare:
        return _value(_keywords(text))
    raise _refused(
        "scheme",
        "it begins neither with postgresql:// nor with keyword=value",
        "libpq knows postgresql:// and postgres:// in small letters, and pairs as in host=… dbname=….",
        "Write postgresql://user@host:5432/database; without what other programs put before or into the scheme "
        "(jdbc:, +psycopg, +asyncpg).",
    )


def from_keywords(given: dict[str, str]) -> PostgreSQL:
    """The value for libpq's keywords, as a service file or PG* variables give them.

    Raises:
        ConnectionStringRefused: they make no connection string.
    """
    return _value(dict(given))


# --- the two forms ----------------------------------------------------------------------------------------------------


def _uri(text: str) -> dict[str, str]:
    rest = text.split("://", 1)[1]
    if " " in rest:
        raise _refused(
            "space", "there is a space in it", "In a URI a space is written %20.", "Take it out or encode it."
        )
    given: dict[str, str] = {}
    userinfo = re.match(r"[^@/]*@", rest)
    if userinfo:
        user, colon, password = userinfo[0][:-1].partition(":")
        if user:
            given["user"] = _decoded(user, "the user's name")
        if colon and password:
            given["password"] = _decoded(password, "the password")
        rest = rest[userinfo.end() :]
    place, question, query = rest.partition("?")
    if "@" in place or ("@" in query and not userinfo):
        raise pieces.misread("postgresql")
    hosts, _, database = place.partition("/")
    names, ports = _hosts(hosts)
    if any(names) or len(names) > 1:
        given["host"] = ",".join(names)
    if any(ports):
        given["port"] = ",".join(ports)
    if database:
        given["dbname"] = _decoded(database, "the database's name")
    if question and query:
        _query(query, given)
    return given


def _hosts(text: str) -> tuple[list[str], list[str]]:
    names, ports = [], []
    for each in text.split(","):
        if each.startswith("["):
            name, bracket, port = each[1:].partition("]")
            if not bracket or not name or (port and not port.startswith(":")):
                raise _refused(
                    "host",
                    "the brackets of an IPv6 address are not as they should be",
                    "An address stands alone between [ and ], and only a port behind them.",
                    "Write [2001:db8::1]:5432. " + ENCODE,
                )
            port = port[1:]
            name = _decoded(name, "a host")
            if ":" not in name:
                raise _refused(
                    "host",
                    "there is no IPv6 address between the brackets",
                    "Only an IPv6 address stands in brackets.",
                    "Write other hosts without them.",
                )
        else:
            name, _, port = each.partition(":")
            name = _decoded(name, "a host")
            if "," in name or (":" in name and name[0] not in "/@"):
                raise _refused(
                    "host",
                    "a host has an encoded colon or comma",
                    "It would be taken for an address, or for two hosts.",
                    "Write an IPv6 address in brackets, and hosts with a plain comma between them.",
                )
        names.append(name)
        ports.append(_decoded(port, "a port"))
    return names, ports


def _query(text: str, given: dict[str, str]) -> None:
    pairs = text.split("&")
    if len(pairs) > 1 and not pairs[-1]:
        pairs.pop()  # libpq stops at the end, also right behind an &
    for place, pair in enumerate(pairs, 1):
        name, equals, value = pair.partition("=")
        if not equals or "=" in value:
            raise _refused(
                "syntax",
                f"option {place} is not one name, one = and one value",
                "Options are written name=value, with & between them; a = in a value is written %3D.",
                ENCODE,
            )
        name, value = _decoded(name, "an option's name"), _decoded(value, "an option")
        if name == "ssl" and value == "true":
            name, value = "sslmode", "require"  # JDBC's way, which libpq knows
        take(name, value, place, given)


def _keywords(text: str) -> dict[str, str]:
    given: dict[str, str] = {}
    at, end, place = 0, len(text), 0
    while True:
        while at < end and text[at] in pieces.SPACES:
            at += 1
        if at == end:
            return given
        place += 1
        start = at
        while at < end and text[at] not in pieces.SPACES and text[at] != "=":
            at += 1
        name = text[start:at]
        while at < end and text[at] in pieces.SPACES:
            at += 1
        if at == end or text[at] != "=":
            raise _refused(
                "syntax",
                f"there is no = behind the name of pair {place}",
                "Pairs are written keyword=value. A value with a space, or an empty one, stands in single quotes.",
                "Quote the value: password='it\\'s a secret'. In quotes ' and \\ have a \\ before them.",
            )
        at += 1
        while at < end and text[at] in pieces.SPACES:
            at += 1
        value, at = _keyword_value(text, at)
        take(name, value, place, given)


def _keyword_value(text: str, at: int) -> tuple[str, int]:
    end, taken = len(text), []
    quoted = at < end and text[at] == "'"
    at += quoted
    while at < end and (text[at] != "'" if quoted else text[at] not in pieces.SPACES):
        if text[at] == "\\":
            at += 1
            if at == end:
                break
        taken.append(text[at])
        at += 1
    if quoted:
        if at == end:
            raise _refused(
                "syntax",
                "a value's single quote is not closed",
                "A value that begins with a single quote ends with one; in it ' and \\ have a \\ before them.",
                "Close it: password='it\\'s a secret'.",
            )
        at += 1
    return "".join(taken), at


def take(name: str, value: str, place: int, given: dict[str, str]) -> None:
    """Put a keyword's value among the given ones, as libpq does it.

    Raises:
        ConnectionStringRefused: libpq knows no such keyword; it is told by its place.
    """
    if name == "requiressl":
        name, value = "sslmode", "require" if value[:1] == "1" else "prefer"
    if name == "sslkeylogfile":
        raise _refused("option", "sslkeylogfile is not taken", "Whoever connects would write TLS keys into a file.",
                       "Take it out.")  # fmt: skip
    if name not in OPTIONS and name not in _PARTS:
        raise pieces.unknown_option(place, "postgresql", "libpq")
    if "\0" in value:
        raise _refused(
            "percent",
            "there is a zero byte (%00) in it",
            "libpq reads C strings, which would end there.",
            "Take it out.",
        )
    given[name] = value


# --- from keywords to a value -----------------------------------------------------------------------------------------


def _value(given: dict[str, str]) -> PostgreSQL:
    names = given.pop("host", "").split(",")
    addresses = given.pop("hostaddr", "")
    ports = given.pop("port", "").split(",")
    if addresses:
        listed = addresses.split(",")
        if names == [""]:
            names = [""] * len(listed)
        if len(names) != len(listed):
            raise _refused(
                "host",
                "host and hostaddr are not equally many",
                "Each host has its address, in the same order.",
                "Give one hostaddr a host, or none at all.",
            )
    else:
        listed = [""] * len(names)
    if len(ports) == 1:
        ports *= len(names)
    if len(ports) != len(names):
        raise _refused(
            "port",
            "hosts and ports are not equally many",
            "There is one port for all hosts, or one for each.",
            "Write the port behind each host: host1:5432,host2:5433.",
        )
    hosts = tuple(
        Host(name, pieces.port_of(port, "postgresql", DEFAULT_PORT), address)
        for name, port, address in zip(names, ports, listed, strict=True)
    )
    user, password, database = (given.pop(name, "") for name in ("user", "password", "dbname"))
    options = tuple(
        (name, Secret(value) if name in SECRETS else value)
        for name, value in given.items()
        if value or name not in _FREE  # an empty text is libpq's own default
    )
    return PostgreSQL(hosts, user or None, Secret(password) if password else None, database or None, options)


def _together(options: dict[str, str | Secret]) -> None:
    mode = options.get("sslmode", "verify-full" if options.get("sslrootcert") == "system" else "prefer")
    if options.get("sslrootcert") == "system" and mode != "verify-full":
        raise pieces.conflict(
            "sslrootcert=system goes with sslmode=verify-full only",
            "postgresql",
            "Write sslmode=verify-full, or name a file of root certificates.",
        )
    if options.get("sslnegotiation") == "direct" and mode not in ("require", "verify-ca", "verify-full"):
        raise pieces.conflict(
            "sslnegotiation=direct does not go with a weak sslmode",
            "postgresql",
            "Write sslmode=require, verify-ca or verify-full.",
        )
    low, high = (str(options.get(f"ssl_{end}_protocol_version", "")).lower() for end in ("min", "max"))
    if high and (low or "tlsv1.2") > high:
        raise pieces.conflict(
            "the lowest TLS version is above the highest",
            "postgresql",
            "Correct ssl_min_protocol_version (TLSv1.2 if unset) or ssl_max_protocol_version.",
        )
    low, high = (str(options.get(f"{end}_protocol_version", "")) for end in ("min", "max"))
    if low and high and _PROTOCOLS.index(low) > _PROTOCOLS.index(high):
        raise pieces.conflict(
            "min_protocol_version is above max_protocol_version", "postgresql", "Correct one of the two."
        )


def _decoded(text: str, what: str) -> str:
    found = pieces.decoded(text, "postgresql", what, strict=True)
    if "\0" in found:
        raise _refused(
            "percent",
            "there is a zero byte (%00) in it",
            "libpq reads C strings, which would end there.",
            "Take it out.",
        )
    return found


def _refused(reason: Reason, problem: str, cause: str, remedy: str) -> ConnectionStringRefused:
    return ConnectionStringRefused(reason, problem, kind="postgresql", cause=cause, remedy=remedy)
