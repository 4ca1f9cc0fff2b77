"""`lancio keys` as people use it: what it says, what it refuses, and that it is killed without harm."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from isolation import PROOF
from keys import ACME, KEK, OTHER, an_organization, slug_of
from test_key_rotation import all_open, some_secrets
from test_key_takeover import CANARY, SINGLE, raw

from lancio.cli import main
from lancio.cli.terminal import Terminal
from lancio.registry import key_encryption_key as keks
from lancio.registry.key_encryption_key import KeyEncryptionKey, Ring

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

VARIABLES = ("DATABASE_URL", "LANCIO_KEY_FILE", "LANCIO_KEK", "LANCIO_KEK_FILE", "LANCIO_KEK_COMMAND",
             "LANCIO_OLD_KEK", "LANCIO_OLD_KEK_FILE", "LANCIO_OLD_KEK_COMMAND")  # fmt: skip
NEWEST = """
SELECT count(*) FROM platform.databases
WHERE platform.envelope_key_id(connection_string_encrypted) = (SELECT max(key_id) FROM platform.data_keys)
"""
"""How many rows are sealed with the newest key."""
KILLS = 60 if PROOF else 4


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def connection(keyed_platform: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(keyed_platform, autocommit=True) as connection:
        yield connection


@pytest.fixture
def kek(tmp_path: Path) -> str:
    """The file of the KEK that the tests' secrets are sealed under."""
    path = tmp_path / "lancio.kek"
    path.write_text(f"kek = {KEK.secret.hex()}\n")
    path.chmod(0o600)
    return str(path)


