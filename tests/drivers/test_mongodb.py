"""MongoDB: how far a probe comes, what it says of what goes wrong, and the client that is ready.

Against a responder on the wire (mongod.py), whose SCRAM and TLS are whole. No MongoDB server is installed by the suite:
with MONGODB_TEST_URL the same is asked of a real one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import ssl
import string
import threading
import time
import traceback
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import names
import pymongo
import pytest
from authority import Authority, Issued
from mongod import Fault, Mongod, Script, User, error, running
from postgresqls import answering

from lancio.drivers import mongodb
from lancio.drivers.findings import DatabaseRefused, words_for
from lancio.drivers.model import CODES, LAYERS, Code, Layer, Limits, Probe, Role
from lancio.registry.connection_strings import MongoDB, parse
from lancio.registry.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "s3cret-Pa55word"
ADA = User.with_password("ada", PASSWORD)
ADAS = Script(users=(ADA,))
SHORT = Limits(connect_s=0.4, total_s=0.5)
LONGER = Limits(connect_s=0.5, total_s=1.2)
PATIENT = Limits(connect_s=5.0, total_s=10.0)

# What pymongo and the server say, some of it with hosts, users and commands: none of it is ever shown.
DRIVERS_WORDS = (
    "Authentication failed", "full error", "errmsg", "codeName", "configured timeouts", "Topology", "not authorized",
    "requires authentication", "SSL handshake", "_ssl.c", "Errno", "[SSL", "requires wire version", "SASLprep:",
    "getaddrinfo", "Traceback", "SECRET-OF-THE-SERVER",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """pymongo's threads end soon behind their client's end; they are not waited for after each of them."""
    before = set(threading.enumerate())
    yield
    assert gone(before), threading.enumerate()


def mongo(text: str) -> MongoDB:
    value = parse(text)
    assert isinstance(value, MongoDB)
    return value


def url(server: Mongod, more: str = "", *, user: str = f"ada:{PASSWORD}@", database: str = "app") -> MongoDB:
    return mongo(f"mongodb://{user}127.0.0.1:{server.port}/{database}?authSource=admin{more}")


def ask(value: MongoDB, limits: Limits = PATIENT, upto: Layer = "read", **how: Any) -> Probe:
    """A probe; it ends in time, leaves no thread and no task, and shows nothing that it may not."""
    threads = set(threading.enumerate())

    async def asked() -> tuple[Probe, float]:
        begun = time.monotonic()
        found = await mongodb.probe(value, value.hosts[0], limits, upto, **how)
        took = time.monotonic() - begun
        await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left
        return found, took

    found, took = asyncio.run(asked())
    assert took < limits.total_s + 0.3, took
    assert gone(threads), threading.enumerate()
    hides(found, value)
    return found


def gone(before: set[threading.Thread], patience_s: float = 2.0) -> bool:
    """Whether no thread is there that was not before: soon, since a resolver's ends by itself."""
    until = time.monotonic() + patience_s
    while left := {thread for thread in threading.enumerate() if thread.is_alive()} - before:
        if time.monotonic() > until:
            return False
        next(iter(left)).join(0.02)
    return True


def hides(found: Probe, value: MongoDB) -> None:
    shown = repr(found) + json.dumps(asdict(found)) + str(found)
    assert value.password is None or value.password.reveal() not in shown
    for words in DRIVERS_WORDS:
        assert words.lower() not in shown.lower(), shown
    if found.finding:
        assert found.finding.code in CODES
        assert found.finding.layer in LAYERS
        assert found.finding.message
        assert found.finding.remedy
        assert found.finding.layer not in found.passed, found
    assert found.passed == LAYERS[: len(found.passed)] or "tls" not in found.passed


# --- what is there ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["", "&authMechanism=SCRAM-SHA-256", "&authMechanism=SCRAM-SHA-1"])
@pytest.mark.parametrize(("speculates", "skips_empty"), [(True, True), (False, False)])
def test_a_probe_goes_through_all_layers(mechanism: str, speculates: bool, skips_empty: bool) -> None:
    with running(Script(users=(ADA,), speculates=speculates, skips_empty=skips_empty)) as server:
        found = ask(url(server, mechanism))
        assert found.finding is None
        assert found.passed == ("name", "reach", "hello", "login", "read")
        assert (found.version, found.role, found.address) == ("7.0.15", "primary", "127.0.0.1")
        assert all(took > 0 for _, took in found.took_ms)
        assert server.logins == [("ada", mechanism[15:] or "SCRAM-SHA-256")]


@pytest.mark.parametrize("upto", LAYERS)
def test_a_probe_goes_no_further_than_asked(upto: Layer) -> None:
    with running(Script(users=(ADA,))) as server:
        found = ask(url(server), upto=upto)
        assert found.finding is None
        assert found.passed == tuple(layer for layer in LAYERS[: LAYERS.index(upto) + 1] if layer != "tls")
        assert server.accepted or upto in ("name", "reach", "tls")
        assert bool(server.logins) == (upto in ("login", "read"))
        assert ("listCollections" in server.seen) == (upto == "read")


