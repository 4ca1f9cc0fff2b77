"""Redis: how far a probe comes, what it says of what goes wrong, and redis-py's client that is ready.

Against Debian's redis-server, and against a stand-in on the wire for what a server does not do on demand.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import string
import threading
import time
import traceback
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import redis as redis_py
from authority import Authority, Issued
from postgresqls import answering
from redises import PASSWORD, StandIn, free_port, running, until

from lancio import drivers
from lancio.drivers import redis
from lancio.drivers.findings import DatabaseRefused
from lancio.drivers.model import CODES, LAYERS, Code, Layer, Limits, Probe
from lancio.registry.connection_strings import Host, Redis, parse
from lancio.registry.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHORT = Limits(connect_s=0.4, total_s=0.5)
PATIENT = Limits(connect_s=5.0, total_s=10.0)
ALL: tuple[Layer, ...] = ("name", "reach", "hello", "login", "read")

# What redis-py and the server say, some of it with hosts, users and what was asked: none of it is ever shown.
DRIVERS_WORDS = (
    "username-password pair", "Authentication required", "max number of", "unknown command", "is running in",
    "dataset in memory", "Link with MASTER", "out of range", "called without any", "has no permissions", "_ssl.c",
    "Errno", "[SSL", "Traceback", "Error 111", "SECRET-OF-THE-SERVER", "not allowed in cluster", "RDB snapshots",
)  # fmt: skip


def at(text: str) -> Redis:
    value = parse(text)
    assert isinstance(value, Redis)
    return value


def url(port: int, more: str = "", *, login: str = f":{PASSWORD}@", scheme: str = "redis") -> Redis:
    return at(f"{scheme}://{login}127.0.0.1:{port}{more}")


def ask(value: Redis, limits: Limits = PATIENT, upto: Layer = "read", **how: Any) -> Probe:
    """A probe; it ends in time, leaves no thread and no task, and shows nothing that it may not."""
    threads = set(threading.enumerate())

    async def asked() -> tuple[Probe, float]:
        begun = time.monotonic()
        found = await redis.probe(value, value.hosts[0], limits, upto, **how)
        took = time.monotonic() - begun
        await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left
        return found, took

    found, took = asyncio.run(asked())
    assert took < limits.total_s + 0.3, took
    left = {thread for thread in set(threading.enumerate()) - threads if thread.name != "stand-in"}
    for thread in left:
        thread.join(2)
        assert not thread.is_alive(), left
    hides(found, value)
    return found


def hides(found: Probe, value: Redis) -> None:
    shown = repr(found) + json.dumps(asdict(found)) + json.dumps(found.as_dict())
    password = value.password.reveal() if value.password else ""
    assert len(password) < 4 or password not in shown  # a brace alone is in every JSON
    for words in DRIVERS_WORDS:
        assert words.lower() not in shown.lower(), shown
    if found.finding:
        assert found.finding.code in CODES
        assert found.finding.message
        assert found.finding.remedy
        assert "{" not in found.finding.message + found.finding.remedy
        assert found.finding.layer not in found.passed, found
    assert [layer for layer in LAYERS if layer in found.passed] == list(found.passed)


def told(found: Probe) -> tuple[str, str]:
    assert found.finding is not None, found
    return found.finding.layer, found.finding.code


def refused(value: Redis, limits: Limits = PATIENT, **how: Any) -> DatabaseRefused:
    """What a client that is not to be had says; in time, and hiding as a probe does."""
    begun = time.monotonic()
    with pytest.raises(DatabaseRefused) as raised, redis.client(value, limits, **how):
        pytest.fail("it is there")
    assert time.monotonic() - begun < limits.total_s + 0.3
    error = raised.value
    shown = "".join(traceback.format_exception(error)) + repr(error) + json.dumps(asdict(error.finding))
    password = value.password.reveal() if value.password else ""
    assert len(password) < 4 or password not in shown  # a brace alone is in every JSON
    for words in DRIVERS_WORDS:
        assert words == "Traceback" or words.lower() not in shown.lower(), shown
    return error


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server with a password and users."""
    with running(tmp_path_factory.mktemp("secured"), f"requirepass {PASSWORD}") as port:
        with redis_py.Redis(port=port, password=PASSWORD) as administrator:
            for user, rights in {
                "all": "~* +@all", "least": "+ping", "nothing": "", "getter": "~app:* +get", "lister": "+dbsize",
                "noselect": "~* +@all -select", "common": "~* +@all -@dangerous", "off": "off ~* +@all",
            }.items():  # fmt: skip
                rules = ("reset", "on", f">{PASSWORD}", *rights.split())
                administrator.execute_command("ACL", "SETUSER", user, *rules)
            administrator.execute_command("ACL", "SETUSER", "free", "on", "nopass", "~*", "+@all")
        yield port


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server that asks nobody for a password."""
    with running(tmp_path_factory.mktemp("bare")) as port:
        yield port


# --- what is there ----------------------------------------------------------------------------------------------------


def test_a_probe_goes_through_all_layers(secured: int) -> None:
    found = ask(url(secured))
    assert (found.finding, found.passed, found.role, found.address) == (None, ALL, "primary", "127.0.0.1")
    with redis_py.Redis(port=secured, password=PASSWORD) as looked:
        assert found.version == looked.info("server")["redis_version"]
    assert all(took > 0 for _, took in found.took_ms)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_probe_stops_where_it_is_asked_to(secured: int, layer: Layer) -> None:
    found = ask(url(secured), upto=layer)
    assert found.finding is None
    assert found.passed == tuple(each for each in LAYERS[: LAYERS.index(layer) + 1] if each != "tls")


@pytest.mark.parametrize("user", ["all", "least", "lister", "common"])
def test_a_probe_needs_one_right_and_still_tells_version_and_role(secured: int, user: str) -> None:
    found = ask(url(secured, login=f"{user}:{PASSWORD}@"))
    assert (found.finding, found.passed, found.role) == (None, ALL, "primary")
    assert found.version


def test_the_rights_of_the_page_are_enough(secured: int) -> None:
    with redis_py.Redis(port=secured, password=PASSWORD) as administrator:
        for rules, more in (("+ping", ""), ("+ping +select", "/3")):
            rights = ("reset", "on", f">{PASSWORD}", *rules.split())
            administrator.execute_command("ACL", "SETUSER", "probe", *rights)
            administrator.acl_log_reset()
            assert ask(url(secured, more, login=f"probe:{PASSWORD}@")).passed == ALL
            assert administrator.acl_log() == []


@pytest.mark.parametrize("login", ["", "anybody@", "free@"])
def test_a_server_or_a_user_without_a_password_lets_in(bare: int, secured: int, login: str) -> None:
    found = ask(url(secured if login == "free@" else bare, "/3", login="" if login == "anybody@" else login))
    assert (found.finding, found.passed) == (None, ALL)


async def in_a_loop(value: Redis, key: str, **how: Any) -> object:
    """What an asynchronous client reads; it leaves no task."""
    async with redis.async_client(value, **how) as made:
        found = await made.get(key)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left
    return found


def test_an_asynchronous_client_does_the_same(secured: int) -> None:
    with redis.client(url(secured)) as made:
        made.set("read in a loop", "yes")
    assert asyncio.run(in_a_loop(url(secured), "read in a loop")) == b"yes"
    with pytest.raises(DatabaseRefused) as no:
        asyncio.run(in_a_loop(url(secured, login=":Wr0ng-Pa55@"), "read in a loop"))
    assert no.value.finding.code == "login-failed"
    with pytest.raises(DatabaseRefused) as no:
        asyncio.run(in_a_loop(at("redis+cluster://127.0.0.1:1?retry_on_timeout=true"), "x"))
    assert (no.value.finding.code, "retry_on_timeout" in no.value.finding.message) == ("option", True)


def test_a_unix_socket(tmp_path: Path) -> None:
    with running(tmp_path, f"unixsocket {tmp_path}/r.sock", f"requirepass {PASSWORD}") as port:
        value = at(f"unix://:{PASSWORD}@{tmp_path}/r.sock?db=2")
        found = ask(value, local_files=True)
        assert (found.finding, found.passed, found.address) == (None, ALL, None)
        with redis.client(value, local_files=True) as made:
            made.set("here", "yes")
        assert asyncio.run(in_a_loop(value, "here", local_files=True)) == b"yes"
        with redis_py.Redis(port=port, db=2, password=PASSWORD) as looked:
            assert looked.get("here") == b"yes"
    assert told(ask(value, local_files=True))[1] in ("refused", "socket-missing")
    assert told(ask(at(f"unix://{tmp_path}/none.sock"), local_files=True)) == ("reach", "socket-missing")


def test_a_server_older_than_6_has_neither_hello_nor_users() -> None:
    info = b"# Server\r\nredis_version:5.0.14\r\nredis_mode:standalone\r\n"
    answers: dict[str, Any] = {
        "PING": [b"-NOAUTH Authentication required.\r\n", b"+PONG\r\n"],
        "AUTH": [b"-ERR wrong number of arguments for 'auth' command\r\n", b"+OK\r\n"],
        "HELLO": b"-ERR unknown command `HELLO`, with args beginning with: \r\n",
        "INFO": b"$%d\r\n%b\r\n" % (len(info), info),
        "ROLE": b"*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:6379\r\n$9\r\nconnected\r\n:1\r\n",
    }
    with StandIn(answers) as server:
        found = ask(url(server.port, login=f"somebody:{PASSWORD}@"))
    assert (found.finding, found.version, found.role) == (None, "5.0.14", "replica")
    assert ["AUTH", "somebody", PASSWORD] in server.heard
    assert ["AUTH", PASSWORD] in server.heard


def test_a_server_that_takes_no_writes_is_read_only() -> None:
    with StandIn({"PING": b"-MISCONF Redis is configured to save RDB snapshots, but it's\r\n"}) as server:
        found = ask(url(server.port, login=""))
    assert (found.finding, found.role) == (None, "read-only")


# --- who is let in ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("login", "more", "layer", "code"),
    [
        (":Wr0ng-Pa55@", "", "login", "login-failed"),
        ("all:Wr0ng-Pa55@", "", "login", "login-failed"),
        ("nobody:Wr0ng-Pa55@", "", "login", "login-failed"),
        (f"off:{PASSWORD}@", "", "login", "login-failed"),
        ("all@", "", "login", "login-failed"),
        ("", "", "login", "login-required"),
        ("", "/3", "login", "login-required"),
        (f":{PASSWORD}@", "/16", "login", "database-missing"),
        (f"noselect:{PASSWORD}@", "/1", "login", "login-forbidden"),
        (f"nothing:{PASSWORD}@", "", "read", "read-denied"),
        (f"getter:{PASSWORD}@", "", "read", "read-denied"),
    ],
)
def test_who_is_not_let_in_is_told_why(secured: int, login: str, more: str, layer: Layer, code: Code) -> None:
    value = url(secured, more, login=login)
    assert told(ask(value)) == (layer, code)
    if code != "read-denied":
        assert refused(value).finding.code == code


def test_a_password_that_nobody_asked_for(bare: int) -> None:
    value = url(bare)
    assert told(ask(value)) == ("login", "login-method")
    assert refused(value).finding.code == "login-method"


# --- TLS --------------------------------------------------------------------------------------------------------------


class Certified:
    """Servers with TLS, and certificates for their clients."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder / "ca")
        self.stranger = Authority(folder / "other", "Somebody else")
        self.server = self.authority.issue("server", "localhost", "127.0.0.1")
        self.client = self.authority.issue("client", subject="client")
        self.strange = self.stranger.issue("client", subject="client")
        self.sealed = self.authority.issue("sealed", subject="client", password="the key's")

    def lines(self, port: int, shown: Issued | None = None, *, clients: str = "no") -> tuple[str, ...]:
        shown = shown or self.server
        return (
            f"tls-port {port}", f"tls-cert-file {shown.certificate}", f"tls-key-file {shown.key}",
            f"tls-ca-cert-file {self.authority.file}", f"tls-auth-clients {clients}", f"requirepass {PASSWORD}",
        )  # fmt: skip

    def url(self, port: int, *, host: str = "localhost", client: Issued | None = None, **options: object) -> Redis:
        given: dict[str, object] = {"ssl_ca_certs": self.authority.file}
        if client:
            given |= {"ssl_certfile": client.certificate, "ssl_keyfile": client.key}
        given |= options
        query = "&".join(f"{name}={quote(str(value))}" for name, value in given.items() if value is not None)
        return at(f"rediss://:{PASSWORD}@{host}:{port}/0?{query}")


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Certified:
    return Certified(tmp_path_factory.mktemp("certified"))


