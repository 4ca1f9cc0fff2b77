"""Whom Lancio connects to, and what it says when that fails: against a real server, with no secret in any text."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from lancio import embedded, postgres
from lancio.errors import LancioError, ServerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import TestServer

SECRET = "hush-hush@42/%x"
ENCODED = "hush-hush%4042%2F%25x"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("PG") or name == "DATABASE_URL"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))


def everything(error: BaseException) -> str:
    """All that a user, a log or a traceback could show of an error."""
    shown = "".join(traceback.format_exception(error))
    return shown + repr(error.__dict__) + (str(error.as_dict()) if isinstance(error, LancioError) else "")


def refused(url: str, role: str | None = None) -> ServerError:
    target = postgres.resolve(url, {})
    with pytest.raises(ServerError) as caught:
        postgres.connect(target, role=role)
    error = caught.value
    assert error.message
    assert error.cause
    assert error.remedy
    text = everything(error) + repr(error.__context__) + repr(target) + target.psql("x.sql")
    for form in (SECRET, ENCODED, *target.secrets):
        assert form not in text
    return error


@pytest.fixture
def person(server: TestServer) -> Iterator[str]:
    """A role with a difficult password."""
    name = f"person_{os.getpid()}"
    with server.connect() as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), sql.Literal(SECRET))
        )
    yield name
    with server.connect() as connection:
        connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


# --- who is meant -----------------------------------------------------------------------------------------------------


def test_a_percent_encoded_password_opens_a_session(server: TestServer, person: str) -> None:
    target = postgres.resolve(server.url("postgres", user=person, password=SECRET), {})
    with postgres.connect(target, application_name="lancio apply") as connection:
        assert connection.autocommit
        assert connection.execute("SELECT current_user, current_setting('application_name')").fetchone() == (
            person,
            "lancio apply",
        )
    assert target.display == f"postgresql://{person}@127.0.0.1:{server.port}/postgres"


def test_the_flag_wins_over_database_url_and_that_over_the_pg_variables(
    server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOST", "127.0.0.1")
    monkeypatch.setenv("PGPORT", str(server.port))
    monkeypatch.setenv("PGUSER", server.superuser)
    monkeypatch.setenv("PGPASSWORD", server.password)
    monkeypatch.setenv("PGDATABASE", "template1")

    def reached(target: postgres.Target) -> object:
        with postgres.connect(target) as connection:
            row = connection.execute("SELECT current_database()").fetchone()
            return row[0] if row else None

    plain = postgres.resolve(None, os.environ)
    assert (plain.origin, reached(plain)) == ("environment", "template1")
    assert plain.display == f"postgresql://{server.superuser}@127.0.0.1:{server.port}/template1"
    assert plain.psql("a b.sql") == "psql -f 'a b.sql'"

    monkeypatch.setenv("DATABASE_URL", server.url("postgres"))
    from_url = postgres.resolve(None, os.environ)
    assert (from_url.origin, reached(from_url)) == ("DATABASE_URL", "postgres")
    assert from_url.psql("a.sql") == 'psql "$DATABASE_URL" -f a.sql'

    flag = postgres.resolve("dbname=template1", os.environ)
    assert (flag.origin, reached(flag)) == ("--database", "template1")
    assert postgres.resolve("template1", os.environ).display == plain.display


def test_service_file_and_password_file_are_libpqs_own_doing(
    server: TestServer, person: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    service = tmp_path / "services.conf"
    service.write_text(f"[mine]\nhost=127.0.0.1\nport={server.port}\nuser={person}\ndbname=postgres\n")
    passfile = tmp_path / "pgpass"
    escaped = SECRET.replace("\\", "\\\\").replace(":", "\\:")
    passfile.write_text(f"127.0.0.1:{server.port}:*:{person}:{escaped}\n")
    passfile.chmod(0o600)
    monkeypatch.setenv("PGSERVICEFILE", str(service))
    for target in (postgres.resolve("service=mine", {}), postgres.resolve("postgresql:///?service=mine", {})):
        with postgres.connect(target) as connection:
            assert connection.info.user == person
        assert SECRET not in target.psql()
    monkeypatch.setenv("PGSERVICE", "mine")
    with postgres.connect(postgres.resolve(None, os.environ)) as connection:
        assert connection.info.user == person


def test_a_role_is_taken_on_and_a_wrong_one_is_named(server: TestServer, person: str) -> None:
    target = postgres.resolve(server.url("postgres"), {})
    with postgres.connect(target, role=person) as connection:
        assert connection.execute("SELECT current_user, session_user").fetchone() == (person, server.superuser)
    assert "nobody_here" in refused(server.url("postgres"), role="nobody_here").message
    denied = refused(server.url("postgres", user=person, password=SECRET), role=server.superuser)
    assert "not a member" in denied.cause


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_connection_is_kept_alive_unless_its_string_says_how(server: TestServer) -> None:
    with postgres.connect(postgres.resolve(server.url(), {})) as connection:
        found = connection.info.get_parameters()
        assert (found["keepalives_idle"], found["tcp_user_timeout"]) == ("30", "60000")
    with postgres.connect(postgres.resolve(f"{server.url()}?keepalives_idle=7&keepalives=0", {})) as connection:
        found = connection.info.get_parameters()
        assert (found["keepalives_idle"], found["keepalives"], found["keepalives_count"]) == ("7", "0", "3")


def test_an_unreachable_server_is_said_so() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    error = refused(f"postgresql://someone:{ENCODED}@127.0.0.1:{port}/x")
    assert "no PostgreSQL answers" in error.message
    assert "refused" in error.cause


def test_a_missing_socket_is_said_so(tmp_path: Path) -> None:
    error = refused(f"host={tmp_path} port=5432 user=u dbname=d password='{SECRET}'")
    assert "no PostgreSQL answers" in error.message


def test_a_wrong_password_is_said_so(server: TestServer, person: str) -> None:
    wrong = refused(server.url("postgres", user=person, password="wrong-" + SECRET))
    assert f"the password of {person} is wrong" in wrong.message
    assert "wrong-" not in everything(wrong)


def test_a_missing_password_is_said_so(server: TestServer, person: str) -> None:
    missing = refused(f"postgresql://{person}@127.0.0.1:{server.port}/postgres")
    assert "asks for a password" in missing.message


def test_an_unknown_database_is_said_so(server: TestServer) -> None:
    assert "has no database nowhere_at_all" in refused(server.url("nowhere_at_all")).message


def test_an_unknown_host_is_said_so() -> None:
    error = refused(f"postgresql://someone:{ENCODED}@no-such-host.invalid/x")
    assert "unknown" in error.message


def test_a_server_without_ssl_is_said_so(server: TestServer) -> None:
    assert "speaks no SSL" in refused(server.url("postgres") + "?sslmode=require").message


def test_a_missing_right_to_connect_is_said_so(server: TestServer, database: str, person: str) -> None:
    name = str(conninfo_to_dict(database)["dbname"])
    with server.connect(name) as connection:
        connection.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
    error = refused(server.url(name, user=person, password=SECRET))
    assert "no right to connect" in error.message
    assert "GRANT CONNECT" in error.remedy


def test_too_many_connections_are_said_so(server: TestServer, database: str, person: str) -> None:
    name = str(conninfo_to_dict(database)["dbname"])
    with server.connect(name) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT 0").format(sql.Identifier(name)))
    assert "no connection is free" in refused(server.url(name, user=person, password=SECRET)).message


def test_a_closed_database_and_a_role_without_login_are_said_so(server: TestServer, database: str, person: str) -> None:
    name = str(conninfo_to_dict(database)["dbname"])
    with server.connect() as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
        assert "takes no connections" in refused(database).message
        connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(person)))
    assert "may not log in" in refused(server.url("postgres", user=person, password=SECRET)).message


def test_something_else_than_postgresql_is_said_so() -> None:
    with _answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        error = refused(f"postgresql://someone:{ENCODED}@127.0.0.1:{port}/x")
    assert "is not PostgreSQL" in error.message


def test_an_undefined_service_is_said_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    empty = tmp_path / "services.conf"
    empty.write_text("")
    monkeypatch.setenv("PGSERVICEFILE", str(empty))
    assert "service is not defined" in refused("service=nowhere").message


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("the database system is starting up", "is starting up"),
        ("the database system is in recovery mode", "is starting up"),
        ("the database system is shutting down", "is shutting down"),
        ("sorry, too many clients already", "no connection is free"),
        ('no pg_hba.conf entry for host "10.0.0.9", user "u", database "d", no encryption', "without SSL"),
        ('no pg_hba.conf entry for host "10.0.0.9", user "u", database "d", SSL encryption', "refuses this address"),
        ('role "ghost" does not exist', "has no role ghost"),
        ("something PostgreSQL never said before", "cannot connect"),
    ],
)
def test_each_sentence_of_the_protocol_gets_its_cause(words: str, expected: str) -> None:
    # States that a healthy server passes through too fast to be caught; the protocol's message is the real one.
    fields = b"SFATAL\0VFATAL\0C57P03\0M" + words.encode() + b"\0\0"
    with _answering(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields) as port:
        error = refused(f"postgresql://u:{ENCODED}@127.0.0.1:{port}/d?sslmode=disable&gssencmode=disable")
    assert expected in error.message


@contextlib.contextmanager
def _answering(answer: bytes) -> Iterator[int]:
    """A listener that answers every caller's first bytes with the same bytes."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    caller, _ = listener.accept()
                except OSError:
                    return
                with caller, contextlib.suppress(OSError):
                    caller.recv(4096)
                    caller.sendall(answer)
                    caller.shutdown(socket.SHUT_WR)
                    caller.recv(4096)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


