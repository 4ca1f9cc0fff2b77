"""No password of any connection string is ever shown, kept or handed on, whatever it looks like; and each connects.

Every password has two words in it that stand nowhere else; neither may turn up in what Lancio prints, logs, writes to
its ledger, or gives to another program, nor in the server's log. The server logs every statement for these tests.
"""

from __future__ import annotations

import io
import json
import os
import random
import string
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from lancio.cli import credentials, main
from lancio.cli.terminal import Terminal

PASSWORDS = int(os.environ.get("LANCIO_TEST_PASSWORDS") or (1000 if os.environ.get("LANCIO_PROOF") == "1" else 30))
ROLE, DATABASE = "secret_owner", "secret_app"
LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True)
class Password:
    """A password, and what of it may turn up nowhere."""

    text: str
    words: tuple[str, ...]
    user: str

    def found_in(self, said: str) -> str:
        """The word of it that is in this text, "" if none is."""
        return next((word for word in self.words if word in said), "")


def hostile(count: int, seed: int = 5) -> list[Password]:
    """Passwords with everything in them that some syntax takes for its own."""
    dice = random.Random(seed)
    shapes = [
        "{0}%@:/?#[]!$&'()*+,;={1}", "{0}' host=evil.example user='{1}", "{0}&sslmode=bogus&host={1}", "{0}%41%zz%{1}",
        "{0}пароль-密码-é\u0301-😀{1}", "{0}line\nanother\ttab\r{1}", "$({0})`{1}`${{HOME}}",
        "-X --host=evil -d {0} {1}", "{0}" * 60 + "{1}", "{0}FATAL:  password authentication failed for user \"{1}",
        "{0}[red]{{target}}%s(.*)+\\1{1}",
        "'; DROP TABLE x; -- {0} $$ {1}", '{0}"}},{{"error":"{1}', "  {0} {1}  ", "{0}\\\\' \\\" \\{1}\\",
        "postgresql://evil:{0}@host:1/{1}", "@{0}:{1}@evil.example:5432/x", "/{0}?{1}", "#{0}#{1}", ":{0}:{1}:",
        "{0}=password={1} user=postgres", "~{0}|{1};ls", "{0}<script>{1}</script>", "{0}\u202e\u0007\u001b[31m{1}",
    ]  # fmt: skip
    found = []
    for number in range(count):
        words = tuple("".join(dice.choices(LETTERS, k=11)) for _ in range(2))
        if number % 3 == 2:
            noise = "".join(dice.choices(string.printable.strip() + " ", k=dice.randint(4, 30)))
            text = f"{words[0]}{noise}{words[1]}"
        else:
            text = shapes[(number // 3 * 2 + number % 3) % len(shapes)].format(*words)
        found.append(Password(text, words, f"secret_{number}"))
    return found


class Children:
    """What was given to other programs while it is open."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.open = True
        sys.addaudithook(self._hear)  # for the life of the process: it cannot be taken back

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.open and event in ("subprocess.Popen", "os.posix_spawn", "os.exec", "os.system"):
            self.told.append(repr(arguments[:2]))


@dataclass
class Place:
    """A server with a role for each password, and everything a command line may be told."""

    server: object
    folders: dict[str, str]
    passwords: list[Password]
    home: Path
    children: Children
    log_at: int = 0
    said: list[tuple[str, str]] = field(default_factory=list)

    def url(self, given: Password, *, secret: str | None = None, host: str | None = None, port: int | None = None,
            database: str = DATABASE, more: str = "") -> str:  # fmt: skip
        text = quote(given.text if secret is None else secret, safe="")
        return (
            f"postgresql://{given.user}:{text}@{host or self.server.host}:{port or self.server.port}/{database}{more}"
        )

    def raw(self, given: Password) -> str:
        """As somebody writes it who does not know that it has to be encoded."""
        return f"postgresql://{given.user}:{given.text}@{self.server.host}:{self.server.port}/{DATABASE}"


@pytest.fixture(scope="module")
def place(server, tmp_path_factory):
    if server.log_file is None:
        pytest.skip("a server that was given shows no log")
    home = tmp_path_factory.mktemp("secrets")
    folders = {}
    for name, text in {
        "fails": "SELECT 1/0;",
        "unverified": "-- lancio: verify SELECT false\nCREATE TABLE never (id int);",
        "good": "CREATE TABLE IF NOT EXISTS good (id int);",
        "broken": "CREATE TABEL x (id int);",
    }.items():
        folder = home / name
        folder.mkdir()
        (folder / "001.sql").write_text(text)
        folders[name] = str(folder)
    passwords = hostile(PASSWORDS)
    with server.connect() as connection:
        connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(ROLE)))
        server.create_database(name=DATABASE)
        connection.execute(
            sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(DATABASE), sql.Identifier(ROLE))
        )
        connection.execute(sql.SQL("ALTER DATABASE {} SET log_statement = 'all'").format(sql.Identifier(DATABASE)))
        for each in passwords:
            # As libpq does it: what is sent is not the password.
            verifier = connection.pgconn.encrypt_password(
                each.text.encode(), each.user.encode(), b"scram-sha-256"
            ).decode()
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE {}").format(
                    sql.Identifier(each.user), sql.Literal(verifier), sql.Identifier(ROLE)
                )
            )
    with server.connect(DATABASE) as connection:
        connection.execute(sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(sql.Identifier(ROLE)))
    children = Children()
    yield Place(server, folders, passwords, home, children, log_at=server.log_file.stat().st_size)
    children.open = False
    server.drop_database(DATABASE)
    with server.connect() as connection:
        for each in passwords:
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(each.user)))
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(ROLE)))


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("PG") or name in ("DATABASE_URL", "SECRET_URL")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "5")
    monkeypatch.chdir(tmp_path)


def lancio(*words: str) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    status = main.run(words, Terminal(out, err, {}))
    return status, out.getvalue() + err.getvalue()


def test_each_hostile_password_connects_and_leaves_no_trace(place, caplog, capfd):
    for number, each in enumerate(place.passwords):
        command = (("status",), ("plan", "--no-backup"), ("preflight", "--no-backup"), ("verify",))[number % 4]
        words = [command[0], place.folders["good"], *command[1:], "--role", ROLE, *(["--json"] if number % 2 else [])]
        status, said = lancio(*words, "--database", place.url(each))
        assert status == 0, f"{each.text!r}: {said}"
        assert not each.found_in(said), f"{words} shows {each.text!r}: {said}"
    captured = capfd.readouterr()
    _nowhere(place, captured.out + captured.err + caplog.text)


WAYS = (
    "bad host", "refused", "wrong password", "unknown database", "no ssl", "failing statement", "failing verification",
    "DATABASE_URL", "conninfo", "lancio.toml", "database_env", "PGPASSWORD", "password file", "password in the query",
    "wrong option", "unknown option", "raw", "raw in DATABASE_URL", "as DIR", "as extra argument", "as --role",
    "as --to", "as --env", "as --config", "as --var", "cut off", "wrong scheme", "nul", "syntax error",
    "as --lock-wait",
    "raw in database_env", "no name behind", "as a command", "as a value of a flag", "explain the URL",
    "as the place of a backup", "as the time of a backup",
)  # fmt: skip
COMMANDS = (
    ("apply", "--yes", "--no-backup"), ("plan",), ("preflight",), ("status",), ("verify",), ("adopt", "--yes"),
    ("checklist",), ("graph",),
)  # fmt: skip


def words_of(way: str, command: tuple[str, ...], place: Place, given: Password, monkeypatch) -> list[str]:
    """A command line that fails that way, after the environment was made for it."""
    folders, name, rest = place.folders, command[0], list(command[1:])
    good = [name, folders["good"], *rest]
    url = place.url(given)
    at = lambda where, *more: [*good, *more, "--database", where]  # noqa: E731
    apply = ["apply", "--yes", "--no-backup", "--role", ROLE]
    conninfo = {"host": place.server.host, "port": place.server.port, "user": given.user, "password": given.text}
    env = lambda variable, value: monkeypatch.setenv(variable, value.replace("\0", ""))  # noqa: E731
    toml = Path("lancio.toml")
    match way:
        case "bad host":
            return at(place.url(given, host="nowhere.invalid"))
        case "refused":
            return at(place.url(given, port=1))
        case "wrong password":
            return at(place.url(given, secret=given.text[::-1] + given.text))
        case "unknown database":
            return at(place.url(given, database="nothing_of_that_name"))
        case "no ssl":
            return at(place.url(given, more="?sslmode=require"))
        case "failing statement":
            return [*apply, folders["fails"], "--database", url]
        case "failing verification":
            return [*apply, folders["unverified"], "--database", url]
        case "DATABASE_URL":
            env("DATABASE_URL", place.url(given, port=1))
            return good if name != "graph" else ["status", folders["good"]]
        case "conninfo":
            return at(make_conninfo("", dbname="nothing_of_that_name", **conninfo))
        case "lancio.toml":
            toml.write_text(f'default = "live"\n[environments.live]\ndatabase = {json.dumps(url)}\n')
            return good
        case "database_env":
            env("SECRET_URL", place.url(given, database="nothing_of_that_name"))
            toml.write_text('[environments.live]\ndatabase_env = "SECRET_URL"\n')
            return [*good, "--env", "live"]
        case "PGPASSWORD":
            env("PGPASSWORD", given.text[::-1] + given.text)
            return at(f"postgresql://{given.user}@{place.server.host}:{place.server.port}/{DATABASE}")
        case "password file":
            kept = place.home / f"pass-{given.user}"
            line = given.text.replace("\\", "\\\\").replace(":", "\\:").replace("\n", " ")
            kept.write_text(f"*:*:*:*:{line}x\n")
            kept.chmod(0o600)
            env("PGPASSFILE", str(kept))
            return at(f"postgresql://{given.user}@{place.server.host}:{place.server.port}/{DATABASE}")
        case "password in the query":
            text = quote(given.text, safe="")
            where = f"{place.server.host}:{place.server.port}"
            return at(f"postgresql://{given.user}@{where}/nothing_of_that_name?password={text}")
        case "wrong option":
            return at(url + random.choice(["?sslmode=bogus", "?connect_timeout=soon", "?target_session_attrs=x"]))
        case "unknown option":
            return at(f"{url}?no_such_option={quote(given.text, safe='')}")
        case "raw":
            return at(place.raw(given) if "bogus" not in given.text else url + "?a=b")
        case "raw in DATABASE_URL":
            env("DATABASE_URL", place.raw(given))
            return good if name != "graph" else ["status", folders["good"]]
        case "as DIR":
            return [name, *rest, place.raw(given)]
        case "as extra argument":
            return [*good, place.raw(given)]
        case "as --role":
            return [*apply, folders["good"], "--database", place.url(place.passwords[0]), "--role", url]
        case "as --to":
            return ["plan", folders["good"], "--database", url, "--role", ROLE, "--to", url]
        case "as --env":
            return [*good, "--env", place.raw(given)]
        case "as --config":
            return [*good, "--config", place.raw(given)]
        case "as --var":
            return [*good, "--var", place.raw(given).replace("=", ""), "--database", place.url(given, port=1)]
        case "cut off":
            # What stands behind an @ is a host by all that can be known, if no other one follows.
            return at(place.raw(given).rpartition("@")[0].replace("@", "!"))
        case "wrong scheme":
            return at("mysql" + url.removeprefix("postgresql"))
        case "nul":
            return at(url.replace("@", "%00@", 1))
        case "syntax error":
            return [name, folders["broken"], *rest, "--database", url]
        case "as --lock-wait":
            return ["apply", folders["good"], "--lock-wait", url]
        case "raw in database_env":
            env("SECRET_URL", place.raw(given))
            toml.write_text('default = "live"\n[environments.live]\ndatabase_env = "SECRET_URL"\n')
            return ["status", folders["good"]]
        case "no name behind":
            return [*good, "--database", f"{given.user}:{given.text}@{place.server.host}"]
        case "as a command":
            return [url]
        case "as a value of a flag":
            return [*good, f"--yes={url}"]
        case "as the place of a backup":
            return ["backup", "note", "--at", "now", "--where", url, "--database", url, "--role", ROLE]
        case "as the time of a backup":
            return ["backup", "note", "--at", place.raw(given), "--where", "x", "--database", url]
        case "explain the URL":
            return ["explain", f"psql: error: connection to server failed for {url}", folders["good"], "--offline"]
    raise AssertionError(way)


def test_no_failing_way_shows_a_password(place, monkeypatch, caplog, capfd):
    """Each password fails in several ways, each way with every command: in turn, so that all of them meet."""
    met = set()
    turns = max(len(place.passwords), len(WAYS)) * 5
    for turn in range(turns):
        given = place.passwords[turn % len(place.passwords)]
        way = WAYS[turn % len(WAYS)]
        command = COMMANDS[(turn // len(WAYS)) % len(COMMANDS)]
        with monkeypatch.context() as patch:
            words = words_of(way, command, place, given, patch)
            if turn % 2:
                words.append("--json")
            status, said = lancio(*words)
        Path("lancio.toml").unlink(missing_ok=True)
        met.add((way, status != 0))
        assert not given.found_in(said), f"{way} of {words} shows {given.text!r}:\n{said}"
        captured = capfd.readouterr()
        assert not given.found_in(captured.out + captured.err + caplog.text), f"{way} of {words}"
    # Where a password makes a raw URL that can be read, or a command needs no database, nothing fails.
    assert {way for way, failed in met if failed} == set(WAYS)
    _nowhere(place, "")


def test_other_programs_get_no_password(place, monkeypatch):
    """Rehearsals and witnesses work on a server that is given; backups are noted; nothing of it reaches a process."""
    for each in place.passwords[:4]:
        url = place.url(each)
        for words in (
            ["plan", place.folders["good"], "--rehearse", "--scratch", url, "--database", url, "--role", ROLE],
            ["graph", place.folders["good"], "--witness", "--scratch", url],
            ["plan", place.folders["good"], "--sql", "--database", url, "--role", ROLE],
            ["backup", "note", "--at", "now", "--where", "x", "--database", url, "--role", ROLE],
            ["check", place.folders["good"]],
        ):
            monkeypatch.setenv("DATABASE_URL", url)
            _, said = lancio(*words)
            assert not each.found_in(said), f"{words} shows {each.text!r}:\n{said}"
    _nowhere(place, "")


@pytest.mark.parametrize("word", ["password", "postgres", "failed", "localhost", "secret_app", "error", "refused"])
def test_a_password_that_is_a_word_of_the_message_stands_nowhere_as_a_password(place, word):
    for url in (
        f"postgresql://somebody:{word}@127.0.0.1:1/x",
        f"postgresql://somebody:{word}@{place.server.host}:{place.server.port}/{DATABASE}",
    ):
        for json_ in ((), ("--json",)):
            status, said = lancio("status", place.folders["good"], "--database", url, *json_)
            assert status == 1
            assert f":{word}@" not in said
            assert f"password={word}" not in said
            assert "somebody" in said


def test_words_of_every_day_and_sentences_are_no_secrets():
    said = 'ERROR:  duplicate key value violates unique constraint "k" DETAIL: Key (email)=(ann@example.org) exists'
    words = ["explain", said, "postgresql://ann@host/db", "postgresql://ann:postgres@host:5432/db", "https://x:8080/a"]
    assert credentials.secrets_of(words, {}) == ()
    found = credentials.secrets_of(["postgresql://ann:s3cr%40t-x@host/db"], {"PGPASSWORD": "an0ther one"})
    assert set(found) == {"an0ther%20one", "an0ther one", "s3cr%2540t-x", "s3cr%40t-x", "s3cr@t-x"}


def test_secrets_that_overlap_are_all_taken_out():
    assert credentials.masked("a one-two-three b two-three-four", ("one-two-three", "two-three-four")) == "a *** b ***"
    assert credentials.masked("one-two-three", ("one-two", "two-three")) == "***"
    assert credentials.masked("nothing", ()) == "nothing"


def test_an_empty_password_and_one_with_a_nul_are_refused(place):
    given = place.passwords[0]
    for url in (place.url(given, secret=""), place.url(given).replace("@", "%00@", 1)):
        status, said = lancio("status", place.folders["good"], "--database", url)
        assert status in (1, 2)
        assert not given.found_in(said)


def _nowhere(place: Place, said: str) -> None:
    """In no text, no argument of a child, no row of the ledger, and no line of the server's log."""
    with psycopg.connect(place.server.url(DATABASE)) as connection:
        rows = []
        if connection.execute("SELECT to_regnamespace('lancio') IS NOT NULL").fetchone()[0]:
            tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'lancio'").fetchall()
            for (table,) in tables:
                rows += connection.execute(
                    sql.SQL("SELECT t::text FROM {} AS t").format(sql.Identifier("lancio", table))
                ).fetchall()
    with place.server.log_file.open(encoding="utf-8", errors="replace") as log:
        log.seek(place.log_at)
        logged = log.read()
    assert "pg_backend_pid" in logged, "the server logs no statements, so this proved nothing"
    for kind, text in (
        ("output", said),
        ("child", "\n".join(place.children.told)),
        ("ledger", str(rows)),
        ("log", logged),
    ):
        for each in place.passwords:
            word = each.found_in(text)
            assert not word, f"{each.text!r} stands in the {kind}: {text[max(0, text.find(word) - 200) :][:400]}"