@pytest.fixture(scope="module")
def encrypting(certified: Certified) -> Iterator[tuple[int, int]]:
    """A port with TLS, and the same server's without."""
    port, plain = free_port(), free_port()
    with running(certified.folder / "encrypting", *certified.lines(port), port=plain):
        yield port, plain


@pytest.fixture(scope="module")
def demanding(certified: Certified) -> Iterator[int]:
    """A server that wants to see its clients' certificates."""
    port = free_port()
    with running(certified.folder / "demanding", *certified.lines(port, clients="yes"), port=free_port()):
        yield port


def test_the_line_is_encrypted_and_the_server_is_who_it_should_be(
    certified: Certified, encrypting: tuple[int, int]
) -> None:
    port, _ = encrypting
    data = certified.authority.file.read_text()
    ways: tuple[dict[str, Any], ...] = (
        {}, {"host": "127.0.0.1"}, {"ssl_min_version": 772}, {"ssl_min_version": 769},
        {"ssl_ca_certs": None, "ssl_ca_data": data}, {"ssl_ca_certs": None, "ssl_cert_reqs": "none"},
    )  # fmt: skip
    for how in ways:
        value = certified.url(port, **how)
        found = ask(value, local_files=True)
        assert (found.finding, found.passed, found.role) == (None, LAYERS, "primary"), how
        with redis.client(value, local_files=True) as made:
            assert made.ping() is True
    for name in ("ssl_ca_data", "ssl_cert_reqs"):
        value = certified.url(port, **{"ssl_ca_certs": None, name: data if name == "ssl_ca_data" else "none"})
        assert ask(value).finding is None  # names no file


