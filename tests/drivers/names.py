"""A name server of the tests' own: it knows what it is told, and what is asked of it goes nowhere else."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import dns.asyncresolver
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.rrset

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pytest


@contextlib.contextmanager
def serving(
    monkeypatch: pytest.MonkeyPatch,
    records: Mapping[tuple[str, str], tuple[str, ...]],
    *,
    here: tuple[str, ...] = (),
    silent: bool = False,
    failing: bool = False,
) -> Iterator[None]:
    """Ask it, by dnspython, while the block runs; names in `here` have this machine's address for everybody else."""
    resolver = dns.asyncresolver.Resolver(configure=False)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind(("127.0.0.1", 0))
        line.settimeout(0.05)
        resolver.nameservers, resolver.port = ["127.0.0.1"], line.getsockname()[1]
        over = threading.Event()

        def answer() -> None:
            while not over.is_set():
                try:
                    data, whose = line.recvfrom(4096)
                except TimeoutError:
                    continue
                if not silent:
                    line.sendto(_answer(data, records, failing=failing), whose)

        thread = threading.Thread(target=answer, name="name server")
        thread.start()
        asked = socket.getaddrinfo

        def getaddrinfo(host: str, *rest: object, **more: object) -> object:
            return asked("127.0.0.1" if host in here else host, *rest, **more)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr(dns.asyncresolver, "default_resolver", resolver)
            patch.setattr(socket, "getaddrinfo", getaddrinfo)
            try:
                yield
            finally:
                over.set()
                thread.join()


def _answer(data: bytes, records: Mapping[tuple[str, str], tuple[str, ...]], *, failing: bool) -> bytes:
    query = dns.message.from_wire(data)
    reply = dns.message.make_response(query)
    question = query.question[0]
    name = question.name.to_text(omit_final_dot=True)
    found = records.get((name, dns.rdatatype.to_text(question.rdtype)))
    if failing:
        reply.set_rcode(dns.rcode.SERVFAIL)
    elif found:
        reply.answer.append(dns.rrset.from_text(question.name, 60, "IN", question.rdtype, *found))
    elif not any(name == known for known, _ in records):
        reply.set_rcode(dns.rcode.NXDOMAIN)
    return reply.to_wire()