@pytest.fixture
def lancio(keyed_platform: str) -> Callable[..., tuple[int, str, str]]:
    def run(*words: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        status = main.run(["keys", *words, "--database", keyed_platform], Terminal(out, err, {}))
        assert "Traceback" not in err.getvalue()
        return status, out.getvalue(), " ".join(err.getvalue().split())

    return run


Lancio = Any


def test_from_the_first_key_to_the_end(connection: psycopg.Connection, lancio: Lancio, tmp_path: Path) -> None:
    for each in (ACME, OTHER):
        an_organization(connection, each)
    status, out, _ = lancio("status")
    assert status == 0
    assert "There are no data keys" in out
    assert "2 organizations without a data key: lancio keys init" in out
    file = tmp_path / "lancio.kek"
    status, out, err = lancio("init", "--kek-file", str(file))
    assert status == 0
    made = keks.read_file(file)
    assert f"Made {file}: key-encryption key {made.id}." in out
    assert "2 data keys made" in out
    assert "Keep a copy" in err
    status, out, _ = lancio("status", "--json")
    assert json.loads(out)["keks"] == {made.id: 2}
    new = tmp_path / "new.kek"
    assert main.run(["keys", "generate", str(new)], Terminal(io.StringIO(), io.StringIO(), {})) == 0
    both = ("--kek-file", str(new), "--old-kek-file", str(file))
    assert "2 data keys would be wrapped" in lancio("rotate-kek", *both, "--dry-run")[1]
    status, out, err = lancio("rotate-kek", *both)
    assert status == 0
    assert f"2 data keys wrapped by {keks.read_file(new).id}" in out
    noted = connection.execute(
        "SELECT actor_type, target_id, after - 'login', after->>'login' = session_user FROM platform.audit_logs"
        " WHERE action = 'data_key.rewrap'"
    ).fetchall()
    assert noted == [("system", None, {"keys": 2, "kek_id": keks.read_file(new).id}, True)]
    assert "old key-encryption key" in err
    backup = tmp_path / "keys.backup"
    assert lancio("backup", str(backup))[0] == 0
    assert (
        "0 data keys would be added, 0 would be mended, 2 were there"
        in lancio("restore", str(backup), "--dry-run", "--kek-file", str(new))[1]
    )
    assert lancio("check", "--kek-file", str(new))[0] == 0
    status, out, err = lancio("rotate", slug_of(ACME), "--settle", "0", "--kek-file", str(new))
    assert status == 0
    assert "key 1002 is active" in out
    assert "lancio keys destroy --key 1000" in err


def test_a_rotation_says_that_it_waits(connection: psycopg.Connection, lancio: Lancio, kek: str) -> None:
    some_secrets(connection, ACME, 1)
    words = ("rotate", slug_of(ACME), "--kek-file", kek, "--settle")
    assert "Waiting" not in lancio(*words, "0")[2]
    said = "seconds: so long programs may still seal with the old key (--settle)."
    assert lancio(*words, "3")[2].count(said) == 1


def test_a_backup_from_before_a_rotation_is_not_restored_over_it_unasked(
    connection: psycopg.Connection, lancio: Lancio, kek: str, tmp_path: Path
) -> None:
    some_secrets(connection, ACME, 1)
    backup, new = str(tmp_path / "keys.backup"), tmp_path / "new.kek"
    made = keks.generate(new)
    assert lancio("backup", backup)[0] == 0
    assert lancio("rotate-kek", "--kek-file", str(new), "--old-kek-file", kek)[0] == 0
    status, out, err = lancio("restore", backup, "--kek-file", kek)
    assert (status, out, made.id in err, KEK.id in err) == (1, "", True, True)
    assert lancio("check", "--kek-file", str(new))[0] == 0
    assert "1 were there" in lancio("restore", backup, "--kek-file", str(new), "--old-kek-file", kek)[1]
    assert "1 mended" in lancio("restore", backup, "--kek-file", kek, "--other-kek")[1]
    assert lancio("check", "--kek-file", kek)[0] == 0


def test_a_wrong_or_missing_kek_is_refused_before_anything_is_done(
    connection: psycopg.Connection, lancio: Lancio, kek: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some_secrets(connection, ACME, 3)
    before = connection.execute("SELECT * FROM platform.data_keys").fetchall()
    wrong = tmp_path / "wrong.kek"
    keks.generate(wrong)
    for words in (("rotate", slug_of(ACME)), ("rotate-kek",), ("take-over",), ("check",), ("init",)):
        status, _, err = lancio(*words)
        assert status == 1
        assert "there is no key-encryption key" in err
        assert "lancio keys init" in err
        status, _, err = lancio(*words, "--kek-file", str(wrong))
        assert status == 1
        assert f"the key-encryption key {KEK.id} is not here" in err
        assert "LANCIO_KEK_FILE" in err
    monkeypatch.setenv("LANCIO_KEK_FILE", str(wrong))
    status, _, err = lancio("check")
    assert (status, f"grep -l {KEK.id} *.kek" in err, "export" in err) == (1, True, False)
    assert lancio("check", "--kek-file", kek)[0] == 0  # the option goes before the variable
    assert connection.execute("SELECT * FROM platform.data_keys").fetchall() == before


def test_init_makes_no_kek_where_data_keys_are(connection: psycopg.Connection, lancio: Lancio, tmp_path: Path) -> None:
    some_secrets(connection, ACME, 1)
    gone = tmp_path / "gone.kek"
    status, _, err = lancio("init", "--kek-file", str(gone))
    assert status == 1
    assert "none is made: data keys are wrapped already" in err
    assert KEK.id in err
    assert not gone.exists()


def test_lancio_toml_names_the_kek_by_file_variable_or_command(
    connection: psycopg.Connection, lancio: Lancio, kek: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some_secrets(connection, ACME, 1)
    toml = tmp_path / "lancio.toml"
    monkeypatch.setenv("PROD_KEK", KEK.secret.hex())
    for line in ('kek_file = "lancio.kek"', 'kek_env = "PROD_KEK"', f'kek_command = ["cat", "{kek}"]'):
        toml.write_text(f'default = "dev"\n[environments.dev]\n{line}\n')
        assert lancio("check")[0] == 0, line
    toml.chmod(0o666)
    status, _, err = lancio("check")
    assert status == 2
    assert "is not run" in err
    toml.chmod(0o600)
    toml.write_text('default = "dev"\n[environments.dev]\nkek_env = "A"\nkek_file = "b"\n')
    status, _, err = lancio("check")
    assert status == 2
    assert "twice" in err
    toml.write_text('default = "dev"\n[environments.dev]\nkek_command = "cat x"\n')
    assert lancio("check")[0] == 2


def test_a_program_prints_the_kek_and_is_not_waited_for_without_end(
    connection: psycopg.Connection, lancio: Lancio, kek: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    some_secrets(connection, ACME, 1)
    assert lancio("check", "--kek-command", f"cat '{kek}'")[0] == 0
    status, _, err = lancio("check", "--kek-command", "sleep 30", "--kek-timeout", "0.3")
    assert status == 1
    assert "did not end within 0.3 seconds" in err
    monkeypatch.setenv("LANCIO_KEK_COMMAND", f"echo {CANARY}")
    status, _, err = lancio("check")
    assert status == 1
    assert CANARY not in err
    for words in (("--kek-file", kek, "--kek-command", "true"), ("--kek-file", ""), ("--kek-timeout", "0")):
        assert lancio("check", *words)[0] == 2


def test_destroying_is_asked_for_by_name_and_says_how_many_secrets_die(
    connection: psycopg.Connection, lancio: Lancio
) -> None:
    some_secrets(connection, ACME, 3)
    before = connection.execute("SELECT * FROM platform.data_keys").fetchall()
    assert lancio("destroy")[0] == 2
    assert lancio("destroy", "--organization", slug_of(ACME), "--key", "1000")[0] == 2
    status, out, _ = lancio("destroy", "--organization", slug_of(ACME), "--dry-run")
    assert status == 0
    assert "4 secrets would be unreadable for ever" in out
    status, _, err = lancio("destroy", "--organization", slug_of(ACME))
    assert status == 2
    assert "4 secrets" in err
    status, _, err = lancio("destroy", "--organization", "nobody", "--yes")
    assert (status, "there is no organization nobody" in err) == (1, True)
    assert connection.execute("SELECT * FROM platform.data_keys").fetchall() == before
    status, out, err = lancio("destroy", "--organization", slug_of(ACME), "--yes")
    assert status == 0
    assert "4 secrets unreadable for ever" in out
    assert "backups" in err
    assert "4 secrets unreadable for ever: their keys were destroyed" in lancio("status")[1]
    status, out, _ = lancio("destroy", "--organization", slug_of(ACME), "--yes", "--json")
    assert status == 1
    assert json.loads(out)["error"]["code"] == "rotation"


def test_secrets_that_would_survive_keep_an_organization_from_being_destroyed(
    connection: psycopg.Connection, lancio: Lancio, kek: str
) -> None:
    some_secrets(connection, ACME, 1)
    (project,) = connection.execute("SELECT id FROM platform.projects").fetchone()
    raw(connection, project, connection_string=f"redis://:{CANARY}@cache.test:6379")
    status, _, err = lancio("destroy", "--organization", slug_of(ACME), "--yes")
    assert status == 1
    assert "1 secrets of this organization would survive" in err
    assert lancio("take-over", "--kek-file", kek)[0] == 0
    assert lancio("destroy", "--organization", slug_of(ACME), "--yes")[0] == 0


def test_a_dump_that_was_restored_without_its_keys_says_so(
    connection: psycopg.Connection, lancio: Lancio, kek: str, tmp_path: Path
) -> None:
    made = some_secrets(connection, ACME, 3)
    backup = tmp_path / "keys.backup"
    assert lancio("backup", str(backup))[0] == 0
    connection.execute("ALTER TABLE platform.data_keys DISABLE TRIGGER USER")
    connection.execute("DELETE FROM platform.data_keys")
    connection.execute("ALTER TABLE platform.data_keys ENABLE TRIGGER USER")
    status, out, _ = lancio("check", "--kek-file", kek)
    assert status == 3
    assert "4 secrets unreadable: their keys are not in this database" in out
    assert "lancio keys restore" in out
    status, out, _ = lancio("restore", str(backup), "--kek-file", kek)
    assert status == 0
    assert "1 data key added" in out
    assert lancio("check", "--kek-file", kek)[0] == 0
    all_open(connection, Ring(KEK), made)


def test_the_takeover_is_looked_at_first(
    connection: psycopg.Connection, lancio: Lancio, kek: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = an_organization(connection, ACME)
    raw(connection, project, connection_string=f"redis://:{CANARY}@cache.test:6379")
    file = tmp_path / "lancio.key"
    file.write_text(f"key_id = 7\nkey = {SINGLE.secret.hex()}\n")
    file.chmod(0o600)
    monkeypatch.setenv("LANCIO_KEY_FILE", str(file))
    assert "1 database with a connection string or a password in clear" in lancio("status")[1]
    status, out, _ = lancio("take-over", "--dry-run", "--kek-file", kek)
    assert status == 0
    assert "1 database in clear would be sealed; the table would be written anew" in out
    status, out, err = lancio("take-over", "--kek-file", kek)
    assert status == 0
    assert "1 database in clear sealed; the table was written anew" in out
    assert "change those passwords" in err
    assert "in clear" not in lancio("status")[1]
    assert CANARY not in out + err


def test_no_key_comes_out_anywhere(connection: psycopg.Connection, lancio: Lancio, kek: str, tmp_path: Path) -> None:
    some_secrets(connection, ACME, 2)
    said = ""
    for words in (("status",), ("check", "--kek-file", kek),
                  ("rotate", slug_of(ACME), "--settle", "0", "--kek-file", kek), ("backup", str(tmp_path / "b")),
                  ("check", "--kek-command", f"printf {KEK.secret.hex()}0")):  # fmt: skip
        for json_ in ((), ("--json",)):
            said += "".join(map(str, lancio(*words, *json_)))
    assert KEK.secret.hex()[:32] not in said
    assert "pass-" not in said


def test_without_008_every_command_says_so(isolated: str, kek: str, tmp_path: Path) -> None:
    for words in (("status",), ("init",), ("check",), ("rotate", "x"), ("rotate-kek",), ("take-over",),
                  ("destroy", "--key", "7"), ("backup", str(tmp_path / "b"))):  # fmt: skip
        options = () if words[0] in ("status", "destroy", "backup") else ("--kek-file", kek)
        out = io.StringIO()
        assert (
            main.run(["keys", *words, *options, "--database", isolated, "--json"], Terminal(out, io.StringIO(), {}))
            == 1
        )
        assert json.loads(out.getvalue())["error"]["code"] == "key", words


def test_a_process_that_is_killed_at_any_moment_leaves_every_secret_readable(
    connection: psycopg.Connection, keyed_platform: str, kek: str, tmp_path: Path
) -> None:
    made = some_secrets(connection, ACME, 400)
    rng = random.Random(60)
    environ = {**os.environ, "DATABASE_URL": keyed_platform}
    ring, current, killed = Ring(KEK), kek, 0
    for number in range(KILLS):
        if rotating_kek := number % 2 == 1:
            new = tmp_path / f"{number}.kek"
            made_kek = keks.generate(new)
            words = ["rotate-kek", "--kek-file", str(new), "--old-kek-file", current]
            ring, current = Ring(made_kek, (ring.current,)), str(new)
        else:
            words = ["rotate", slug_of(ACME), "--settle", "0", "--batch", "20", "--kek-file", current]
        command = [sys.executable, "-m", "lancio", "keys", *words]
        with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            # From somewhere in its start to somewhere behind its end, seen from the rows that it has sealed.
            deadline, after = time.monotonic() + rng.uniform(0.3, 2.5), rng.randrange(400)
            while process.poll() is None and time.monotonic() < deadline:
                (done,) = connection.execute(NEWEST).fetchone()
                if not rotating_kek and after <= done < 400:
                    break
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        killed += process.returncode == -signal.SIGKILL
        all_open(connection, ring, made)
        finished = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
        assert finished.returncode == 0, finished.stderr
        all_open(connection, ring, made)
        ring = Ring(ring.current)
        all_open(connection, ring, made)
    assert killed > 0


def test_ten_kinds_of_nonsense_are_refused_without_a_traceback(lancio: Lancio, kek: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    for words in (("rotate",), ("rotate", "x", "--batch", "0"), ("destroy", "--key", "0"), ("destroy", "--key", "x"),
                  ("restore", "nowhere", "--kek-file", kek), ("restore", str(tmp_path), "--kek-file", kek),
                  ("backup", str(tmp_path / "no" / "where")), ("backup", str(tmp_path / "x")),
                  ("rotate", "\x01", "--kek-file", kek),
                  ("check", "--kek-file", str(tmp_path / "x"))):  # fmt: skip
        assert lancio(*words)[0] in (1, 2), words


def test_the_check_value_is_what_status_shows() -> None:
    assert KeyEncryptionKey(KEK.secret).id == KEK.id
