"""Whatever a variable holds, asking a service ends with a word of the list, in time, and without a credential."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lancio.executor.services import CODES, probe
from lancio.planner.model import Service

IT = Service("it", "IT_URL", required=True, line=1)
PIECES = st.sampled_from((
    "redis", "rediss", "mongodb", "mongodb+srv", "postgresql", "http", "://", "user", ":", "@", "127.0.0.1", "[::1]",
    ":1", ":99999", ":x", "/", "?", "#", "tls=true", "ssl_ca_certs=/nope", "sslmode=verify-full", ",", "%zz", "%00",
    "\0", "é", "\u202e", " ", "[", "]", "a" * 300, "\n",
))  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(("", "redis://", "rediss://", "mongodb://", "postgresql://")), st.lists(PIECES, max_size=9))
def test_every_value_ends_with_a_word_of_the_list(scheme: str, pieces: list[str]) -> None:
    outcome = probe(IT, {"IT_URL": scheme + "".join(pieces)}, limit_s=0.2)
    assert outcome.code in CODES
    assert (outcome.says + outcome.where).isprintable()


@pytest.mark.parametrize("mark", [":", "/", "?", "#", "@", "%", "[", ",", ";", "\\"])
@pytest.mark.parametrize("scheme", ["redis", "mongodb", "postgresql"])
def test_a_password_with_a_special_character_is_in_no_outcome(scheme: str, mark: str) -> None:
    outcome = probe(IT, {"IT_URL": f"{scheme}://user:12{mark}hunter2@127.0.0.1:1/x"}, limit_s=0.5)
    assert "hunter2" not in repr(outcome)
    assert "user" not in repr(outcome)
    assert "12" not in outcome.where.replace("127.0.0.1:1", "")


def test_a_host_that_does_not_answer_at_all_ends_with_the_limit() -> None:
    began = time.monotonic()
    outcome = probe(IT, {"IT_URL": "redis://192.0.2.1:6379"}, limit_s=0.5)  # TEST-NET-1: nobody is there
    assert outcome.code in ("timeout", "unreachable", "refused")
    assert time.monotonic() - began < 5
