"""Everything that a preflight asks for: missing alone, missing together, told at once, and nothing changed by it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import outside
import psycopg
import pytest
from services_outside import MONGODB_HELLO, Redis, Speaker, free_port

from lancio.executor import fingerprint
from servers import database_of

if TYPE_CHECKING:
    from pathlib import Path

    from servers import TestServer

ROLE, PASSWORD = "preflight_app", "preflight"

GROUND = """
CREATE SCHEMA app;
CREATE TABLE app.users (id int PRIMARY KEY, name text);
CREATE TABLE app.plans (code text PRIMARY KEY);
INSERT INTO app.users VALUES (1, 'ada');
CREATE FUNCTION app.helper() RETURNS int LANGUAGE sql AS 'SELECT 1';
"""


def _role(server: TestServer, url: str, *grants: str) -> str:
    """The same database as an ordinary role that may do what it is granted, and nothing else."""
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (ROLE,)).fetchone()
        if found is None:
            connection.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
        for grant in grants:
            connection.execute(grant)
    return server.url(database_of(url), user=ROLE, password=PASSWORD)


@dataclass
class Case:
    """One requirement that is not met: how it comes, and what has to be said of it."""

    files: dict[str, str]
    kind: str
    object: str
    provider: str
    state: str
    command: str
    setup: str = ""
    grants: tuple[str, ...] | None = None  # as an ordinary role with these; None: as the superuser
    env: dict[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ("--no-backup",)
    only: tuple[str, ...] = ()


USAGE = f"GRANT USAGE ON SCHEMA app TO {ROLE}"

CASES = {
    "an object": Case(
        {"001_items": "CREATE TABLE app.items (id int);", "002_use": "ALTER TABLE app.items ADD COLUMN n int;"},
        "relation", "app.items", "001_items.sql", "not applied", "--only 001_items.sql", only=("002_use.sql",),
    ),
    "a column": Case(
        {"000_users": "CREATE SCHEMA app; CREATE TABLE app.users (id int PRIMARY KEY, name text);",
         "001_column": "ALTER TABLE app.users ADD COLUMN mail text;",
         "002_use": "CREATE INDEX users_mail ON app.users (mail);"},
        "column", "mail", "001_column.sql", "not applied", "--only 001_column.sql", only=("002_use.sql",),
    ),
    "an extension": Case(
        {"001_extension": "CREATE EXTENSION pgcrypto;", "002_use": "SELECT digest('a', 'sha256');"},
        "extension", "pgcrypto", "001_extension.sql", "not applied", "--only 001_extension.sql", only=("002_use.sql",),
    ),
    "an extension that is not on the server": Case(
        {"001_extension": "CREATE EXTENSION nowhere_to_be_had;"},
        "extension", "nowhere_to_be_had", "", "", "",
    ),
    "a version of an extension": Case(
        {"001_extension": "CREATE EXTENSION pgcrypto VERSION '99.9';"},
        "extension", "pgcrypto in version 99.9", "the server", "available: ", "",
    ),
    "what an extension needs": Case(
        {"001_extension": "CREATE EXTENSION earthdistance;"},
        "extension", "extension cube", "", "", "",
    ),
    "the right to create an extension": Case(
        {"001_extension": "CREATE EXTENSION pageinspect;"},
        "extension", "pageinspect", "", "", "CREATE EXTENSION pageinspect",
        grants=(f"GRANT CREATE ON DATABASE {{database}} TO {ROLE}",),
    ),
    "a row": Case(
        {"000_plans": "CREATE SCHEMA app; CREATE TABLE app.plans (code text PRIMARY KEY);",
         "001_row": "INSERT INTO app.plans (code) VALUES ('free');",
         "002_use": "-- lancio: requires row app.plans (code = 'free')\nSELECT 1;"},
        "row", "code = 'free'", "001_row.sql", "not applied", "--only 001_row.sql", only=("002_use.sql",),
    ),
    "a right on a table": Case(
        {"001_write": "INSERT INTO app.users VALUES (2, 'bob');"},
        "privilege", "INSERT on table app.users", "postgres, its owner", "not granted",
        f"GRANT INSERT ON TABLE app.users TO {ROLE};", grants=(USAGE,),
    ),
    "the right to read": Case(
        {"001_read": "SELECT count(*) FROM app.users;"},
        "privilege", "SELECT on table app.users", "postgres, its owner", "not granted",
        f"GRANT SELECT ON TABLE app.users TO {ROLE};", grants=(USAGE,),
    ),
    "the right to refer": Case(
        {"001_refer": "CREATE TABLE app.notes (id int REFERENCES app.users (id));"},
        "privilege", "REFERENCES on table app.users", "postgres, its owner", "not granted",
        f"GRANT REFERENCES ON TABLE app.users TO {ROLE};", grants=(USAGE, f"GRANT CREATE ON SCHEMA app TO {ROLE}"),
    ),
    "the right to call": Case(
        {"001_call": "SELECT app.helper();"},
        "privilege", "EXECUTE on function app.helper()", "postgres, its owner", "not granted",
        f"GRANT EXECUTE ON FUNCTION app.helper() TO {ROLE};",
        setup="REVOKE EXECUTE ON FUNCTION app.helper() FROM PUBLIC", grants=(USAGE,),
    ),
    "ownership": Case(
        {"001_alter": "ALTER TABLE app.users ADD COLUMN age int;"},
        "privilege", "ownership of table app.users", "postgres, its owner", "not granted",
        f"ALTER TABLE app.users OWNER TO {ROLE};", grants=(USAGE,),
    ),
    "the right to create in a schema": Case(
        {"001_create": "CREATE TABLE app.more (id int);"},
        "privilege", "CREATE on schema app", "postgres, its owner", "not granted",
        f"GRANT CREATE ON SCHEMA app TO {ROLE};", grants=(USAGE,),
    ),
    "the right to create a schema": Case(
        {"001_create": "CREATE SCHEMA more;"},
        "privilege", "CREATE on this database", "postgres, its owner", "not granted", f" TO {ROLE};", grants=(),
    ),
    "the right to create a role": Case(
        {"001_role": "CREATE ROLE preflight_other;"},
        "privilege", "CREATEROLE", "a superuser", "not granted", f"ALTER ROLE {ROLE} CREATEROLE;", grants=(),
    ),
    "a superuser": Case(
        {"001_event": "CREATE FUNCTION app.e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
                      "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE PROCEDURE app.e();"},
        "privilege", "SUPERUSER for CREATE EVENT TRIGGER", "a superuser", "not granted", "--role",
        grants=(USAGE, f"GRANT CREATE ON SCHEMA app TO {ROLE}"),
    ),
    "all the rows": Case(
        {"001_read": "SELECT count(*) FROM app.users;"},
        "privilege", "all rows of table app.users", "a superuser", "row level security holds",
        f"ALTER ROLE {ROLE} BYPASSRLS;", setup="ALTER TABLE app.users ENABLE ROW LEVEL SECURITY",
        grants=(USAGE, f"GRANT SELECT ON app.users TO {ROLE}"),
    ),
    "a setting": Case(
        {"001_read": "SELECT current_setting('app.tenant');"},
        "setting", "app.tenant", "whoever administers this database", "not set", "SET app.tenant",
    ),
    "a schema to create in": Case(
        {"001_create": "CREATE TABLE bare (id int);"},
        "setting", "a schema to create in", "the file, or the setting", "search_path is nowhere", "search_path",
        setup="ALTER DATABASE {database} SET search_path = nowhere",
    ),
    "a variable of a service": Case(
        {"001_cache": "-- lancio: requires service redis env CACHE_URL\nSELECT 1;"},
        "service", "redis", "", "", "export CACHE_URL=",
    ),
    "a service": Case(
        {"001_cache": "-- lancio: requires service redis env CACHE_URL\nSELECT 1;"},
        "service", "redis", "CACHE_URL", "refused [tcp]", "export CACHE_URL=",
        env={"CACHE_URL": f"redis://:s3cr3t-pass@127.0.0.1:{free_port()}"},
    ),
    "a backup": Case(
        {"001_age": "ALTER TABLE app.users ADD COLUMN age int;"},
        "backup", "a backup of the last 24 hours", "pg_dump", "none is known", "lancio backup note", flags=(),
    ),
}  # fmt: skip


def folder(path: Path, files: dict[str, str]) -> str:
    path.mkdir(exist_ok=True)
    for name, text in files.items():
        (path / f"{name}.sql").write_text(f"{text}\n", encoding="utf-8")
    return str(path)


def ground(url: str, *more: str) -> None:
    database = database_of(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(GROUND)
        for statement in more:
            if statement:
                connection.execute(statement.replace("{database}", database))


def taken(url: str) -> fingerprint.Fingerprint:
    with psycopg.connect(url, autocommit=True) as connection:
        return fingerprint.take(connection)


@pytest.mark.parametrize("name", CASES)
def test_each_kind_of_requirement_missing_alone_is_told_with_provider_state_and_command(
    name: str, server: TestServer, database: str, tmp_path: Path
) -> None:
    case = CASES[name]
    ground(database, case.setup)
    url = database
    if case.grants is not None:
        grants = (each.replace("{database}", database_of(database)) for each in case.grants)
        url = _role(server, database, *grants)
    before = taken(database)
    where = folder(tmp_path / "m", case.files)
    said = outside.lancio(
        "preflight", where, "--database", url, "--json", *case.flags, *outside.named(case.only), env=case.env
    )
    assert said.status == 3, said.out
    assert "s3cr3t-pass" not in said.out + said.err
    missing = [item for item in said.json["missing"] if item["blocking"]]
    assert len(missing) == 1, [item["message"] for item in missing]
    _told(case, missing[0])
    text = outside.lancio("preflight", where, "--database", url, *case.flags, *outside.named(case.only), env=case.env)
    assert text.status == 3
    assert "NO-GO: 1 requirement not met. Nothing was changed." in text.text
    assert "s3cr3t-pass" not in text.out + text.err
    assert max(len(line) for line in text.out.splitlines() if not line.startswith("    ")) <= 80
    assert taken(database) == before
    assert not outside.ledger(database)


def _told(case: Case, item: dict[str, Any]) -> None:
    assert item["requirement"]["kind"] == case.kind
    assert case.object in item["requirement"]["object"]
    assert case.provider in item["provider"]
    assert case.state in (item["provider_state"] + item["here"])
    assert any(case.command in command for command in item["commands"]) or not case.command
    assert item["cause"]
    assert item["solution"]


def test_all_kinds_missing_together_are_told_at_once(server: TestServer, database: str, tmp_path: Path) -> None:
    """As an ordinary role without any right, on a database with rows: one run names all of them."""
    texts = [
        f"{text}\n"
        for name, case in CASES.items()
        for file, text in case.files.items()
        if name not in ("a schema to create in", "a service", "a superuser")
        and (len(case.files) == 1 or file.endswith("_use"))
    ]
    ground(database, "REVOKE EXECUTE ON FUNCTION app.helper() FROM PUBLIC", "CREATE ROLE preflight_dba NOLOGIN")
    before = taken(database)
    url = _role(server, database)
    where = folder(tmp_path / "m", {f"{number:03}_part": text for number, text in enumerate(texts)})
    try:
        said = outside.lancio("preflight", where, "--database", url, "--json")
        assert said.status == 3
        found = [item["requirement"]["object"] for item in said.json["missing"]]
        for wanted in (
            "app.items", "mail", "extension pgcrypto", "nowhere_to_be_had", "99.9", "code = 'free'",
            "INSERT on table app.users",
            "SELECT on table app.users", "REFERENCES on table app.users", "EXECUTE on function app.helper()",
            "ownership of table app.users", "CREATE on schema app", "CREATE on this database", "CREATEROLE",
            "app.tenant", "service redis", "a backup",
        ):  # fmt: skip
            assert any(wanted in each for each in found), (wanted, found)
        text = outside.lancio("preflight", where, "--database", url)
        assert text.status == 3
        assert "more (--all tells them)" in text.out
        every = outside.lancio("preflight", where, "--database", url, "--all")
        assert (
            f"Error {len(said.json['missing'])}: " in every.out or f"Warning {len(said.json['missing'])}: " in every.out
        )
        assert taken(database) == before
    finally:
        outside.execute(database, "DROP ROLE preflight_dba")


def test_a_version_that_the_files_own_sql_needs_is_told_with_its_line(pool: Any, tmp_path: Path) -> None:
    server = pool.get(10)
    url = server.create_database()
    where = folder(tmp_path / "m", {"001_new": (
        "CREATE TABLE t (a int,\n  b int GENERATED ALWAYS AS (a * 2) STORED);\n"
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';\n"
        "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();\n"
        "CREATE UNIQUE INDEX i ON t (a) INCLUDE (b);")})  # fmt: skip
    said = outside.lancio("preflight", where, "--database", url, "--json")
    server.drop_database(url)
    assert said.status == 3
    found = {item["requirement"]["object"]: item for item in said.json["missing"]}
    assert {(name, item["requirement"]["line"]) for name, item in found.items()} == {
        ("PostgreSQL 12 for GENERATED … STORED", 2), ("PostgreSQL 11 for EXECUTE FUNCTION", 4),
        ("PostgreSQL 11 for INCLUDE", 5),
    }  # fmt: skip
    assert "EXECUTE PROCEDURE" in found["PostgreSQL 11 for EXECUTE FUNCTION"]["solution"]
    assert all(item["here"].startswith("this is 10.") for item in found.values())


def test_the_platform_is_a_go_on_every_version_and_every_group_is_told(every_database: str) -> None:
    said = outside.lancio("preflight", "--platform", "--database", every_database, "--json")
    assert said.status == 0, said.json["missing"]
    groups = {item["group"] for item in said.json["items"]}
    assert groups == {"server", "privileges", "room", "services", "backup", "connection"}
    # A server that cannot read the control file of some extension can tell nothing of any.
    odd = [item["says"] for item in said.json["items"] if item["mark"] in ("unmet", "unknown")]
    assert odd in ([], ["extension pgcrypto"])
    assert not outside.ledger(every_database)


def test_rows_without_a_known_backup_are_a_no_go_until_one_is_noted(database: str, tmp_path: Path) -> None:
    where = folder(tmp_path / "m", {"001_t": "CREATE TABLE t (id int); INSERT INTO t VALUES (1);"})
    assert outside.lancio("apply", where, "--database", database).status == 0
    folder(tmp_path / "m", {"002_n": "ALTER TABLE t ADD COLUMN n int;"})
    said = outside.lancio("apply", where, "--database", database)
    assert said.status == 3
    assert "no backup of the last 24 hours is known" in said.text
    assert "public.t" in said.text
    commands = outside.lancio("preflight", where, "--database", database, "--json").json["missing"][0]["commands"]
    assert [command.split()[0] for command in commands] == ["lancio", "pg_dump", "lancio", "lancio"]
    assert commands[0].startswith("lancio backup make ")
    password = str(psycopg.conninfo.conninfo_to_dict(database)["password"])
    assert outside.shell(commands[2], password).status == 0
    assert outside.lancio("preflight", where, "--database", database).status == 0
    listed = outside.lancio("backup", "list", "--database", database, "--json").json["backups"]
    assert [(each["place"], each["origin"], each["who"]) for each in listed] == [("backup.dump", "noted", "postgres")]
    assert outside.lancio("apply", where, "--database", database).status == 0


def test_an_old_backup_is_none_and_no_backup_goes_without(database: str, tmp_path: Path) -> None:
    ground(database)
    where = folder(tmp_path / "m", {"001_n": "ALTER TABLE app.users ADD COLUMN n int;"})
    there = ("--database", database)
    assert (
        outside.lancio("backup", "note", "--at", "2020-01-01T00:00:00Z", "--where", "an old tape", *there).status == 0
    )
    said = outside.lancio("preflight", where, *there, "--json")
    assert said.status == 3
    assert "an old tape" in said.json["missing"][0]["here"]
    assert outside.lancio("preflight", where, *there, "--backup-age", "9000d").status == 0
    assert outside.lancio("preflight", where, *there, "--backup-age", "soon").status == 2
    assert outside.lancio("apply", where, *there, "--no-backup", "--yes").status == 0


def test_an_empty_table_and_an_extensions_own_rows_need_no_backup(database: str, tmp_path: Path) -> None:
    outside.execute(database, "CREATE TABLE t (id int)", "INSERT INTO t VALUES (1)", "DELETE FROM t")
    where = folder(tmp_path / "m", {"001_n": "ALTER TABLE t ADD COLUMN n int;"})
    said = outside.lancio("preflight", where, "--database", database, "--json")
    assert said.status == 0, said.json["missing"]
    assert [item["evidence"] for item in said.json["items"] if item["group"] == "backup"] == [
        "this database has no rows"
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        ("--at", "soon", "--where", "x"), ("--at", "now", "--where", "  "),
        ("--at", "2999-01-01", "--where", "x"), ("--at", "now", "--where", "s3://key:p4ss@bucket/x"),
        ("--at", "now", "--where", "x" * 501),
    ],
)  # fmt: skip
def test_a_note_that_cannot_be_right_is_refused(database: str, wrong: tuple[str, ...]) -> None:
    said = outside.lancio("backup", "note", *wrong, "--database", database)
    assert said.status == 2
    assert "p4ss" not in said.out + said.err
    assert outside.lancio("backup", "list", "--database", database, "--json").json == {"backups": []}


def test_who_holds_a_lock_that_the_plan_waits_for_is_told_and_never_what_he_runs(database: str, tmp_path: Path) -> None:
    ground(database, "INSERT INTO app.users SELECT g, 'x' FROM generate_series(10, 5000) g", "ANALYZE app.users")
    where = folder(tmp_path / "m", {"001_n": "ALTER TABLE app.users ADD COLUMN n int;"})
    with psycopg.connect(database, application_name="the web") as other:
        other.execute("SELECT 'a secret in a query', count(*) FROM app.users")
        time.sleep(1.1)
        said = outside.lancio("preflight", where, "--database", database, "--no-backup", "--json")
        text = outside.lancio("preflight", where, "--database", database, "--no-backup")
        pid = other.info.backend_pid
    assert said.status == 0
    (item,) = [each for each in said.json["items"] if each["mark"] == "warning" and each["group"] == "locks"]
    assert item["says"].startswith("blocks reads and writes on app.users (")
    assert "about 4,992 rows" in item["says"]
    assert f"pid {pid}, user postgres, the web, idle in transaction" in item["evidence"]
    assert "ACCESS EXCLUSIVE waits for ACCESS SHARE" in item["evidence"]
    assert item["commands"][1].endswith(f"'SELECT pg_terminate_backend({pid})'")
    assert "a secret in a query" not in said.out + text.out + said.err + text.err


def test_a_table_that_is_locked_does_not_hold_the_preflight_up(database: str, tmp_path: Path) -> None:
    ground(
        database, "CREATE FUNCTION app.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'",
        "CREATE TRIGGER t BEFORE INSERT ON app.users FOR EACH ROW EXECUTE PROCEDURE app.t()",
    )  # fmt: skip
    where = folder(tmp_path / "m", {"001_n": "ALTER TABLE app.users ALTER COLUMN id TYPE bigint;"})
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE app.users")
        began = time.monotonic()
        said = outside.lancio("preflight", where, "--database", database, "--json")
        took = time.monotonic() - began
    assert took < 15
    assert next(item["mark"] for item in said.json["items"] if item["group"] == "locks") == "warning"
    assert any("may have rows" in item["cause"] for item in said.json["missing"])


def test_a_rewrite_is_told_with_the_room_it_takes(database: str, tmp_path: Path) -> None:
    ground(database, "INSERT INTO app.users SELECT g, 'n' || g FROM generate_series(10, 20000) g", "ANALYZE app.users")
    where = folder(tmp_path / "m", {"001_n": (
        "ALTER TABLE app.users ALTER COLUMN id TYPE bigint;\n"
        "ALTER TABLE app.users ALTER COLUMN name TYPE varchar;\n"
        "ALTER TABLE app.users ADD COLUMN at timestamptz DEFAULT now();\n"
        "CREATE INDEX by_name ON app.users (name);")})  # fmt: skip
    said = outside.lancio("preflight", where, "--database", database, "--no-backup", "--json")
    room = [item for item in said.json["items"] if item["group"] == "room"]
    assert [item["says"] for item in room[:2]] == ["another type for id writes app.users anew", "by_name on app.users"]
    # What the index really takes is near what was said of it.
    outside.execute(database, "CREATE INDEX by_name ON app.users (name)")
    real = outside.one(database, "SELECT pg_relation_size('app.by_name')") / 1e3
    told = float(room[1]["evidence"].split()[1])
    assert room[1]["evidence"].endswith("kB")
    assert 0.5 < told / real < 2


# Services outside, asked for real.


def _asked(database: str, tmp_path: Path, url: str, word: str = "requires") -> outside.Said:
    where = folder(tmp_path / "m", {"001_s": f"-- lancio: {word} service it env IT_URL\nSELECT 1;"})
    began = time.monotonic()
    said = outside.lancio("preflight", where, "--database", database, "--json", env={"IT_URL": url})
    assert time.monotonic() - began < 3 + 8, "the time limit"
    assert "hunter2" not in said.out + said.err
    return said


def _evidence(said: outside.Said) -> str:
    (item,) = [each for each in said.json["items"] if each["group"] == "services"]
    return str(item["evidence"])


def test_a_real_redis_answers_and_a_wrong_password_is_told_apart(database: str, tmp_path: Path) -> None:
    with Redis(tmp_path, password="hunter2") as redis:
        said = _asked(database, tmp_path, f"redis://:hunter2@127.0.0.1:{redis.port}/0")
        assert said.status == 0
        assert "answers PING" in _evidence(said)
        said = _asked(database, tmp_path, f"redis://:hunter2wrong@127.0.0.1:{redis.port}/0")
        assert said.status == 3
        assert "refuses these credentials: WRONGPASS [hello]" in _evidence(said)
        said = _asked(database, tmp_path, f"rediss://:hunter2@127.0.0.1:{redis.port}/0")
        assert said.status == 3
        assert "[tls]" in _evidence(said)
        said = _asked(database, tmp_path, f"mongodb://u:hunter2@127.0.0.1:{redis.port}/x")
        assert said.status == 3
        assert "[hello]" in _evidence(said)


def test_a_mongodb_answers_by_its_own_wire(database: str, tmp_path: Path) -> None:
    with Speaker(MONGODB_HELLO) as mongodb:
        said = _asked(database, tmp_path, f"mongodb://u:hunter2@127.0.0.1:{mongodb.port}/x")
        assert said.status == 0
        assert "answers isMaster" in _evidence(said)
        members = f"mongodb://u:hunter2@127.0.0.1:{mongodb.port},127.0.0.1:1/x?replicaSet=rs0"
        assert _asked(database, tmp_path, members).status == 0


def test_a_postgresql_answers_by_its_own_wire(server: TestServer, database: str, tmp_path: Path) -> None:
    said = _asked(database, tmp_path, f"postgresql://u:hunter2@127.0.0.1:{server.port}/x")
    assert said.status == 0
    assert "answers the startup message" in _evidence(said)


@pytest.mark.parametrize("scheme", ["redis", "rediss", "mongodb", "postgresql"])
def test_refused_silent_closed_and_wrong_are_told_apart_within_the_limit(
    scheme: str, database: str, tmp_path: Path
) -> None:
    refused = _asked(database, tmp_path, f"{scheme}://u:hunter2@127.0.0.1:{free_port()}/x")
    assert "the connection was refused [tcp]" in _evidence(refused)
    with Speaker(None) as silent:
        said = _asked(database, tmp_path, f"{scheme}://u:hunter2@127.0.0.1:{silent.port}/x")
        assert "says nothing within the time limit" in _evidence(said)
    with Speaker(b"") as closing:
        said = _asked(database, tmp_path, f"{scheme}://u:hunter2@127.0.0.1:{closing.port}/x")
        assert "closes the connection without an answer" in _evidence(said)
    with Speaker(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") as wrong:
        said = _asked(database, tmp_path, f"{scheme}://u:hunter2@127.0.0.1:{wrong.port}/x")
        assert ("no TLS" if scheme == "rediss" else "answers in another protocol") in _evidence(said)
    assert {refused.status, said.status} == {3}


def test_a_trickle_ends_with_the_limit_too(database: str, tmp_path: Path) -> None:
    with Speaker(b"+" * 200, pause_s=0.2) as slow:
        said = _asked(database, tmp_path, f"redis://:hunter2@127.0.0.1:{slow.port}")
    assert said.status == 3


@pytest.mark.parametrize(
    ("url", "outcome"),
    [
        ("redis://:hunter2@no-such-host.invalid:6379", "[dns]"),
        ("redis://:pa/hunter2@127.0.0.1:6379", "no address [address]"),
        ("redis://user:12/hunter2@127.0.0.1", "no address [address]"),
        ("hunter2", "no address [address]"),
        ("redis://[hunter2", "no address [address]"),
        ("nats://:hunter2@127.0.0.1:1x", "no address [address]"),
        ("absent", "said to be absent [variable]"),
        ("", "IT_URL is not set"),
    ],
)
def test_what_is_no_address_is_told_without_its_text(url: str, outcome: str, database: str, tmp_path: Path) -> None:
    said = _asked(database, tmp_path, url)
    assert said.status == 3
    assert outcome in _evidence(said)


def test_a_wanted_service_is_shown_with_its_outcome_and_is_never_a_no_go(database: str, tmp_path: Path) -> None:
    said = _asked(database, tmp_path, f"redis://:hunter2@127.0.0.1:{free_port()}", word="wants")
    assert said.status == 0
    (item,) = [each for each in said.json["items"] if each["group"] == "services"]
    assert item["mark"] == "note"
    assert "refused [tcp]" in item["evidence"]


# Five hundred.


def test_five_hundred_requirements_take_less_than_a_second_of_work(database: str, tmp_path: Path) -> None:
    from lancio.cli import work
    from lancio.cli.options import Source
    from lancio.render import text

    ground(database)
    files = {
        f"{number:03}_f": "\n".join(
            [f"SELECT count(*) FROM app.absent_{number}_{part};" for part in range(4)]
            + [f"SELECT current_setting('app.absent_{number}');"]
        )
        for number in range(100)
    }
    where = Source(tmp_path / "m", folder(tmp_path / "m", files), platform=False)
    graph = work.graph_of(where)
    with work.session(database, None) as session:
        before = fingerprint.take(session.connection)
        best = 9.0
        for _ in range(3):
            began = time.process_time()
            plan = work.plan_of(graph, session, where, look="all")
            shown = text.preflight(plan, 80)
            best = min(best, time.process_time() - began)
        assert fingerprint.take(session.connection) == before
    assert len([item for item in plan.missing if item.blocking]) == 501
    assert "NO-GO: 501 requirements not met" in " ".join(shown.split())
    assert len(shown.splitlines()) < 350
    assert best < 1.0