def test_files_are_read_where_the_caller_allows_it_only(certified: Certified, encrypting: tuple[int, int]) -> None:
    value = certified.url(encrypting[0])
    assert told(ask(value)) == ("name", "option")
    assert refused(value).finding.code == "option"
    assert drivers.probe(value, local_files=True)[0].finding is None


def test_what_is_wrong_with_tls_is_told(certified: Certified, encrypting: tuple[int, int]) -> None:
    port, plain = encrypting
    found: dict[str, Redis] = {
        "tls-unsupported": certified.url(plain),
        "tls-required": url(port),
        "certificate-untrusted": certified.url(port, ssl_ca_certs=certified.stranger.file),
        "tls-files": certified.url(port, ssl_ca_certs=certified.folder / "none.crt"),
    }
    for code, value in found.items():
        assert told(ask(value, local_files=True)) == ("tls", code)
        assert refused(value, local_files=True).finding.code == code
    system = certified.url(port, ssl_ca_certs=None)
    assert told(ask(system)) == ("tls", "certificate-untrusted")
    assert told(ask(certified.url(port, ssl_ca_certs="/dev/zero"), local_files=True)) == ("tls", "tls-files")
    other = certified.url(port, client=certified.client, ssl_keyfile=certified.strange.key)
    assert told(ask(other, local_files=True)) == ("tls", "tls-files")


