"""MongoDB's connection strings, by pymongo's rules.

    mongodb://user:password@host1:27017,host2:27018/database?replicaSet=rs0     mongodb+srv://user:password@name/…
    mongodb://%2Ftmp%2Fmongodb-27017.sock                                       mongodb://[::1]:27017

Sources: the Connection String specification and pymongo's uri_parser: hosts end at the first /, the query at the first
?; user and password end at the last @, may hold no @, no second : and no lone percent sign, and their + is a space;
options are separated by & or by ;, their names are alike in any case, and the last of two wins.

Stricter than pymongo: raw control characters; bytes that are no UTF-8; an @ as it is behind the host; a database's name
with a dot (a collection behind it) or a = (options whose ? was lost); sockets with a relative path; hosts that are no
hosts' names; options that shape pymongo's own objects (tz_aware, connect …); srvAllowedHostsSuffix, which lets DNS name
servers elsewhere. What pymongo looks at on its machine is not looked at here: whether tlsCAFile is readable, which
compressors are installed, what DNS says of a mongodb+srv name.
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
    lowered,
    normal,
)
from lancio.registry.connection_strings.refusal import ENCODE, ConnectionStringRefused
from lancio.registry.secrets import Secret

if TYPE_CHECKING:
    from typing import Self

    from lancio.registry.connection_strings.refusal import Kind, Reason

SCHEMES: Final = ("mongodb://", "mongodb+srv://")
DEFAULT_PORT: Final = 27017

_BOOL: Final = pieces.one_of("true", "false")
_TEXT: Final = pieces.any_text()
_MILLISECONDS: Final = pieces.number(0, 1e9)
_POSITIVE_MILLISECONDS: Final = (
    lambda text: _MILLISECONDS[0](text) and float(text) > 0,
    "a number of milliseconds above 0",
)
_COMPRESSORS: Final = frozenset({"snappy", "zlib", "zstd"})
_BAD_DATABASE: Final = re.compile(r'[/\\ "$.=]')
_TAGS: Final = re.compile(r"[^:,]*:[^:,]*(,[^:,]*:[^:,]*)*")
_PROPERTIES: Final = frozenset(
    {"SERVICE_NAME", "SERVICE_HOST", "CANONICALIZE_HOST_NAME", "SERVICE_REALM", "AWS_SESSION_TOKEN", "ENVIRONMENT",
     "TOKEN_RESOURCE"}
)  # fmt: skip
_CANONICALIZE: Final = frozenset({"true", "false", "none", "forward", "forwardAndReverse"})


def _mechanism_properties(text: str) -> bool:
    for each in text.split(","):
        name, _, value = each.partition(":")
        if name not in _PROPERTIES or not value or (name == "CANONICALIZE_HOST_NAME" and value not in _CANONICALIZE):
            return False
    return True


OPTIONS: Final[dict[str, pieces.Check]] = {
    "appName": pieces.any_text(128),
    "authMechanism": pieces.one_of(
        "DEFAULT", "SCRAM-SHA-1", "SCRAM-SHA-256", "MONGODB-X509", "MONGODB-AWS", "MONGODB-OIDC", "GSSAPI", "PLAIN"
    ),
    "authMechanismProperties": (_mechanism_properties, "NAME:value with commas between them, of names that it knows"),
    "authSource": (lambda text: bool(text) and _TEXT[0](text), "a database's name"),
    "compressors": (lambda text: set(text.split(",")) <= _COMPRESSORS, "some of snappy, zlib, zstd"),
    "connectTimeoutMS": _MILLISECONDS,
    "directConnection": _BOOL,
    "fsync": _BOOL,
    "heartbeatFrequencyMS": _POSITIVE_MILLISECONDS,
    "journal": _BOOL,
    "loadBalanced": _BOOL,
    "localThresholdMS": _MILLISECONDS,
    "maxConnecting": pieces.whole(1),
    "maxIdleTimeMS": _POSITIVE_MILLISECONDS,
    "maxPoolSize": pieces.whole(0),
    "maxStalenessSeconds": (
        lambda text: text == "-1" or pieces.whole(1)[0](text),
        "a whole number of seconds above 0, or -1",
    ),
    "minPoolSize": pieces.whole(0),
    "readConcernLevel": _TEXT,
    "readPreference": pieces.one_of("primary", "primaryPreferred", "secondary", "secondaryPreferred", "nearest"),
    "readPreferenceTags": (
        lambda text: not text or _TAGS.fullmatch(text) is not None,
        "name:value with commas between them",
    ),
    "replicaSet": _TEXT,
    "retryReads": _BOOL,
    "retryWrites": _BOOL,
    "serverMonitoringMode": pieces.one_of("auto", "stream", "poll"),
    "serverSelectionTimeoutMS": _MILLISECONDS,
    "socketTimeoutMS": _MILLISECONDS,
    "srvMaxHosts": pieces.whole(0),
    "srvServiceName": (lambda text: re.fullmatch(r"[A-Za-z0-9-]{1,62}", text) is not None, "a service's name"),
    "timeoutMS": _MILLISECONDS,
    "tls": _BOOL,
    "tlsAllowInvalidCertificates": _BOOL,
    "tlsAllowInvalidHostnames": _BOOL,
    "tlsCAFile": _TEXT,
    "tlsCertificateKeyFile": _TEXT,
    "tlsCertificateKeyFilePassword": pieces.any_secret(),
    "tlsCRLFile": _TEXT,
    "tlsDisableOCSPEndpointCheck": _BOOL,
    "tlsInsecure": _BOOL,
    "uuidRepresentation": pieces.one_of("unspecified", "standard", "pythonLegacy", "javaLegacy", "csharpLegacy"),
    "w": (lambda text: _TEXT[0](text) and not text.startswith("-"), "a whole number or a name"),
    "waitQueueTimeoutMS": _POSITIVE_MILLISECONDS,
    "wTimeoutMS": pieces.whole(0),
    "zlibCompressionLevel": pieces.whole(-1, 9),
}
"""What pymongo takes from a URL, and what each takes."""

SECRETS: Final = frozenset({"authMechanismProperties", "tlsCertificateKeyFilePassword"})
"""Options that are secrets or hold one (an AWS session token)."""

_SPELLED: Final = {name.lower(): name for name in OPTIONS} | {"ssl": "tls"}
_IN_TLS_INSECURE: Final = ("tlsAllowInvalidCertificates", "tlsAllowInvalidHostnames", "tlsDisableOCSPEndpointCheck")
_MEAN_TLS: Final = ("tlsCAFile", "tlsCRLFile", "tlsCertificateKeyFile", "tlsCertificateKeyFilePassword")


@dataclass(frozen=True, slots=True)
class MongoDB(ConnectionString):
    """A connection string of MongoDB: of some members of a deployment, or of the name that DNS lists them under."""

    kind: ClassVar[Kind] = "mongodb"
    default_port: ClassVar[int] = DEFAULT_PORT

    srv: bool = False
    """Whether the one host is a name with SRV records (mongodb+srv) instead of a server."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "password", normal(self.password))
        checked_credentials(self.user, self.password, "mongodb", nul=True)
        if self.password and not self.user:
            raise _refused("user", "a password has no user", "pymongo refuses an empty user.", "Name the user.")
        object.__setattr__(self, "hosts", lowered(self.hosts))
        checked_database(self.database, "mongodb")
        if self.database and _BAD_DATABASE.search(self.database):
            raise _refused(
                "database",
                "the database's name has a character that MongoDB does not allow",
                'These are / \\ space " $ and the dot, behind which pymongo reads a collection. A = is not taken '
                "either: it shows that the ? before the options is missing.",
                "Write the database's name alone behind the host. " + ENCODE,
            )
        checked_hosts(self.hosts, "mongodb")
        if any(not host.name or host.address or host.name[0] == "@" for host in self.hosts):
            raise _refused("host", "it names no host", "A database is somewhere.", "Name its host.")
        if self.srv and (len(self.hosts) > 1 or self.hosts[0].port or not re.search("[A-Za-z]", self.hosts[0].name)
                         or self.hosts[0].socket or ":" in self.hosts[0].name):  # fmt: skip
            raise _refused(
                "host",
                "mongodb+srv:// goes with one name, without a port",
                "DNS lists the servers and their ports under that name.",
                "Write mongodb+srv://name, or mongodb:// for hosts, addresses and ports.",
            )
        if not self.srv and any(host.socket != (host.port is None) for host in self.hosts):
            raise _refused("port", "a host has no port, or a socket has one", "TCP has ports.", "Give 27017.")
        if any(host.socket and not host.name.endswith(".sock") for host in self.hosts):
            raise _refused(
                "host",
                "a socket's path does not end with .sock",
                "That is how pymongo tells one.",
                "Name the server's socket: /tmp/mongodb-27017.sock.",
            )
        options = pieces.checked(self.options, OPTIONS, SECRETS, "mongodb", "pymongo")
        object.__setattr__(self, "options", options)
        self._together()

    def _together(self) -> None:
        given = dict(self.options)
        if "tlsInsecure" in given and any(name in given for name in _IN_TLS_INSECURE):
            raise pieces.conflict("tlsInsecure says what another option says too", "mongodb", "Keep one of them.")
        if "tlsAllowInvalidCertificates" in given and "tlsDisableOCSPEndpointCheck" in given:
            raise pieces.conflict(
                "tlsAllowInvalidCertificates and tlsDisableOCSPEndpointCheck are both there", "mongodb", "Keep one."
            )
        direct, balanced = given.get("directConnection") == "true", given.get("loadBalanced") == "true"
        if direct and (len(self.hosts) > 1 or self.srv):
            raise pieces.conflict("directConnection goes with one host", "mongodb", "Name one host, or take it out.")
        if balanced and (len(self.hosts) > 1 or direct or given.get("replicaSet")):
            raise pieces.conflict(
                "loadBalanced goes with one host, without replicaSet and directConnection", "mongodb", "Take it out."
            )
        most = int(str(given.get("srvMaxHosts", "0")))
        if not self.srv and (most or "srvServiceName" in given):
            raise pieces.conflict("srvMaxHosts and srvServiceName go with mongodb+srv://", "mongodb", "Take them out.")
        if most and (balanced or given.get("replicaSet")):
            raise pieces.conflict("srvMaxHosts goes without replicaSet and loadBalanced", "mongodb", "Take it out.")

    @property
    def tls(self) -> Tls:
        """By tls (on by default with mongodb+srv, and by `means_tls`), tlsInsecure, tlsAllowInvalid…; pymongo verifies
        all by default."""
        if (self.option("tls") or ("true" if self.srv or self.means_tls else "false")) == "false":
            return "off"
        if "true" in (self.option("tlsInsecure"), self.option("tlsAllowInvalidCertificates")):
            return "unverified"
        return "ca" if self.option("tlsAllowInvalidHostnames") == "true" else "full"

    @property
    def means_tls(self) -> bool:
        """Whether another option than tls switches TLS on, for pymongo: a file of certificates, or a check that is
        asked for (tlsAllowInvalid…=false). With tls=false beside it pymongo refuses the string."""
        given = dict(self.options)
        return any(given.get(name) for name in _MEAN_TLS) or any(
            given.get(name) == "false" for name in (*_IN_TLS_INSECURE, "tlsInsecure")
        )

    @property
    def display(self) -> str:
        """As mongodb://host:port,host:port/database."""
        database = f"/{pieces.encoded(self.database)}" if self.database else ""
        return f"mongodb{'+srv' if self.srv else ''}://{','.join(host.shown for host in self.hosts)}{database}"

    def build(self) -> str:
        """The URL, every host with its port."""
        userinfo = ""
        if self.user:
            password = f":{pieces.encoded(self.password.reveal())}" if self.password else ""
            userinfo = f"{pieces.encoded(self.user)}{password}@"
        scheme = "mongodb+srv" if self.srv else "mongodb"
        database = pieces.encoded(self.database) if self.database else ""
        # The values of tags are encoded already: pymongo splits them before it decodes them.
        pairs = [
            f"{name}={pieces.plain(value) if name == 'readPreferenceTags' else pieces.encoded(pieces.plain(value))}"
            for name, value in self.options
        ]
        query = f"?{'&'.join(pairs)}" if pairs else ""
        return f"{scheme}://{userinfo}{','.join(host.shown for host in self.hosts)}/{database}{query}"

    def single(self, host: Host) -> Self:
        """One of the hosts alone, connected to directly, in whatever role it is."""
        left = ("directConnection", "loadBalanced", "replicaSet", "readPreferenceTags", "srvMaxHosts", "srvServiceName")
        options = [option for option in self.options if option[0] not in left] + [("directConnection", "true")]
        if self.srv and self.option("tls") is None:
            options.append(("tls", "true"))
        return replace(self, hosts=(host,), srv=False, options=tuple(options))


