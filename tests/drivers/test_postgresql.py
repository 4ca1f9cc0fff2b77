"""PostgreSQL: how far a probe comes, what it says of what goes wrong, and the client that is ready.

Against real servers, and on the wire against what no server would say. Under LANCIO_PROOF=1 on all versions that are
installed, with a thousand passwords.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import random
import re
import signal
import socket
import string
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import postgresqls
import psycopg
import pytest
from postgresqls import PASSWORD, Secured, answering, message, pooler, refusal, request, started, taken

import servers
from lancio import drivers, embedded
from lancio.drivers import DatabaseRefused, Layer, Limits, Probe, findings, postgresql
from lancio.drivers.findings import Failed
from lancio.registry.connection_strings import PostgreSQL, parse
from lancio.registry.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from authority import Issued

    from lancio.drivers import Code

PROOF = os.environ.get("LANCIO_PROOF") == "1"
VERSIONS = tuple(range(18, 9, -1)) if PROOF else (18, 10)
SOME = VERSIONS if PROOF else (servers.EMBEDDED,)
PASSWORDS = 1000 if PROOF else 25
PATIENT = Limits(connect_s=5.0, total_s=10.0)
SHORT = Limits(connect_s=0.4, total_s=0.5)
LATE_S = 0.4
"""How much later than its limit a call may be noticed to have ended, on a machine that is busy."""

CANARIES = re.compile(r"canary|_user|with_cert|FATAL|psycopg|libpq: |SSL error|Errno", re.IGNORECASE)
"""Names, passwords, and words of the server's and libpq's: none of them is shown."""


def pg(text: str) -> PostgreSQL:
    value = parse(text)
    assert isinstance(value, PostgreSQL)
    return value


def ask(text: str | PostgreSQL, limits: Limits = PATIENT, upto: Layer = "read", *, local_files: bool = True) -> Probe:
    """A probe of the only host; it ends in time, and shows nothing that it may not."""
    target = pg(text) if isinstance(text, str) else text
    start = time.monotonic()
    (probe,) = drivers.probe(target, limits, upto, local_files=local_files)
    took = time.monotonic() - start
    assert took < limits.total_s + LATE_S, f"{took:.2f} s"
    shown(probe)
    return probe


def shown(probe: Probe) -> None:
    """Nothing but our own words, host and port; and a word for the detail that is none of the server's."""
    everything = repr(probe) + json.dumps(probe.as_dict())
    assert not CANARIES.search(everything), everything
    if probe.finding is None:
        return
    details = re.findall(r"\(([A-Za-z0-9_.-]+)\)", probe.finding.message)
    again = findings.finding(
        probe.kind, probe.host, Failed(probe.finding.layer, probe.finding.code, details[-1] if details else "")
    )
    assert probe.finding == again
    assert probe.finding.layer not in probe.passed


def told(probe: Probe) -> tuple[Layer | None, Code | None]:
    found = probe.finding
    return (found.layer, found.code) if found else (None, None)


@pytest.fixture(scope="module")
def each() -> Iterator[Callable[[int], Secured]]:
    """The server of a version, started when it is first asked for."""
    made: dict[int, Secured] = {}
    with contextlib.ExitStack() as stack:

        def get(version: int) -> Secured:
            if version not in made:
                try:
                    made[version] = stack.enter_context(postgresqls.secured(version))
                except servers.Unavailable as error:
                    pytest.skip(str(error))
            return made[version]

        yield get


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda version: f"pg{version}")
def secured(request: pytest.FixtureRequest, each: Callable[[int], Secured]) -> Secured:
    return each(request.param)


@pytest.fixture(scope="module")
def newest(each: Callable[[int], Secured]) -> Secured:
    return each(servers.EMBEDDED)


# --- what goes well ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Way:
    """A way in."""

    user: str = "scram_user"
    options: tuple[tuple[str, object], ...] = ()
    certificate: bool = False
    password: str | None = PASSWORD

    def url(self, made: Secured) -> str:
        own = {"sslcert": made.client.certificate, "sslkey": made.client.key} if self.certificate else {}
        return made.url(self.user, self.password, **(own | dict(self.options)))


