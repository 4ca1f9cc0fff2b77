"""The layers name and reach, TLS that breaks off, and the words: what all drivers share."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import queue
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest
from authority import Authority
from postgresqls import answering, exactly

from lancio import drivers
from lancio.drivers import Limits, findings, network, tls
from lancio.drivers.findings import Failed, finding
from lancio.drivers.model import CODES, LAYERS, Code
from lancio.registry.connection_strings import Host, Kind, parse
from lancio.registry.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LIMITS = Limits(connect_s=0.5, total_s=2.0)
PATIENT = Limits(connect_s=10.0, total_s=12.0)
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "probes.md"


def failed(work: object) -> tuple[str, str]:
    with pytest.raises(Failed) as found:
        asyncio.run(work)  # type: ignore[arg-type]
    return found.value.layer, found.value.code


def resolving(monkeypatch: pytest.MonkeyPatch, answer: Callable[[], list[object]]) -> None:
    monkeypatch.setattr(network.socket, "getaddrinfo", lambda *_, **__: answer())


def raising(error: BaseException) -> Callable[[], list[object]]:
    def answer() -> list[object]:
        raise error

    return answer


# --- name -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "code"),
    [(socket.EAI_NONAME, "name-unknown"), (socket.EAI_NODATA, "name-unknown"), (socket.EAI_AGAIN, "name-failed"),
     (socket.EAI_FAIL, "name-failed"), (socket.EAI_SYSTEM, "name-failed")],
)  # fmt: skip
def test_what_a_resolver_says(monkeypatch: pytest.MonkeyPatch, number: int, code: str) -> None:
    resolving(monkeypatch, raising(socket.gaierror(number, "canary")))
    assert failed(network.addresses(Host("db.example.com", 1), LIMITS)) == ("name", code)
    for name in ("postgres.railway.internal", "Redis.Railway.Internal."):
        assert failed(network.addresses(Host(name, 1), LIMITS)) == ("name", "private-network")


def test_names_that_are_none_and_addresses() -> None:
    # What a resolver says of a name depends on whether there is a network.
    assert failed(network.addresses(Host("nobody.invalid", 1), PATIENT))[1] in ("name-unknown", "name-failed")
    for text, expected in (("127.0.0.1",) * 2, ("::1",) * 2, ("fe80::1%lo", f"fe80::1%{socket.if_nametoindex('lo')}")):
        (found,) = asyncio.run(network.addresses(Host(text, 5), LIMITS))
        assert (found.shown, found.sockaddr[1]) == (expected, 5)
    (found,) = asyncio.run(network.addresses(Host("nobody.invalid", 5, "127.0.0.3"), LIMITS))
    assert found.shown == "127.0.0.3"


def test_a_resolver_that_hangs_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hang() -> list[object]:
        release.wait(20)
        return []

    resolving(monkeypatch, hang)
    start = time.monotonic()
    try:
        for name, code in (("db.example.com", "timeout"), ("db.railway.internal", "private-network")):
            assert failed(network.addresses(Host(name, 1), LIMITS)) == ("name", code)
        probes = drivers.probe(parse("postgresql://db.example.com,other.example.com/x"), LIMITS)
        assert [probe.finding.code for probe in probes if probe.finding] == ["timeout", "timeout"]
        assert time.monotonic() - start < 3 * LIMITS.connect_s + 1
    finally:
        release.set()


def test_a_resolver_that_hangs_does_not_hold_up_the_interpreter() -> None:
    program = """