@pytest.mark.parametrize(
    ("is_", "role"),
    [("standalone", "primary"), ("primary", "primary"), ("secondary", "replica"), ("hidden", "replica"),
     ("mongos", "router")],
)  # fmt: skip
def test_a_probe_tells_the_role(is_: Any, role: Role) -> None:
    with running(Script(role=is_, users=(ADA,))) as server:
        found = ask(url(server, "&readPreference=secondary&compressors=snappy,zstd&minPoolSize=9&w=majority"))
        assert (found.finding, found.role, found.version) == (None, role, "7.0.15")


def test_a_server_that_takes_no_writes_by_its_settings_is_told() -> None:
    with running(Script(hello={"readOnly": True})) as server:
        assert ask(url(server, user="")).role == "read-only"


def test_the_replica_set_of_the_string_is_the_servers() -> None:
    with running(Script(role="primary", users=(ADA,))) as server:
        assert ask(url(server, "&replicaSet=rs0")).finding is None


def test_without_a_database_the_list_of_databases_is_read() -> None:
    with running(Script(users=(ADA,))) as server:
        assert ask(url(server, database="")).passed[-1] == "read"
        assert "listDatabases" in server.seen


def test_a_unix_socket_is_probed(tmp_path: Path) -> None:
    path = tmp_path / "mongodb-27017.sock"
    with running(Script(users=(ADA,)), socket=path):
        value = mongo(f"mongodb://ada:{PASSWORD}@{quote(str(path), safe='')}/app?authSource=admin")
        found = ask(value, local_files=True)
        assert (found.finding, found.address) == (None, None)
        with mongodb.client(value, local_files=True) as client:
            assert client.app.list_collection_names() == ["orders", "people"]


def test_a_server_whose_login_takes_long_to_compute_holds_up_nobody_else() -> None:
    slow = User.with_password("ada", PASSWORD, mechanisms=("SCRAM-SHA-256",), iterations=1_000_000)

    async def ticking() -> tuple[Probe, float]:
        value = url(server)
        asked = asyncio.create_task(mongodb.probe(value, value.hosts[0]))
        longest = 0.0
        while not asked.done():
            begun = time.monotonic()
            await asyncio.sleep(0.005)
            longest = max(longest, time.monotonic() - begun)
        return asked.result(), longest

    with running(Script(users=(slow,))) as server:
        found, longest = asyncio.run(ticking())
    assert found.finding is None
    assert longest < dict(found.took_ms)["login"] / 1000 * 0.75


def test_what_a_server_says_of_its_version_is_not_shown_as_it_is() -> None:
    fault = Fault("buildInfo", {"version": "\x1b[31m" + PASSWORD, "ok": 1.0})
    with running(Script(users=(ADA,), faults=(fault,))) as server:
        found = ask(url(server))
        assert (found.finding, found.version) == (None, None)


def test_probes_side_by_side_do_not_disturb_each_other() -> None:
    async def many(value: MongoDB) -> list[Probe]:
        return await asyncio.gather(*(mongodb.probe(value, value.hosts[0]) for _ in range(20)))

    with running(Script(users=(ADA,))) as server:
        assert [found.finding for found in asyncio.run(many(url(server)))] == [None] * 20
        assert len(server.logins) == 20


# --- what goes wrong --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wrong:
    """A fault and what a probe tells of it."""

    name: str
    layer: Layer
    code: Code
    script: Script = ADAS
    more: str = ""
    user: str = f"ada:{PASSWORD}@"
    database: str = "app"
    limits: Limits = PATIENT
    role: Role | None = None


def says(at: str, code: int, name: str = "Unknown") -> Script:
    return Script(
        users=(ADA,), faults=(Fault(at, error(code, name, f"SECRET-OF-THE-SERVER {PASSWORD}")),), speculates=False
    )


def does(at: str, do: Any) -> Script:
    return Script(users=(ADA,), faults=(Fault(at, do),), speculates=False)


