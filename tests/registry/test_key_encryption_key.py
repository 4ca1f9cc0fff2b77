"""The key-encryption key: where it may come from, what it is known by, and what it refuses to open."""

from __future__ import annotations

import base64
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from lancio.registry import key_encryption_key as keks
from lancio.registry.key_encryption_key import KeyEncryptionKey, Ring, Source, WrapBroken
from lancio.registry.secrets import Key, KeyRefused

if TYPE_CHECKING:
    from lancio.errors import LancioError

KEK = KeyEncryptionKey(bytes(range(32)), "a test")
CANARY = KEK.secret.hex()
OWNER = UUID("6f2dd6c7-8f5c-4b6e-9d5c-0a1b2c3d4e5f")
KEY = Key(12, bytes(range(64)), OWNER)
ENVIRON = {"PATH": os.environ["PATH"]}


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def printing(text: str, *more: str) -> list[str]:
    return [sys.executable, "-c", f"import sys; sys.stdout.write({text!r}); {'; '.join(more)}"]


def told(error: LancioError) -> str:
    return f"{error!r} {error.as_dict()} {error.__cause__!r} {error.__context__!r}"


# Wrapping.


def test_a_wrapped_key_opens_in_its_own_row_only() -> None:
    wrapped = KEK.wrap(KEY)
    assert len(wrapped) == keks.WRAPPED_BYTES
    assert KEK.unwrap(wrapped, 12, OWNER) == KEY
    for key_id, organization in ((13, OWNER), (12, uuid4()), (12, None)):
        with pytest.raises(WrapBroken) as caught:
            KEK.unwrap(wrapped, key_id, organization)
        assert "restore" in " ".join(caught.value.commands)


def test_the_first_single_key_belongs_to_no_organization() -> None:
    single = Key(12, KEY.secret)
    assert KEK.unwrap(KEK.wrap(single), 12, None) == single
    with pytest.raises(WrapBroken):
        KEK.unwrap(KEK.wrap(single), 12, OWNER)


def test_every_flipped_bit_and_every_cut_of_a_wrapped_key_is_refused() -> None:
    wrapped = KEK.wrap(KEY)
    for bit in range(len(wrapped) * 8):
        changed = bytearray(wrapped)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(WrapBroken):
            KEK.unwrap(bytes(changed), 12, OWNER)
    for length in range(len(wrapped)):
        with pytest.raises(WrapBroken):
            KEK.unwrap(wrapped[:length], 12, OWNER)
    with pytest.raises(WrapBroken):
        KEK.unwrap(wrapped + b"\0", 12, OWNER)


def test_the_same_key_is_never_wrapped_twice_to_the_same_bytes() -> None:
    assert len({KEK.wrap(KEY) for _ in range(100)}) == 100


def test_the_check_value_is_public_and_says_nothing_of_the_key() -> None:
    assert KEK.id == KeyEncryptionKey(bytes(range(32))).id
    assert KEK.id != KeyEncryptionKey.random().id
    assert len(KEK.id) == 16
    assert KEK.id not in CANARY


def test_a_ring_takes_the_key_that_a_data_key_is_wrapped_with() -> None:
    old = KeyEncryptionKey.random()
    ring = Ring(KEK, (old,))
    for each in (KEK, old):
        assert ring.unwrap(each.wrap(KEY), each.id, 12, OWNER) == KEY
    stranger = KeyEncryptionKey.random()
    with pytest.raises(KeyRefused) as caught:
        ring.unwrap(stranger.wrap(KEY), stranger.id, 12, OWNER)
    assert stranger.id in caught.value.message
    assert KEK.id in caught.value.cause
    assert caught.value.remedy


def test_a_key_is_not_shown() -> None:
    source = Source(variable="LANCIO_KEK", command=("print-key", CANARY))
    assert CANARY not in f"{KEK} {KEK!r} {Ring(KEK, (KEK,))!r} {source!r}"
    assert KEK.secret.hex()[:16] not in f"{KEK!r}"


# A file.


def test_a_made_file_is_read_again_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "lancio.kek"
    made = keks.generate(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert keks.read_file(path) == made
    assert made.id in path.read_text()
    with pytest.raises(KeyRefused, match="exists"):
        keks.generate(path)
    assert keks.read_file(path) == made


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777, 0o610, 0o601])
def test_a_file_that_others_may_read_is_refused_with_the_command_that_mends_it(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path / "kek with a space", f"kek = {CANARY}\n", mode)
    with pytest.raises(KeyRefused, match="others") as caught:
        keks.read_file(path)
    assert f"{mode:04o}" in caught.value.cause
    assert caught.value.commands == (f"chmod 600 '{path}'",)
    assert CANARY not in told(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        f"kek = {CANARY}\n",
        f"# ours\n\n  kek={CANARY.upper()}  \n# end",
        CANARY,
        base64.b64encode(KEK.secret).decode() + "\n",
    ],
    ids=["line", "comments", "bare", "base64"],
)
def test_the_forms_of_a_key(tmp_path: Path, text: str) -> None:
    assert keks.read_file(written(tmp_path / "kek", text)) == KEK


@pytest.mark.parametrize(
    "text",
    ["", "\n# nothing\n", CANARY[:-1], CANARY + "0", f"kek = {CANARY}\nkek = {CANARY}\n", f"key = {CANARY}\n",
     "x" * 64, "00" * 32, "changeme" * 8, f"kek = {CANARY} # ours", "A" * 43 + "=", f"{CANARY}\n{CANARY}", "\x00" * 64,
     "é" * 70],
)  # fmt: skip
def test_what_is_no_key_is_refused_and_not_quoted(tmp_path: Path, text: str) -> None:
    with pytest.raises(KeyRefused, match="holds no key-encryption key") as caught:
        keks.read_file(written(tmp_path / "kek", text))
    assert CANARY[:40] not in told(caught.value)