WAYS = {
    "scram, bound to the channel": Way(options=(("channel_binding", "require"),)),
    "scram, not bound": Way(options=(("channel_binding", "disable"),)),
    "md5": Way("md5_user"),
    "password": Way("plain_user"),
    "trust": Way("trusted_user", password=None),
    "a certificate alone": Way("cert_user", certificate=True, password=None),
    "a certificate and a password": Way("with_cert", certificate=True),
    "no TLS": Way("clear_user", (("sslmode", "disable"),)),
    "prefer, where only no TLS goes": Way("clear_user", (("sslmode", "prefer"),)),
    "allow, where only TLS goes": Way("tls_user", (("sslmode", "allow"),)),
    "verify-ca": Way(options=(("sslmode", "verify-ca"),)),
    "TLS 1.2 at most": Way(options=(("ssl_max_protocol_version", "TLSv1.2"),)),
    "an option for the server": Way(options=(("options", "-c work_mem=1234kB"),)),
    "an allowed method": Way(options=(("require_auth", "!password,!md5"),)),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_each_way_to_log_in_is_gone_by_the_probe_and_by_the_client(secured: Secured, way: Way) -> None:
    if dict(way.options).get("channel_binding") == "require" and secured.server.version < 11:
        assert told(ask(way.url(secured))) == ("login", "login-method")
        return
    url = way.url(secured)
    probe = ask(url)
    assert probe.finding is None
    encrypted = way.user != "clear_user"
    assert probe.passed == tuple(layer for layer in drivers.LAYERS if layer != "tls" or encrypted)
    assert probe.version is not None
    assert probe.version.split(".")[0] == str(secured.server.version)
    assert (probe.role, probe.address) == ("primary", "127.0.0.1")
    with drivers.client(pg(url), PATIENT, local_files=True) as connection:
        assert isinstance(connection, psycopg.Connection)
        assert connection.execute("SELECT current_user::text").fetchone() == (way.user,)
        assert bool(connection.pgconn.ssl_in_use) is encrypted
    assert connection.closed


def test_a_probe_up_to_any_layer_leaves_no_line_in_the_log(secured: Secured) -> None:
    ask(secured.url())
    before = secured.log()
    for user in ("scram_user", "md5_user", "trusted_user"):
        for layer in drivers.LAYERS:
            if layer in ("reach", "tls") and secured.server.version < 12:
                continue  # it writes of each line that ends before a startup message
            for mode in ("verify-full", "disable"):
                probe = ask(secured.url(user, sslmode=mode), upto=layer)
                assert probe.finding is None
                expected = drivers.LAYERS[: drivers.LAYERS.index(layer) + 1]
                assert probe.passed == tuple(each for each in expected if each != "tls" or mode != "disable")
    time.sleep(0.1)
    assert secured.log() == before


def test_a_probe_is_one_connection_with_its_name(newest: Secured) -> None:
    newest.settings(log_connections="authentication", log_line_prefix="%a|")
    try:
        before = newest.log()
        assert ask(newest.url()).finding is None
        assert newest.log().removeprefix(before).count("connection authenticated") == 1
        with newest.server.connect() as connection:
            connection.execute("ALTER ROLE scram_user SET log_statement = 'all'")
        before = newest.log()
        assert ask(newest.url()).finding is None
        assert "lancio probe|" in newest.log().removeprefix(before)
    finally:
        with newest.server.connect() as connection:
            connection.execute("ALTER ROLE scram_user RESET ALL")
        newest.settings(log_connections="")


def test_roles_are_told(secured: Secured) -> None:
    assert ask(secured.url("reader_user")).role == "read-only"
    assert ask(secured.url("scram_user")).role == "primary"


@pytest.mark.parametrize("version", VERSIONS if PROOF else [max(VERSIONS), min(VERSIONS)])
def test_a_standby_is_a_replica(version: int) -> None:
    with postgresqls.standby(version) as server:
        probe = ask(server.url())
        assert (probe.finding, probe.role) == (None, "replica")
        for attrs in ("standby", "prefer-standby", "read-only", "any"):
            with drivers.client(pg(server.url() + f"?target_session_attrs={attrs}"), PATIENT) as connection:
                assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
        for attrs in ("read-write", "primary"):
            with pytest.raises(DatabaseRefused) as refused:
                enter(pg(server.url() + f"?target_session_attrs={attrs}"))
            assert refused.value.finding.code == "no-primary"


def test_sockets_are_connected_to(secured: Secured) -> None:
    server = secured.server
    url = secured.url(host=str(server.socket), sslmode="require", sslrootcert=None)
    probe = ask(url)
    assert (probe.finding, probe.address) == (None, None)
    assert probe.passed == ("name", "reach", "hello", "login", "read")
    with drivers.client(pg(url), local_files=True) as connection:
        assert connection.info.host == str(server.socket)


def test_an_address_stands_in_for_the_name(newest: Secured) -> None:
    url = newest.url(host="db.example.invalid", hostaddr="127.0.0.1")
    assert told(ask(url)) == ("tls", "certificate-name")
    assert ask(url.replace("verify-full", "verify-ca")).finding is None
    with drivers.client(pg(url.replace("verify-full", "verify-ca")), local_files=True) as connection:
        assert connection.info.hostaddr == "127.0.0.1"


def test_a_path_with_an_address_is_a_name_only(newest: Secured) -> None:
    url = newest.url(host="/a/folder", hostaddr="127.0.0.1", sslmode="require", sslrootcert=None)
    assert ask(url, local_files=False).passed[-1] == "read"
    with drivers.client(pg(url)) as connection:
        assert connection.info.hostaddr == "127.0.0.1"


def test_hosts_that_say_nothing_leave_time_for_the_one_that_answers(newest: Secured) -> None:
    with answering(silent) as dead:
        places = ",".join([f"127.0.0.1:{dead}"] * 3 + [f"127.0.0.1:{newest.server.port}"])
        target = pg(f"postgresql://scram_user:{PASSWORD}@{places}/app_canary")
        start = time.monotonic()
        with drivers.client(target, Limits(connect_s=2.0, total_s=4.0)) as connection:
            assert connection.info.port == newest.server.port
        assert time.monotonic() - start < 3.0


def test_all_hosts_are_probed_side_by_side_and_the_client_takes_the_first_that_goes(newest: Secured) -> None:
    def silent(line: socket.socket) -> None:
        while line.recv(4096):
            pass

    port = newest.server.port
    with answering(silent) as dead:
        url = (
            f"postgresql://scram_user:{PASSWORD}@127.0.0.1:{dead},127.0.0.1:{free_port()},127.0.0.1:{port}/app_canary"
            f"?connect_timeout=3"
        )
        limits = Limits(connect_s=0.4, total_s=1.5)
        start = time.monotonic()
        probes = drivers.probe(pg(url), limits)
        assert time.monotonic() - start < limits.total_s + LATE_S
        assert [told(probe)[1] for probe in probes] == ["timeout", "refused", None]
        assert [probe.host.port for probe in probes][2] == port
        with drivers.client(pg(url), limits) as connection:
            assert connection.info.port == port


def test_the_asynchronous_forms_are_the_same(newest: Secured) -> None:
    target = pg(newest.url())

    async def both() -> tuple[Probe, object]:
        (probe,) = await drivers.probe_all(target, PATIENT, local_files=True)
        async with postgresql.async_client(target, PATIENT, local_files=True) as connection:
            row = await (await connection.execute("SELECT current_user::text")).fetchone()
        # The synchronous ones wait also where a loop runs.
        assert ask(target).finding is None
        return probe, row

    probe, row = asyncio.run(both())
    assert probe.finding is None
    assert row == ("scram_user",)


def test_what_the_environment_says_to_libpq_is_not_sent_to_a_registered_server(
    newest: Secured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    passfile = tmp_path / "pgpass"
    passfile.write_text(f"*:*:*:*:{PASSWORD}\n")
    passfile.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passfile))
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    monkeypatch.setenv("PGSSLROOTCERT", "/none")
    monkeypatch.setenv("PGSSLCERT", str(newest.client.certificate))
    monkeypatch.setenv("PGSSLKEY", str(newest.client.key))
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=4321kB")
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.9")
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "1")
    monkeypatch.setenv("PGSSLMODE", "disable")
    monkeypatch.setenv("PGDATABASE", "postgres")
    monkeypatch.setenv("PGREQUIREAUTH", "gss")
    monkeypatch.setenv("PGMINPROTOCOLVERSION", "3.2")
    monkeypatch.setenv("PGMAXPROTOCOLVERSION", "3.2")
    services = tmp_path / "services"
    services.write_text(f"[canary]\nhost=127.0.0.9\npassword={PASSWORD}\noptions=-c work_mem=999kB\nsslmode=disable\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    monkeypatch.setenv("PGSERVICE", "canary")
    for user, code in (("scram_user", "login-required"), ("cert_user", "client-certificate")):
        target = pg(newest.url(user, None))
        assert told(ask(target))[1] == code
        with pytest.raises(DatabaseRefused) as refused:
            enter(target)
        assert refused.value.finding.code == code
    with drivers.client(pg(newest.url()), local_files=True) as connection:
        assert connection.execute("SHOW work_mem").fetchone() == ("4MB",)
    with drivers.client(pg(newest.url(min_protocol_version="3.2")), local_files=True) as connection:
        assert connection.info.user == "scram_user"
        assert connection.info.dbname == "app_canary"
        assert connection.pgconn.ssl_in_use


def test_a_second_connection_that_nobody_answers_does_not_use_up_the_time() -> None:
    """It is made to find out why the first came to nothing."""
    times = iter(range(9))

    def once(line: socket.socket) -> None:
        if next(times):
            silent(line)
        started(line)
        line.sendall(refusal("28000", "ClientAuthentication", "canary pg_hba.conf"))

    with answering(once) as port:
        start = time.monotonic()
        probe = ask(f"postgresql://ada@127.0.0.1:{port}/x?sslmode=disable", Limits(3.0, 6.0))
        assert time.monotonic() - start < 2.0
    assert told(probe) == ("login", "login-forbidden")


# --- a password of any characters -------------------------------------------------------------------------------------


def passwords(count: int) -> Iterator[str]:
    every = "".join(chr(code) for code in range(32, 127))
    yield every
    yield every[::-1]
    yield "\x01\x7f\t\r\n" + every
    yield "é\u00a0ß\u1680\ufb01 Ⅸ \u00adsoft ªº 密码 \U0001f511"
    yield "\u0627\u0031"  # SASLprep does not take it: the server and libpq use it as it is
    seed = random.Random(20260712)
    alphabet = every + string.punctuation * 3 + "äöü€\u00a0\u2003\ufe0f\u200dñ漢字"
    for _ in range(count - 5):
        yield "".join(seed.choice(alphabet) for _ in range(seed.randint(1, 99)))


def test_passwords_of_every_character_connect(newest: Secured) -> None:
    count = 0
    with newest.server.connect() as connection:
        for password in passwords(PASSWORDS):
            connection.execute(
                psycopg.sql.SQL("ALTER ROLE idle_user PASSWORD {}").format(psycopg.sql.Literal(password))
            )
            made = replace(pg(newest.url("idle_user")), password=Secret(password))
            target = pg(made.build())
            assert ask(target).finding is None, repr(password)
            with drivers.client(target, local_files=True) as opened:
                assert opened.info.password == password
            wrong = replace(target, password=Secret(password + "x"))
            if count % 20 == 0:
                assert told(ask(wrong)) == ("login", "login-failed")
            count += 1
    assert count == PASSWORDS


# --- what goes wrong, on real servers ---------------------------------------------------------------------------------

FAULTS: dict[str, tuple[Callable[[Secured], str], Layer, Code]] = {
    "a wrong password": (lambda s: s.url(password="canary-wrong"), "login", "login-failed"),
    "a wrong password, md5": (lambda s: s.url("md5_user", "canary-wrong"), "login", "login-failed"),
    "a wrong password, in clear": (lambda s: s.url("plain_user", "canary-wrong"), "login", "login-failed"),
    "a user that is not there": (lambda s: s.url("nobody_at_all"), "login", "login-failed"),
    "no password": (lambda s: s.url(password=None), "login", "login-required"),
    "no password, md5": (lambda s: s.url("md5_user", None), "login", "login-required"),
    "no such database": (lambda s: s.url(database="missing_canary"), "login", "database-missing"),
    "no line in pg_hba.conf": (lambda s: s.url("unlisted_user"), "login", "login-forbidden"),
    "rejected by pg_hba.conf": (lambda s: s.url("rejected_user"), "login", "login-forbidden"),
    "rejected without TLS too": (
        lambda s: s.url("rejected_user", sslmode="disable"), "login", "login-forbidden"
    ),
    "a role that may not log in": (lambda s: s.url("nologin_user"), "login", "login-forbidden"),
    "no right to connect": (lambda s: s.url(database="closed_canary"), "login", "login-forbidden"),
    "a database that takes no connections": (lambda s: s.url(database="shut_canary"), "login", "login-forbidden"),
    "too many connections of a role": (lambda s: s.url("full_user"), "login", "too-many-connections"),
    "TLS only": (lambda s: s.url("tls_user", sslmode="disable"), "tls", "tls-required"),
    "another name": (lambda s: s.url(host="db.example.invalid", hostaddr="127.0.0.1"), "tls", "certificate-name"),
    "an unknown authority": (lambda s: s.url(sslrootcert=s.stranger.file), "tls", "certificate-untrusted"),
    "an authority of the system's": (lambda s: s.url(sslrootcert="system"), "tls", "certificate-untrusted"),
    "no client certificate": (lambda s: s.url("with_cert"), "tls", "client-certificate"),
    "no client certificate, cert": (lambda s: s.url("cert_user"), "tls", "client-certificate"),
    "another user's certificate": (
        lambda s: s.url("cert_user", sslcert=other(s).certificate, sslkey=other(s).key),
        "login", "client-certificate",
    ),
    "a certificate of a stranger": (
        lambda s: s.url("cert_user", sslcert=strange(s).certificate, sslkey=strange(s).key), "tls",
        "client-certificate",
    ),
    "a certificate of a stranger, TLS 1.2": (
        lambda s: s.url("cert_user", sslcert=strange(s).certificate, sslkey=strange(s).key,
                        ssl_max_protocol_version="TLSv1.2"), "tls", "client-certificate",
    ),
    "a revoked certificate": (lambda s: s.url(sslcrl=s.authority.revoked(s.own)), "tls", "certificate-expired"),
    "a file that is not there": (lambda s: s.url(sslrootcert="/none/canary"), "tls", "tls-files"),
    "a device for a file": (lambda s: s.url(sslrootcert="/dev/zero"), "tls", "tls-files"),
    "a file that holds something else": (lambda s: s.url(sslrootcert=s.client.key), "tls", "tls-files"),
    "a key that is another's": (
        lambda s: s.url("cert_user", sslcert=s.client.certificate, sslkey=other(s).key), "tls", "tls-files"
    ),
    "a key that others may read": (
        lambda s: s.url("cert_user", sslcert=s.client.certificate, sslkey=readable(s)), "tls", "tls-files"
    ),
    "a key whose password is wrong": (
        lambda s: s.url("cert_user", sslcert=locked(s).certificate, sslkey=locked(s).key, sslpassword="canary"),
        "tls", "tls-files",
    ),
    "a key whose password is not given": (
        lambda s: s.url("cert_user", sslcert=locked(s).certificate, sslkey=locked(s).key), "tls", "tls-files"
    ),
    "a method that is not allowed": (lambda s: s.url(require_auth="md5"), "login", "login-method"),
    "no binding to the channel": (
        lambda s: s.url("md5_user", channel_binding="require"), "login", "login-method"
    ),
    "an old TLS": (lambda s: s.url(ssl_max_protocol_version="TLSv1.1", ssl_min_protocol_version="TLSv1"),
                   "tls", "option"),
    "an option that the server does not know": (lambda s: s.url(options="-c canary=1"), "login", "option"),
    "a service of this machine": (lambda s: s.url(service="canary"), "name", "option"),
    "another server to be asked": (lambda s: s.url(oauth_issuer="https://canary.invalid"), "name", "option"),
    "no right to read": (lambda s: s.url("blind_user", database="blind_canary"), "read", "read-denied"),
}  # fmt: skip


def other(made: Secured) -> Issued:
    return made.authority.issue("other", subject="another_person")


def strange(made: Secured) -> Issued:
    return made.stranger.issue("strange", subject="cert_user")


def locked(made: Secured) -> Issued:
    return made.authority.issue("locked", subject="cert_user", password="canary-of-the-key")


def readable(made: Secured) -> Path:
    path = made.authority.issue("readable", subject="cert_user").key
    path.chmod(0o644)
    return path


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_each_fault_is_told_by_its_code(secured: Secured, fault: tuple[Callable[[Secured], str], Layer, Code]) -> None:
    make, layer, code = fault
    target = pg(make(secured))
    assert told(ask(target)) == (layer, code)
    if layer == "read":  # a client asks for nothing of itself
        return
    with pytest.raises(DatabaseRefused) as refused:
        enter(target)
    assert (refused.value.finding.layer, refused.value.finding.code) == (layer, code)
    assert not CANARIES.search(json.dumps(refused.value.as_dict()) + repr(refused.value))
    assert refused.value.__context__ is None
    assert refused.value.__cause__ is None


def test_certificates_that_are_not_valid_now(secured: Secured) -> None:
    for label, span in (("expired", (-3, -1)), ("future", (1, 3))):
        with secured.presenting(secured.present(label, valid_from=span[0], valid_to=span[1])):
            assert told(ask(secured.url())) == ("tls", "certificate-expired")
            assert ask(secured.url(sslmode="require", sslrootcert=None)).finding is None
    assert ask(secured.url()).finding is None


def test_no_version_of_tls_in_common(secured: Secured) -> None:
    if secured.server.version < 12:
        return  # its lowest cannot be set
    secured.settings(ssl_min_protocol_version="TLSv1.3")
    try:
        assert told(ask(secured.url(ssl_max_protocol_version="TLSv1.2"))) == ("tls", "tls-failed")
        assert ask(secured.url()).finding is None
    finally:
        secured.settings(ssl_min_protocol_version="TLSv1.2")


def test_a_server_without_tls(secured: Secured) -> None:
    secured.settings(ssl="off")
    try:
        assert told(ask(secured.url())) == ("tls", "tls-unsupported")
        probe = ask(secured.url(sslmode="prefer", sslrootcert=None))
        assert (probe.finding, "tls" in probe.passed) == (None, False)
    finally:
        secured.settings(ssl="on")


def test_a_key_with_its_password_is_used(secured: Secured) -> None:
    own = locked(secured)
    url = secured.url("cert_user", None, sslcert=own.certificate, sslkey=own.key, sslpassword="canary-of-the-key")
    assert ask(url).finding is None
    with drivers.client(pg(url), local_files=True) as connection:
        assert not connection.closed
    both = secured.url("cert_user", None, sslcert=secured.client.both)
    assert ask(both).finding is None
    with drivers.client(pg(both), local_files=True) as connection:
        assert not connection.closed


def test_direct_tls(secured: Secured) -> None:
    url = secured.url(sslnegotiation="direct")
    if secured.server.version >= 17:
        assert ask(url).finding is None
        with drivers.client(pg(url), local_files=True) as connection:
            assert connection.pgconn.ssl_in_use
    else:
        assert told(ask(url)) == ("tls", "tls-failed")


def test_files_are_not_looked_at_for_a_stranger(newest: Secured, tmp_path: Path) -> None:
    named = [(name, tmp_path / "canary") for name in ("sslrootcert", "sslcert", "sslkey", "sslcrl")]
    for name, file in (*named, ("sslcert", "system")):
        url = newest.url(**({"sslmode": "require", "sslrootcert": None} | {name: file}))
        probe = ask(url, local_files=False)
        assert told(probe) == ("name", "option")
        assert name in probe.finding.message  # type: ignore[union-attr]
        with pytest.raises(DatabaseRefused), drivers.client(pg(url)):
            pass
    assert ask(newest.url(sslmode="require", sslrootcert=None), local_files=False).finding is None
    assert told(ask(newest.url(sslrootcert="system"), local_files=False)) == ("tls", "certificate-untrusted")


def test_all_connections_are_taken() -> None:
    with postgresqls.small(servers.EMBEDDED, 2) as server:
        held = [server.connect(), server.connect()]
        try:
            assert told(ask(server.url())) == ("hello", "too-many-connections")
        finally:
            for each in held:
                each.close()


@pytest.mark.parametrize("version", SOME)
def test_a_server_that_shuts_down(version: int) -> None:
    server = servers.start(version)
    try:
        with server.connect() as held:
            os.kill(embedded.read_postmaster(server.data).pid, signal.SIGTERM)  # type: ignore[union-attr,arg-type]
            deadline = time.monotonic() + 5
            while (found := told(ask(server.url()))) == (None, None) and time.monotonic() < deadline:
                time.sleep(0.02)
            assert found == ("hello", "stopping")
            held.close()
    finally:
        server.stop()


@pytest.mark.parametrize("version", SOME)
def test_a_server_that_is_not_ready(version: int) -> None:
    with postgresqls.starting(version) as server:
        probe = ask(server.url())
        assert told(probe) == ("hello", "starting")
        assert probe.role == "loading"


# --- what goes wrong on the wire --------------------------------------------------------------------------------------


def silent(line: socket.socket) -> None:
    while line.recv(65536):
        pass


def drip(line: socket.socket) -> None:
    for byte in message(b"N", b"x" * 1000) * 100:
        line.sendall(bytes([byte]))
        time.sleep(0.05)


def dripping_login(line: socket.socket) -> None:
    started(line)
    drip(line)


def banner(text: bytes) -> Callable[[socket.socket], None]:
    def script(line: socket.socket) -> None:
        line.sendall(text)
        silent(line)

    return script


def after_start(*answers: bytes) -> Callable[[socket.socket], None]:
    def script(line: socket.socket) -> None:
        started(line)
        for answer in answers:
            line.sendall(answer)
        silent(line)

    return script


def flood(kind: bytes) -> Callable[[socket.socket], None]:
    def script(line: socket.socket) -> None:
        started(line)
        while True:
            line.sendall(kind * 65536)

    return script


def notices(line: socket.socket) -> None:
    started(line)
    line.sendall(request(0))
    while True:
        line.sendall(message(b"N", b"SNOTICE\0\0" * 100) * 100)


def hang_up(line: socket.socket) -> None:
    line.recv(8)


def reset(line: socket.socket) -> None:
    line.recv(8)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def hang_up_at_login(line: socket.socket) -> None:
    started(line)
    line.sendall(request(3))
    taken(line)


def scram(answer: Callable[[bytes], bytes], end: bytes = b"") -> Callable[[socket.socket], None]:
    """A server whose SCRAM is wrong: what it answers is made of our nonce."""

    def script(line: socket.socket) -> None:
        started(line)
        line.sendall(request(10, b"SCRAM-SHA-256\0\0"))
        nonce = taken(line).rpartition(b"r=")[2]
        line.sendall(request(11, answer(nonce)))
        if end:
            taken(line)
            line.sendall(request(12, end) + request(0) + message(b"Z", b"I"))
        silent(line)

    return script


SALT = base64.b64encode(b"salt of a server")
OLD = b"\0\3" + b"".join(len(value).to_bytes(4, "big") + value for value in (b"f", b"off", b"9.6.24"))
IN = request(0) + message(b"S", b"server_version\x0016.4 (canary)\0") + message(b"Z", b"I")

WIRE: dict[str, tuple[Callable[[socket.socket], None], Layer, Code]] = {
    "says nothing": (silent, "tls", "timeout"),
    "says nothing behind the start": (after_start(), "hello", "timeout"),
    "drips": (drip, "hello", "other-kind"),
    "drips behind the start": (dripping_login, "hello", "timeout"),
    "hangs up": (hang_up, "tls", "closed"),
    "resets": (reset, "tls", "closed"),
    "hangs up at the login": (hang_up_at_login, "login", "closed"),
    "Redis": (banner(b"-ERR unknown command canary\r\n"), "hello", "other-kind"),
    "Memcached": (banner(b"ERROR\r\n"), "hello", "other-kind"),
    "MySQL": (banner(b"J\0\0\0\n8.0.36\0canary"), "hello", "other-kind"),
    "SSH": (banner(b"SSH-2.0-OpenSSH_9.6\r\n"), "tls", "tls-failed"),
    "HTTP": (banner(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "hello", "other-kind"),
    "HTTP behind the start": (after_start(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "hello", "other-kind"),
    "a gigabyte of zeros": (flood(b"\0"), "hello", "other-kind"),
    "a gigabyte of Rs": (flood(b"R"), "hello", "other-kind"),
    "a message of two gigabytes": (after_start(b"R\x7f\xff\xff\xff"), "hello", "other-kind"),
    "a message of less than nothing": (after_start(b"R\xff\xff\xff\xff"), "hello", "other-kind"),
    "notices without end": (notices, "login", "unexpected"),
    "an error without a state": (after_start(message(b"E", b"Mcanary\0\0")), "hello", "other-kind"),
    "starting": (after_start(refusal("57P03")), "hello", "starting"),
    "stopping": (after_start(refusal("57P01")), "hello", "stopping"),
    "starting, in German": (after_start(refusal("57P03", text="das Datenbanksystem startet")), "hello", "starting"),
    "stopping, in German": (
        after_start(refusal("57P03", text="das Datenbanksystem fährt herunter")), "hello", "stopping"
    ),
    "stopping, in Japanese": (
        after_start(refusal("57P03", text="データベースシステムはシャットダウンしています")), "hello", "stopping"
    ),
    "too many": (after_start(refusal("53300")), "hello", "too-many-connections"),
    "an unknown state": (after_start(refusal("XX000", text="Tenant canary not found")), "hello", "unexpected"),
    **{
        f"a pooler: {text}": (after_start(pooler(state, text)), layer, code)
        for state, text, layer, code in (
            ("08P01", "SASL authentication failed", "login", "login-failed"),
            ("08P01", 'database "canary" does not exist', "login", "database-missing"),
            ("08P01", "unsupported startup parameter: options", "login", "option"),
            ("08P01", "no more connections allowed (max_client_conn)", "hello", "too-many-connections"),
            ("08P01", "pgbouncer cannot connect to server", "login", "closed"),
            ("08P01", "not allowed", "login", "login-forbidden"),
            ("08P01", "canary", "hello", "unexpected"),
            ("XX000", "Tenant or user not found", "login", "login-failed"),
        )
    },
    "an old protocol": (after_start(refusal("0A000")), "hello", "unsupported-version"),
    "GSSAPI": (after_start(request(7)), "login", "login-method"),
    "SSPI": (after_start(request(9)), "login", "login-method"),
    "OAuth": (after_start(request(10, b"OAUTHBEARER\0\0")), "login", "login-method"),
    "an unknown method": (after_start(request(99)), "login", "login-method"),
    "a nonce that is not ours": (
        scram(lambda _: b"r=canary,s=" + SALT + b",i=4096"), "login", "unexpected"
    ),
    "iterations without end": (
        scram(lambda nonce: b"r=" + nonce + b"x,s=" + SALT + b",i=2147483647"), "login", "unexpected"
    ),
    "no salt": (scram(lambda nonce: b"r=" + nonce + b"x,i=4096"), "login", "unexpected"),
    "a server that does not know the password": (
        scram(lambda nonce: b"r=" + nonce + b"x,s=" + SALT + b",i=4096", b"v=" + base64.b64encode(b"x" * 32)),
        "login", "unexpected",
    ),
    "no answer to the question": (after_start(IN), "read", "timeout"),
    "an answer without a row": (after_start(IN, message(b"C", b"SELECT 0\0"), message(b"Z", b"I")),
                                "read", "read-failed"),
    "half a row": (after_start(IN, message(b"D", b"\0\3\0\0\0\7t"), message(b"Z", b"I")), "read", "unexpected"),
    "another error at the question": (after_start(IN, refusal("58030"), message(b"Z", b"I")), "read", "read-failed"),
    "stopped at the question": (after_start(IN, refusal("57P01")), "read", "stopping"),
    "an old version": (
        after_start(IN, message(b"D", OLD), message(b"Z", b"I")), "read", "unsupported-version",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", WIRE.values(), ids=WIRE)
def test_each_fault_on_the_wire_is_told_in_time(fault: tuple[Callable[[socket.socket], None], Layer, Code]) -> None:
    script, layer, code = fault
    with answering(script) as port:
        url = f"postgresql://canary_user:{PASSWORD}@127.0.0.1:{port}/canary"
        limits = SHORT if code == "timeout" else Limits(connect_s=2.0, total_s=3.0)
        assert told(ask(url, limits)) == (layer, code)
        # A client asks nothing by itself; and libpq does as many iterations as it is told (docs/decisions/0018).
        if layer != "read" and script is not WIRE["iterations without end"][0]:
            start = time.monotonic()
            with pytest.raises(DatabaseRefused) as refused:
                enter(pg(url), limits)
            assert time.monotonic() - start < limits.total_s + LATE_S
            assert not CANARIES.search(json.dumps(refused.value.as_dict()) + repr(refused.value))


ROW = b"\0\3" + b"".join(len(value).to_bytes(4, "big") + value for value in (b"false", b"off", b"16.4"))
TALK = (
    request(0)
    + message(b"N", b"SNOTICE\0C00000\0Mcanary\0\0")
    + IN.removeprefix(request(0))
    + message(b"T", b"\0\0")
    + message(b"D", ROW)
    + message(b"C", b"SELECT 1\0")
    + message(b"Z", b"I")
)
OURS = {"Protocol", "Authentication", "SASL", "SCRAM", "other", "sasl", "gss", "sspi", "krb5", "scm", "oauth", ""}


def bent(talk: bytes, seed: int) -> bytes:
    """What a server says, with something wrong in it."""
    chance = random.Random(seed)
    said = bytearray(talk)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(said))
        match chance.randrange(4):
            case 0:
                said[at] = chance.randrange(256)
            case 1:
                said[at] ^= 1 << chance.randrange(8)
            case 2:
                del said[at : at + chance.randint(1, 9)]
            case _:
                said[at:at] = chance.randbytes(chance.randint(1, 9))
    return bytes(said)


@pytest.mark.parametrize(
    "talk", [TALK, TALK.replace(request(0), refusal("28P01", "auth_failed"), 1)], ids=["in", "out"]
)
def test_whatever_a_server_says_there_is_an_answer_of_ours(talk: bytes) -> None:
    found = set()
    for seed in range(3000 if PROOF else 60):

        def script(line: socket.socket, said: bytes = bent(talk, seed)) -> None:
            started(line)
            line.sendall(said)
            line.shutdown(socket.SHUT_WR)
            silent(line)

        with answering(script) as port:
            probe = ask(f"postgresql://canary_user:{PASSWORD}@127.0.0.1:{port}/canary", Limits(2.0, 3.0))
        found.add(told(probe)[1])
        if probe.finding is not None:
            assert probe.finding.code != "timeout", seed
            detail = probe.finding.message.rpartition(" (")[2].removesuffix(")") if "(" in probe.finding.message else ""
            assert detail in OURS or re.fullmatch("[0-9A-Z]{5}", detail), (seed, probe.finding)
        assert probe.version is None or re.fullmatch(r"[0-9]+(\.[0-9]+)*((alpha|beta|devel|rc)[0-9]*)?", probe.version)
    assert len(found) >= 3


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def enter(target: PostgreSQL, limits: Limits = PATIENT) -> None:
    with drivers.client(target, limits, local_files=True):
        raise AssertionError("connected")
