"""Where to connect, how, and what to say when it fails; every secret stays inside."""

from __future__ import annotations

import functools
import importlib.resources
import os
import re
import shlex
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, unquote, urlencode

import psycopg
from psycopg import pq, sql
from psycopg.conninfo import make_conninfo

from lancio import embedded
from lancio.errors import ConnectionLost, ServerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

Origin = Literal["--database", "DATABASE_URL", "environment", "embedded"]

CONNECT_SECONDS = 10
"""How long a connection may take when neither the string nor PGCONNECT_TIMEOUT says so."""

_ALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
"""How a connection finds out that the other end is gone, where the string does not say (seconds; ms): a statement may
be silent for hours, and a firewall in between forgets who is silent. libpq takes no notice of it on a Unix socket."""

_NAMES_A_SERVER = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE")
_SECRET = frozenset({"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"})
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.])?|[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?|[/@][^\s]*|")
_MASK = "***"


@dataclass(frozen=True)
class Target:
    """A database that is named; nothing has been sent to it yet. Its repr and its texts hold no secret."""

    origin: Origin
    """Who named it."""
    conninfo: str = field(repr=False)
    """For libpq: the password may be in it."""
    display: str
    """`postgresql://user@host:port/dbname`, put together from the parts, never cut out of what was given."""
    psql_target: str
    """What follows `psql` on a shell's command line to reach the same database; without a password."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What `redact` takes out of any text about this target."""
    server: embedded.EmbeddedServer | None = None
    """The embedded server, when it is the target."""

    def psql(self, file: Path | str | None = None) -> str:
        """The shell command that runs a file by psql here: `psql "$DATABASE_URL" -f 001.sql`."""
        words = ["psql"]
        own = self.server.installation.tool("psql") if self.server is not None else None
        if self.server is not None and own is not None and shutil.which("psql") is None:
            # The embedded one's psql is lost without its own libraries.
            words = [
                *(f"{name}={shlex.quote(value)}" for name, value in _loader_path(self.server).items()),
                shlex.quote(str(own)),
            ]
        if self.psql_target:
            words.append(self.psql_target)
        if file is not None:
            words += ["-f", shlex.quote(str(file))]
        return " ".join(words)

    def redacted(self, text: str) -> str:
        """The text without this target's secrets."""
        return redact(text, self.secrets)


def resolve(database: str | None = None, environ: Mapping[str, str] | None = None) -> Target:
    """Find the database to work on: `database`, DATABASE_URL, libpq's PG* variables, the embedded server.

    `database` is what --database says: a URL, a libpq string of `key=value`, or a database's bare name. Service
    file, password file, sslmode and all other PG* variables are libpq's own doing; it reads them from the environment
    of this process, whatever `environ` says. The embedded server is started if it comes to that.

    Raises:
        UsageError: a connection string that is not one; its text is not repeated, since it may hold a password.
        EmbeddedError: nothing is named and the embedded server cannot be started.
    """
    environ = os.environ if environ is None else environ
    if database is not None:
        return _named(database, "--database")
    if url := environ.get("DATABASE_URL"):
        return _named(url, "DATABASE_URL")
    if any(environ.get(name) for name in _NAMES_A_SERVER):
        return _named("", "environment")
    return embedded_target(embedded.start(environ))


def embedded_target(server: embedded.EmbeddedServer, database: str = embedded.DATABASE) -> Target:
    """The embedded server's database, whatever the environment says of others."""
    return Target(
        origin="embedded",
        conninfo=make_conninfo("", **server.parameters(database)),
        display=_url({"user": embedded.SUPERUSER, "host": "127.0.0.1", "port": str(server.port), "dbname": database}),
        psql_target=shlex.quote(server.url_of(database)),
        secrets=(server.password,),
        server=server,
    )


def connect(
    target: Target, *, application_name: str = "lancio", role: str | None = None
) -> psycopg.Connection[tuple[object, ...]]:
    """Open a session in autocommit mode, as `role` if one is given (SET ROLE).

    Raises:
        ServerError: with cause and remedy for what went wrong, and no secret in it.
    """
    failure: psycopg.Error | None = None
    try:
        # Without the driver's own prepared statements: it ends them all at once, and the runner's with them.
        connection = psycopg.connect(
            _with_defaults(target.conninfo, application_name), autocommit=True, prepare_threshold=None
        )
    except psycopg.Error as error:
        failure = error
    if failure is not None:
        # Raised out here, so that an error that is not to be seen is not even its context.
        raise _refusal(target, failure) from _harmless(target, failure)
    if role is not None:
        try:
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        except psycopg.Error as error:
            connection.close()
            raise _role_refusal(target, role, error) from error
    return connection


def redact(text: str, secrets: Iterable[str]) -> str:
    """Replace each secret in a text by ***, also where it stands percent-encoded as in a URL."""
    forms = {form for secret in secrets if secret for form in (secret, quote(secret, safe=""), quote(secret))}
    if not forms:
        return text
    longest_first = sorted(forms, key=len, reverse=True)
    return re.sub("|".join(re.escape(form) for form in longest_first), _MASK, text)


def interrupted(target: Target, error: psycopg.Error) -> Exception:
    """What to raise for an error that came between question and answer: the connection's, the server's or the role's.

    Any other is a mistake in the question, so a bug: it is given back as it is.
    """
    said = target.redacted(" ".join(str(error.diag.message_primary or error).split()))
    state = error.sqlstate or ""
    if not state or state.startswith(("08", "57P")):
        return ConnectionLost("the connection ended while the database was asked", cause=said, remedy="Run it again.")
    if state == "57014":
        return ServerError(
            "a question took longer than this database allows",
            cause=said,
            remedy="Raise statement_timeout for this role, or run it again when the server has less to do.",
        )
    if state == "25006":
        return ServerError(
            "this database takes no changes now",
            cause=said,
            remedy="It is a standby, or default_transaction_read_only is on. Name the primary, or turn that off.",
        )
    if state.startswith(("53", "55", "40")) or state == "42501":
        return ServerError("the database did not answer", cause=said, remedy="Look at the cause, then run it again.")
    return error


def secrets_of(settings: Mapping[str, str]) -> tuple[str, ...]:
    """What must not be shown of session settings: each value that is long enough to hold a secret, and of an address
    its password and its user with the password, as written and as meant.

    A key's number, a word like `absent` and an address without a password are none.
    """
    found: dict[str, None] = {}
    for name, value in settings.items():
        if name.endswith(".key"):
            found[value] = None
            continue
        scheme, separator, rest = value.partition("://")
        if not separator or not scheme:
            if len(value) > LONGEST_WORD:
                found[value] = None
            continue
        user, at, _ = rest.rpartition("@")
        password = user.partition(":")[2]
        if at:
            found |= dict.fromkeys((value, user, password, unquote(password)))
    return tuple(secret for secret in found if secret)


LONGEST_WORD = 16
"""Characters up to which a setting that is no address cannot be taken for a secret."""


@functools.cache
def named_queries(package: str, file: str) -> Mapping[str, str]:
    """The statements of a package's .sql file by their names: each begins with a line `-- name: x`.

    Raises:
        ValueError: a name that comes twice, or a statement without one.
    """
    text = importlib.resources.files(package).joinpath(file).read_text(encoding="utf-8")
    head, *pieces = re.split(r"^-- name:[ \t]*(\S+)[ \t]*$", text, flags=re.MULTILINE)
    if any(line.strip() and not line.lstrip().startswith("--") for line in head.splitlines()):
        raise ValueError(f"{package}/{file}: a statement comes before the first -- name:")
    queries: dict[str, str] = {}
    for name, body in zip(pieces[::2], pieces[1::2], strict=True):
        if name in queries:
            raise ValueError(f"{package}/{file}: the name {name} comes twice")
        if not body.strip():
            raise ValueError(f"{package}/{file}: nothing is named {name}")
        queries[name] = body.strip()
    return queries


# --- reading a connection string --------------------------------------------------------------------------------------


def _named(text: str, origin: Origin) -> Target:
    """Check a connection string before libpq sees it: libpq would print parts of a password it took for a host."""
    text = text.strip()
    if text and "=" not in text and "://" not in text:
        if re.search(r"[@:/\s]", text):
            raise _not_a_string(origin)
        text = make_conninfo("", dbname=text)
    if "://" in text.split("=", 1)[0] and not re.match(r"postgres(?:ql)?://", text):
        scheme = re.match(r"[a-z][a-z0-9+.-]{0,30}(?=://)", text)
        raise UsageError(
            f"{origin} is not a PostgreSQL connection string",
            cause=f"It begins with {scheme[0]}://." if scheme else "It does not begin with postgresql://.",
            remedy="Write postgresql://user@host:5432/dbname.",
        )
    given = _parsed(text)
    if given is None:
        raise _not_a_string(origin)
    defaults = pq.Conninfo.get_defaults()
    merged = {option.keyword.decode(): option.val.decode(errors="replace") for option in defaults if option.val} | given
    if _misread(text, merged):
        raise _not_a_string(origin)
    secrets = tuple(value for name, value in merged.items() if name in _SECRET)
    return Target(
        origin=origin,
        conninfo=text,
        display=_url({**merged, "service": given.get("service", "")}),
        psql_target=_psql_target(origin, given),
        secrets=secrets,
    )


def _parsed(text: str) -> dict[str, str] | None:
    """What libpq reads in the string; its complaint is dropped: it quotes where it stumbled, perhaps a password."""
    try:
        return {found.keyword.decode(): found.val.decode() for found in pq.Conninfo.parse(text.encode()) if found.val}
    except (psycopg.Error, UnicodeError):
        return None


def _misread(text: str, options: Mapping[str, str]) -> bool:
    """Whether a special character of a password has made a host, a port or a database's name of its rest."""
    if "://" in text.split("=", 1)[0]:
        # As libpq reads it, user and password end at the first @ that no / precedes; a ? may stand in them.
        rest = text.split("://", 1)[1]
        userinfo = re.match(r"[^@/]*@", rest)
        if "@" in rest[userinfo.end() if userinfo else 0 :].split("?", 1)[0]:
            return True
    hosts = options.get("host", "").split(",") + options.get("hostaddr", "").split(",")
    ports = options.get("port", "").split(",")
    return not all(_HOST.fullmatch(host) for host in hosts) or not all(
        not port or (port.isdecimal() and port.isascii() and 0 < int(port) < 65536) for port in ports
    )


def _not_a_string(origin: Origin) -> UsageError:
    return UsageError(
        f"{origin if origin != 'environment' else 'the PG* environment'} is not a PostgreSQL connection string",
        cause="It cannot be taken apart into user, password, host, port and database. Often a special character "
        "stands in the password as it is. (The text is not shown, for a password may be in it.)",
        remedy="In a URL write special characters of user and password percent-encoded: %40 for @, %3A for :, %2F for "
        "/, %3F for ?, %23 for #, %25 for %, %20 for a space. Or leave the password out and keep it in ~/.pgpass or "
        "PGPASSWORD.",
    )


def _url(parts: Mapping[str, str]) -> str:
    """The masked form of a target: only these parts, each encoded anew."""
    if parts.get("service"):
        return f"postgresql:///?service={quote(parts['service'], safe='')}"
    user = quote(parts["user"], safe="") + "@" if parts.get("user") else ""
    hosts = (parts.get("host") or parts.get("hostaddr") or "").split(",")
    ports = (parts.get("port") or "").split(",")
    places = []
    for index, host in enumerate(hosts):
        port = ports[index] if index < len(ports) else ports[-1]
        name = quote(host, safe="[]:.") if host[:1] in ("/", "@") else f"[{host}]" if ":" in host else host
        places.append((name or "localhost") + (f":{port}" if port else ""))
    name = parts.get("dbname") or parts.get("user") or ""
    return f"postgresql://{user}{','.join(places)}/{quote(name, safe='')}"


def _psql_target(origin: Origin, given: Mapping[str, str]) -> str:
    if origin == "DATABASE_URL":
        return '"$DATABASE_URL"'
    if origin == "environment":
        return ""
    if given.get("service"):
        return shlex.quote(make_conninfo("", **{k: v for k, v in given.items() if k not in _SECRET}))
    named = ("user", "host", "port", "dbname")
    others = {name: value for name, value in given.items() if name not in {*named, *_SECRET}}
    if not given.get("host"):
        # The environment or libpq's default names the server: a URL with a host in it would override that.
        return shlex.quote(make_conninfo("", **{k: v for k, v in given.items() if k not in _SECRET}))
    query = "?" + urlencode(others, quote_via=quote) if others else ""
    return shlex.quote(_url({name: given.get(name, "") for name in named}) + query)


def _with_defaults(text: str, application_name: str) -> str:
    options = {option.keyword.decode(): option.val for option in pq.Conninfo.parse(text.encode())}
    extra: dict[str, str | int] = {"application_name": application_name}
    if not options.get("connect_timeout") and "PGCONNECT_TIMEOUT" not in os.environ and not options.get("service"):
        extra["connect_timeout"] = CONNECT_SECONDS
    if not options.get("service"):
        extra |= {name: value for name, value in _ALIVE.items() if options.get(name) is None}
    return make_conninfo(text, **extra)


def _loader_path(server: embedded.EmbeddedServer) -> dict[str, str]:
    environment = server.installation.environment()
    return {name: value for name, value in environment.items() if name.endswith("LIBRARY_PATH")}


# --- what went wrong --------------------------------------------------------------------------------------------------


def _harmless(target: Target, error: psycopg.Error) -> psycopg.Error | None:
    """The error itself, to be chained, if its text holds no secret of the target's."""
    text = str(error)
    return error if target.redacted(text) == text else None


@dataclass(frozen=True)
class _Case:
    pattern: re.Pattern[str]
    message: str
    cause: str
    remedy: str
    rule: str
    sqlstate: str
    sql: str
    """What mends it, sent to the server's database postgres; empty where that is not for a command to do."""


def _case(
    pattern: str, message: str, cause: str, remedy: str, rule: str = "", sqlstate: str = "", sql: str = ""
) -> _Case:
    return _Case(re.compile(pattern, re.IGNORECASE | re.DOTALL), message, cause, remedy, rule, sqlstate, sql)


# libpq gives no SQLSTATE for a session that never began, only PostgreSQL's sentence; the first that fits counts.
# {target} is the masked form, {1} the first group of the pattern, {said} the sentence itself without secrets.
_CASES = (
    _case(
        r"password authentication failed for user \"([^\"]*)\"",
        "the password of {1} is wrong for {target}",
        "The server knows no such user and password together.",
        "Check user and password: in the connection string, PGPASSWORD or ~/.pgpass (mode 0600, first matching line).",
        "bad-password",
        "28P01",
    ),
    _case(
        r"no password supplied|password (?:required|not available)",
        "{target} asks for a password",
        "None was given: not in the connection string, not in PGPASSWORD, and no line of ~/.pgpass fits.",
        "Put a line host:port:database:user:password into ~/.pgpass (mode 0600), or set PGPASSWORD.",
        "login-refused",
        "28000",
    ),
    _case(
        r"role \"([^\"]*)\" does not exist",
        "{target} has no role {1}",
        "A role of that name does not exist on the server.",
        "Name another user in the connection string or PGUSER, or have an administrator create the role.",
        "login-refused",
        "28000",
    ),
    _case(
        r"role \"([^\"]*)\" is not permitted to log in",
        "the role {1} may not log in to {target}",
        "It has NOLOGIN.",
        "Connect as a role with LOGIN and become this one by --role {1}.",
        "login-refused",
        "28000",
    ),
    _case(
        r"permission denied for database",
        "no right to connect to {target}",
        "The user lacks the CONNECT privilege on the database.",
        "Have its owner run: GRANT CONNECT ON DATABASE <name> TO <user>.",
        "no-right",
        "42501",
    ),
    _case(
        r"database \"([^\"]*)\" does not exist",
        "{target} has no database {1}",
        "The server is there, the database is not.",
        "Create it (createdb, or CREATE DATABASE), or name another one.",
        "missing-database",
        "3D000",
        "CREATE DATABASE {database}",
    ),
    _case(
        r"database \"([^\"]*)\" is not currently accepting connections",
        "the database {1} takes no connections",
        "It is marked with ALLOW_CONNECTIONS false.",
        "Name another database, or have an administrator allow connections to it.",
        "not-ready",
        "55000",
    ),
    _case(
        r"too many clients already|remaining connection slots|too many connections for",
        "no connection is free on {target}",
        "The server, the database or the role has reached its limit of connections.",
        "Close idle sessions (SELECT * FROM pg_stat_activity shows them) or raise max_connections, then try again.",
        "no-slots",
        "53300",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle' AND datname = {name} "
        "AND pid <> pg_backend_pid()",
    ),
    _case(
        r"database system is (?:starting up|in recovery mode|not yet accepting connections)"
        r"|not yet accepting connections",
        "{target} is starting up",
        "PostgreSQL is there but not ready, perhaps recovering after a crash.",
        "Wait a moment and try again; its log says how far it is.",
        "not-accepting",
        "57P03",
    ),
    _case(
        r"database system is shutting down|terminating connection due to administrator command",
        "{target} is shutting down",
        "PostgreSQL ends its sessions and takes no new ones.",
        "Start it again, then try again.",
        "not-accepting",
        "57P03",
    ),
    _case(
        r"server does not support SSL, but SSL was required",
        "{target} speaks no SSL",
        "The connection string or PGSSLMODE demands SSL, and the server has it switched off.",
        "Switch ssl on in the server, or allow a plain connection with sslmode=prefer where the network is trusted.",
        "unreachable",
        "08001",
    ),
    _case(
        r"no pg_hba\.conf entry.*(?:no encryption|SSL off)",
        "{target} refuses a connection without SSL",
        "pg_hba.conf has no rule for this user, database and address without encryption.",
        "Add sslmode=require to the connection string, or have an administrator add a rule to pg_hba.conf.",
        "login-refused",
        "28000",
    ),
    _case(
        r"no pg_hba\.conf entry|pg_hba\.conf rejects",
        "{target} refuses this address",
        "pg_hba.conf has no rule that lets this user come to this database from here.",
        "Have an administrator add a rule to pg_hba.conf.",
        "login-refused",
        "28000",
    ),
    _case(
        r"root certificate file|certificate verify failed|server certificate for|SSL error|certificate",
        "the SSL connection to {target} failed",
        "{said}",
        "Check sslmode and sslrootcert; sslrootcert=system takes the system's authorities.",
        "unreachable",
        "08001",
    ),
    _case(
        r"definition of service \"([^\"]*)\" not found|service file",
        "the connection service is not defined",
        "{said}",
        "Add it to ~/.pg_service.conf, or set PGSERVICEFILE to the file that has it.",
    ),
    _case(
        r"could not translate host name|failed to resolve host|Name or service not known|nodename nor servname",
        "the host of {target} is unknown",
        "Its name could not be resolved to an address.",
        "Check the spelling, and whether the name resolves from this machine. If part of a password stands where "
        "the host should: percent-encode its special characters.",
        "unreachable",
        "08001",
    ),
    _case(
        r"Connection refused|No such file or directory|connection timeout|timeout expired|No route to host"
        r"|Network is unreachable|Connection timed out|Host is down",
        "no PostgreSQL answers at {target}",
        "{said}",
        "Start the server, or check host and port. Without --database, DATABASE_URL and PG* variables Lancio uses "
        "an embedded server of its own.",
        "unreachable",
        "08001",
    ),
    _case(
        r"received invalid response|expected authentication request|server closed the connection unexpectedly"
        r"|Connection reset|invalid (?:port|integer)",
        "what answers at {target} is not PostgreSQL, or ended the connection",
        "{said}",
        "Check host and port; look into the server's log.",
        "connection-lost",
        "08006",
    ),
)


def _refusal(target: Target, error: psycopg.Error) -> ServerError:
    text = target.redacted(" ".join(str(error).split()))
    said = re.sub(r"^connection failed: ", "", text)
    for case in _CASES:
        if found := case.pattern.search(text):
            first = found.group(1) if found.re.groups and found.group(1) is not None else ""
            fill = {"{target}": target.display, "{1}": first, "{said}": said}
            words = [_fill(part, fill) for part in (case.message, case.cause, case.remedy)]
            refusal = ServerError(words[0], cause=words[1], remedy=words[2], commands=_mending(target, case))
            if case.rule:
                # The names are those of planner/diagnosis/rules.py; a test holds them together.
                refusal.more = {"rule": case.rule, "sqlstate": case.sqlstate}
            return refusal
    return ServerError(
        f"cannot connect to {target.display}",
        cause=said,
        remedy="Check the connection string; the server's log may say more.",
    )


def _mending(target: Target, case: _Case) -> tuple[str, ...]:
    """The psql line that mends it from the server's database postgres, which every server has; none for a service."""
    given = _parsed(target.conninfo) or {}
    if not case.sql or given.get("service"):
        return ()
    defaults = {each.keyword.decode(): each.val.decode() for each in pq.Conninfo.get_defaults() if each.val}
    parts = {name: given.get(name) or defaults.get(name, "") for name in ("user", "host", "port", "dbname")}
    name = parts["dbname"] or parts["user"]
    quoted = '"' + name.replace('"', '""') + '"'
    literal = "'" + name.replace("'", "''") + "'"
    statement = case.sql.replace("{database}", quoted).replace("{name}", literal)
    return (f"psql {shlex.quote(_url(parts | {'dbname': 'postgres'}))} -c {shlex.quote(statement)}",)


def _fill(template: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\{target\}|\{1\}|\{said\}", lambda found: values[found[0]], template)


def _role_refusal(target: Target, role: str, error: psycopg.Error) -> ServerError:
    missing = error.sqlstate in ("22023", "42704")
    return ServerError(
        f"cannot become the role {role} on {target.display}",
        cause="The role does not exist." if missing else "The user of the connection is not a member of that role.",
        remedy="Check the spelling of --role, or have it created."
        if missing
        else f'Have an administrator run: GRANT "{role}" TO the user of the connection.',
    )