def read(text: str) -> MongoDB:
    """The parts of a MongoDB URL.

    Raises:
        ConnectionStringRefused: it is none; the refusal holds nothing of it.
    """
    text = pieces.readable(text, "mongodb")
    if not text.startswith(SCHEMES):
        raise _refused(
            "scheme",
            "it does not begin with mongodb:// or mongodb+srv://",
            "These are MongoDB's schemes, in small letters.",
            "Write mongodb://user:password@host:27017/database.",
        )
    scheme, _, rest = text.partition("://")
    srv = scheme.endswith("+srv")
    place, _, query = rest.partition("?")
    netloc, _, database = place.partition("/")
    userinfo, at, places = netloc.rpartition("@")
    if "@" in database or ("@" in query and not at):
        raise pieces.misread("mongodb")
    user: str | None = None
    password = ""
    if at:
        if "@" in userinfo or userinfo.count(":") > 1:
            raise _refused(
                "syntax",
                "there is an @ or a second : in user or password as it is",
                "pymongo refuses it, since it can't tell where the password ends.",
                ENCODE,
            )
        user, _, password = userinfo.partition(":")
        user = pieces.decoded(user, "mongodb", "the user's name", strict=True, plus=True)
        password = pieces.decoded(password, "mongodb", "the password", strict=True, plus=True)
    hosts = tuple(_host(each, srv=srv) for each in places.split(","))
    name = pieces.decoded(database, "mongodb", "the database's name", strict=False, plus=True)
    options = _query(query)
    return MongoDB(hosts, user, Secret(password) if password else None, name or None, options, srv)


