"""Redis's connection strings: what redis-py reads, and the two forms for several hosts that it has none for.

    redis://user:password@host:6379/0          rediss:// with TLS          unix://user:password@/path/to/socket?db=0
    redis+sentinel://user:password@host1:26379,host2:26379/service/0?sentinel_password=…    rediss+sentinel://
    redis+cluster://user:password@host1:6379,host2:6379                                     rediss+cluster://
    redis-sentinel://password@host1:26379,host2/0#service                                   rediss-sentinel://

The last is Lettuce's, whose lone word before the @ is a password; it is written back as the second. Sources: redis-py's
parse_url, which Python's urlsplit does the splitting for (user and password end at the last @ before /, ? or #; of two
query parameters the first wins; + is a space in the query only), redis-sentinel-url, Lettuce's RedisURI.

Stricter than redis-py, which drops silently what it doesn't understand: a path that is no number, a port 0, a fragment,
a parameter without a value's =, a host in unix://; parameters that its connections don't take; host, port and path as
parameters; brackets in user and password. `family`, which clients in other languages need on Railway, is taken out.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from lancio.registry.connection_strings import pieces
from lancio.registry.connection_strings.model import (
    ConnectionString,
    Host,
    Tls,
    checked_credentials,
    checked_hosts,
    lowered,
    normal,
)
from lancio.registry.connection_strings.refusal import ENCODE, ConnectionStringRefused
from lancio.registry.secrets import Secret

if TYPE_CHECKING:
    from typing import Self

    from lancio.registry.connection_strings.refusal import Kind, Reason

Mode = Literal["single", "sentinel", "cluster"]

DEFAULT_PORT: Final = 6379
SENTINEL_PORT: Final = 26379

_SCHEMES: Final[dict[str, tuple[Mode, bool]]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "unix": ("single", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis-sentinel": ("sentinel", False),
    "rediss-sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
SCHEMES: Final = tuple(f"{scheme}://" for scheme in _SCHEMES)

_TRUE: Final = frozenset({"1", "t", "true", "y", "yes", "on"})
_FALSE: Final = frozenset({"0", "f", "false", "n", "no"})
_BOOL: Final = ((_TRUE | _FALSE).__contains__, "True or False")
_TEXT: Final = pieces.any_text()
_SECONDS: Final = pieces.number(0, 1e6)

OPTIONS: Final[dict[str, pieces.Check]] = {
    "socket_timeout": _SECONDS,
    "socket_connect_timeout": _SECONDS,
    "socket_read_size": pieces.whole(1),
    "socket_keepalive": _BOOL,
    "retry_on_timeout": _BOOL,
    "max_connections": pieces.whole(1),
    "health_check_interval": pieces.whole(0),
    "protocol": pieces.one_of("2", "3"),
    "encoding": _TEXT,
    "encoding_errors": pieces.one_of("strict", "ignore", "replace"),
    # redis-py takes the text itself for true, also "False".
    "decode_responses": (_TRUE.__contains__, "True: redis-py reads any other text as true as well"),
    "client_name": _TEXT,
    "lib_name": _TEXT,
    "lib_version": _TEXT,
    "ssl_keyfile": _TEXT,
    "ssl_certfile": _TEXT,
    "ssl_cert_reqs": pieces.one_of("none", "optional", "required"),
    "ssl_ca_certs": _TEXT,
    "ssl_ca_path": _TEXT,
    "ssl_ca_data": (lambda text: 0 < len(text) <= pieces.LONGEST, "certificates in PEM"),
    "ssl_check_hostname": _BOOL,
    "ssl_password": pieces.any_secret(),
    "ssl_min_version": pieces.one_of("769", "770", "771", "772"),
    "ssl_ciphers": _TEXT,
    "sentinel_username": _TEXT,
    "sentinel_password": pieces.any_secret(),
}
"""What redis-py's connections take from a URL, and the login at the sentinels themselves."""

SECRETS: Final = frozenset({"ssl_password", "sentinel_password"})