import socket, time
socket.getaddrinfo = lambda *_, **__: time.sleep(30)
from lancio import drivers
from lancio.registry.connection_strings import parse
print(drivers.probe(parse("postgresql://db.example.com/x"), drivers.Limits(0.2, 0.5))[0].finding.code)
"""
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("timeout\n", "")
    assert time.monotonic() - start < 15


def test_what_comes_when_nobody_waits_any_more_is_not_left_open() -> None:
    closed: queue.Queue[str] = queue.Queue()
    go = threading.Event()

    def late() -> str:
        go.wait(10)
        return "late"

    async def gone() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await network.apart(late, closed.put)

    async def gone_while_the_loop_goes_on() -> None:
        await gone()
        go.set()
        while closed.empty():
            await asyncio.sleep(0.01)

    async def gone_just_then() -> None:
        waiting = asyncio.create_task(network.apart(lambda: "now", closed.put))
        await asyncio.sleep(0)
        time.sleep(0.1)
        await asyncio.sleep(0)  # it is told, and not taken yet
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(gone())
    go.set()
    assert closed.get(timeout=10) == "late"
    go.clear()
    asyncio.run(gone_while_the_loop_goes_on())
    assert closed.get(timeout=10) == "late"
    asyncio.run(gone_just_then())
    assert closed.get(timeout=10) == "now"


def test_both_families_are_tried_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    def listed() -> list[object]:
        six = [(socket.AF_INET6, 1, 6, "", (f"2001:db8::{n}", 1, 0, 0)) for n in (1, 2, 3)]
        return [*six, (socket.AF_INET, 1, 6, "", ("192.0.2.1", 1)), six[0]]

    resolving(monkeypatch, listed)
    found = asyncio.run(network.addresses(Host("db.example.com", 1), LIMITS))
    assert [each.shown for each in found] == ["2001:db8::1", "192.0.2.1", "2001:db8::2", "2001:db8::3"]


# --- reach ------------------------------------------------------------------------------------------------------------


def places(*ports: int) -> list[network.Address]:
    return [network.Address(socket.AF_INET, ("127.0.0.1", port)) for port in ports]


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


async def reached(addresses: Sequence[network.Address], limits: Limits = LIMITS) -> object:
    found = await network.connected(addresses, limits)
    found.socket.close()
    return found.address.sockaddr[1]


def test_the_first_that_takes_the_connection_wins() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert asyncio.run(reached(places(closed_port(), closed_port(), port))) == port
        start = time.monotonic()
        with full() as stuck:
            assert asyncio.run(reached([*places(stuck), *places(port)])) == port
        assert network.STAGGER_S <= time.monotonic() - start < network.STAGGER_S + 0.3
    assert failed(reached(places(closed_port(), closed_port()))) == ("reach", "refused")
    assert failed(reached([])) == ("reach", "unreachable")


class full:  # noqa: N801
    """The port of a listener whose queue is full, so that nobody takes a connection."""

    def __enter__(self) -> int:
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        port = int(self.listener.getsockname()[1])
        self.held = []
        for _ in range(8):
            line = socket.socket()
            line.setblocking(False)
            line.connect_ex(("127.0.0.1", port))
            self.held.append(line)
        return port

    def __exit__(self, *_: object) -> None:
        for line in (*self.held, self.listener):
            line.close()


def test_nobody_who_takes_it_is_a_timeout_and_leaves_nothing_open() -> None:
    with full() as port, warnings.catch_warnings():
        warnings.simplefilter("error")
        before = len(list(Path("/proc/self/fd").iterdir()))
        start = time.monotonic()
        assert failed(reached(places(port, port, port))) == ("reach", "timeout")
        assert LIMITS.connect_s <= time.monotonic() - start < LIMITS.connect_s + 0.3
        gc.collect()
        assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENETUNREACH, "unreachable"), (errno.EHOSTUNREACH, "unreachable"), (errno.EACCES, "unreachable"),
     (errno.ECONNREFUSED, "refused"), (errno.ETIMEDOUT, "timeout"), (errno.EMFILE, None)],
)  # fmt: skip
def test_what_the_network_says(number: int, code: Code | None) -> None:
    assert network.code_of(OSError(number, "canary")) == code
    assert network.code_of(OSError(errno.EACCES, "canary"), socket.AF_UNIX) == "socket-denied"


def test_sockets_of_this_machine(tmp_path: Path) -> None:
    path = str(tmp_path / "s")

    async def at(name: str) -> object:
        return await reached(await network.addresses(Host(name), LIMITS))

    assert failed(at(path)) == ("reach", "socket-missing")
    assert failed(reached([network.socket_address(path + "x" * 100)])) == ("reach", "socket-missing")
    assert failed(at(path + "/deeper")) == ("reach", "socket-missing")
    Path(path).write_text("")
    assert failed(at(path)) == ("reach", "refused")
    Path(path).unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        assert failed(at(path)) == ("reach", "refused")
        listener.listen(0)
        held = []
        try:
            while True:  # asyncio takes a full queue for a connection
                held.append(socket.socket(socket.AF_UNIX))
                held[-1].setblocking(False)
                if held[-1].connect_ex(path):
                    break
            assert failed(at(path)) == ("reach", "refused")
        finally:
            for line in held:
                line.close()


def test_a_socket_that_is_not_for_us(tmp_path: Path) -> None:
    path = tmp_path / "s"
    root = os.geteuid() == 0
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(0)
        if root:  # who may do everything
            os.seteuid(65534)
        try:
            found = failed(reached([network.socket_address(str(path))]))
        finally:
            if root:
                os.seteuid(0)
    assert found == ("reach", "socket-denied")


# --- TLS --------------------------------------------------------------------------------------------------------------


def handshake(script: Callable[[socket.socket], None], made: ssl.SSLContext) -> Code | None:
    """The code for how TLS with a server of that script ends; None if it does not end."""
    with answering(script) as port, socket.create_connection(("127.0.0.1", port), 5) as line:
        try:
            with made.wrap_socket(line, server_hostname="localhost") as secured:
                secured.recv(1)  # no words of ours that could cross an alert
        except OSError as error:
            return tls.code_of(error)
    return None


def serving(made: ssl.SSLContext) -> Callable[[socket.socket], None]:
    def script(line: socket.socket) -> None:
        with made.wrap_socket(line, server_side=True) as secured:
            secured.sendall(b"x")
            secured.recv(1)

    return script


def test_how_a_handshake_breaks_off(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs", "Theirs")
    good = ours.issue("first", "localhost")

    def server(label: str = "good", *names: str, authority: Authority = ours, **span: int) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issued = authority.issue(label, *(names or ("localhost",)), **span)  # type: ignore[arg-type]
        made.load_cert_chain(issued.certificate, issued.key)
        return made

    trusting = tls.context(tls.TlsParts(ca_file=str(ours.file)))
    assert handshake(serving(server()), trusting) is None
    assert handshake(serving(server("other", "example.com")), trusting) == "certificate-name"
    assert handshake(serving(server("old", valid_from=-3, valid_to=-1)), trusting) == "certificate-expired"
    assert handshake(serving(server("new", valid_from=1, valid_to=3)), trusting) == "certificate-expired"
    assert handshake(serving(server("strange", authority=theirs)), trusting) == "certificate-untrusted"
    assert handshake(serving(server("strange", authority=theirs)), tls.context(tls.TlsParts("unverified"))) is None
    data = tls.context(tls.TlsParts(ca_data=ours.file.read_text()))
    assert handshake(serving(server()), data) is None
    only_ca = tls.context(tls.TlsParts("ca", ca_file=str(ours.file)))
    assert handshake(serving(server("other", "example.com")), only_ca) is None

    for path, code in (
        (ours.revoked(good), "certificate-expired"), (ours.revoked(), None), (ours.revoked(valid_to=-1), "tls-files"),
        (theirs.revoked(), "tls-files"),
    ):  # fmt: skip
        listed = tls.context(tls.TlsParts(ca_file=str(ours.file), revoked=str(path)))
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(good.certificate, good.key)
        assert handshake(serving(made), listed) == code

    wanting = server()
    wanting.verify_mode = ssl.CERT_REQUIRED
    wanting.load_verify_locations(ours.file)
    assert handshake(serving(wanting), trusting) == "client-certificate"
    strange = theirs.issue("client", subject="ada")
    presenting = tls.context(
        tls.TlsParts(ca_file=str(ours.file), certificate=str(strange.certificate), key=str(strange.key))
    )
    assert handshake(serving(wanting), presenting) == "client-certificate"
    sealed = ours.issue("sealed", subject="ada", password="canary")
    presenting = tls.context(
        tls.TlsParts(ca_file=str(ours.file), certificate=str(sealed.both), key_password=Secret("canary"))
    )
    assert handshake(serving(wanting), presenting) is None

    tls13 = server()
    tls13.minimum_version = ssl.TLSVersion.TLSv1_3
    until12 = tls.context(tls.TlsParts(ca_file=str(ours.file), highest=ssl.TLSVersion.TLSv1_2))
    assert handshake(serving(tls13), until12) == "tls-failed"
    assert handshake(lambda line: line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), trusting) == "tls-failed"


def test_a_context_verifies_and_speaks_nothing_old() -> None:
    made = tls.context(tls.TlsParts(lowest=ssl.TLSVersion.TLSv1))
    assert made.verify_mode is ssl.CERT_REQUIRED
    assert made.check_hostname
    assert made.minimum_version is ssl.TLSVersion.TLSv1_2


def test_files_that_do_not_fit_are_told_without_their_names(tmp_path: Path) -> None:
    ours = Authority(tmp_path)
    good, other, sealed = ours.issue("good"), ours.issue("other"), ours.issue("sealed", password="canary")
    pipe = tmp_path / "canary.pipe"
    os.mkfifo(pipe)
    huge = tmp_path / "canary.huge"
    with huge.open("wb") as file:
        file.truncate(1 << 32)
    ca = str(ours.file)
    for parts in (
        tls.TlsParts(ca_file=str(tmp_path / "canary")),
        tls.TlsParts(ca_file=str(pipe)),
        tls.TlsParts(ca_file=str(huge)),
        tls.TlsParts(ca_file=str(good.key)),
        tls.TlsParts(ca_data="canary"),
        tls.TlsParts(ca_file=ca, revoked=str(pipe)),
        tls.TlsParts(ca_file=ca, ciphers="canary"),
        tls.TlsParts(ca_file=ca, certificate=str(pipe)),
        tls.TlsParts(ca_file=ca, certificate=str(good.certificate)),
        tls.TlsParts(ca_file=ca, certificate=str(good.certificate), key=str(other.key)),
        tls.TlsParts(ca_file=ca, certificate=str(good.certificate), key=str(tmp_path)),
        tls.TlsParts(ca_file=ca, certificate=str(sealed.both)),
        tls.TlsParts(ca_file=ca, certificate=str(sealed.both), key_password=Secret("canary2")),
    ):
        start = time.monotonic()
        with pytest.raises(Failed) as found:
            tls.context(parts)
        assert time.monotonic() - start < 2
        assert (found.value.layer, found.value.code) == ("tls", "tls-files")
        assert "canary" not in repr(found.value) + found.value.detail


def test_a_server_that_puts_words_behind_its_yes() -> None:
    """What is not encrypted and stands behind the S would be read as if it were (CVE-2021-23222)."""

    def script(line: socket.socket) -> None:
        exactly(line, 8)
        line.sendall(b"S" + b"R\0\0\0\x08\0\0\0\0")
        line.recv(1)

    with answering(script) as port:
        (probe,) = drivers.probe(parse(f"postgresql://a:b@127.0.0.1:{port}/x?sslmode=require"), LIMITS)
    assert probe.finding is not None
    assert (probe.finding.layer, probe.finding.code) == ("tls", "tls-failed")


# --- the words --------------------------------------------------------------------------------------------------------

KINDS: tuple[Kind, ...] = get_args(Kind)


def test_each_code_has_words_for_each_kind_and_they_show_host_and_port_only() -> None:
    assert set(findings.WORDS) == CODES
    assert {code for _, code in findings._OF_KIND} <= CODES
    for kind in KINDS:
        for code in CODES:
            for layer in LAYERS:
                found = finding(kind, Host("db.example.com", 5432), Failed(layer, code, "57P99"))
                assert found.message.startswith("db.example.com:5432")
                assert found.remedy.endswith(".")
                assert not re.search(r"\{(place|server|at|detail)\}", found.message + found.remedy)
                assert not found.message.endswith(".")


def test_a_detail_is_a_bare_word_or_nothing() -> None:
    assert Failed("tls", "tls-failed", "WRONG_VERSION_NUMBER").detail == "WRONG_VERSION_NUMBER"
    for text in ("password is hunter2", "a" * 65, "x\n", "é"):
        assert Failed("tls", "tls-failed", text).detail == ""


def rows() -> list[str]:
    """The page's table, from the words."""

    def plain(text: str) -> str:
        for pattern, word in (
            (r"\{place\}:? ", ""), (r"\{detail\}", ""), (r", \{at\}", ""), (r"\{server\}", "a server of this kind")
        ):  # fmt: skip
            text = re.sub(pattern, word, text)
        text = text.replace("{{", "{").replace("}}", "}")
        return text[0].upper() + text[1:]

    lines = []
    for code in get_args(Code):
        general = findings.WORDS[code]
        lines.append(f"| `{code}` | | {plain(general.message)} | {plain(general.remedy)} |")
        for kind in KINDS:
            own = findings.words_for(kind, code)
            if own != general:
                lines.append(f"| `{code}` | {kind} | {plain(own.message)} | {plain(own.remedy)} |")
    return lines


def test_the_page_has_each_code_in_these_words() -> None:
    found = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert found == rows(), "write them anew: python tests/drivers/test_network.py"


def write_page() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("|---"))
    kept = [line for line in lines[first + 1 :] if not line.startswith("| `")]
    PAGE.write_text("\n".join([*lines[: first + 1], *rows(), *kept]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_page()
