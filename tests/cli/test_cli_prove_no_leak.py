"""`lancio prove-no-leak` as its users run it: on a server of its own, whole."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from lancio.cli.main import run
from lancio.cli.terminal import Terminal
from lancio.proof import canary, leaks, places, scratch

PROOF = os.environ.get("LANCIO_PROOF") == "1"
AGAINST = {
    "plain": {places.HEAP, places.WAL, places.DUMP, places.LOG, places.STATISTICS, places.ROWS, places.ERRORS},
    "literals": {places.LOG, places.LOUD, places.ACTIVITY, places.ERRORS},
}
"""Where the secret must be found in what leaks."""
if not PROOF:
    del AGAINST["literals"]
NAMES = {each.name for each in places.OWN}


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> list[canary.Canary]:
    """The canaries of the run: nobody else may know them."""
    made: list[canary.Canary] = []
    random = canary.Canary.random
    of_key = canary.Canary.of_key
    monkeypatch.setattr(canary.Canary, "random", lambda name: made.append(random(name)) or made[-1])
    monkeypatch.setattr(canary.Canary, "of_key", lambda name, key: made.append(of_key(name, key)) or made[-1])
    return made


def lancio(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    status = run(words, Terminal(out, err))
    return status, out.getvalue(), err.getvalue()


@pytest.mark.postgres
@pytest.mark.embedded
def test_the_platform_leaks_nowhere(planted: list[canary.Canary]) -> None:
    status, out, err = lancio("prove-no-leak", "--json")
    assert (status, err) == (0, "")
    report = json.loads(out)
    assert report["clean"] is True
    assert report["leaking"] == report["doubts"] == []
    judged = {each["name"]: each for each in report["places"]}
    assert set(judged) == NAMES
    # Every place is searched on a server of our own, and every search finds what was put there for it.
    assert {name for name, each in judged.items() if not each["searched"]} == set()
    assert {each["control"] for each in judged.values()} == {"found"}
    assert judged[places.HEAP]["bytes"] > 10_000_000
    assert judged[places.WAL]["bytes"] >= 16 * 1024 * 1024
    assert len(report["ways"]) > 60
    assert len(planted) >= 3
    assert not [each for each in planted if each.find(out.encode())]


@pytest.mark.postgres
@pytest.mark.embedded
@pytest.mark.parametrize("against", AGAINST)
def test_what_leaks_is_found(against: str, planted: list[canary.Canary]) -> None:
    status, out, err = lancio("prove-no-leak", "--against", against)
    assert (status, err) == (1, "")
    assert not [each for each in planted if each.find(out.encode())]
    leaking = {name for name in NAMES if any(line.startswith(f"✗ {name} ") for line in out.splitlines())}
    assert leaking >= AGAINST[against]
    if against == "literals":
        assert not leaking & {places.HEAP, places.WAL, places.DUMP, places.ROWS, places.AUDIT}
    assert "at byte" in out
    assert "its control was found in 18 of 18 places" in " ".join(out.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--role", "nobody"), "without a database"),
        (("--against", "plain", "--database", "postgresql://h/d"), "not for a given database"),
        (("--against", "nothing"), "--against"),
        (("--database", ""), "empty"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: tuple[str, ...], said: str) -> None:
    status, out, err = lancio("prove-no-leak", *words)
    assert (status, out) == (2, "")
    assert said in err


def folders() -> set[Path]:
    there = {Path(tempfile.gettempdir()), scratch.MEMORY}
    return {found for place in there for found in place.glob("lancio-scratch-*")}


@pytest.mark.postgres
@pytest.mark.embedded
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_after_a_signal(number: int) -> None:
    words = [sys.executable, "-m", "lancio", "prove-no-leak"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)) as child:
        until = time.monotonic() + 60

        def mine() -> set[Path]:
            return {each for each in folders() if each.name.startswith(f"lancio-scratch-{child.pid}-")}

        # In the middle: the key is written, and a command of Lancio's runs with it.
        while time.monotonic() < until and not any((each / "ours" / places.KEY_FILE).exists() for each in mine()):
            time.sleep(0.02)
        assert mine()
        data = next(iter(mine())) / "data"
        child.send_signal(number)
        child.communicate(timeout=60)
        assert child.returncode == 130
        assert mine() == set()
        assert not [each for each in Path("/proc").glob("[0-9]*/cmdline") if str(data).encode() in _line(each)]


def _line(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_new_place_is_one_line() -> None:
    """What an API, metrics or a console will add: noted by its ways, searched as all others."""
    control, secret = canary.Canary.random("control"), canary.Canary.random("secret")
    scene = places.Scene(control, (secret,), lambda _: pytest.fail("no database is asked"))
    api = places.Place("API answers", "each body and header", "text", places.noted("API answers"))
    assert places.search(api, scene).why_not == "nothing passed by it"
    scene.note("API answers", "GET /databases", {"name": control.text})
    assert places.search(api, scene).proved
    scene.note("API answers", "GET /databases/1", {"url": f"redis://:{secret.text}@h"})
    assert [each.where for each in places.search(api, scene).sightings] == ["GET /databases/1"]
    assert leaks.LAYOUTS[0] == "platform"