_LOWERED: Final = frozenset(name for name, check in OPTIONS.items() if check is _BOOL) | {"decode_responses"}
_SERVICE: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_LARGEST_DATABASE: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Redis(ConnectionString):
    """A connection string of Redis: of one server, of the sentinels that know it, or of a cluster's nodes."""

    kind: ClassVar[Kind] = "redis"
    default_port: ClassVar[int] = DEFAULT_PORT

    mode: Mode = "single"
    secured: bool = False
    """Whether the line is TLS: rediss instead of redis."""
    service: str | None = None
    """The name that sentinels know the primary by."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "password", normal(self.password))
        if self.database is None:
            object.__setattr__(self, "database", "0")
        database = self.database or ""
        if not (
            database.isascii() and database.isdigit() and len(database) <= 10 and int(database) <= _LARGEST_DATABASE
        ):
            raise _refused(
                "database",
                "the database is not a whole number",
                "Redis's databases have numbers: 0, 1, …",
                "Write it behind the host, as in host:6379/0, or leave it out. " + ENCODE,
            )
        object.__setattr__(self, "database", str(int(database)))
        checked_credentials(self.user, self.password, "redis", nul=True)
        object.__setattr__(self, "hosts", lowered(self.hosts))
        self._check_hosts()
        options = pieces.checked(self.options, OPTIONS, SECRETS, "redis", "redis-py")
        object.__setattr__(self, "options", options)
        for name, _ in options:
            if name.startswith("ssl_") and not self.secured:
                raise pieces.conflict(
                    f"{name} does not go with a line without TLS",
                    "redis",
                    "Write rediss:// instead of redis://, or take it out.",
                    "redis-py takes TLS options with rediss:// only.",
                )
            if name.startswith("sentinel_") and self.mode != "sentinel":
                raise pieces.conflict(
                    f"{name} goes with redis+sentinel:// only", "redis", "Take it out, or name sentinels."
                )

    def _check_hosts(self) -> None:
        checked_hosts(self.hosts, "redis")
        if any(not host.name or host.address for host in self.hosts):
            raise _refused("host", "it names no host", "A database is somewhere.", "Name its host.")
        sockets = sum(host.socket for host in self.hosts)
        if sockets and (self.mode != "single" or self.secured or not self.hosts[0].name.startswith("/")):
            raise _refused(
                "host", "a socket goes with unix:// only", "It has no TLS and no other host.", "Write unix:///path."
            )
        if any(host.socket != (host.port is None) for host in self.hosts):
            raise _refused("port", "a host has no port, or a socket has one", "TCP has ports.", "Give 6379.")
        if len(self.hosts) > 1 and self.mode == "single":
            raise _refused(
                "host",
                "there are several hosts in a URL for one",
                "redis-py reads one host after redis:// and rediss://.",
                "Write redis+sentinel://host1:26379,host2:26379/service for sentinels, "
                "redis+cluster://host1:6379,host2:6379 for the nodes of a cluster.",
            )
        if (self.service is not None) != (self.mode == "sentinel") or (
            self.service is not None and not _SERVICE.fullmatch(self.service)
        ):
            raise _refused(
                "syntax",
                "the service that the sentinels watch is not named",
                "Sentinels know several primaries by names of letters, digits, '.', '-' and '_'.",
                "Write it behind the hosts: redis+sentinel://host1:26379,host2:26379/mymaster/0.",
            )
        if self.mode == "cluster" and self.database != "0":
            raise _refused(
                "database", "a cluster has database 0 only", "Redis Cluster knows no other.", "Leave the number out."
            )

    @property
    def tls(self) -> Tls:
        """By the scheme, ssl_cert_reqs and ssl_check_hostname; redis-py verifies all by default."""
        if not self.secured:
            return "off"
        if self.option("ssl_cert_reqs") in ("none", "optional"):
            return "unverified"
        return "ca" if self.option("ssl_check_hostname") in _FALSE else "full"

    @property
    def display(self) -> str:
        """As redis://host:port/0, with the database only where it is another than 0."""
        if self.hosts[0].socket:
            number = f"?db={self.database}" if self.database != "0" else ""
            return f"unix://{pieces.encoded(self.hosts[0].name).replace('%2F', '/')}{number}"
        return f"{self._scheme}://{self._places}{self._path if self.service or self.database != '0' else ''}"

    def build(self) -> str:
        """The URL; redis-py reads those of one server, `single()` gives them of sentinels and nodes."""
        userinfo = ""
        if self.user or self.password:
            password = f":{pieces.encoded(self.password.reveal())}" if self.password else ""
            userinfo = f"{pieces.encoded(self.user or '')}{password}@"
        if self.hosts[0].socket:
            path = pieces.encoded(self.hosts[0].name).replace("%2F", "/")
            return f"unix://{userinfo}{path}{pieces.query([('db', self.database or '0'), *self.options])}"
        return f"{self._scheme}://{userinfo}{self._places}{self._path}{pieces.query(self.options)}"

    def single(self, host: Host) -> Self:
        """One of the hosts alone, as redis-py reads it; a sentinel with the login at sentinels."""
        alone = tuple(option for option in self.options if not option[0].startswith("sentinel_"))
        one = replace(self, hosts=(host,), mode="single", service=None, options=alone, database="0")
        if self.mode != "sentinel":
            return replace(one, database=self.database)
        password = self.option("sentinel_password")
        return replace(
            one, user=self.option("sentinel_username"), password=Secret(password) if password is not None else None
        )

    @property
    def _scheme(self) -> str:
        return ("rediss" if self.secured else "redis") + ("" if self.mode == "single" else f"+{self.mode}")

    @property
    def _places(self) -> str:
        return ",".join(host.shown for host in self.hosts)

    @property
    def _path(self) -> str:
        if self.mode == "cluster":
            return ""
        return f"/{self.service}/{self.database}" if self.service else f"/{self.database}"


def read(text: str) -> Redis:
    """The parts of a Redis URL.

    Raises:
        ConnectionStringRefused: it is none; the refusal holds nothing of it.
    """
    text = pieces.readable(text, "redis")
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in _SCHEMES:
        raise _refused(
            "scheme",
            "it does not begin with redis://, rediss:// or unix://",
            "These are redis-py's schemes, in small letters; besides there are redis+sentinel:// and redis+cluster://, "
            "and the same with rediss.",
            "Write redis://user:password@host:6379/0.",
        )
    mode, secured = _SCHEMES[scheme]
    lettuce = "-" in scheme
    rest, hash_sign, service = rest.partition("#")
    if hash_sign and not lettuce:
        raise _refused(
            "syntax",
            "there is a # in it as it is",
            "What follows a # would be dropped: often it stands in a password.",
            ENCODE,
        )
    rest, _, query = rest.partition("?")
    netloc, slash, path = rest.partition("/")
    userinfo, at, places = netloc.rpartition("@")
    if "@" in path or ("@" in query and not at):
        raise pieces.misread("redis")
    _check_netloc(netloc, userinfo)
    options, taken = _query(query, mode)
    user, password = _credentials(userinfo, lone_is_password=lettuce)
    user = user or taken.get("username", "")
    password = password or taken.get("password", "")
    database = taken.get("db") or taken.get("database")
    if scheme == "unix":
        if places or not path:
            raise _refused(
                "host",
                "the socket's path is not absolute",
                "redis-py reads what stands before the path's first / as a host, and drops it.",
                "Write unix:///path/to/redis.sock, with three slashes.",
            )
        hosts: tuple[Host, ...] = (Host(_decoded(slash + path, "the socket's path")),)
    else:
        default = SENTINEL_PORT if mode == "sentinel" else DEFAULT_PORT
        if mode == "single" and places[:1] in ("", ":"):
            places = f"localhost{places}"  # as redis-py has it
        hosts = tuple(_host(each, default) for each in places.split(","))
        segments = [_decoded(each, "the path") for each in path.strip("/").split("/")] if path.strip("/") else []
        if mode == "sentinel" and not lettuce and segments:
            service = segments.pop(0)
        if len(segments) > 1:
            raise _refused(
                "database",
                "the path has more than the database's number",
                "redis-py would run its parts together into another number.",
                "Write one number behind the host: host:6379/0. " + ENCODE,
            )
        if segments and database is None:
            database = segments[0]
        service = taken.get("service_name") or taken.get("sentinelMasterId") or _decoded(service, "the service")
    return Redis(
        hosts,
        user or None,
        Secret(password) if password else None,
        database,
        options,
        mode,
        secured,
        service or None if mode == "sentinel" else None,
    )