@pytest.mark.parametrize(
    ("label", "names", "how", "code"),
    [
        ("expired", ("localhost",), {"valid_from": -9, "valid_to": -1}, "certificate-expired"),
        ("early", ("localhost",), {"valid_from": 2, "valid_to": 9}, "certificate-expired"),
        ("elsewhere", ("elsewhere.example",), {}, "certificate-name"),
    ],
)
def test_a_server_with_a_wrong_certificate(
    certified: Certified, label: str, names: tuple[str, ...], how: dict[str, int], code: Code
) -> None:
    port = free_port()
    shown = certified.authority.issue(label, *names, **how)  # type: ignore[arg-type]
    with running(certified.folder / label, *certified.lines(port, shown), port=free_port()):
        value = certified.url(port)
        assert told(ask(value, local_files=True)) == ("tls", code)
        assert refused(value, local_files=True).finding.code == code
        unnamed = ask(certified.url(port, ssl_check_hostname="False"), local_files=True)
        assert (unnamed.finding is None) == (code == "certificate-name")


def test_a_certificate_of_the_client_is_shown_and_missed(certified: Certified, demanding: int) -> None:
    for client, more in ((certified.client, {}), (certified.sealed, {"ssl_password": "the key's"})):
        value = certified.url(demanding, client=client, **more)
        found = ask(value, local_files=True)
        assert (found.finding, found.passed) == (None, LAYERS)
        with redis.client(value, local_files=True) as made:
            assert made.ping() is True
    for _ in range(5):  # what the server says may cross what we say
        assert told(ask(certified.url(demanding), local_files=True)) == ("tls", "client-certificate")
        strange = certified.url(demanding, client=certified.strange)
        assert told(ask(strange, local_files=True)) == ("tls", "client-certificate")
    assert refused(certified.url(demanding), local_files=True).finding.code == "client-certificate"
    wrong = certified.url(demanding, client=certified.sealed, ssl_password="another")
    assert told(ask(wrong, local_files=True)) == ("tls", "tls-files")
    assert told(ask(url(demanding))) == ("tls", "tls-required")


# --- roles ------------------------------------------------------------------------------------------------------------


def test_a_replica_and_one_that_lost_its_primary(tmp_path: Path) -> None:
    with running(tmp_path / "primary") as first, running(tmp_path / "replica", f"replicaof 127.0.0.1 {first}") as port:
        found = ask(url(port, login=""))
        assert (found.finding, found.role) == (None, "replica")
        with redis.client(url(port, login="")) as made, pytest.raises(redis_py.exceptions.ReadOnlyError):
            made.set("a", 1)
    lines = (f"replicaof 127.0.0.1 {free_port()}", "replica-serve-stale-data no", f"requirepass {PASSWORD}")
    with running(tmp_path / "lost", *lines) as port:
        found = ask(url(port))
        assert told(found) == ("hello", "starting")
        assert found.role == "replica"
        assert refused(url(port)).finding.code == "starting"


def test_a_server_that_loads_its_data(tmp_path: Path) -> None:
    with running(tmp_path, save=True) as port, redis_py.Redis(port=port) as filling:
        filling.mset({f"key{n}": random.randbytes(1000) for n in range(1000)})
        filling.save()
    slow = ("key-load-delay 20000", "loading-process-events-interval-bytes 1024")  # microseconds; for 20 seconds
    for lines, value in (((), ""), ((f"requirepass {PASSWORD}",), f":{PASSWORD}@")):
        with running(tmp_path, *slow, *lines, save=True) as port:
            found = ask(url(port, login=value))
            assert told(found) == ("hello", "starting")
            assert (found.role, found.passed) == ("loading", ("name", "reach"))
            assert refused(url(port, login=value)).finding.code == "starting"


def test_a_server_that_takes_no_more_clients(tmp_path: Path) -> None:
    with running(tmp_path, "maxclients 4") as port:
        held: list[socket.socket] = []

        def is_full() -> bool:
            held.append(socket.create_connection(("127.0.0.1", port)))
            found = ask(url(port, login=""))
            return found.finding is not None and told(found) == ("hello", "too-many-connections")

        try:
            until(is_full)
            for _ in range(20):  # its words and our question may cross
                assert told(ask(url(port, login=""))) == ("hello", "too-many-connections")
            assert refused(url(port, login="")).finding.code == "too-many-connections"
        finally:
            for each in held:
                each.close()
        until(lambda: ask(url(port, login="")).finding is None)


def test_a_full_server_hangs_up_under_tls(certified: Certified) -> None:
    port = free_port()
    with running(certified.folder / "full", *certified.lines(port), "maxclients 4", port=free_port()) as plain:
        held: list[socket.socket] = []

        def is_full() -> bool:
            held.append(socket.create_connection(("127.0.0.1", plain)))
            found = ask(certified.url(port), local_files=True)
            return found.finding is not None and told(found) == ("tls", "tls-failed")

        try:
            until(is_full)
        finally:
            for each in held:
                each.close()


def outside() -> str | None:
    """An address of this machine that is not the loopback's; None if it has no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        try:
            line.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return str(line.getsockname()[0])


def test_protected_mode(tmp_path: Path) -> None:
    denied = b"-DENIED Redis is running in protected mode because protected mode is enabled and no password is set\r\n"
    with StandIn(greeting=denied) as server:
        assert told(ask(url(server.port, login=""))) == ("hello", "login-forbidden")
    address = outside()
    if address is not None:
        with running(tmp_path, "bind * -::*", "protected-mode yes") as port:
            value = at(f"redis://{address}:{port}")
            assert told(ask(value)) == ("hello", "login-forbidden")
            assert refused(value).finding.code == "login-forbidden"


def test_a_sentinel_and_the_primary_behind_it(tmp_path: Path) -> None:
    with running(tmp_path / "primary", f"requirepass {PASSWORD}") as primary:
        lines = (
            f"sentinel monitor mymaster 127.0.0.1 {primary} 1",
            f"sentinel auth-pass mymaster {PASSWORD}",
            "sentinel down-after-milliseconds mymaster 300",
            "requirepass sentinels-own",
        )
        with running(tmp_path / "sentinel", *lines, sentinel=True) as port:
            nobody = free_port()
            hosts = f"127.0.0.1:{nobody},127.0.0.1:{port}"
            options = "?sentinel_password=sentinels-own"
            value = at(f"redis+sentinel://:{PASSWORD}@{hosts}/mymaster/3{options}")
            dead, alive = drivers.probe(value)
            assert told(dead) == ("reach", "refused")
            assert (alive.finding, alive.role, alive.passed) == (None, "sentinel", ALL)
            with redis.client(value) as made:
                made.set("by", "sentinel")
                assert made.execute_command("ROLE")[0] == b"master"
            with redis_py.Redis(port=primary, db=3, password=PASSWORD) as looked:
                assert looked.get("by") == b"sentinel"

            assert asyncio.run(in_a_loop(value, "by")) == b"sentinel"

            with StandIn({"PING": b""}) as silent:
                several = value.build().replace(f":{nobody}", f":{silent.port}")
                begun = time.monotonic()
                with redis.client(at(several), Limits(1.0, 2.0)) as made:
                    assert made.execute_command("ROLE")[0] == b"master"
                assert time.monotonic() - begun < 2.0

            one = f"127.0.0.1:{port}"
            for text, layer, code in (
                (f"redis+sentinel://:{PASSWORD}@{one}/other{options}", "read", "no-primary"),
                (f"redis+sentinel://:{PASSWORD}@{one}/mymaster", "login", "login-required"),
                (f"redis+sentinel://:{PASSWORD}@{one}/mymaster?sentinel_password=no", "login", "login-failed"),
                (f"redis+sentinel://:Wr0ng-Pa55@{one}/mymaster{options}", "login", "login-failed"),
                (f"redis+sentinel://:{PASSWORD}@{one}/mymaster/99{options}", "login", "database-missing"),
                (f"redis+sentinel://127.0.0.1:{primary}/mymaster?sentinel_password={PASSWORD}", "read", "option"),
                (f"redis+sentinel://127.0.0.1:{nobody}/mymaster", "reach", "refused"),
            ):
                found = refused(at(text)).finding
                assert (found.layer, found.code) == (layer, code), text

            with redis_py.Redis(port=primary, password=PASSWORD) as administrator:
                administrator.shutdown(nosave=True)
            found = refused(value).finding
            assert (found.layer, found.code) == ("reach", "refused")
            assert f"127.0.0.1:{primary}" in found.message


def test_a_sentinel_may_not_name_a_socket_of_this_machine(tmp_path: Path) -> None:
    sentinels = StandIn.AS_REDIS["HELLO"].replace(b"$6\r\nmaster", b"$8\r\nsentinel").replace(
        b"+standalone", b"+sentinel"
    )  # fmt: skip
    path = f"{tmp_path}/s".encode()
    named = b"*2\r\n$%d\r\n%b\r\n$4\r\n6379\r\n" % (len(path), path)
    with StandIn({"HELLO": sentinels, "SENTINEL": named}) as server:
        value = at(f"redis+sentinel://127.0.0.1:{server.port}/mymaster")
        for allowed in (False, True):
            assert told(ask(value, local_files=allowed)) == ("read", "no-primary")
            found = refused(value, local_files=allowed).finding
            assert (found.layer, found.code) == ("read", "no-primary")


def test_a_cluster_and_its_nodes(tmp_path: Path) -> None:
    lines = ("cluster-enabled yes", f"requirepass {PASSWORD}", f"masterauth {PASSWORD}", "cluster-node-timeout 60000")
    buses = [free_port() for _ in range(3)]
    with (
        running(tmp_path / "0", *lines, f"cluster-port {buses[0]}") as first,
        running(tmp_path / "1", *lines, f"cluster-port {buses[1]}") as second,
        running(tmp_path / "2", *lines, f"cluster-port {buses[2]}") as third,
    ):
        ports = (first, second, third)
        places = ",".join(f"127.0.0.1:{port}" for port in ports)
        value = at(f"redis+cluster://:{PASSWORD}@{places}")
        assert [told(found) for found in drivers.probe(value)] == [("read", "no-primary")] * 3
        assert refused(value).finding.code == "no-primary"

        nodes = [redis_py.Redis(port=port, password=PASSWORD) for port in ports]
        for node, (start, end) in zip(nodes, ((0, 5460), (5461, 10922), (10923, 16383)), strict=True):
            node.execute_command("CLUSTER", "ADDSLOTSRANGE", start, end)
            node.execute_command("CLUSTER", "MEET", "127.0.0.1", first, buses[0])
        until(lambda: all(node.cluster("INFO")["cluster_state"] == "ok" for node in nodes))
        until(lambda: all(len(node.cluster("SLOTS")) == 3 for node in nodes))
        for found in drivers.probe(value):
            assert (found.finding, found.role, found.passed) == (None, "primary", ALL)
        with redis.client(value) as made:
            assert isinstance(made, redis_py.RedisCluster)
            for n in range(50):
                made.set(f"key{n}", n)
            assert sum(node.dbsize() for node in nodes) == 50
        for n in (0, 1, 2):
            assert asyncio.run(in_a_loop(value, f"key{n}")) == b"%d" % n
        assert told(ask(url(first, "/1"))) == ("login", "database-missing")
        assert ask(url(first)).finding is None
        assert refused(at(f"redis+cluster://:Wr0ng-Pa55@{places}")).finding.code == "login-failed"
        tightened = at(f"rediss+cluster://:{PASSWORD}@{places}?ssl_min_version=772")
        assert refused(tightened).finding.code == "option"

        nodes[2].shutdown(nosave=True)  # the others do not know it yet
        found = refused(value).finding
        assert (found.layer, found.code) == ("reach", "refused")
        assert f"127.0.0.1:{third}" in found.message
        for node in nodes:
            node.close()


def test_a_server_that_sends_without_end_is_not_read_on_behind_the_limit() -> None:
    def endless(line: socket.socket) -> None:
        while b"HELLO\r\n$1\r\n3" not in (words := line.recv(65536)):
            line.sendall(StandIn.AS_REDIS["HELLO" if words.startswith(b"*1\r\n$5") else "PING"])
        line.sendall(b"$2000000000\r\n")
        while True:
            line.sendall(bytes(65536))
            time.sleep(0.01)

    before = set(threading.enumerate())
    with answering(endless) as port:
        assert refused(at(f"redis://127.0.0.1:{port}?protocol=3"), SHORT).finding.code == "timeout"
        until(lambda: not any(thread.name == "lancio-apart" for thread in set(threading.enumerate()) - before), 3.0)


def test_one_server_is_no_cluster(secured: int) -> None:
    found = refused(at(f"redis+cluster://:{PASSWORD}@127.0.0.1:{secured}")).finding
    assert (found.layer, found.code) == ("read", "option")


# --- what is no Redis, and what breaks off ----------------------------------------------------------------------------

NOAUTH = b"-NOAUTH Authentication required. SECRET-OF-THE-SERVER\r\n"
FAULTS: dict[str, tuple[dict[str, Any], Layer, Code]] = {
    "an HTTP server": ({"answers": {"PING": b"HTTP/1.1 400 Bad Request\r\n\r\n"}}, "hello", "other-kind"),
    "an SSH server": ({"greeting": b"SSH-2.0-OpenSSH_9.6\r\n"}, "hello", "other-kind"),
    "an SMTP server": ({"greeting": b"220 mail.example ESMTP\r\n"}, "hello", "other-kind"),
    "a POP3 server": ({"greeting": b"+OK POP3 ready\r\n"}, "hello", "other-kind"),
    "an IMAP server": ({"greeting": b"* OK IMAP ready\r\n"}, "hello", "other-kind"),
    "a memcached": ({"answers": {"PING": b"ERROR\r\n"}}, "hello", "other-kind"),
    "a MySQL": ({"greeting": b"\x4a\x00\x00\x00\x0a8.0.36\x00"}, "hello", "other-kind"),
    "an answer that is no PONG": ({"answers": {"PING": b":1\r\n"}}, "hello", "other-kind"),
    "an error without a word": ({"answers": {"PING": b"-what?\r\n"}}, "hello", "other-kind"),
    "an error that nobody knows": ({"answers": {"PING": b"-ERR SECRET-OF-THE-SERVER\r\n"}}, "hello", "other-kind"),
    "a TLS alert": ({"answers": {"PING": b"\x15\x03\x03\x00\x02\x02\x46"}}, "tls", "tls-required"),
    "it hangs up at once": ({"greeting": None}, "hello", "closed"),
    "it hangs up on PING": ({"answers": {"PING": None}}, "hello", "closed"),
    "it hangs up on AUTH": ({"answers": {"AUTH": None}}, "login", "closed"),
    "it hangs up on SELECT": ({"answers": {"SELECT": None}}, "login", "closed"),
    "it hangs up on HELLO": ({"answers": {"HELLO": None}}, "read", "closed"),
    "it hangs up inside of an answer": ({"answers": {"HELLO": [b"*6\r\n$7\r\nvers"]}}, "read", "timeout"),
    "it loads": ({"answers": {"PING": b"-LOADING Redis is loading the dataset in memory\r\n"}}, "hello", "starting"),
    "it loads behind the login": (
        {"answers": {"PING": [NOAUTH, b"-LOADING Redis is loading the dataset in memory\r\n"]}}, "hello", "starting"),
    "it lost its primary": (
        {"answers": {"PING": b"-MASTERDOWN Link with MASTER is down\r\n"}}, "hello", "starting"),
    "it is full": ({"greeting": b"-ERR max number of clients reached\r\n"}, "hello", "too-many-connections"),
    "it is full, as a node": (
        {"greeting": b"-ERR max number of clients + cluster connections reached\r\n"}, "hello", "too-many-connections"),
    "the password of before 6": ({"answers": {"AUTH": b"-ERR invalid password\r\n"}}, "login", "login-failed"),
    "no password of before 6": (
        {"answers": {"AUTH": b"-ERR Client sent AUTH, but no password is set\r\n"}}, "login", "login-method"),
    "AUTH says what it was given": (
        {"answers": {"AUTH": f"-STRANGE {PASSWORD} SECRET-OF-THE-SERVER\r\n".encode()}}, "login", "unexpected"),
    "it asks again for what it was given": ({"answers": {"PING": NOAUTH}}, "login", "unexpected"),
    "a script that does not end": ({"answers": {"PING": b"-BUSY Redis is busy\r\n"}}, "read", "read-failed"),
    "garbage for AUTH": ({"answers": {"AUTH": b"\xff\xfe\x00"}}, "login", "unexpected"),
    "gigabytes for PING": ({"answers": {"PING": b"$4294967296\r\n" + b"x" * 100}}, "hello", "other-kind"),
    "gigabytes for HELLO": ({"answers": {"HELLO": b"$4294967296\r\n" + b"x" * 100}}, "read", "unexpected"),
    "a billion parts": ({"answers": {"HELLO": b"*1000000000\r\n"}}, "read", "unexpected"),
    "parts without end": ({"answers": {"HELLO": b"*4000\r\n" * 4000}}, "read", "unexpected"),
    "depth without end": ({"answers": {"HELLO": b"*1\r\n" * 100_000}}, "read", "unexpected"),
    "a line without end": ({"answers": {"PING": b"+" + b"x" * 3_000_000}}, "hello", "other-kind"),
    "a number that is none": ({"answers": {"HELLO": b"*6x\r\n"}}, "read", "unexpected"),
    "silence": ({"answers": {"PING": b""}}, "hello", "timeout"),
    "silence at AUTH": ({"answers": {"AUTH": b""}}, "login", "timeout"),
    "silence at HELLO": ({"answers": {"HELLO": b""}}, "read", "timeout"),
    "drops": ({"answers": {"PING": b"+" + b"P" * 100}, "drip_s": 0.05}, "hello", "timeout"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_told_by_its_code_and_in_time(fault: str) -> None:
    how, layer, code = FAULTS[fault]
    limits = SHORT if code == "timeout" else Limits(2.0, 4.0)
    with StandIn(**how) as server:
        value = url(server.port, "/1")
        found = ask(value, limits)
        assert told(found) == (layer, code)
        assert found.role in ("loading", "replica", "primary", None)
    if layer != "read" and not isinstance(how.get("answers", {}).get("PING"), list):
        with StandIn(**how) as server:
            assert refused(url(server.port, "/1"), limits).finding.code == code


@pytest.mark.parametrize("how", [{"greeting": None}, {"answers": {}}, {"greeting": b"HTTP/1.1 400 Bad\r\n\r\n"}])
def test_tls_to_what_has_none(how: dict[str, Any]) -> None:
    with StandIn(**how) as server:
        code = told(ask(at(f"rediss://127.0.0.1:{server.port}"), Limits(2.0, 4.0)))
    assert code == ("tls", "tls-unsupported" if how == {"answers": {}} else "tls-failed")


def test_tls_to_silence_ends_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert told(ask(at(f"rediss://127.0.0.1:{port}"), SHORT)) == ("tls", "timeout")


def test_nobody_listens_and_no_name() -> None:
    assert told(ask(url(free_port()))) == ("reach", "refused")
    assert told(ask(at("redis://no.such.host.invalid:6379"), Limits(3.0, 4.0)))[0] == "name"
    assert told(ask(at("redis://redis.railway.internal:6379"), Limits(3.0, 4.0))) == ("name", "private-network")


# --- the client -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["all", "least", "nothing", "getter", "common", "lister"])
def test_a_client_asks_for_no_right(secured: int, user: str) -> None:
    with redis.client(url(secured, login=f"{user}:{PASSWORD}@")) as made:
        assert isinstance(made, redis_py.Redis)
        if user == "getter":
            assert made.get("app:1") is None


def test_a_client_takes_what_the_string_says_and_is_closed_behind_the_block(secured: int) -> None:
    value = url(secured, "/5?decode_responses=True&client_name=mine&protocol=2")
    with drivers.client(value) as made:
        made.set("written", "ä")
        assert made.get("written") == "ä"
        assert made.client_getname() == "mine"
    with redis_py.Redis(port=secured, password=PASSWORD, db=5) as looked:
        assert looked.get("written") == "ä".encode()
        until(lambda: all(each["name"] != "mine" for each in looked.client_list()))
    with pytest.raises(RuntimeError, match="of the block"), redis.client(value):
        raise RuntimeError("of the block")


def test_a_client_speaks_resp_2_to_who_knows_nothing_newer() -> None:
    answers: dict[str, Any] = {"HELLO": b"-ERR unknown command `HELLO`\r\n", "GET": b"$2\r\nhi\r\n"}
    with StandIn(answers) as server, redis.client(url(server.port)) as made:
        assert made.get("x") == b"hi"
    assert ["AUTH", PASSWORD] in server.heard


def test_a_client_in_an_event_loop(secured: int) -> None:
    async def inside() -> object:
        with redis.client(url(secured)) as made:
            return made.ping()

    assert asyncio.run(inside()) is True


def test_what_changes_behind_the_probe_is_told_in_time() -> None:
    for hello, code in ((b"", "timeout"), (None, "closed"), (b"-STRANGE thing\r\n", "unexpected")):
        with StandIn({"HELLO": hello, "AUTH": [b"+OK\r\n", hello]}) as server:
            assert refused(url(server.port, "?protocol=3"), Limits(1.0, 1.5)).finding.code == code


def test_many_clients_side_by_side(secured: int) -> None:
    def work(n: int, done: list[int]) -> None:
        with redis.client(url(secured)) as made:
            made.incr("counted")
        done.append(n)

    done: list[int] = []
    threads = [threading.Thread(target=work, args=(n, done)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(done) == list(range(20))


def passwords(count: int) -> list[str]:
    """Every printable character, alone and together, and more than ASCII."""
    chosen = random.Random(11)
    characters = string.printable[:-5] + "äß€漢😀\u200b\u00a0"
    found = ["".join(chosen.choices(characters, k=chosen.randint(1, 40))) for _ in range(count - 2)]
    return [string.printable[:-5], "%00%25+/@:#?&=", *found]


def test_hostile_passwords_log_in(secured: int) -> None:
    count = 1000 if os.environ.get("LANCIO_PROOF") else 40
    with redis_py.Redis(port=secured, password=PASSWORD) as administrator:
        for n, password in enumerate(passwords(count)):
            administrator.execute_command("ACL", "SETUSER", "hostile", "reset", "on", f">{password}", "~*", "+@all")
            value = Redis((Host("127.0.0.1", secured),), "hostile", Secret(password), str(n % 16))
            assert ask(value).finding is None
            with redis.client(at(value.build())) as made:
                assert made.execute_command("ACL", "WHOAMI") in (b"hostile", "hostile")
        administrator.execute_command("ACL", "DELUSER", "hostile")
