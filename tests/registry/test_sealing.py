"""Sealing: what goes in comes out, in its own row only, and nothing is lost or mis-sealed on the way."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schema_files import ALL, KEY, KEYED, give_key, launch, own_key, state

import servers
from lancio.registry import secrets
from servers import run_psql

if TYPE_CHECKING:
    from servers import TestServer

REAL = "redis://default:s3cret-p%40ss@cache.example:6379/0"
INSERT = """
INSERT INTO platform.databases (project_id, name, type, connection_string, host, port)
SELECT id, 'one', 'redis', %s, 'cache.example', 6379 FROM platform.projects RETURNING id
"""


def add(connection: psycopg.Connection, url: str = REAL) -> UUID:
    row = connection.execute(INSERT, (url,)).fetchone()
    assert row is not None
    return row[0]


def opened(connection: psycopg.Connection, id_: UUID) -> str | None:
    row = connection.execute("SELECT platform.decrypt_database_connection_string(%s)", (id_,)).fetchone()
    assert row is not None
    return row[0]


def stored(connection: psycopg.Connection, id_: UUID) -> tuple[str, bytes | None]:
    row = connection.execute(
        "SELECT connection_string, connection_string_encrypted FROM platform.databases WHERE id = %s", (id_,)
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def change(connection: psycopg.Connection, id_: UUID, assignments: str, *values: object) -> None:
    done = connection.execute(f"UPDATE platform.databases SET {assignments} WHERE id = %s", (*values, id_))
    assert done.rowcount == 1


@pytest.mark.parametrize(
    "url",
    [
        REAL,
        "redis://:p@ss/w#r?d@cache.example:6379",
        "redis://:pw@[fd12::1]:6379",
        "mongodb+srv://u:p%2Fw@cluster.example/?authSource=admin",
        "mongodb://u:pw@a:1,b:2,c:3/db",
        "postgresql://u:pässwört✓@h/db",
        "host=h password='two words'",
        "redis://other.example:6379",
        "<actual-mongodb-url>",
        "x" * 100_000,
    ],
)
def test_what_is_sealed_is_opened_and_shown_by_its_address_alone(keyed: psycopg.Connection, url: str) -> None:
    id_ = add(keyed, url)
    shown, envelope = stored(keyed, id_)
    assert envelope is not None
    assert re.fullmatch(r"redis://sealed:[0-9a-f]{8}@cache\.example:6379", shown)
    assert shown == secrets.sealed_form(envelope, "redis", "cache.example", 6379)
    assert opened(keyed, id_) == url
    assert keyed.execute(
        "SELECT connection_string_masked FROM platform.databases_safe WHERE id = %s", (id_,)
    ).fetchone() == ("redis://cache.example:6379",)
    assert secrets.open_sealed(envelope, row_id=id_, key=own_key(keyed)).reveal() == url


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(url=st.text(min_size=1, alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_both_sides_make_the_same_bytes(keyed: psycopg.Connection, url: str) -> None:
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://sealed:", url):
        return
    id_ = add(keyed, url)
    _, envelope = stored(keyed, id_)
    assert envelope is not None
    assert secrets.seal(url, row_id=id_, key=own_key(keyed), iv=envelope[5:21]) == envelope
    again = secrets.seal(url, row_id=id_, key=own_key(keyed))
    change(keyed, id_, "connection_string = %s, connection_string_encrypted = %s",
           secrets.sealed_form(again, "redis", "cache.example", 6379), again)  # fmt: skip
    assert stored(keyed, id_)[1] == again
    assert opened(keyed, id_) == url


def test_every_flipped_bit_is_refused(keyed: psycopg.Connection) -> None:
    id_ = add(keyed)
    shown, envelope = stored(keyed, id_)
    assert envelope is not None
    keyed.execute("SET session_replication_role = replica")  # as someone would who can write the table's file
    refused = 0
    for bit in range(len(envelope) * 8):
        changed = bytearray(envelope)
        changed[bit // 8] ^= 1 << bit % 8
        form = shown
        with contextlib.suppress(secrets.SealBroken):  # of what is still an envelope:
            # a form that fits the changed MAC, so that the MAC itself is what refuses
            form = secrets.sealed_form(bytes(changed), "redis", "cache.example", 6379)
        change(keyed, id_, "connection_string = %s, connection_string_encrypted = %s", form, bytes(changed))
        with pytest.raises(psycopg.errors.DataException) as caught:
            opened(keyed, id_)
        assert caught.value.sqlstate == "22000"
        with pytest.raises(secrets.SealBroken):
            secrets.open_sealed(bytes(changed), row_id=id_, key=own_key(keyed))
        refused += 1
    assert refused == len(envelope) * 8
    change(keyed, id_, "connection_string_encrypted = %s, connection_string = %s", envelope, shown)
    assert opened(keyed, id_) == REAL


@pytest.mark.parametrize("length", [0, 1, 20, 53, 68])
def test_a_cut_envelope_is_refused(keyed: psycopg.Connection, length: int) -> None:
    id_ = add(keyed)
    _, envelope = stored(keyed, id_)
    assert envelope is not None
    keyed.execute("SET session_replication_role = replica")
    change(keyed, id_, "connection_string_encrypted = %s", envelope[:length])
    with pytest.raises(psycopg.errors.DataException):
        opened(keyed, id_)
    with pytest.raises(secrets.SealBroken):
        secrets.open_sealed(envelope[:length], row_id=id_, key=own_key(keyed))


def test_an_envelope_moved_to_another_row_does_not_open(keyed: psycopg.Connection) -> None:
    source, target = add(keyed), add(keyed, "redis://:other@cache.example:6379")
    shown, envelope = stored(keyed, source)
    move = "connection_string = %s, connection_string_encrypted = %s"
    with pytest.raises(psycopg.errors.DataException, match="does not belong to this row"):
        change(keyed, target, move, shown, envelope)
    give_key(keyed, "", "")
    change(keyed, target, move, shown, envelope)  # without the key nobody can tell
    give_key(keyed)
    with pytest.raises(psycopg.errors.DataException) as caught:
        opened(keyed, target)
    assert caught.value.sqlstate == "22000"
    with pytest.raises(secrets.SealBroken):
        secrets.open_sealed(envelope or b"", row_id=target, key=own_key(keyed))
    with pytest.raises(secrets.SealBroken):
        secrets.open_sealed(
            envelope or b"", row_id=source, key=own_key(keyed), column="platform.credentials.secret_encrypted"
        )


@pytest.mark.parametrize(
    ("key", "key_id"),
    [("", ""), (KEY, ""), ("", "7"), (KEY[:-2], "7"), (KEY + "00", "7"), ("zz" + KEY[2:], "7"), (KEY, "0"), (KEY, "x"),
     (KEY, "99999999999")],
)  # fmt: skip
def test_without_a_good_key_nothing_is_sealed_or_opened(keyed: psycopg.Connection, key: str, key_id: str) -> None:
    id_ = add(keyed)
    give_key(keyed, key, key_id)
    for attempt in (lambda: add(keyed), lambda: opened(keyed, id_)):
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as caught:
            attempt()
        assert caught.value.sqlstate == "55000"
        assert "lancio.key" in (caught.value.diag.message_hint or "")
        everything = repr([getattr(caught.value.diag, name) for name in dir(caught.value.diag) if name[0] != "_"])
        assert "s3cret" not in everything
        assert KEY[8:40] not in everything


def test_a_session_that_never_had_a_key_and_one_whose_key_ended(platform: str) -> None:
    with psycopg.connect(platform, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
            add(connection)
        with connection.transaction():
            give_key(connection, local=True)
            id_ = add(connection)
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
            opened(connection, id_)


def test_another_key_is_named_as_the_reason(keyed: psycopg.Connection) -> None:
    id_ = add(keyed)
    give_key(keyed, KEY[::-1], "8")
    with pytest.raises(psycopg.errors.DataException, match="sealed with another key"):
        opened(keyed, id_)
    give_key(keyed, KEY[::-1], "7")
    with pytest.raises(psycopg.Error, match=r"tampered|lancio.key is not key 7") as caught:
        opened(keyed, id_)
    assert caught.value.sqlstate == ("22000" if own_key(keyed).organization is None else "55000")


def test_a_health_update_needs_no_key_and_leaves_the_envelope(keyed: psycopg.Connection) -> None:
    id_ = add(keyed)
    before = stored(keyed, id_)
    give_key(keyed, "", "")
    health = "SELECT platform.update_database_health(%s, %s, %s)"
    assert keyed.execute(health, (id_, "unhealthy", "tcp_refused")).fetchone() == (True,)
    assert keyed.execute(health, (uuid4(), "healthy", None)).fetchone() == (False,)
    assert keyed.execute(
        "SELECT health_check_status, health_check_error, last_health_check_at IS NOT NULL, updated_at > created_at"
        " FROM platform.databases_safe WHERE id = %s", (id_,),
    ).fetchone() == ("unhealthy", "tcp_refused", True, True)  # fmt: skip
    assert stored(keyed, id_) == before
    for status in ("fine", None):
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            keyed.execute(health, (id_, status, None))


def test_a_changed_password_replaces_and_a_removed_one_removes_the_envelope(keyed: psycopg.Connection) -> None:
    id_ = add(keyed)
    change(keyed, id_, "connection_string = %s", "redis://:new@cache.example:6379")
    assert opened(keyed, id_) == "redis://:new@cache.example:6379"
    change(keyed, id_, "connection_string = %s", "redis://cache.example:6379")
    assert stored(keyed, id_) == ("redis://cache.example:6379", None)
    give_key(keyed, "", "")
    assert opened(keyed, id_) == "redis://cache.example:6379"


def test_a_lone_password_is_refused_and_a_repeated_one_is_cleared(keyed: psycopg.Connection) -> None:
    id_ = add(keyed)
    before = stored(keyed, id_)
    for assignments in (
        "password = 'hunter2'",
        "password = 'hunter2', connection_string = 'redis://:other@cache.example:6379'",
        "password = 'hunter2', connection_string = 'redis://cache.example:6379'",
        "password = 'hunter2', connection_string = NULL",
        f"password = '{before[0][15:23]}'",
    ):
        with pytest.raises(psycopg.errors.InvalidParameterValue) as caught:
            change(keyed, id_, assignments)
        assert "hunter2" not in str(caught.value)
    assert stored(keyed, id_) == before
    change(
        keyed, id_, "username = 'u', password = 'hunter2', connection_string = 'redis://u:hunter2@cache.example:6379'"
    )
    row = keyed.execute("SELECT username, password FROM platform.databases WHERE id = %s", (id_,)).fetchone()
    assert row == ("u", None)
    assert opened(keyed, id_) == "redis://u:hunter2@cache.example:6379"


def test_an_upsert_never_loses_the_new_secret(keyed: psycopg.Connection) -> None:
    id_ = add(keyed)
    upsert = """
        INSERT INTO platform.databases (id, project_id, name, type, connection_string, host, port)
        SELECT %s, id, 'one', 'redis', %s, 'cache.example', 6379 FROM platform.projects
        ON CONFLICT (id) DO UPDATE SET connection_string = EXCLUDED.connection_string"""
    new = "redis://:new@cache.example:6379"
    with pytest.raises(psycopg.errors.InvalidParameterValue) as caught:
        keyed.execute(upsert, (id_, new))
    assert "EXCLUDED.connection_string_encrypted" in (caught.value.diag.message_hint or "")
    assert opened(keyed, id_) == REAL
    both = upsert + ", connection_string_encrypted = EXCLUDED.connection_string_encrypted"
    keyed.execute(both, (id_, new))
    assert opened(keyed, id_) == new
    keyed.execute(both, (id_, "redis://cache.example:6379"))
    assert opened(keyed, id_) == "redis://cache.example:6379"


@pytest.mark.parametrize(
    "assignments",
    [
        "connection_string = 'redis://sealed:00000000@cache.example:6379'",
        "connection_string = 'redis://sealed:secret@elsewhere'",
        "connection_string_encrypted = NULL",
        "connection_string_encrypted = '\\x01'",
        "connection_string_encrypted = '\\x01', connection_string = 'redis://:new@cache.example:6379'",
        "connection_string_encrypted = '\\x01', connection_string = 'redis://cache.example:6379'",
        "connection_string = ''",
        "id = gen_random_uuid()",
        "host = 'user:hunter2@cache.example', connection_string = 'redis://user:hunter2@cache.example:6379'",
        "host = 'user:hunter2', connection_string = 'redis://user:hunter2:6379'",
        "host = '[::1]/hunter2'",
    ],
)
def test_what_would_lose_or_show_a_credential_is_refused(keyed: psycopg.Connection, assignments: str) -> None:
    id_ = add(keyed)
    before = stored(keyed, id_)
    with pytest.raises(psycopg.errors.InvalidParameterValue) as caught:
        change(keyed, id_, assignments)
    assert caught.value.diag.message_hint
    assert "hunter2" not in str(caught.value)
    assert stored(keyed, id_) == before


def test_the_shown_address_follows_host_port_and_type(keyed: psycopg.Connection) -> None:
    id_ = add(keyed)
    change(keyed, id_, "host = '::1', port = 7")
    assert re.fullmatch(r"redis://sealed:[0-9a-f]{8}@\[::1\]:7", stored(keyed, id_)[0])
    assert opened(keyed, id_) == REAL
    give_key(keyed, "", "")
    keyed.execute("UPDATE platform.databases SET host = 'moved', port = 8 WHERE name = 'Railway Redis'")
    row = keyed.execute(
        "SELECT connection_string, metadata, platform.decrypt_database_connection_string(id)"
        " FROM platform.databases WHERE name = 'Railway Redis'"
    ).fetchone()
    assert row == ("redis://moved:8", {"placeholder": True}, None)


def test_a_placeholder_that_gets_a_credential_is_one_no_longer(keyed: psycopg.Connection) -> None:
    keyed.execute(
        "UPDATE platform.databases SET connection_string = %s, metadata = metadata || '{\"a\": 1}'"
        " WHERE name = 'Railway Redis'",
        (REAL,),
    )
    row = keyed.execute(
        "SELECT metadata, platform.decrypt_database_connection_string(id) FROM platform.databases"
        " WHERE name = 'Railway Redis'"
    ).fetchone()
    assert row == ({"a": 1}, REAL)


def test_a_data_only_restore_keeps_every_credential(
    server: TestServer, keyed: psycopg.Connection, request: pytest.FixtureRequest
) -> None:
    ids = [add(keyed), add(keyed, "redis://cache.example:6379")]
    dump = _dump(server, keyed.info.dbname, "--data-only")
    assert "s3cret" not in dump
    kept = [
        name
        for name in ("replaced", "replaced_by_008")
        if keyed.execute("SELECT to_regclass(%s) IS NOT NULL", (f"platform_private.{name}",)).fetchone() == (True,)
    ]
    level = ("template", "isolated_template", "sealing_template")[len(kept)]
    target = server.create_database(template=request.getfixturevalue(level))
    with psycopg.connect(target, autocommit=True) as connection:
        connection.execute("TRUNCATE platform.organizations, platform.databases, platform.audit_logs CASCADE")
        for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'platform_private'"):
            connection.execute(f"TRUNCATE platform_private.{name}")  # type: ignore[arg-type]
    done = run_psql(target, sql=dump, stop_on_error=True)  # a session without a key
    assert done.returncode == 0, done.stderr
    with psycopg.connect(target, autocommit=True) as connection:
        give_key(connection)
        assert [opened(connection, id_) for id_ in ids] == [REAL, "redis://cache.example:6379"]
        assert [stored(connection, id_) for id_ in ids] == [stored(keyed, id_) for id_ in ids]
    server.drop_database(target)


def test_a_whole_dump_restores_to_the_same_database(
    server: TestServer, keyed: psycopg.Connection, database: str
) -> None:
    id_ = add(keyed)
    done = run_psql(database, sql=_dump(server, keyed.info.dbname), stop_on_error=True)
    assert done.returncode == 0, done.stderr
    source = server.url(keyed.info.dbname)
    assert state(database) == state(source)
    launch(database, *ALL)
    assert state(database) == state(source)
    with psycopg.connect(database) as connection:
        give_key(connection)
        assert opened(connection, id_) == REAL


def test_a_row_sealed_by_the_client_is_taken_as_it_is(platform: str) -> None:
    id_, key = uuid4(), secrets.Key.random(12)
    envelope = secrets.seal(REAL, row_id=id_, key=key)
    form = secrets.sealed_form(envelope, "redis", "::1", 6379)
    with psycopg.connect(platform, autocommit=True) as connection:
        connection.execute(
            """INSERT INTO platform.databases
                   (id, project_id, name, type, connection_string, connection_string_encrypted, host, port)
               SELECT %s, id, 'one', 'redis', %s, %s, '::1', 6379 FROM platform.projects""",
            (id_, form, envelope),
        )
        assert stored(connection, id_) == (form, envelope)
        for name, value in key.settings().items():
            connection.execute("SELECT set_config(%s, %s, false)", (name, value.reveal()))
        assert opened(connection, id_) == REAL


def test_the_specifications_literal_insert(platform: str) -> None:
    text = """
        INSERT INTO platform.databases (
          project_id, name, type, connection_string,
          host, port, database, ssl_enabled, status
        ) VALUES (
          (SELECT id FROM platform.projects WHERE slug = 'lancio-studio'),
          'Railway MongoDB',
          'mongodb',
          'mongodb://mongo:s3cret@mongodb.railway.internal:27017',
          'mongodb.railway.internal',
          27017,
          'lancio',
          false,
          'active'
        );
        SELECT connection_string FROM platform.databases_with_connection_strings WHERE connection_string IS NOT NULL;
        """
    done = run_psql(platform, sql=text, env=KEYED)
    assert done.stderr == ""
    assert "mongodb://mongo:s3cret@mongodb.railway.internal:27017" in done.stdout


@pytest.mark.parametrize("keyed", ["006"], indirect=True)  # test_isolation.py has the roles of 007
def test_three_roles(server: TestServer, keyed: psycopg.Connection) -> None:
    id_ = add(keyed)
    assert opened(keyed, id_) == REAL  # the owner
    stranger = f"stranger_{keyed.info.dbname}"
    keyed.execute(f"CREATE ROLE {stranger}")  # type: ignore[arg-type]
    try:
        keyed.execute("SET ROLE lancio_service")
        assert opened(keyed, id_) == REAL
        everything = "SELECT connection_string FROM platform.databases_with_connection_strings WHERE name = 'one'"
        assert keyed.execute(everything).fetchall() == [(REAL,)]
        assert keyed.execute("SELECT platform.update_database_health(%s, 'healthy', NULL)", (id_,)).fetchone() == (
            True,
        )
        keyed.execute("RESET ROLE")
        keyed.execute(f"SET ROLE {stranger}")  # type: ignore[arg-type]
        assert keyed.execute("SELECT count(*) FROM platform.databases_safe").fetchone() == (3,)
        assert keyed.execute(
            "SELECT count(*) FROM platform.get_project_databases("
            "(SELECT project_id FROM platform.databases_safe LIMIT 1))"
        ).fetchone() == (3,)
        for query in (
            "SELECT * FROM platform.databases",
            everything,
            f"SELECT platform.decrypt_database_connection_string('{id_}')",
            f"SELECT platform.update_database_health('{id_}', 'healthy', NULL)",
            f"SELECT platform.register_database_from_setting('{id_}', 'a', 'redis', 'b')",
            "INSERT INTO platform.databases DEFAULT VALUES",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                keyed.execute(query)  # type: ignore[arg-type]
    finally:
        keyed.execute("RESET ROLE")
        keyed.execute(f"DROP ROLE {stranger}")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "kind", "shown"),
    [
        (REAL, "redis", ("cache.example", 6379, False)),
        ("rediss://:a@b@cache.example:1", "redis", ("cache.example", 1, True)),
        ("mongodb+srv://u:pw@cluster.example/db", "mongodb", ("cluster.example", 27017, True)),
        ("mongodb://u:pw@a.example:1,b.example:2/db", "mongodb", ("a.example", 1, False)),
        ("postgres://u:pw@[fd12::1]:5433/db?sslmode=require", "postgresql", ("fd12::1", 5433, True)),
        ("postgresql://cache.example", "postgresql", ("cache.example", 5432, False)),
    ],
)
def test_registering_from_a_setting(
    keyed: psycopg.Connection, url: str, kind: str, shown: tuple[str, int, bool]
) -> None:
    keyed.execute("SELECT set_config('lancio.some_url', %s, false)", (url,))
    register = """SELECT platform.register_database_from_setting(id, 'Railway Redis', %s, 'lancio.some_url')
                  FROM platform.projects"""
    row = keyed.execute(register, (kind,)).fetchone()
    assert row is not None
    assert opened(keyed, row[0]) == url
    assert keyed.execute(
        "SELECT host, port, ssl_enabled FROM platform.databases_safe WHERE id = %s", row
    ).fetchone() == shown  # fmt: skip
    assert keyed.execute(register, (kind,)).fetchone() == row  # the same record again, and no second one
    count = "SELECT count(*), bool_or(metadata ? 'placeholder') FROM platform.databases WHERE name = 'Railway Redis'"
    assert keyed.execute(count).fetchone() == (1, False)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("redis://:hunter2/x@cache.example:6379", "redis"),
        ("redis://:hunter2?x@cache.example:6379", "redis"),
        ("redis://:hunter2#x@cache.example:6379", "redis"),
        ("redis://:hunter2", "redis"),
        ("postgresql://:hunter2@cache.example", "redis"),
        ("hunter2", "redis"),
        ("redis://:hunter2@${{Redis.HOST}}:1", "redis"),
        ("redis://:hunter2@cache.example:99999", "redis"),
        ("", "redis"),
    ],
)
def test_a_setting_that_cannot_be_told_apart_is_refused_without_showing_it(
    keyed: psycopg.Connection, url: str, kind: str
) -> None:
    keyed.execute("SELECT set_config('lancio.some_url', %s, false)", (url,))
    with pytest.raises(psycopg.Error) as caught:
        keyed.execute(
            "SELECT platform.register_database_from_setting(id, 'new', %s, 'lancio.some_url') FROM platform.projects",
            (kind,),
        )
    assert caught.value.sqlstate in ("22023", "55000", "23514")
    everything = repr([getattr(caught.value.diag, name) for name in dir(caught.value.diag) if name[0] != "_"])
    assert "hunter2" not in everything


BROKEN = [("port", 99999), ("type", "oracle"), ("status", "x"), ("project_id", uuid4())] + [
    (column, None) for column in ("id", "project_id", "name", "type", "host", "port")
]
"""Values that a constraint refuses, and PostgreSQL then prints the row."""
CANARY = "Can4ry-in-the-c0al-mine"


def test_a_secret_rests_nowhere(server: TestServer, platform: str) -> None:
    if server.data is None or server.log_file is None:
        pytest.skip("the server was given: its folder and its log cannot be looked into")
    url = f"redis://:{CANARY}@cache.example:6379"
    said: list[str] = []
    with psycopg.connect(platform, autocommit=True) as connection:
        give_key(connection)
        id_ = add(connection, url)
        change(connection, id_, "connection_string = %s", url + "/1")
        for column, value in BROKEN:
            with pytest.raises(psycopg.Error) as caught:
                change(connection, id_, f"connection_string = %s, {column} = %s", url + "/2", value)
            said.append(repr([getattr(caught.value.diag, name) for name in dir(caught.value.diag) if name[0] != "_"]))
        give_key(connection, "", "")
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as missing:
            change(connection, id_, "connection_string = %s", url)
        said.append(str(missing.value))
        # Another session's view of this one, with its last statement in it.
        said.append(_activity(platform))
        give_key(connection)
        assert opened(connection, id_) == url + "/1"
    by_psql = run_psql(
        platform,
        sql="""SELECT platform.register_database_from_setting(id, 'two', 'redis', 'lancio.some_url') IS NOT NULL
               FROM platform.projects; SELECT pg_sleep(0);""",
        env={"PGOPTIONS": f"{KEYED['PGOPTIONS']} -c lancio.some_url={url}"},
    )
    assert by_psql.stderr == ""
    said.append(by_psql.stdout)
    with server.connect() as connection:
        connection.execute("CHECKPOINT")
    for needle in (CANARY, KEY):
        assert not [text for text in said if needle in text]
        assert needle not in _dump(server, platform.rpartition("/")[2], restored=False)
        found = [
            path
            for path in (*server.data.rglob("*"), server.log_file)
            if path.is_file() and needle.encode() in path.read_bytes()
        ]
        assert found == []
    # And the search does find what is there.
    with psycopg.connect(platform, autocommit=True) as connection:
        connection.execute("UPDATE platform.databases SET name = %s WHERE id = %s", (CANARY, id_))
        connection.execute("CHECKPOINT")
    found = [path for path in server.data.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert {path.relative_to(server.data).parts[0] for path in found} >= {"base", "pg_wal"}
    with psycopg.connect(platform, autocommit=True) as connection:
        connection.execute("DELETE FROM platform.databases WHERE id = %s", (id_,))


def _activity(url: str) -> str:
    with psycopg.connect(url) as connection:
        return repr(connection.execute("SELECT * FROM pg_stat_activity").fetchall())


def _dump(server: TestServer, database: str, *flags: str, restored: bool = True) -> str:
    """What pg_dump of the server's own version writes; where it is only looked through, any newer one does."""
    if server.bindir is not None and (server.bindir / "pg_dump").is_file():
        program, library = str(server.bindir / "pg_dump"), {"LD_LIBRARY_PATH": str(server.bindir.parent / "lib")}
    elif restored:
        pytest.skip(f"no pg_dump of PostgreSQL {server.version} is at hand")
    else:
        program, library = servers.newest_program("pg_dump")
    environment = os.environ | {"PGPASSWORD": server.password} | library
    where = ["-h", server.host, "-p", str(server.port), "-U", server.superuser]
    command = [program, *where, *flags, database]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
