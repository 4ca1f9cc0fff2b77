"""The envelope, the key file and the masks, without a server."""

from __future__ import annotations

import os
import pickle
import stat
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from lancio.registry import secrets

if TYPE_CHECKING:
    from pathlib import Path

KEY = secrets.Key(7, bytes(range(64)))
ROW = UUID("00000000-0000-4000-8000-000000000001")


def test_the_envelope_is_the_one_that_is_written_down() -> None:
    envelope = secrets.seal("redis://:s3cret@h:1", row_id=ROW, key=KEY, iv=bytes(16))
    # The two parts as `openssl enc -aes-256-cbc` and `openssl dgst -sha256 -mac HMAC` give them.
    assert envelope[:21].hex() == "0100000007" + "00" * 16
    assert envelope[21:-32].hex() == "3932bc5c61c6d9322990f2a36a3e58de138cff13367af765456951cccd3d727b"
    assert envelope[-32:].hex() == "4b08fde416bf2e3bd649edfa22c2d6dbf277fb2e883701a7b8965f79e0d1151b"
    assert secrets.open_sealed(envelope, row_id=ROW, key=KEY) == secrets.Secret("redis://:s3cret@h:1")
    assert secrets.key_id_of(envelope) == 7


def test_the_same_text_is_never_sealed_alike() -> None:
    assert secrets.seal("x", row_id=ROW, key=KEY) != secrets.seal("x", row_id=ROW, key=KEY)


def test_a_wrong_iv_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        secrets.seal("x", row_id=ROW, key=KEY, iv=b"")
    with pytest.raises(ValueError, match="zero byte"):
        secrets.seal("x", row_id=ROW, key=KEY, column="a\0b")


@pytest.mark.parametrize(
    ("host", "shown"),
    [("h.example", "redis://h.example:1"), ("::1", "redis://[::1]:1"), ("[::1]", "redis://[::1]:1")],
)
def test_the_display_form_is_built_from_its_parts(host: str, shown: str) -> None:
    envelope = secrets.seal("x", row_id=ROW, key=KEY)
    assert secrets.display_form("redis", host, 1) == shown
    assert secrets.sealed_form(envelope, "redis", host, 1) == shown.replace(
        "//", f"//sealed:{envelope[-32:-28].hex()}@"
    )


def test_nothing_shows_a_secret() -> None:
    secret = secrets.Secret("s3cret")
    assert "s3cret" not in f"{secret} {secret!r} {secret:>20} {[secret]} {KEY} {KEY.settings()}"
    assert KEY.secret.hex() not in f"{KEY!r} {KEY.settings()}"
    assert secret.reveal() == "s3cret"
    assert secret == secrets.Secret("s3cret") != secrets.Secret("other")
    assert len({secret, secrets.Secret("s3cret")}) == 1
    with pytest.raises(TypeError):
        pickle.dumps(secret)


@pytest.mark.parametrize("secret", [b"", bytes(32), bytes(63), bytes(65)])
def test_a_key_of_another_length_is_refused(secret: bytes) -> None:
    with pytest.raises(secrets.KeyRefused, match="64 bytes"):
        secrets.Key(1, secret)


@pytest.mark.parametrize("key_id", [0, -1, 1_000_000_000, True])
def test_an_id_that_postgresql_would_read_otherwise_is_refused(key_id: int) -> None:
    with pytest.raises(secrets.KeyRefused):
        secrets.Key(key_id, bytes(64))


def test_a_generated_key_file_is_read_back_and_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "lancio.key"
    old = os.umask(0)
    try:
        key = secrets.generate(path, key_id=3)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secrets.read_key_file(path) == key
    with pytest.raises(secrets.KeyRefused, match="exists"):
        secrets.generate(path)
    assert secrets.read_key_file(path) == key
    with pytest.raises(secrets.KeyRefused, match="cannot be written"):
        secrets.generate(tmp_path / "missing" / "lancio.key")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o777])
def test_a_key_file_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "lancio.key"
    secrets.generate(path)
    path.chmod(mode)
    with pytest.raises(secrets.KeyRefused) as caught:
        secrets.read_key_file(path)
    assert caught.value.commands == (f"chmod 600 {path}",)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "key_id = 1\n",
        f"key = {'ab' * 64}\n",
        f"key_id = 0\nkey = {'ab' * 64}\n",
        f"key_id = 1\nkey = {'ab' * 63}\n",
        f"key_id = 1\nkey = {'zz' * 64}\n",
        f"key_id = 1\nkey = {'ab' * 64}\nkey = {'cd' * 64}\n",
        f"key_id = 1\nkey = {'ab' * 64}\nother = 1\n",
        f"{'ab' * 64}\n",
    ],
)
def test_a_file_that_is_no_key_file_is_refused_without_quoting_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lancio.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(secrets.KeyRefused) as caught:
        secrets.read_key_file(path)
    assert "abab" not in str(caught.value.as_dict())


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(secrets.KeyRefused):
            secrets.read_key_file(path)