WRONG = [
    # hello
    Wrong("nothing is said", "hello", "timeout", does("connect", "silence"), limits=SHORT),
    Wrong("a hello is not answered", "hello", "timeout", does("hello", "silence"), limits=SHORT),
    Wrong("a hello drips", "hello", "timeout", does("hello", "drip"), limits=SHORT),
    Wrong("garbage is sent", "hello", "other-kind", does("connect", "garbage")),
    Wrong("a hello is garbage", "hello", "other-kind", does("hello", "garbage")),
    Wrong("a web server answers", "hello", "other-kind", does("hello", "http")),
    Wrong("a hello is no BSON", "hello", "other-kind", does("hello", "not-bson")),
    Wrong("a hello has two gigabytes", "hello", "other-kind", does("hello", "huge")),
    Wrong("hello is no command there", "hello", "other-kind", says("hello", 59, "CommandNotFound")),
    Wrong("a hello has no versions", "hello", "other-kind", Script(hello={"maxWireVersion": None})),
    Wrong("it has too many connections and hangs up", "hello", "closed", does("connect", "hang-up")),
    Wrong("it hangs up on the hello", "hello", "closed", does("hello", "hang-up")),
    Wrong("it is too old", "hello", "unsupported-version", Script(wire=(0, 6))),
    Wrong("it is too new", "hello", "unsupported-version", Script(wire=(90, 99))),
    Wrong("it shuts down", "hello", "stopping", says("hello", 91, "ShutdownInProgress")),
    Wrong("it shuts down, and interrupts", "hello", "stopping", says("hello", 11600, "InterruptedAtShutdown")),
    Wrong("it says what nobody knows", "hello", "unexpected", says("hello", 987654)),
    Wrong("it has no replica set yet", "hello", "starting", Script(role="startup"), role="loading"),
    Wrong("it recovers", "hello", "starting", Script(role="recovering"), role="loading"),
    Wrong("it is of another set", "hello", "option", Script(role="primary", set_name="other"), "&replicaSet=rs0",
          role="primary"),
    Wrong("it is of no set", "hello", "option", Script(), "&replicaSet=rs0", role="primary"),
    Wrong("it is a router, not of the set", "hello", "option", Script(role="mongos"), "&replicaSet=rs0",
          role="router"),
    # login
    Wrong("the password is wrong", "login", "login-failed", user="ada:S3cret-Pa55word@"),
    Wrong("the password is wrong, by SCRAM-SHA-1", "login", "login-failed", more="&authMechanism=SCRAM-SHA-1",
          user="ada:S3cret-Pa55word@"),
    Wrong("the user is not known", "login", "login-failed", user=f"bob:{PASSWORD}@"),
    Wrong("the user is another database's", "login", "login-failed", more="&authSource=app"),
    Wrong("no user can have this password", "login", "login-failed", user="ada:%07@"),
    Wrong("of this password nothing is left", "login", "login-failed", user="ada:%C2%AD@"),
    Wrong("Atlas says no", "login", "login-failed", says("saslContinue", 8000, "AtlasError")),
    Wrong("it cannot prove that it knows the password", "login", "unexpected",
          Script(users=(ADA,), forges="signature")),
    Wrong("it changes the nonce", "login", "unexpected", Script(users=(ADA,), forges="nonce")),
    Wrong("it wants too few iterations", "login", "unexpected", Script(users=(ADA,), forges="few")),
    Wrong("it wants two billion iterations", "login", "unexpected", Script(users=(ADA,), forges="many"), limits=SHORT),
    Wrong("a mechanism is switched off", "login", "login-method", Script(users=(ADA,), mechanisms=("SCRAM-SHA-256",)),
          "&authMechanism=SCRAM-SHA-1"),
    Wrong("logging in is not known", "login", "login-method", says("saslStart", 59, "CommandNotFound")),
    Wrong("the address is not allowed", "login", "login-forbidden",
          says("saslContinue", 168, "AuthenticationRestrictionUnmet")),
    Wrong("it is an arbiter", "login", "login-forbidden", Script(role="arbiter", users=(ADA,)), role="arbiter"),
    Wrong("a login is not answered", "login", "timeout", does("saslStart", "silence"), limits=SHORT),
    Wrong("a proof is not answered", "login", "timeout", does("saslContinue", "silence"), limits=SHORT),
    Wrong("a login drips", "login", "timeout", does("saslContinue", "drip"), limits=SHORT),
    Wrong("it hangs up on a login", "login", "closed", does("saslStart", "hang-up")),
    Wrong("it hangs up on a proof", "login", "closed", does("saslContinue", "hang-up")),
    Wrong("a login is no BSON", "login", "unexpected", does("saslStart", "not-bson")),
    # read
    Wrong("a password is wanted", "read", "login-required", user=""),
    Wrong("a password is wanted for the list of databases", "read", "login-required", user="", database=""),
    Wrong("the user may not read", "read", "read-denied", database="secrets"),
    Wrong("reading fails", "read", "read-failed", says("listCollections", 8, "UnknownError")),
    Wrong("a question is not known", "read", "read-failed", says("listCollections", 59, "CommandNotFound")),
    Wrong("it is no primary any more", "read", "no-primary", says("listCollections", 10107, "NotWritablePrimary")),
    Wrong("it steps down", "read", "no-primary", says("listCollections", 11602, "InterruptedDueToReplStateChange")),
    Wrong("it recovers from now on", "read", "starting", says("listCollections", 13436, "NotPrimaryOrSecondary")),
    Wrong("it shuts down from now on", "read", "stopping", says("listCollections", 91, "ShutdownInProgress")),
    Wrong("it gives up in time", "read", "timeout", says("listCollections", 50, "MaxTimeMSExpired")),
    Wrong("it has too many sessions", "read", "too-many-connections",
          says("listCollections", 261, "TooManyLogicalSessions")),
    Wrong("a question is not answered", "read", "timeout", does("listCollections", "silence"), limits=SHORT),
    Wrong("an answer drips", "read", "timeout", does("buildInfo", "drip"), limits=SHORT),
    Wrong("it hangs up on a question", "read", "closed", does("listCollections", "hang-up")),
    Wrong("an answer is no BSON", "read", "unexpected", does("buildInfo", "not-bson")),
    # options
    Wrong("a list of authorities is a file of ours", "name", "option", more="&tls=true&tlsCAFile=/etc/passwd"),
    Wrong("a key is a file of ours", "name", "option", more="&tls=true&tlsCertificateKeyFile=/etc/ssl/private/key.pem"),
    Wrong("a list of revocations is a file of ours", "name", "option", more="&tls=true&tlsCRLFile=/etc/passwd"),
    Wrong("the login would be this machine's", "name", "option", more="&authMechanism=MONGODB-AWS", user=""),
    Wrong("TLS is off and set up", "name", "option", more="&tls=false&tlsAllowInvalidHostnames=false"),
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.name)
def test_a_fault_is_told_by_its_code(wrong: Wrong) -> None:
    with Mongod(wrong.script) as server:
        found = ask(url(server, wrong.more, user=wrong.user, database=wrong.database), wrong.limits)
    assert found.finding is not None
    assert (found.finding.layer, found.finding.code) == (wrong.layer, wrong.code), found
    assert wrong.role is None or found.role == wrong.role


