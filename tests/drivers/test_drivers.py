"""What all three drivers keep to, asked through the one door that callers have."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from postgresqls import answering

from lancio import drivers
from lancio.drivers import DatabaseRefused, Limits, network
from lancio.drivers.model import CODES
from lancio.registry.connection_strings import parse

if TYPE_CHECKING:
    from collections.abc import Callable

LIMITS = Limits(connect_s=2.0, total_s=3.0)
SHORT = Limits(connect_s=0.4, total_s=0.5)
LATE_S = 0.7
PASSWORD = "Canary-of-the-password"
URLS = {
    "postgresql": f"postgresql://ada:{PASSWORD}@{{}}/app?sslmode={{tls}}",
    "redis": f"redis{{s}}://ada:{PASSWORD}@{{}}/0",
    "mongodb": f"mongodb://ada:{PASSWORD}@{{}}/app?tls={{true}}",
}
FILES = {
    "postgresql": "postgresql://{}/app?sslmode=require&sslrootcert=/canary",
    "redis": "rediss://{}/0?ssl_ca_certs=/canary",
    "mongodb": "mongodb://{}/app?tls=true&tlsCAFile=/canary",
}


def url(kind: str, place: str, *, tls: bool) -> str:
    return URLS[kind].format(
        place, tls="require" if tls else "disable", s="s" if tls else "", true="true" if tls else "false"
    )


def silent(line: socket.socket) -> None:
    while line.recv(65536):
        pass


def hang_up(line: socket.socket) -> None:
    line.recv(1)


def garbage(line: socket.socket) -> None:
    seed = bytes(range(1, 256)) * 64
    while True:
        line.sendall(seed)


def trickle(line: socket.socket) -> None:
    while True:
        line.sendall(b"\1")
        time.sleep(0.05)


def codes(text: str, limits: Limits = LIMITS, *, local_files: bool = False) -> list[str | None]:
    """The codes of all hosts, in time; the client ends with the first of them."""
    target = parse(text)
    start = time.monotonic()
    probes = drivers.probe(target, limits, local_files=local_files)
    assert time.monotonic() - start < limits.total_s + LATE_S
    found = [probe.finding.code if probe.finding else None for probe in probes]
    start = time.monotonic()
    with pytest.raises(DatabaseRefused) as refused, drivers.client(target, limits, local_files=local_files):
        pass
    assert time.monotonic() - start < limits.total_s + LATE_S
    everything = json.dumps([probe.as_dict() for probe in probes]) + repr(probes) + json.dumps(refused.value.as_dict())
    assert "anary" not in everything
    assert refused.value.finding.code in CODES
    return found


@pytest.mark.parametrize("kind", URLS)
def test_nobody_listens(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert codes(url(kind, f"127.0.0.1:{port}", tls=False)) == ["refused"]
    assert codes(url(kind, f"nobody.invalid:{port}", tls=True))[0] in ("name-unknown", "name-failed", "timeout")
    assert codes(url(kind, f"{kind}.railway.internal:{port}", tls=False)) == ["private-network"]
    several = f"127.0.0.1:{port},127.0.0.2:{port}"
    if kind != "redis":
        assert codes(url(kind, several, tls=False)) == ["refused", "refused"]


@pytest.mark.parametrize("kind", FILES)
def test_a_file_is_not_looked_at_unless_the_caller_says_so(kind: str) -> None:
    with answering(silent) as port:
        assert codes(FILES[kind].format(f"127.0.0.1:{port}")) == ["option"]
        assert codes(FILES[kind].format(f"127.0.0.1:{port}"), local_files=True) == ["tls-files"]


@pytest.mark.parametrize(
    "text",
    ["postgresql://%2Fcanary/app", "postgresql://db.invalid,%2Fcanary/app", "postgresql:///app",
     "postgresql://@%40canary/app", "host='' user=ada", "unix:///canary/redis.sock", "mongodb://%2Fcanary%2Fm.sock/app"],
)  # fmt: skip
def test_a_socket_is_not_tried_unless_the_caller_says_so(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> network.Address:
        raise AssertionError("a socket was tried")

    target = parse(text)
    sockets = [probe for probe in drivers.probe(target, SHORT) if "invalid" not in probe.host.shown]
    with monkeypatch.context() as patch:
        patch.setattr(network, "socket_address", never)
        with pytest.raises(DatabaseRefused) as refused, drivers.client(target, SHORT):
            pass
    for found in (*(probe.finding for probe in sockets), refused.value.finding):
        assert found is not None
        assert (found.layer, found.code) == ("name", "option")
        assert "(socket)" in found.message
        assert "--local-files" in found.remedy
    allowed = [probe.finding.code for probe in drivers.probe(target, SHORT, local_files=True) if probe.finding]
    assert "option" not in allowed


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("kind", URLS)
@pytest.mark.parametrize("script", [silent, hang_up, garbage, trickle])
def test_whatever_answers_the_call_ends_in_time(script: Callable[[socket.socket], None], kind: str, tls: bool) -> None:
    with answering(script) as port:
        limits = SHORT if script in (silent, trickle) else LIMITS
        (code,) = codes(url(kind, f"127.0.0.1:{port}", tls=tls), limits)
    expected = {
        silent: {"timeout"},
        hang_up: {"closed", "tls-failed"},
        garbage: {"other-kind", "tls-failed"},
        trickle: {"timeout", "other-kind", "tls-failed"},
    }
    assert code in expected[script]


@pytest.mark.parametrize("kind", URLS)
def test_a_call_inside_of_an_event_loop_waits_too(kind: str) -> None:
    async def inside() -> None:
        with answering(hang_up) as port:
            target = parse(url(kind, f"127.0.0.1:{port}", tls=False))
            (probe,) = drivers.probe(target, LIMITS)
            (again,) = await drivers.probe_all(target, LIMITS)
            assert probe.finding == again.finding
            assert probe.finding is not None

    asyncio.run(inside())


def test_a_driver_is_loaded_when_it_is_needed() -> None:
    for kind, expected in (("", []), (".postgresql", ["psycopg"]), (".redis", ["redis"]), (".mongodb", ["pymongo"])):
        program = (
            f"import sys, lancio.drivers{kind}; print(sorted({{'psycopg', 'redis', 'pymongo'}} & set(sys.modules)))"
        )
        done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
        assert done.stdout == f"{expected}\n"


def test_limits_of_nothing_end_at_once() -> None:
    for kind in URLS:
        with answering(silent) as port:
            assert codes(url(kind, f"127.0.0.1:{port}", tls=False), Limits(0.0, 0.0)) == ["timeout"]
