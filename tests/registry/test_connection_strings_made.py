"""A million connection strings: no secret in what is shown, the right host and port, a clear error for what is none.

The kinds' own drivers are asked about each of them. A seeded sample runs always, LANCIO_PROOF=1 makes the million.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from drivers_reading import DriverRefuses, agrees, dns_that_knows_all, read
from made_strings import Maker

from lancio.registry.connection_strings import ConnectionString, ConnectionStringRefused, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

PROOF = os.environ.get("LANCIO_PROOF") == "1"
PARTS = 10
EACH = 100_000 if PROOF else 1_500
"""Strings of each part: half of them valid, a quarter broken by construction, a quarter by a change to a valid one."""


@pytest.fixture(autouse=True)
def dns() -> Iterator[None]:
    with dns_that_knows_all():
        yield


@pytest.mark.parametrize("part", range(PARTS))
def test_generated_strings_are_read_as_the_driver_reads_them_and_show_no_secret(part: int) -> None:
    maker = Maker(part)
    counts: Counter[str] = Counter()
    for _ in range(EACH // 4):
        for _ in range(2):
            made = maker.valid()
            about = f"part {part}, string {maker.count}: {made.text!r}"
            try:
                value = parse(made.text)
            except ConnectionStringRefused as refused:
                pytest.fail(f"{about}: {refused.as_dict()}")
            assert value.kind == made.kind, about
            assert tuple((host.name, host.port) for host in value.hosts) == made.hosts, about
            assert (value.user or "", value.database or "") == (made.user, made.database), about
            assert (value.password.reveal() if value.password else "") == made.password, about
            _shows_no(made.canary, value, about)
            _is_built_again(value, about)
            for name, port in made.hosts:
                _is_shown(value, name, port, about)
            if made.driver:
                assert agrees(value, made.text), about
            for host in value.hosts[-1:]:
                if made.kind != "mongodb" or len(value.hosts) > 1:
                    alone = value.single(host)
                    assert read(made.kind, alone.build()).hosts == ((host.name, host.address, host.port),), about
            counts[f"{made.kind} valid"] += 1
        kind, text, canary, reasons = maker.wrong()
        about = f"part {part}, string {maker.count}, broken: {text!r}"
        for asked in (None, kind):
            with pytest.raises(ConnectionStringRefused) as refused:
                parse(text, asked)  # type: ignore[arg-type]
            assert refused.value.reason in reasons | {"scheme"}, (about, refused.value.reason)
            _is_clear(refused.value, canary, about)
        counts["broken"] += 1
        counts[_changed(maker, part)] += 1
    assert sum(counts.values()) == EACH // 4 * 4
    assert min(counts[f"{kind} valid"] for kind in ("postgresql", "redis", "mongodb")) > EACH // 10
    assert counts["changed, refused by both"] > EACH // 40
    assert counts["changed, read by both"] > EACH // 40
    print(dict(counts))


def _changed(maker: Maker, part: int) -> str:
    made = maker.valid()
    text = maker.mutated(made)
    about = f"part {part}, string {maker.count}, changed: {text!r}"
    try:
        value = parse(text)
    except ConnectionStringRefused as refused:
        _is_clear(refused, made.canary, about)
        if not made.driver:
            return "changed, of a form of ours"
        try:
            read(made.kind, text)
        except DriverRefuses:
            return "changed, refused by both"
        return "changed, refused by us alone"
    assert made.canary not in value.display, about
    _is_built_again(value, about)
    if (value.kind == "redis" and len(value.hosts) > 1) or not made.driver:
        return "changed, of a form of ours"
    # What we take the driver takes, and reads alike; of both the text and what we make of it.
    try:
        assert agrees(value, text.strip(" \t\n\v\f\r")), about
    except DriverRefuses as refused:
        pytest.fail(f"{about}: the driver refuses it ({refused})")
    return "changed, read by both"


def _shows_no(canary: str, value: ConnectionString, about: str) -> None:
    for shown in (value.display, str(value), repr(value), f"{value}", json.dumps(value.as_dict(), default=repr)):
        assert canary not in shown, about
    assert value.display.isascii(), about
    assert value.display.isprintable(), about


def _is_built_again(value: ConnectionString, about: str) -> None:
    built = value.build()
    again = parse(built)
    assert again == value, about
    assert again.build() == built, about
    assert again.display == value.display, about


def _is_shown(value: ConnectionString, name: str, port: int | None, about: str) -> None:
    if value.display == "postgresql:///" + value.display.rpartition("/")[2]:
        assert (name, port) == ("", 5432), about
        return
    place = f"[{name.replace('%', '%25')}]" if ":" in name else name
    if name[:1] != "/":
        assert (place if port is None else f"{place}:{port}") in value.display, about


def _is_clear(refused: ConnectionStringRefused, canary: str, about: str) -> None:
    said = json.dumps(refused.as_dict(), ensure_ascii=False)
    assert canary not in said, about
    assert refused.message, about
    assert refused.cause, about
    assert refused.remedy, about
    assert refused.__cause__ is None, about
    assert refused.__suppress_context__ or refused.__context__ is None, about