def test_the_oldest_version_is_the_one_that_pymongo_speaks() -> None:
    assert (
        f"MongoDB {pymongo.common.MIN_SUPPORTED_SERVER_VERSION} " in words_for("mongodb", "unsupported-version").remedy
    )


def test_there_are_enough_faults_and_codes() -> None:
    assert len(WRONG) >= 20
    assert len({(wrong.layer, wrong.code) for wrong in WRONG}) >= 20


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def right(authority: Authority) -> Issued:
    return authority.issue("right", "127.0.0.1", "localhost")


def serving(issued: Issued, clients: Path | None = None, *, must: bool = True) -> ssl.SSLContext:
    """A server's context; with `clients` it wants certificates from that authority."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(issued.certificate, issued.key)
    if clients:
        made.load_verify_locations(clients)
        made.verify_mode = ssl.CERT_REQUIRED if must else ssl.CERT_OPTIONAL
    return made


def over_tls(server: Mongod, more: str = "", **how: Any) -> MongoDB:
    return url(server, f"&tls=true{more}", **how)


def test_a_certificate_of_the_own_authority_is_checked_and_right(authority: Authority, right: Issued) -> None:
    with running(Script(users=(ADA,)), tls=serving(right)) as server:
        value = over_tls(server, f"&tlsCAFile={authority.file}")
        found = ask(value, local_files=True)
        assert found.finding is None
        assert found.passed == LAYERS
        with mongodb.client(value, local_files=True) as client:
            assert client.app.list_collection_names() == ["orders", "people"]


def test_a_file_of_authorities_switches_tls_on(authority: Authority, right: Issued) -> None:
    with running(Script(users=(ADA,)), tls=serving(right)) as server:
        assert ask(url(server, f"&tlsCAFile={authority.file}"), local_files=True).passed == LAYERS


def test_without_checks_any_certificate_will_do(right: Issued) -> None:
    with running(Script(users=(ADA,)), tls=serving(right)) as server:
        assert ask(over_tls(server, "&tlsInsecure=true")).passed == LAYERS


def test_a_client_logs_in_by_its_certificate(authority: Authority, right: Issued) -> None:
    ours = authority.issue("client", subject="ada", password=PASSWORD)
    ada = User.with_certificate("CN=ada")
    with running(Script(users=(ada,)), tls=serving(right, authority.file)) as server:
        value = mongo(
            f"mongodb://127.0.0.1:{server.port}/app?tls=true&authMechanism=MONGODB-X509&authSource=$external"
            f"&tlsCAFile={authority.file}&tlsCertificateKeyFile={ours.both}&tlsCertificateKeyFilePassword={PASSWORD}"
        )
        found = ask(value, local_files=True)
        assert found.finding is None
        assert server.logins[-1] == ("CN=ada", "MONGODB-X509")
        with mongodb.client(value, local_files=True) as client:
            assert client.app.orders.find_one() == {"_id": 1, "what": "a document"}


@pytest.mark.parametrize(
    ("names", "days", "trusted", "code"),
    [
        (("127.0.0.1",), (-1, 1), False, "certificate-untrusted"),
        (("127.0.0.1",), (-9, -2), True, "certificate-expired"),
        (("127.0.0.1",), (2, 9), True, "certificate-expired"),
        (("db.example",), (-1, 1), True, "certificate-name"),
    ],
)
def test_a_certificate_that_is_wrong_is_told(
    authority: Authority, tmp_path: Path, names: tuple[str, ...], days: tuple[int, int], trusted: bool, code: Code
) -> None:
    by = authority if trusted else Authority(tmp_path / "other", "Another")
    issued = by.issue("wrong", *names, valid_from=days[0], valid_to=days[1])
    with Mongod(Script(users=(ADA,)), tls=serving(issued)) as server:
        refused(over_tls(server, f"&tlsCAFile={authority.file}"), "tls", code)
        assert server.seen == []


def test_a_server_that_wants_a_certificate_is_told(authority: Authority, right: Issued, tmp_path: Path) -> None:
    theirs = Authority(tmp_path / "other", "Another").issue("client", subject="ada")
    with Mongod(Script(users=(ADA,)), tls=serving(right, authority.file)) as server:
        trust = f"&tlsCAFile={authority.file}"
        refused(over_tls(server, trust), "tls", "client-certificate")
        refused(over_tls(server, f"{trust}&tlsCertificateKeyFile={theirs.both}"), "tls", "client-certificate")


def test_a_server_without_tls_is_told() -> None:
    with Mongod(Script(users=(ADA,))) as server:
        refused(over_tls(server), "tls", "tls-unsupported")


def test_a_server_that_takes_tls_only_is_told(authority: Authority, right: Issued) -> None:
    for context in (serving(right), serving(right, authority.file)):
        with Mongod(Script(users=(ADA,)), tls=context) as server:
            refused(url(server), "tls", "tls-required")


def test_a_handshake_that_nobody_answers_ends_in_time() -> None:
    with Mongod(does("connect", "silence")) as server:
        refused(over_tls(server), "tls", "timeout", SHORT)


@pytest.mark.parametrize(("more", "layer", "code"), [("tls=true", "tls", "tls-failed"), ("", "hello", "closed")])
def test_a_second_connection_that_nobody_answers_does_not_use_up_the_time(more: str, layer: Layer, code: Code) -> None:
    """It is made to find out why the first broke off."""
    times = iter(range(9))

    def once(line: socket.socket) -> None:
        line.recv(1)
        if next(times):
            while line.recv(65536):
                pass

    with answering(once) as port:
        value = mongo(f"mongodb://ada:{PASSWORD}@127.0.0.1:{port}/app?{more}")
        begun = time.monotonic()
        found = ask(value, Limits(3.0, 6.0))
        assert time.monotonic() - begun < 2.0
    assert found.finding is not None
    assert (found.finding.layer, found.finding.code) == (layer, code)


def test_what_is_no_tls_is_told() -> None:
    with Mongod(does("connect", "http")) as server:
        refused(over_tls(server), "tls", "tls-failed")


def test_files_that_cannot_be_used_are_told(authority: Authority, right: Issued, tmp_path: Path) -> None:
    sealed = authority.issue("sealed", subject="ada", password=PASSWORD)
    (tmp_path / "empty.pem").write_text("")
    with Mongod(Script(users=(ADA,)), tls=serving(right)) as server:
        for more in (
            f"&tlsCAFile={tmp_path}/missing.pem",
            f"&tlsCAFile={tmp_path}/empty.pem",
            f"&tlsCAFile={tmp_path}",
            f"&tlsCertificateKeyFile={sealed.both}",
            f"&tlsCertificateKeyFile={sealed.both}&tlsCertificateKeyFilePassword=wrong",
            f"&tlsCertificateKeyFile={sealed.certificate}",
        ):
            refused(over_tls(server, more), "tls", "tls-files")


def refused(value: MongoDB, layer: Layer, code: Code, limits: Limits = PATIENT) -> None:
    """A probe and a client are refused for the same reason, in time."""
    found = ask(value, limits, local_files=True)
    assert found.finding is not None
    assert (found.finding.layer, found.finding.code) == (layer, code), found
    before, begun = set(threading.enumerate()), time.monotonic()
    with pytest.raises(DatabaseRefused) as no, mongodb.client(value, limits, local_files=True):
        pass
    assert time.monotonic() - begun < limits.total_s + 0.5
    assert gone(before)
    assert (no.value.finding.layer, no.value.finding.code) == (layer, code)
    told = "".join(traceback.format_exception(no.value)) + repr(no.value) + json.dumps(no.value.as_dict())
    assert PASSWORD not in told
    assert not any(words in told for words in DRIVERS_WORDS if words != "Traceback"), told


# --- name and reach ---------------------------------------------------------------------------------------------------


def test_a_name_that_is_none_is_told() -> None:
    refused(mongo(f"mongodb://ada:{PASSWORD}@no-such-host.invalid/app"), "name", "name-unknown")


def test_a_port_where_nobody_listens_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        refused(mongo(f"mongodb://ada:{PASSWORD}@127.0.0.1:{taken.getsockname()[1]}/app"), "reach", "refused")


def test_a_server_that_takes_no_connection_is_told() -> None:
    with socket.socket() as deaf, contextlib.ExitStack() as crowd:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(3):
            line = crowd.enter_context(socket.socket())
            line.setblocking(False)
            line.connect_ex(deaf.getsockname())
        refused(mongo(f"mongodb://ada:{PASSWORD}@127.0.0.1:{deaf.getsockname()[1]}/app"), "reach", "timeout", SHORT)


def test_a_socket_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = quote(str(tmp_path / "none.sock"), safe="")
    refused(mongo(f"mongodb://ada:{PASSWORD}@{path}/app"), "reach", "socket-missing")


# --- the client -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [each for each in WRONG if each.layer in ("hello", "login")], ids=lambda w: w.name)
def test_a_client_is_refused_as_a_probe_is(wrong: Wrong) -> None:
    with Mongod(wrong.script) as server:
        value, begun = url(server, wrong.more, user=wrong.user, database=wrong.database), time.monotonic()
        limits = wrong.limits if wrong.role != "arbiter" else SHORT
        with pytest.raises(DatabaseRefused) as no, mongodb.client(value, limits):
            pass
        assert time.monotonic() - begun < limits.total_s + 0.5
    told = "".join(traceback.format_exception(no.value)) + json.dumps(no.value.as_dict())
    assert value.password is None or PASSWORD not in told
    assert not any(words in told for words in DRIVERS_WORDS if words != "Traceback"), told
    if wrong.role != "arbiter":
        assert no.value.finding.code == wrong.code


def test_a_client_is_closed_behind_its_block() -> None:
    before = set(threading.enumerate())
    with running(Script(users=(ADA,))) as server:
        before |= set(threading.enumerate())
        with contextlib.suppress(ZeroDivisionError), mongodb.client(url(server)) as client:
            assert isinstance(client, pymongo.MongoClient)
            assert client.app.orders.find_one() == {"_id": 1, "what": "a document"}
            raise ZeroDivisionError
        assert gone(before)
        with pytest.raises(pymongo.errors.InvalidOperation):
            client.app.orders.find_one()
        until = time.monotonic() + 2
        while server.open_lines and time.monotonic() < until:
            time.sleep(0.01)
        assert server.open_lines == 0


def test_a_client_can_be_had_where_a_loop_runs() -> None:
    async def inside(value: MongoDB) -> list[str]:
        with mongodb.client(value) as client:
            return client.app.list_collection_names()

    with running(Script(users=(ADA,))) as server:
        assert asyncio.run(inside(url(server))) == ["orders", "people"]


def test_an_asynchronous_client_does_the_same() -> None:
    async def use(value: MongoDB) -> list[str]:
        async with mongodb.async_client(value) as client:
            names = await client.app.list_collection_names()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return names

    with running(Script(users=(ADA,))) as server:
        assert asyncio.run(use(url(server))) == ["orders", "people"]
        with pytest.raises(DatabaseRefused) as no:
            asyncio.run(use(url(server, user="ada:wrong@")))
        assert no.value.finding.code == "login-failed"
    begun = time.monotonic()
    with Mongod(does("ping", "drip")) as server, pytest.raises(DatabaseRefused) as no:
        asyncio.run(_opened(url(server), SHORT))
    assert time.monotonic() - begun < SHORT.total_s + 0.5
    assert no.value.finding.code == "timeout"


async def _opened(value: MongoDB, limits: Limits) -> None:
    async with mongodb.async_client(value, limits):
        pass


def test_a_set_without_a_primary_is_told_unless_secondaries_will_do() -> None:
    with running(Script(role="secondary", users=(ADA,))) as server:
        with pytest.raises(DatabaseRefused) as no, mongodb.client(url(server), SHORT):
            pass
        assert no.value.finding.code == "no-primary"
        with mongodb.client(url(server, "&readPreference=secondaryPreferred"), SHORT) as client:
            assert client.app.orders.find_one() == {"_id": 1, "what": "a document"}


def test_one_of_several_hosts_is_enough() -> None:
    with socket.socket() as taken, running(Script(role="primary", users=(ADA,))) as server:
        taken.bind(("127.0.0.1", 0))
        hosts = f"127.0.0.1:{taken.getsockname()[1]},127.0.0.1:{server.port}"
        with mongodb.client(mongo(f"mongodb://ada:{PASSWORD}@{hosts}/app?authSource=admin&replicaSet=rs0")) as client:
            assert client.app.list_collection_names() == ["orders", "people"]


def test_a_host_that_says_nothing_does_not_keep_the_others_from_answering() -> None:
    silent = Mongod(Script(faults=(Fault("hello", "silence"),)))
    limits = Limits(connect_s=1.0, total_s=1.5)
    with silent, running(Script(role="primary", users=(ADA,))) as server:
        hosts = f"127.0.0.1:{silent.port},127.0.0.1:{server.port}"
        value = mongo(f"mongodb://ada:{PASSWORD}@{hosts}/app?authSource=admin&replicaSet=rs0")
        begun = time.monotonic()
        with mongodb.client(value, limits) as client:
            assert client.app.list_collection_names() == ["orders", "people"]
        assert time.monotonic() - begun < limits.total_s


def test_more_rounds_than_there_is_time_for_end_in_time_for_a_client_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a probe that was let in: a server can ask each connection for another number."""
    probed = mongodb.probe

    async def first(*given: Any, **how: Any) -> Probe:
        found = await probed(*given, **how)
        server.script = replace(server.script, forges="slow")
        return found

    monkeypatch.setattr(mongodb, "probe", first)
    with Mongod(Script(users=(ADA,))) as server:
        begun = time.monotonic()
        with pytest.raises(DatabaseRefused) as no, mongodb.client(url(server), SHORT):
            pass
        assert time.monotonic() - begun < SHORT.total_s + 0.3
    assert no.value.finding.code == "timeout"