def test_a_truncated_file_is_refused_at_every_length(tmp_path: Path) -> None:
    whole = f"kek = {CANARY}"
    for length in range(len(whole)):
        with pytest.raises(KeyRefused):
            keks.read_file(written(tmp_path / "kek", whole[:length]))


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    said = {tmp_path: "a file", tmp_path / "pipe": "a file", tmp_path / "gone": "be read", Path("/dev/zero"): "a file"}
    for path, words in said.items():
        begun = time.monotonic()
        with pytest.raises(KeyRefused, match=words):
            keks.read_file(path)
        assert time.monotonic() - begun < 2
    with pytest.raises(KeyRefused, match="too long"):
        keks.read_file(written(tmp_path / "long", CANARY * 2000))


# A command.


def test_a_command_prints_the_key() -> None:
    assert keks.read_command(printing(CANARY + "\n"), ENVIRON) == KEK


def test_a_commands_words_are_not_for_a_shell(tmp_path: Path) -> None:
    with pytest.raises(KeyRefused):
        keks.read_command(keks.words(f"echo {CANARY}; touch {tmp_path}/made", "x"), ENVIRON)
    assert not (tmp_path / "made").exists()
    assert keks.words("vault kv get -field='a b' $HOME", "x") == ("vault", "kv", "get", "-field=a b", "$HOME")
    for nothing in ("", "  ", "'open"):
        with pytest.raises(KeyRefused, match="is no command"):
            keks.words(nothing, "LANCIO_KEK_COMMAND")


def test_a_failing_command_shows_neither_what_it_printed_nor_what_it_was_told() -> None:
    command = [*printing(CANARY, f"sys.stderr.write({CANARY!r})", "sys.exit(3)"), f"--token={CANARY}"]
    with pytest.raises(KeyRefused, match="failed") as caught:
        keks.read_command(command, ENVIRON)
    assert "exit status is 3" in caught.value.cause
    assert CANARY not in told(caught.value)


@pytest.mark.parametrize("garbage", ["", "not a key", "error: " + CANARY, "\xff\xfe", CANARY + CANARY])
def test_a_command_that_prints_garbage_is_refused(garbage: str) -> None:
    with pytest.raises(KeyRefused, match="the output of") as caught:
        keks.read_command(printing(garbage), ENVIRON)
    assert CANARY not in told(caught.value)


def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    script = f"sleep 60 & echo $! > {note}; sleep 60"
    begun = time.monotonic()
    with pytest.raises(KeyRefused, match=r"within 0\.5 seconds"):
        keks.read_command(["sh", "-c", script], ENVIRON, seconds=0.5)
    assert time.monotonic() - begun < 5
    child = int(note.read_text())
    for _ in range(100):
        try:
            if Path(f"/proc/{child}/stat").read_text().rsplit(")")[1].split()[0] == "Z":
                break
        except FileNotFoundError:
            break
        time.sleep(0.05)
    else:
        pytest.fail("the child is still there")


def test_a_command_that_leaves_a_child_behind_is_not_waited_for() -> None:
    begun = time.monotonic()
    found = keks.read_command(["sh", "-c", f"echo {CANARY}; sleep 60 &"], ENVIRON, seconds=20)
    assert found == KEK
    assert time.monotonic() - begun < 10


def test_a_command_that_prints_without_end_is_ended() -> None:
    with pytest.raises(KeyRefused, match="printed too much"):
        keks.read_command(["yes", CANARY], ENVIRON)


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    for command in ("/no/such/program", str(written(tmp_path / "plain", "x")), str(tmp_path), "a\0b"):
        with pytest.raises(KeyRefused, match="cannot be started"):
            keks.read_command([command, CANARY], ENVIRON)


def test_a_command_has_no_input_to_wait_for() -> None:
    found = keks.read_command(
        [sys.executable, "-c", f"import sys; sys.stdin.read(); print({CANARY!r})"], ENVIRON, seconds=20
    )
    assert found == KEK


# What names it.


def test_the_environment_names_one_source(tmp_path: Path) -> None:
    path = written(tmp_path / "kek", CANARY)
    assert keks.named({}) is None
    assert keks.named({"LANCIO_KEK": "  "}) is None
    for environ in (
        {"LANCIO_KEK": CANARY},
        {"LANCIO_KEK_FILE": str(path)},
        {"LANCIO_KEK_COMMAND": f"cat '{path}'", "PATH": os.environ["PATH"]},
    ):
        source = keks.named(environ)
        assert source is not None
        assert source.read(environ) == KEK
        old = {name.replace("LANCIO_KEK", "LANCIO_OLD_KEK"): value for name, value in environ.items()}
        assert keks.named(old) is None
        source = keks.named(old, old=True)
        assert source is not None
        assert source.read(old) == KEK


def test_two_sources_at_once_are_refused_without_their_values() -> None:
    with pytest.raises(KeyRefused, match="LANCIO_KEK_FILE and LANCIO_KEK are set together") as caught:
        keks.named({"LANCIO_KEK": CANARY, "LANCIO_KEK_FILE": "x"})
    assert CANARY not in told(caught.value)


def test_a_variable_that_lancio_toml_names_has_to_be_set() -> None:
    with pytest.raises(KeyRefused, match="PROD_KEK is not set"):
        Source(variable="PROD_KEK", said="lancio.toml").read({})


def test_without_any_source_the_refusal_says_how_to_name_one() -> None:
    refusal = keks.missing()
    assert "LANCIO_KEK_FILE" in refusal.cause
    assert any("init" in command for command in refusal.commands)