# --- strings that are none --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:hush@hush@host/db",
        "postgresql://u:hush/hush@host/db",
        "postgresql://u:123/45hush@host/db",
        "postgresql://u:hush%hush@host/db",
        "postgresql://u:hush hush@ho st/db",
        "postgresql://u:pw@host:hush/db",
        "postgresql://u:pw@host:99999/db",
        "postgresql://u:pw@host/db?hush=1",
        "postgresql://u:hush?@@host/db",
        "postgresql://u:12/?x=hush@host/db",
        "u:hush@host/db",
        "host=x password=hush hush",
        "password='hush",
        "mysql://u:hush@host/db",
        "postgresql+psycopg://u:hush@host/db",
        "hush://hush@hush",
    ],
)
def test_a_string_that_is_none_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        postgres.resolve(text, {})
    error = caught.value
    shown = " ".join(str(value) for value in error.as_dict().values()) + repr(error.__context__)
    if not text.startswith("hush:"):
        assert "hush" not in shown
    assert error.exit_status == 2
    assert error.remedy


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6, max_size=20))
def test_no_password_put_raw_into_a_url_is_ever_shown(password: str) -> None:
    url = f"postgresql://someone:{password}@db.example.org:5432/shop"
    assume(password not in url.replace(password, "", 1))
    try:
        target = postgres.resolve(url, {})
    except UsageError as error:
        shown = " ".join(str(value) for value in error.as_dict().values())
        assert password not in shown
        return
    assert target.display == "postgresql://someone@db.example.org:5432/shop"
    assert password not in repr(target) + target.psql("f.sql")


@given(st.text(min_size=1, max_size=30).filter(lambda text: "\0" not in text))
def test_an_encoded_password_of_any_characters_arrives_and_is_never_shown(password: str) -> None:
    from urllib.parse import quote

    assume(not any(0xD800 <= ord(letter) < 0xE000 for letter in password))
    target = postgres.resolve(f"postgresql://someone:{quote(password, safe='')}@db.example.org/shop", {})
    assert conninfo_to_dict(target.conninfo)["password"] == password
    assert target.secrets == (password,)
    assert target.display.startswith("postgresql://someone@db.example.org")
    assert target.redacted(password) == "***"
    assert target.redacted(quote(password, safe="")) == "***"


def test_other_parameters_stay_in_the_printed_command_and_the_password_does_not() -> None:
    target = postgres.resolve(f"postgresql://u:{ENCODED}@h:1/d?sslmode=verify-full&options=-c%20a%3Db", {})
    assert target.psql("f.sql") == "psql 'postgresql://u@h:1/d?options=-c%20a%3Db&sslmode=verify-full' -f f.sql"


def test_several_hosts_and_ipv6_are_shown_as_given() -> None:
    assert postgres.resolve("postgresql://u@a:1,b:2/d", {}).display == "postgresql://u@a:1,b:2/d"
    assert postgres.resolve("postgresql://u@[::1]:7/d", {}).display == "postgresql://u@[::1]:7/d"


# --- the embedded server as a target ----------------------------------------------------------------------------------


def test_the_embedded_target_answers_whatever_the_environment_says(
    server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server.installation is not None
    passfile = Path(tempfile.mkdtemp()) / "pgpass"
    running = embedded.EmbeddedServer(
        server.installation,
        Path("/nowhere"),
        server.port,
        1,
        Path("/nowhere"),
        Path("/nowhere"),
        passfile,
        server.password,
    )
    for name, value in {
        "PGHOST": "no-such-host.invalid",
        "PGHOSTADDR": "192.0.2.1",
        "PGPORT": "1",
        "PGUSER": "x",
        "PGDATABASE": "x",
        "PGPASSWORD": "x",
        "PGSSLMODE": "verify-full",
        "PGOPTIONS": "-c nonsense.x=1 -c work_mem=nonsense",
        "PGTARGETSESSIONATTRS": "standby",
        "PGCHANNELBINDING": "require",
        "PGGSSENCMODE": "require",
    }.items():
        monkeypatch.setenv(name, value)
    target = postgres.embedded_target(running, "postgres")
    with postgres.connect(target) as connection:
        assert connection.info.user == "postgres"
    assert server.password not in repr(target) + repr(running) + target.psql("f.sql") + running.url
    shutil.rmtree(passfile.parent)


# --- named queries ----------------------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "queries_of_a_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    sys.modules.pop("queries_of_a_test", None)
    postgres.named_queries.cache_clear()


def test_queries_are_found_by_name(package: Path) -> None:
    (package / "a.sql").write_text("-- A head.\n\n-- name: one\nSELECT 1;\n\n-- name: two\n-- why\nSELECT\n  2;\n")
    assert postgres.named_queries("queries_of_a_test", "a.sql") == {"one": "SELECT 1;", "two": "-- why\nSELECT\n  2;"}


@pytest.mark.parametrize(
    "text", ["-- name: a\nSELECT 1;\n-- name: a\nSELECT 2;\n", "SELECT 0;\n-- name: a\nSELECT 1;\n", "-- name: a\n\n"]
)
def test_a_query_file_with_a_fault_is_refused(package: Path, text: str) -> None:
    (package / "a.sql").write_text(text)
    with pytest.raises(ValueError, match=r"a\.sql"):
        postgres.named_queries("queries_of_a_test", "a.sql")


def test_a_refused_connection_chains_psycopgs_error_only_without_secrets(server: TestServer) -> None:
    error = refused(server.url("nowhere_at_all"))
    assert isinstance(error.__cause__, psycopg.OperationalError)
    target = postgres.resolve(f"postgresql://hush_hush:hush_hush@127.0.0.1:{server.port}/x", {})
    with pytest.raises(ServerError) as caught:
        postgres.connect(target)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