@pytest.mark.parametrize(
    ("at", "do", "secured"),
    [("connect", "silence", False), ("connect", "silence", True), ("hello", "drip", False), ("hello", "silence", True),
     ("ping", "drip", False)],
)  # fmt: skip
def test_a_server_that_turns_deaf_behind_the_first_hello_is_told_in_time(
    right: Issued, at: str, do: Any, secured: bool
) -> None:
    after = 0 if at == "ping" else 1
    script = Script(users=(ADA,), faults=(Fault(at, do, after),))
    before = set(threading.enumerate())
    with Mongod(script, tls=serving(right) if secured else None) as server:
        value, begun = url(server, "&tls=true&tlsInsecure=true" if secured else ""), time.monotonic()
        with pytest.raises(DatabaseRefused) as no, mongodb.client(value, LONGER):
            pass
        assert time.monotonic() - begun < LONGER.total_s + 0.1
        assert no.value.finding.code == "timeout"
    assert gone(before, 6.0)


def test_calls_in_a_client_have_the_time_limits_of_the_string() -> None:
    silent = Script(users=(ADA,), faults=(Fault("find", "silence"),))
    with Mongod(silent) as server, mongodb.client(url(server, "&socketTimeoutMS=100&retryReads=false")) as client:
        assert client.admin.command("ping") == {"ok": 1.0}
        with pytest.raises(pymongo.errors.NetworkTimeout):
            client.app.orders.find_one()


PRINTABLE = string.digits + string.ascii_letters + string.punctuation + " "
ABROAD = "äßéñçøÅ漢字かな한국дѥ€→☃𝄞"


def passwords(count: int) -> Iterator[str]:
    dice = random.Random(7)
    yield PRINTABLE
    yield "".join(reversed(PRINTABLE)) + ABROAD
    yield " "
    yield "%" * 100
    for _ in range(count - 4):
        letters = PRINTABLE + (ABROAD if dice.random() < 0.5 else "")
        yield "".join(dice.choice(letters) for _ in range(dice.randint(1, 64)))


def test_every_printable_password_logs_in() -> None:
    many = 1000 if os.environ.get("LANCIO_PROOF") else 40
    for place, password in enumerate(passwords(many)):
        name = f"ada,={place}" if place % 2 else PRINTABLE
        user = User.with_password(name, password, mechanisms=("SCRAM-SHA-256",))
        with running(Script(users=(user,))) as server:
            value = mongo(
                f"mongodb://{quote(name, safe='')}:{quote(password, safe='')}@127.0.0.1:{server.port}/app"
                "?authSource=admin"
            )
            with mongodb.client(value) as client:
                assert client.app.list_collection_names() == ["orders", "people"]
            assert server.logins == [(name, "SCRAM-SHA-256")] * 2  # of the probe, and of pymongo