def _host(text: str, *, srv: bool) -> Host:
    if text.endswith(".sock") and not text.startswith("["):
        path = pieces.decoded(text, "mongodb", "the socket's path", strict=False, plus=True)
        if not path.startswith("/"):
            raise _refused(
                "host",
                "a socket's path is not absolute",
                "pymongo takes a host that ends with .sock for a socket, in the folder that the program stands in.",
                "Write mongodb://%2Ftmp%2Fmongodb-27017.sock.",
            )
        return Host(path)
    if text.startswith("["):
        name, bracket, port = text[1:].partition("]")
        if not bracket or (port and not port.startswith(":")) or ":" not in name or port == ":":
            raise _refused(
                "host",
                "the brackets of an IPv6 address are not as they should be",
                "An address stands alone between [ and ], and only a port behind them.",
                "Write [2001:db8::1]:27017. " + ENCODE,
            )
        name, port = name.replace("%25", "%"), port[1:]
    else:
        name, colon, port = text.partition(":")
        if not name or "%" in name or (colon and not port):
            raise _refused(
                "host",
                "a host is empty, has a % or has a colon without a port",
                "There is a comma too many, or a host is written in a form that pymongo does not read.",
                "Write hosts as host:27017, with one comma between them. " + ENCODE,
            )
    if srv and not port:
        return Host(name.lower())
    return Host(name.lower(), pieces.port_of(port, "mongodb", DEFAULT_PORT))