def _host(text: str, default: int) -> Host:
    if text.startswith("["):
        name, bracket, port = text[1:].partition("]")
        if not bracket or (port and not port.startswith(":")) or ":" not in name:
            raise _refused(
                "host",
                "the brackets of an IPv6 address are not as they should be",
                "An address stands alone between [ and ], and only a port behind them.",
                "Write [2001:db8::1]:6379. " + ENCODE,
            )
        port = port[1:]
        name = _decoded(name, "a host")
    else:
        name, _, port = text.partition(":")
        name = _decoded(name, "a host")
        if not name or name[0] in "/@" or ":" in name:
            raise _refused(
                "host",
                "a host has no name",
                "There is a comma too many, a port without a host, or a path where a host's name should be.",
                "Name each host; a socket is written unix:///path. " + ENCODE,
            )
    return Host(name, pieces.port_of(port, "redis", default))


def _credentials(userinfo: str, *, lone_is_password: bool) -> tuple[str, str]:
    user, colon, password = userinfo.partition(":")
    if lone_is_password and not colon:
        user, password = "", user
    return _decoded(user, "the user's name"), _decoded(password, "the password")


def _check_netloc(netloc: str, userinfo: str) -> None:
    if "[" in userinfo or "]" in userinfo:
        raise _refused(
            "syntax",
            "there is a bracket in user or password as it is",
            "Python's URL parser takes it for an IPv6 address.",
            "Write %5B for [ and %5D for ]. " + ENCODE,
        )
    if not netloc.isascii():
        bare = re.sub("[@:#?]", "", netloc)
        if (normalized := unicodedata.normalize("NFKC", bare)) != bare and re.search("[/?#@:]", normalized):
            raise _refused(
                "syntax",
                "there is a character in it that is a special one in another form",
                "Python's URL parser refuses it: ℀ stands for a/c, for example.",
                "Write it percent-encoded, as UTF-8.",
            )


_NOT_OPTIONS: Final = frozenset(
    {"db", "database", "username", "password", "service_name", "sentinelMasterId", "family"}
)


def _query(text: str, mode: Mode) -> tuple[tuple[pieces.Option, ...], dict[str, str]]:
    options: dict[str, str] = {}
    taken: dict[str, str] = {}
    for place, pair in enumerate(text.split("&") if text else [], 1):
        if not pair:
            continue
        name, equals, value = pair.partition("=")
        name = pieces.decoded(name, "redis", "an option's name", strict=False, plus=True)
        value = pieces.decoded(value, "redis", "an option", strict=False, plus=True)
        if not equals:
            raise _refused(
                "syntax",
                f"option {place} has no value",
                "redis-py drops it; often it is the rest of a password.",
                "Write name=value, with & between them. " + ENCODE,
            )
        if name in ("host", "port", "path"):
            raise pieces.conflict(
                f"{name} is an option",
                "redis",
                "Write host and port where a URL has them: redis://host:6379/0.",
                "An address that stands in two places has two readings.",
            )
        sentinels_own = ("service_name", "sentinelMasterId", "database")
        if name not in OPTIONS and (name not in _NOT_OPTIONS or (name in sentinels_own and mode != "sentinel")):
            raise pieces.unknown_option(place, "redis", "redis-py", "TLS is not an option but a scheme: rediss://.")
        if not value:
            continue  # as Python's parse_qs does
        if name == "family":
            if value not in ("0", "4", "6"):
                raise pieces.bad_value("family", "redis", "0, 4 or 6")
            continue
        found = taken if name in _NOT_OPTIONS else options
        found.setdefault(name, value.lower() if name in _LOWERED else value)
    return (
        tuple((name, Secret(value) if name in SECRETS else value) for name, value in options.items()),
        taken,
    )


def _decoded(text: str, what: str) -> str:
    return pieces.decoded(text, "redis", what, strict=False)


def _refused(reason: Reason, problem: str, cause: str, remedy: str) -> ConnectionStringRefused:
    return ConnectionStringRefused(reason, problem, kind="redis", cause=cause, remedy=remedy)