# --- mongodb+srv ------------------------------------------------------------------------------------------------------

LISTED = ("_mongodb._tcp.shop.lancio.test", "SRV")
GIVEN = ("shop.lancio.test", "TXT")
SHOP = f"mongodb+srv://ada:{PASSWORD}@shop.lancio.test/app?tls=false"


def test_the_first_server_that_dns_lists_and_that_is_there_is_probed(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken, running(Script(role="primary", users=(ADA,))) as server:
        taken.bind(("127.0.0.1", 0))
        records = {
            LISTED: (f"0 5 {taken.getsockname()[1]} a.lancio.test.", f"0 5 {server.port} b.lancio.test."),
            GIVEN: ('"authSource=admin&replicaSet=rs0"',),
        }
        with names.serving(monkeypatch, records, here=("a.lancio.test", "b.lancio.test")):
            found = ask(mongo(SHOP))
            assert (found.finding, found.role, found.address) == (None, "primary", "127.0.0.1")
            with mongodb.client(mongo(SHOP)) as client:
                assert client.app.list_collection_names() == ["orders", "people"]


def test_members_that_are_lost_do_not_use_up_the_time_of_those_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.ExitStack() as crowd, running(Script(role="primary", users=(ADA,))) as server:
        lost = []
        for _ in range(3):  # nobody takes what comes, and nobody refuses it
            deaf = crowd.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
            lost.append(deaf.getsockname()[1])
            for _ in range(3):
                line = crowd.enter_context(socket.socket())
                line.setblocking(False)
                line.connect_ex(deaf.getsockname())
        listed = (*(f"0 5 {port} a.lancio.test." for port in lost), f"0 5 {server.port} b.lancio.test.")
        with names.serving(monkeypatch, {LISTED: listed}, here=("a.lancio.test", "b.lancio.test")):
            found = ask(mongo(SHOP), Limits(connect_s=1.5, total_s=2.5), "reach")
    assert (found.finding, found.passed) == (None, ("name", "reach"))


def test_what_dns_says_of_the_replica_set_is_held_against_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(Script(role="primary", users=(ADA,))) as server:
        records = {LISTED: (f"0 5 {server.port} b.lancio.test.",), GIVEN: ('"authSource=admin&replicaSet=other"',)}
        with names.serving(monkeypatch, records, here=("b.lancio.test",)):
            found = ask(mongo(SHOP))
        assert found.finding is not None
        assert (found.finding.layer, found.finding.code) == ("hello", "option")


def test_a_server_that_dns_lists_speaks_tls_unless_told_otherwise(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued = authority.issue("srv", "b.lancio.test")
    with running(Script(users=(ADA,)), tls=serving(issued)) as server:
        records = {LISTED: (f"0 5 {server.port} b.lancio.test.",), GIVEN: ('"authSource=admin"',)}
        with names.serving(monkeypatch, records, here=("b.lancio.test",)):
            value = mongo(f"mongodb+srv://ada:{PASSWORD}@shop.lancio.test/app?tlsCAFile={authority.file}")
            assert ask(value, local_files=True).passed == LAYERS


@pytest.mark.parametrize(
    ("records", "how", "code"),
    [
        ({}, {}, "name-unknown"),
        ({GIVEN: ('"authSource=admin"',), ("_mongodb._tcp.shop.lancio.test", "A"): ("127.0.0.1",)}, {}, "name-unknown"),
        ({}, {"failing": True}, "name-failed"),
        ({}, {"silent": True}, "timeout"),
        ({LISTED: ("0 5 27017 db.evil.test.",)}, {}, "name-failed"),
        ({LISTED: ("0 5 27017 b.lancio.test.",), GIVEN: ('"authSource=admin"', '"replicaSet=a"')}, {}, "name-failed"),
        ({LISTED: ("0 5 27017 b.lancio.test.",), GIVEN: ('"tlsInsecure=true"',)}, {}, "name-failed"),
        ({LISTED: ("0 5 27017 b.lancio.test.",), GIVEN: ('"authSource=\\255\\254"',)}, {}, "name-failed"),
        ({LISTED: ("0 5 27017 b.lancio.test.",)}, {}, "name-unknown"),
    ],
)
def test_what_dns_may_not_say_is_told(
    records: dict[tuple[str, str], tuple[str, ...]], how: dict[str, bool], code: Code, monkeypatch: pytest.MonkeyPatch
) -> None:
    with names.serving(monkeypatch, records, **how):
        refused(mongo(SHOP), "name", code, SHORT if "silent" in how else PATIENT)


# --- a real server ----------------------------------------------------------------------------------------------------

if REAL := os.environ.get("MONGODB_TEST_URL"):

    def test_a_real_server_is_probed_and_gives_a_client() -> None:
        value = mongo(REAL)
        for host in value.hosts:
            found = asyncio.run(mongodb.probe(value, host, local_files=True))
            assert found.finding is None, found
            assert found.version
        with mongodb.client(value, local_files=True) as client:
            assert client.server_info()["version"]
        if value.user:
            found = asyncio.run(mongodb.probe(value.with_password(Secret("no " + PASSWORD)), value.hosts[0],
                                              local_files=True))  # fmt: skip
            assert found.finding is not None
            assert found.finding.code == "login-failed"