def _query(text: str) -> tuple[pieces.Option, ...]:
    if not text:
        return ()
    if "&" in text and ";" in text:
        raise _refused(
            "syntax", "options are separated by & and by ;", "pymongo takes one of them.", "Write & everywhere."
        )
    separator = "&" if "&" in text else ";"
    pairs = text.split(separator)
    if len(pairs) == 1 and re.search(r"\s", text):
        raise _refused(
            "space",
            "there is a space in the only option",
            "pymongo would take it for the end of the option.",
            "Write it %20.",
        )
    found: dict[str, str] = {}
    tags: list[str] = []
    for place, pair in enumerate(pairs, 1):
        name, equals, value = pair.partition("=")
        if not equals or "=" in value:
            raise _refused(
                "syntax",
                f"option {place} is not one name, one = and one value",
                "Options are written name=value, with & between them; a = in a value is written %3D.",
                ENCODE,
            )
        if name.lower() == "srvallowedhostssuffix":
            raise _refused("option", "srvAllowedHostsSuffix is not taken", "DNS could name servers of others with it.",
                           "Take it out, or name the servers with mongodb://.")  # fmt: skip
        spelled = _SPELLED.get(name.lower())
        if spelled is None:
            raise pieces.unknown_option(place, "mongodb", "pymongo")
        if spelled == "readPreferenceTags":
            tags.append(_tags(value))
            continue
        value = pieces.decoded(value, "mongodb", "an option", strict=False, plus=True)
        found["ssl" if name.lower() == "ssl" else spelled] = value
    if "ssl" in found:
        if found.get("tls", found["ssl"]) != found["ssl"]:
            raise pieces.conflict("ssl and tls say different things", "mongodb", "Keep tls alone.")
        found["tls"] = found.pop("ssl")
    options = [(name, Secret(value) if name in SECRETS else value) for name, value in found.items()]
    return (*options, *(("readPreferenceTags", each) for each in tags))


def _tags(text: str) -> str:
    if not text:
        return ""
    pairs = [tag.split(":") for tag in text.split(",")]
    return ",".join(
        ":".join(pieces.encoded(pieces.decoded(word, "mongodb", "an option", strict=False, plus=True)) for word in pair)
        for pair in pairs
    )


def _refused(reason: Reason, problem: str, cause: str, remedy: str) -> ConnectionStringRefused:
    return ConnectionStringRefused(reason, problem, kind="mongodb", cause=cause, remedy=remedy)
