"""A canary is found in every form that it may take, and nowhere else."""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING
from urllib.parse import quote

import psycopg
import pytest

from lancio.proof import canary as canaries
from lancio.proof.canary import Canary

if TYPE_CHECKING:
    from servers import TestServer

SECRET = Canary.random("secret")
KEY = os.urandom(64)
KEY_CANARY = Canary.of_key("key", KEY)


@pytest.mark.parametrize("before", [b"", b"a", b"zz:"])
@pytest.mark.parametrize("form", SECRET.forms())
def test_each_form_is_found_once_and_named(form: str, before: bytes) -> None:
    hits = SECRET.find(before + SECRET.forms()[form] + b"@host:6379")
    assert [(hit.canary, hit.form) for hit in hits] == [("secret", form)]
    assert 0 <= hits[0].offset - len(before) <= 2  # behind the quotation mark of JSON, or base64's first characters


def test_every_secret_is_found_in_every_form() -> None:
    for _ in range(200):
        fresh = Canary.random("secret")
        for form, data in fresh.forms().items():
            assert [hit.form for hit in fresh.find(b"\n" + data)] == [form]
            assert SECRET.find(data) == []


@pytest.mark.parametrize("alignment", range(3))
@pytest.mark.parametrize("written", [base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes])
def test_base64_is_found_wherever_the_secret_begins_in_it(alignment: int, written: object) -> None:
    assert callable(written)
    for length in range(alignment, 90, 3):  # also where a line of base64 ends within it
        data = written(b"q" * length + SECRET.text.encode() + b"and more")
        assert {hit.form for hit in SECRET.find(data)} == {canaries.BASE64}


def test_other_spellings_are_found() -> None:
    text = SECRET.text
    assert SECRET.find(text.encode().hex().upper().encode())[0].form == canaries.HEX
    assert SECRET.find(text.encode("utf-16-be"))[0].form == canaries.UTF16
    assert SECRET.find(json.dumps(json.dumps({"url": text})).encode())
    assert SECRET.find(quote(f"redis://:{text}@h", safe="").encode())[0].form == canaries.PERCENT
    assert SECRET.find(repr(text).encode())
    assert SECRET.find(f"E'{text}'".replace("'", "''").encode())


@pytest.mark.parametrize("cut", range(1, 24))
def test_half_a_secret_is_a_leak(cut: int) -> None:
    """A page's header or a limit of length may stand anywhere in it."""
    whole = SECRET.text.encode()
    assert SECRET.find(whole[:cut] + b"\0" * 24 + whole[cut:])
    assert SECRET.find(whole[: max(cut, 12)])


def test_each_occurrence_counts_once() -> None:
    data = b" and ".join([b"x" * 80 + SECRET.text.encode()] * 5)
    assert len(SECRET.find(data)) == 5


@pytest.mark.parametrize(
    "data",
    [KEY, KEY.hex().encode(), KEY.hex().upper().encode(), base64.b64encode(KEY), base64.b64encode(b"a" + KEY),
     base64.b64encode(KEY.hex().encode()), KEY.hex().encode("utf-16-le"), KEY[:32], KEY[32:].hex().encode()],
    ids=range(9),
)  # fmt: skip
def test_a_key_is_found_as_bytes_and_as_digits(data: bytes) -> None:
    assert [hit.canary for hit in KEY_CANARY.find(b"key = " + data)] == ["key"]


def test_what_is_something_else_is_not_found() -> None:
    data = os.urandom(1 << 20) + Canary.random("other").text.encode() + os.urandom(64).hex().encode()
    assert canaries.find(data, (SECRET, KEY_CANARY)) == []


def test_a_canary_is_not_shown() -> None:
    for shown in (repr(SECRET), str(SECRET), f"{SECRET}", SECRET.prefix, repr(KEY_CANARY), str(KEY_CANARY)):
        assert SECRET.text[:5] not in shown
        assert KEY.hex()[:5] not in shown


@pytest.mark.parametrize("first", ["", "y", "yyyy", "23-2"])
def test_what_postgresql_compresses_is_found(server: TestServer, database: str, first: str) -> None:
    """Also a text whose beginning repeats what stands before it: it is written as a reference to that."""
    if server.data is None:
        pytest.skip("the server was given: its files cannot be looked into")
    secret = Canary.of_text("secret", first + SECRET.bare[len(first) :])
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (content text)")
        for before in (
            "",
            "y",
            "yyyyy",
            *("!#$%&()"[:length] for length in range(1, 8)),
        ):  # each alignment of its control bytes
            long = "-".join(str(number) for number in range(300)) + before + secret.text + "x" * 9000
            connection.execute("INSERT INTO kept VALUES (%s)", (long,))
        connection.execute("CHECKPOINT")
        row = connection.execute("SELECT pg_relation_filepath('kept'), pg_relation_size('kept')").fetchone()
    assert row is not None
    assert row[1] < 10 * 9000  # it is compressed
    hits = secret.find((server.data / row[0]).read_bytes())
    assert len(hits) == 10
    assert {hit.form for hit in hits} <= {canaries.PGLZ, canaries.CLEAR}
    assert canaries.PGLZ in {hit.form for hit in hits}
