"""The user's own PostgreSQL, as root and as an ordinary user: made, shared, stopped, killed and mended."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from lancio import embedded, settings
from lancio.errors import EmbeddedError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.embedded

SOURCE = Path(embedded.__file__).resolve().parent.parent

CHILD = """
import json, sys
from lancio import embedded
server = embedded.start()
print(json.dumps([server.pid, server.port, server.url, str(server.data), str(server.passfile)]))
"""


BECOME = """
import encodings.ascii, os, pathlib, urllib.parse
from lancio import embedded
os.setgroups([]); os.setgid({gid}); os.setuid({uid})
embedded.carrier = lambda: pathlib.Path({carrier!r})
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short folder that every account may enter."""
    made = Path(tempfile.mkdtemp(prefix="le-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    embedded.halt(made / "home" / "server" / "data")
    shutil.rmtree(made)


@pytest.fixture
def environ(folder: Path) -> dict[str, str]:
    """The environment of somebody who has no server yet."""
    return {"LANCIO_HOME": str(folder / "home"), "PATH": os.environ["PATH"]}


def ask(server: embedded.EmbeddedServer, query: str, database: str = embedded.DATABASE) -> Any:
    with psycopg.connect(psycopg.conninfo.make_conninfo("", **server.parameters(database)), autocommit=True) as c:
        row = c.execute(query).fetchone() if query.startswith(("SELECT", "SHOW")) else c.execute(query) and None
        return row[0] if row else None


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_first_start_makes_a_safe_server(environ: dict[str, str], folder: Path) -> None:
    server = embedded.start(environ)
    assert server.version.startswith("18.")
    assert ask(server, "SHOW fsync") == "on"
    assert ask(server, "SHOW full_page_writes") == "on"
    assert ask(server, "SHOW synchronous_commit") == "on"
    assert ask(server, "SHOW listen_addresses") == "127.0.0.1"
    assert ask(server, "SHOW unix_socket_directories") == f'"{server.sockets}"'
    assert ask(server, "SELECT string_agg(DISTINCT auth_method, ' ') FROM pg_hba_file_rules") == "scram-sha-256"
    assert ask(server, "SELECT left(rolpassword, 13) FROM pg_authid WHERE rolname = 'postgres'") == "SCRAM-SHA-256"
    assert ask(server, "SELECT current_database()") == "lancio"
    assert ask(server, "SHOW server_encoding") == "UTF8"
    assert ask(server, "SELECT lower('ÀÉ')") == "àé"
    assert server.sockets.is_relative_to(folder)
    assert (server.sockets / f".s.PGSQL.{server.port}").is_socket()
    assert mode(server.passfile) == 0o600
    assert mode(server.data) == 0o700
    assert mode(server.sockets) == 0o700
    assert mode(server.data.parent) == 0o700
    assert not (server.data.parent / "data.password").exists()
    assert Path(f"/proc/{server.pid}").stat().st_uid != 0
    ask(server, "CREATE EXTENSION pgcrypto")
    assert ask(server, "SELECT pgp_sym_decrypt(pgp_sym_encrypt('x', 'k'), 'k')") == "x"


def test_no_password_is_in_any_argument_environment_log_or_text(environ: dict[str, str], folder: Path) -> None:
    server = embedded.start(environ)
    password = server.password
    assert len(password) >= 40
    assert password not in repr(server) + server.url
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                assert password.encode() not in (process / name).read_bytes()
            except (FileNotFoundError, PermissionError, ProcessLookupError):
                continue
    holders = {
        path for path in (folder / "home").rglob("*") if path.is_file() and password.encode() in path.read_bytes()
    }
    assert holders == {server.passfile}


def test_the_environment_of_the_caller_does_not_reach_the_server(environ: dict[str, str]) -> None:
    server = embedded.start({**environ, "REDIS_URL": "redis://:hush@h", "PGOPTIONS": "-c fsync=off"})
    words = Path(f"/proc/{server.pid}/environ").read_bytes()
    assert b"hush" not in words
    assert b"PGOPTIONS" not in words


def test_wrong_passwords_are_refused_on_both_ways_in(environ: dict[str, str]) -> None:
    server = embedded.start(environ)
    for host in ("127.0.0.1", str(server.sockets)):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(host=host, port=server.port, user="postgres", password="wrong", dbname="lancio")


def test_psql_and_pg_dump_of_the_installation_run_with_the_printed_url(environ: dict[str, str]) -> None:
    server = embedded.start(environ)
    clean = server.installation.environment()
    for name, arguments in (("psql", ["-XAtc", "SELECT 40 + 2"]), ("pg_dump", ["--schema-only"])):
        tool = server.installation.tool(name)
        assert tool is not None
        done = subprocess.run(
            [tool, *arguments, "-d", server.url], capture_output=True, text=True, env=clean, check=False
        )
        assert done.returncode == 0, done.stderr
        assert ("42" if name == "psql" else "PostgreSQL database dump complete") in done.stdout


def test_data_and_port_are_kept_between_runs(environ: dict[str, str]) -> None:
    first = embedded.start(environ)
    ask(first, "CREATE TABLE kept AS SELECT 7 AS n")
    assert embedded.status(environ) == first
    assert embedded.start(environ) == first
    assert embedded.stop(environ) is True
    assert embedded.status(environ) is None
    assert embedded.stop(environ) is False
    again = embedded.start(environ)
    assert ask(again, "SELECT n FROM kept") == 7
    assert again.port == first.port
    assert again.pid != first.pid
    log = again.log.read_text()
    assert "database system is shut down" in log
    assert "not properly shut down" not in log


def test_a_port_that_was_taken_meanwhile_is_given_up(environ: dict[str, str]) -> None:
    first = embedded.start(environ)
    embedded.stop(environ)
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", first.port))
        thief.listen()
        again = embedded.start(environ)
    assert again.port != first.port
    assert ask(again, "SELECT 1") == 1


def test_four_processes_at_once_share_one_server(environ: dict[str, str]) -> None:
    children = [_child(environ) for _ in range(4)]
    answers = [_answer(child) for child in children]
    assert len({json.dumps(answer) for answer in answers}) == 1
    server = embedded.status(environ)
    assert server is not None
    assert server.pid == answers[0][0]
    starts = server.log.read_text().count("starting PostgreSQL")
    assert starts == 1


def test_a_server_outlives_who_started_it_and_its_terminals_ctrl_c(environ: dict[str, str]) -> None:
    child = _child(environ, start_new_session=True, wait=True)
    line = child.stdout.readline() if child.stdout else ""
    pid = json.loads(line)[0]
    os.killpg(child.pid, signal.SIGINT)
    child.communicate(timeout=20)
    server = embedded.status(environ)
    assert server is not None
    assert server.pid == pid
    assert os.getsid(pid) != child.pid
    assert ask(server, "SELECT 1") == 1


def test_a_killed_postmaster_is_mended_and_nothing_committed_is_lost(environ: dict[str, str]) -> None:
    server = embedded.start(environ)
    ask(server, "CREATE TABLE kept AS SELECT generate_series(1, 50000) AS n")
    for _ in range(2):
        os.kill(server.pid, signal.SIGKILL)
        assert (server.data / "postmaster.pid").is_file()
        mended = embedded.start(environ)
        assert mended.pid != server.pid
        assert ask(mended, "SELECT count(*) FROM kept") == 50000
        server = mended
    assert "not properly shut down" in server.log.read_text()


def test_a_stale_pid_file_that_names_a_living_stranger_stops_nobody(environ: dict[str, str]) -> None:
    server = embedded.start(environ)
    os.kill(server.pid, signal.SIGKILL)
    time.sleep(0.5)
    # After a reboot the number may be anybody's, and whoever it is must neither be taken for ours nor be stopped.
    account = _account_of(server.data)
    stranger = subprocess.Popen(["sleep", "60"], **account)
    try:
        lines = (server.data / "postmaster.pid").read_text().splitlines()
        (server.data / "postmaster.pid").write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        assert embedded.status(environ) is None
        assert embedded.stop(environ) is False
        assert stranger.poll() is None
        assert ask(embedded.start(environ), "SELECT 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_half_made_cluster_is_made_anew(environ: dict[str, str], folder: Path) -> None:
    home = folder / "home"
    unpacked = embedded.unpack(home)
    initdb = _child(environ)
    deadline = time.monotonic() + 20
    while not (home / "server" / "data.new" / "base").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    for process in Path("/proc").glob("[0-9]*"):
        words = _command_line(process)
        if any(str(unpacked) in word for word in words) and any("data.new" in word for word in words):
            os.kill(int(process.name), signal.SIGKILL)
    initdb.kill()
    initdb.communicate()
    assert not (home / "server" / "data").exists()
    assert ask(embedded.start(environ), "SELECT 1") == 1
    assert not (home / "server" / "data.new").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_has_a_server_of_his_own(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    own = folder / "nobody"
    own.mkdir()
    os.chown(own, nobody.pw_uid, nobody.pw_gid)
    carrier = embedded.carrier()
    assert carrier is not None
    # Interpreter and project may lie below a home that is closed to nobody: all is imported before root is given up.
    binary = shutil.copy(carrier, folder / "carrier")
    child = subprocess.Popen(
        [sys.executable, "-c", BECOME.format(gid=nobody.pw_gid, uid=nobody.pw_uid, carrier=str(binary)) + CHILD],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=own,
        env={"HOME": str(own), "PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE)},
    )
    pid, _, url, data, passfile = _answer(child)
    try:
        assert data == str(own / ".local/share/lancio/server/data")
        assert Path(f"/proc/{pid}").stat().st_uid == nobody.pw_uid
        assert Path(passfile).stat().st_uid == nobody.pw_uid
        assert mode(Path(passfile)) == 0o600
        assert mode(own / ".local/share/lancio") == 0o700
        with psycopg.connect(url) as connection:
            assert connection.execute("SHOW fsync").fetchone() == ("on",)
    finally:
        embedded.halt(Path(data))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_home_that_the_server_account_cannot_reach_is_refused(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedError, match="cannot reach") as caught:
        embedded.start({"LANCIO_HOME": str(closed / "home"), "PATH": ""})
    assert "LANCIO_HOME" in caught.value.remedy


def test_a_long_home_gets_a_short_socket_folder(folder: Path) -> None:
    environ = {"LANCIO_HOME": str(folder / ("x" * 120)), "PATH": ""}
    server = embedded.start(environ)
    try:
        assert len(str(server.sockets)) < 60
        assert mode(server.sockets) == 0o700
        assert (server.sockets / f".s.PGSQL.{server.port}").is_socket()
    finally:
        embedded.stop(environ)
        server.sockets.rmdir()


def test_a_socket_folder_of_somebody_else_is_not_used(folder: Path) -> None:
    (folder / "run").symlink_to("/tmp")
    with pytest.raises(EmbeddedError, match="is not ours"):
        embedded.socket_folder(folder / "run", None)


def test_paths_with_blanks_and_letters_of_all_kinds_do(folder: Path) -> None:
    environ = {"LANCIO_HOME": str(folder / "it's a höme; x"), "PATH": ""}
    server = embedded.start(environ)
    assert ask(server, "SELECT 1") == 1
    assert embedded.status(environ) == server
    assert embedded.stop(environ) is True


def test_a_path_that_initdb_cannot_take_is_refused(folder: Path) -> None:
    for letter in '"$`\\':
        with pytest.raises(EmbeddedError, match="cannot live in") as caught:
            embedded.start({"LANCIO_HOME": str(folder / f"a{letter}b"), "PATH": ""})
        assert "LANCIO_HOME" in caught.value.remedy
    assert list(folder.iterdir()) == []


# --- where it cannot be -----------------------------------------------------------------------------------------------


def test_without_wheel_and_installation_the_error_says_what_was_tried(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "carrier", lambda: None)
    monkeypatch.setattr(embedded, "_distribution_folders", list)
    with pytest.raises(EmbeddedError, match="no PostgreSQL that can run") as caught:
        embedded.start({**environ, "PATH": ""})
    error = caught.value
    assert "glibc 2.35" in error.cause
    assert "LANCIO_PGBIN" in error.remedy
    assert "--database" in error.remedy
    assert error.code == "server.embedded"


def test_without_wheel_an_installed_postgresql_serves(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    installed = next((path for path in embedded._distribution_folders() if (path / "postgres").is_file()), None)
    if installed is None:
        pytest.skip("no PostgreSQL of the distribution is installed")
    monkeypatch.setattr(embedded, "carrier", lambda: None)
    server = embedded.start({**environ, "PATH": ""})
    assert server.bindir == installed
    assert ask(server, "SHOW fsync") == "on"
    assert ask(server, "SHOW password_encryption") == "scram-sha-256"
    embedded.stop(environ)
    # The wheel may come later: its 18 cannot open this data, the installed one goes on with it.
    monkeypatch.undo()
    assert embedded.start(environ).installation.major == server.installation.major


def test_data_of_another_major_version_is_named(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    server = embedded.start(environ)
    embedded.stop(environ)
    (server.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedError, match="made by PostgreSQL 9") as caught:
        embedded.start(environ)
    assert "18.1" in caught.value.cause
    assert "LANCIO_PGBIN" in caught.value.remedy


def test_a_named_folder_without_postgresql_is_refused(environ: dict[str, str], folder: Path) -> None:
    with pytest.raises(EmbeddedError) as caught:
        embedded.start({**environ, "LANCIO_PGBIN": str(folder / "empty")})
    assert "has no postgres and initdb" in caught.value.cause


def test_a_lost_password_file_is_named_and_nothing_is_made_anew(environ: dict[str, str]) -> None:
    server = embedded.start(environ)
    embedded.stop(environ)
    server.passfile.unlink()
    with pytest.raises(EmbeddedError, match="is gone"):
        embedded.start(environ)
    assert embedded.made_by(server.data) == 18
    assert not server.passfile.exists()


def test_a_data_folder_open_to_others_is_refused_with_the_command(environ: dict[str, str]) -> None:
    server = embedded.start(environ)
    embedded.stop(environ)
    server.data.chmod(0o777)
    with pytest.raises(EmbeddedError, match="did not start") as caught:
        embedded.start(environ)
    assert f"chmod 700 {server.data}" in caught.value.remedy
    server.data.chmod(0o700)
    assert ask(embedded.start(environ), "SELECT 1") == 1


@pytest.mark.parametrize("size", [60, 90])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_said_so(folder: Path, size: int) -> None:
    small = folder / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}m,mode=755", "tmpfs", str(small)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this machine allows no mount")
    try:
        with pytest.raises(EmbeddedError) as caught:
            embedded.start({"LANCIO_HOME": str(small / "home"), "PATH": ""})
        assert "No space left on device" in caught.value.cause or "no space left" in caught.value.cause
        assert "space" in caught.value.remedy
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_words_of_initdb_and_postgres_become_causes(folder: Path) -> None:
    cases = {
        "FATAL:  could not write to file: No space left on device": "disk is full",
        "x: error while loading shared libraries: libssl.so.3: cannot open": "libssl.so.3 is missing",
        'FATAL:  data directory "/x" has wrong ownership': "wrong ownership",
        "FATAL:  something else": "something else",
    }
    for words, expected in cases.items():
        error = embedded._refusal("PostgreSQL did not start", words, folder)
        assert expected in error.cause
        assert error.remedy


# --- settings ---------------------------------------------------------------------------------------------------------


def test_the_home_is_named_or_roots_or_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.home({"LANCIO_HOME": "/a/b"}) == Path("/a/b")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert settings.home({"HOME": "/root"}) == Path("/var/lib/lancio")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert settings.home({"HOME": "/home/u"}) == Path("/home/u/.local/share/lancio")
    assert settings.home({"HOME": "/home/u", "XDG_DATA_HOME": "/d"}) == Path("/d/lancio")
    assert settings.home({"HOME": "/home/u", "XDG_DATA_HOME": "relative"}) == Path("/home/u/.local/share/lancio")


# --- helpers ----------------------------------------------------------------------------------------------------------


def _child(environ: dict[str, str], *, wait: bool = False, **arguments: Any) -> subprocess.Popen[str]:
    code = CHILD + ("sys.stdout.flush(); sys.stdin.read()" if wait else "")
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE if wait else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(SOURCE), **environ},
        **arguments,
    )


def _answer(child: subprocess.Popen[str]) -> list[Any]:
    out, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    answer = json.loads(out)
    assert isinstance(answer, list)
    return answer


def _account_of(path: Path) -> dict[str, Any]:
    owner = path.stat()
    return {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}


def _command_line(process: Path) -> list[str]:
    try:
        return (process / "cmdline").read_text(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []
