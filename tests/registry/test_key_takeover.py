"""What was sealed before organizations had keys, or not at all, becomes like all others; nothing is lost on the way."""

from __future__ import annotations

import threading
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest
from keys import ACME, KEK, OTHER, RING, an_organization
from psycopg import sql
from schema_files import KEYS, give_key, run

from lancio.registry import key_rotation, key_takeover, secrets
from lancio.registry.data_keys import DataKeys
from lancio.registry.key_encryption_key import KeyEncryptionKey, Ring
from lancio.registry.key_takeover import Taken, merged, outlook, take_over
from lancio.registry.secrets import Key, KeyRefused, SealBroken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import TestServer

SINGLE = Key(7, bytes(range(64, 128)))
CANARY = "Can4ry-of-the-takeover"


def raw(connection: psycopg.Connection, project: UUID, **columns: object) -> UUID:
    """A row as an older 006 left it: no trigger looks at it."""
    row = uuid4()
    values = {"id": row, "project_id": project, "name": str(row), "type": "redis", "host": "cache.test", "port": 6379,
              "connection_string": "redis://cache.test:6379", **columns}  # fmt: skip
    if connection.execute("SELECT 1 FROM pg_attribute WHERE attrelid = 'platform.databases'::regclass"
                          " AND attname = 'organization_id'").fetchone():  # fmt: skip
        values["organization_id"] = connection.execute(
            "SELECT organization_id FROM platform.projects WHERE id = %s", (project,)
        ).fetchone()[0]
    connection.execute("ALTER TABLE platform.databases DISABLE TRIGGER USER")
    names = ", ".join(values)
    connection.execute(
        f"INSERT INTO platform.databases ({names}) VALUES ({', '.join(f'%({name})s' for name in values)})", values
    )
    connection.execute("ALTER TABLE platform.databases ENABLE TRIGGER USER")
    return row


def sealed_by_single(connection: psycopg.Connection, project: UUID, secret: str) -> UUID:
    row = uuid4()
    envelope = secrets.seal(secret, row_id=row, key=SINGLE)
    shown = secrets.sealed_form(envelope, "redis", "cache.test", 6379)
    connection.execute(
        "INSERT INTO platform.databases (id, project_id, name, type, host, port, connection_string,"
        " connection_string_encrypted) VALUES (%s, %s, %s, 'redis', 'cache.test', 6379, %s, %s)",
        (row, project, str(row), shown, envelope),
    )
    return row


def opens(connection: psycopg.Connection, row: UUID, keys: DataKeys) -> tuple[str, int]:
    """What is in a row, opened in Python, and the key's number."""
    (envelope,) = connection.execute(
        "SELECT connection_string_encrypted FROM platform.databases WHERE id = %s", (row,)
    ).fetchone()
    key = keys.opening(connection, secrets.key_id_of(envelope))
    return secrets.open_sealed(envelope, row_id=row, key=key).reveal(), key.id


@pytest.fixture
def connection(keyed_platform: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(keyed_platform, autocommit=True) as connection:
        yield connection


@pytest.fixture
def before_008(server: TestServer, isolated_template: str) -> Iterator[psycopg.Connection]:
    """A database of 007 with secrets of the single key in two organizations, and 008 run over it without the key."""
    url = server.create_database(template=isolated_template)
    with psycopg.connect(url, autocommit=True) as connection:
        for organization in (ACME, OTHER):
            project = an_organization(connection, organization)
            give_key(connection, SINGLE.secret.hex(), "7")
            for each in range(10):
                sealed_by_single(connection, project, f"redis://:{organization.hex[-1]}-{each}@cache.test:6379")
        connection.execute("DISCARD ALL")
        run(url, KEYS)
        yield connection
    server.drop_database(url)


def all_secrets(connection: psycopg.Connection, keys: DataKeys) -> set[str]:
    rows = [row for (row,) in connection.execute("SELECT id FROM platform.databases"
            " WHERE connection_string_encrypted IS NOT NULL").fetchall()]  # fmt: skip
    return {opens(connection, row, keys)[0] for row in rows}


def test_what_the_single_key_sealed_is_taken_over(before_008: psycopg.Connection) -> None:
    keys = DataKeys(RING, single=SINGLE)
    assert outlook(before_008, keys, SINGLE).single == 20
    before = all_secrets(before_008, keys)
    taken = Taken()
    for _ in take_over(before_008, keys, SINGLE, taken, batch=3):
        assert all_secrets(before_008, DataKeys(RING)) == before  # without the file: the key is kept wrapped meanwhile
    assert (taken.single, taken.plain, taken.rewritten) == (20, 0, False)
    assert all_secrets(before_008, DataKeys(RING)) == before
    assert key_rotation.sealed_with(before_008, [7], None) == {"databases": 0, "credentials": 0}
    states = dict(
        before_008.execute("SELECT key_id, state FROM platform.data_keys WHERE organization_id IS NULL").fetchall()
    )
    assert states == {7: "retired"}
    used = {row for (row,) in before_008.execute("SELECT DISTINCT platform.envelope_key_id(connection_string_encrypted)"
            " FROM platform.databases WHERE connection_string_encrypted IS NOT NULL").fetchall()}  # fmt: skip
    assert used == {DataKeys(RING).active(before_008, each).id for each in (ACME, OTHER)}
    again = Taken()
    list(take_over(before_008, DataKeys(RING), SINGLE, again))
    assert (again.single, again.plain) == (0, 0)
    key_rotation.destroy_retired(before_008, 7, settle_s=0)
    assert all_secrets(before_008, DataKeys(RING)) == before
    list(take_over(before_008, DataKeys(RING), SINGLE, Taken()))  # destroyed stays destroyed


def test_a_takeover_goes_on_wherever_it_was_killed(before_008: psycopg.Connection) -> None:
    before = all_secrets(before_008, DataKeys(RING, single=SINGLE))
    total = 0
    for killed_after in range(1, 12):
        with closing(psycopg.connect(before_008.info.dsn, password=before_008.info.password, autocommit=True)) as other:
            taken = Taken()
            list(islice(take_over(other, DataKeys(RING, single=SINGLE), SINGLE, taken, batch=4), killed_after))
            total += taken.single
        assert all_secrets(before_008, DataKeys(RING, single=SINGLE)) == before
    taken = Taken()
    list(take_over(before_008, DataKeys(RING), SINGLE, taken))
    assert total + taken.single >= 20
    assert all_secrets(before_008, DataKeys(RING)) == before


def test_another_single_key_is_refused_before_anything_is_changed(before_008: psycopg.Connection) -> None:
    stranger = Key(7, bytes(64))
    with pytest.raises(KeyRefused, match="is not the one that secrets are sealed with"):
        list(take_over(before_008, DataKeys(RING), stranger, Taken()))
    assert before_008.execute(
        "SELECT count(*) FROM platform.data_keys WHERE organization_id IS NOT NULL"
    ).fetchone() == (0,)
    with pytest.raises(KeyRefused, match="in its file only") as caught:
        outlook(before_008, DataKeys(RING), None)
    assert "LANCIO_KEY_FILE" in caught.value.remedy
    with pytest.raises(KeyRefused, match="in its file only"):
        list(take_over(before_008, DataKeys(RING), None, Taken()))
    list(take_over(before_008, DataKeys(RING), SINGLE, Taken()))
    with pytest.raises(KeyRefused, match="belongs to another key"):
        list(take_over(before_008, DataKeys(RING), stranger, Taken()))
    mine = DataKeys(RING).active(before_008, ACME)
    with pytest.raises(KeyRefused, match="belongs to another key"):
        list(take_over(before_008, DataKeys(RING), Key(mine.id, mine.secret), Taken()))


def test_copies_in_clear_are_sealed_and_leave_the_tables_file(connection: psycopg.Connection) -> None:
    project = an_organization(connection, ACME)
    for each in range(300):
        raw(
            connection,
            project,
            connection_string=f"redis://:{CANARY}-{each % 10}@cache.test:6379",
            password=f"{CANARY}-{each % 10}",
        )
    bare = raw(connection, project)
    connection.execute("ANALYZE platform.databases")

    def found() -> tuple[int, int]:
        connection.execute("CHECKPOINT")
        counts = []
        for table in ("platform.databases", "pg_catalog.pg_statistic"):
            paths = connection.execute(
                "SELECT pg_relation_filepath(c.oid) FROM pg_class c WHERE c.oid = %s::regclass"
                " OR c.oid = (SELECT reltoastrelid FROM pg_class WHERE oid = %s::regclass AND reltoastrelid <> 0)",
                (table, table),
            ).fetchall()
            content = b"".join(
                connection.execute("SELECT pg_read_binary_file(%s)", path).fetchone()[0] for path in paths
            )
            counts.append(content.count(CANARY.encode()))
        return counts[0], counts[1]

    assert min(found()) > 0  # the detector works
    taken = Taken()
    steps = list(take_over(connection, DataKeys(RING), None, taken, batch=50))
    assert (taken.plain, taken.kept, taken.rewritten) == (300, 0, True)
    assert steps
    assert found() == (0, 0)
    assert all_secrets(connection, DataKeys(RING)) == {
        f"redis://:{CANARY}-{each}@cache.test:6379" for each in range(10)
    }
    rows = connection.execute(
        "SELECT connection_string, password FROM platform.databases WHERE id <> %s", (bare,)
    ).fetchall()
    assert all("://sealed:" in shown and password is None for shown, password in rows)
    assert connection.execute("SELECT connection_string, connection_string_encrypted FROM platform.databases"
                              " WHERE id = %s", (bare,)).fetchone() == ("redis://cache.test:6379", None)  # fmt: skip
    again = Taken()
    list(take_over(connection, DataKeys(RING), None, again))
    assert (again.plain, again.rewritten) == (0, False)


def test_a_file_that_a_killed_takeover_left_is_written_anew_by_the_next(connection: psycopg.Connection) -> None:
    project = an_organization(connection, ACME)
    for _ in range(5):
        raw(connection, project, connection_string=f"redis://:{CANARY}@cache.test:6379")
    taken = Taken()
    list(take_over(connection, DataKeys(RING), None, taken, write_anew=False))
    assert (taken.plain, taken.rewritten) == (5, False)
    seen = outlook(connection, DataKeys(RING), None)
    assert (seen.plain, seen.rewrite) == (0, True)
    again = Taken()
    list(take_over(connection, DataKeys(RING), None, again))
    assert (again.plain, again.rewritten) == (0, True)
    assert not outlook(connection, DataKeys(RING), None).rewrite


ROWS: list[tuple[str, dict[str, Any], str, str | None]] = [
    ("a password in a column of its own", {"password": "p@ss"}, "redis://:p%40ss@cache.test:6379", None),
    (
        "with user and database", {"password": "x/y", "username": "me", "database": "d b"},
        "redis://me:x%2Fy@cache.test:6379/d%20b", None,
    ),
    (
        "the same password, percent-encoded",
        {"connection_string": "redis://:p%40ss@cache.test:6379", "password": "p@ss"},
        "redis://:p%40ss@cache.test:6379", None,
    ),
    (
        "another password", {"connection_string": "redis://:one@cache.test:6379", "password": "two"},
        "redis://:one@cache.test:6379", "two",
    ),
    (
        "a connection string without a password, and one beside it",
        {"connection_string": "redis://cache.test:6379/4", "password": "two"}, "redis://cache.test:6379/4", "two",
    ),
    (
        "no URL", {"connection_string": "host=cache.test password=one", "password": None},
        "host=cache.test password=one", None,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "secret", "second"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_no_secret_of_a_row_is_lost(
    connection: psycopg.Connection, columns: dict[str, Any], secret: str, second: str | None
) -> None:
    project = an_organization(connection, ACME)
    row = raw(connection, project, **columns)
    taken = Taken()
    list(take_over(connection, DataKeys(RING), None, taken))
    keys = DataKeys(RING)
    assert opens(connection, row, keys)[0] == secret
    assert taken.kept == (second is not None)
    kept = connection.execute("SELECT id, name, secret_encrypted FROM platform.credentials").fetchall()
    if second is None:
        assert kept == []
    else:
        ((own, name, envelope),) = kept
        assert str(row) in name
        key = keys.opening(connection, secrets.key_id_of(envelope))
        assert secrets.open_sealed(envelope, row_id=own, key=key, column=secrets.CREDENTIAL).reveal() == second


def test_an_envelope_of_another_maker_beside_clear_text_is_replaced(connection: psycopg.Connection) -> None:
    project = an_organization(connection, ACME)
    foreign = bytes([0xC3, 0x0D, 4, 7, 3, 2]) + bytes(range(100))
    row = raw(
        connection, project, connection_string="redis://:one@cache.test:6379", connection_string_encrypted=foreign
    )
    list(take_over(connection, DataKeys(RING), None, Taken()))
    assert opens(connection, row, DataKeys(RING))[0] == "redis://:one@cache.test:6379"


def test_an_envelope_of_ours_that_says_something_else_is_kept_too(connection: psycopg.Connection) -> None:
    project = an_organization(connection, ACME)
    key = DataKeys(RING).active(connection, ACME)
    row = raw(connection, project, connection_string="redis://:new@cache.test:6379")
    connection.execute("ALTER TABLE platform.databases DISABLE TRIGGER USER")
    connection.execute("UPDATE platform.databases SET connection_string_encrypted = %s",
                       (secrets.seal("redis://:old@cache.test:6379", row_id=row, key=key),))  # fmt: skip
    connection.execute("ALTER TABLE platform.databases ENABLE TRIGGER USER")
    taken = Taken()
    list(take_over(connection, DataKeys(RING), None, taken))
    assert opens(connection, row, DataKeys(RING))[0] == "redis://:new@cache.test:6379"
    assert taken.kept == 1


def test_a_password_beside_a_secret_that_does_not_open_is_left_and_named(connection: psycopg.Connection) -> None:
    project = an_organization(connection, ACME)
    lost = Key.random(555, ACME)
    row = uuid4()
    envelope = secrets.seal("redis://:gone@cache.test:6379", row_id=row, key=lost)
    raw(connection, project, id=row, connection_string=secrets.sealed_form(envelope, "redis", "cache.test", 6379),
        connection_string_encrypted=envelope, password="left")  # fmt: skip
    good = raw(connection, project, connection_string="redis://:one@cache.test:6379")
    with pytest.raises(SealBroken, match="1 secrets do not open") as caught:
        list(take_over(connection, DataKeys(RING), None, Taken()))
    assert str(row) in caught.value.cause
    assert "left" not in f"{caught.value.as_dict()}"
    assert opens(connection, good, DataKeys(RING))[0] == "redis://:one@cache.test:6379"
    assert connection.execute("SELECT password FROM platform.databases WHERE id = %s", (row,)).fetchone() == ("left",)


def test_a_row_that_is_being_written_is_waited_for(connection: psycopg.Connection, keyed_platform: str) -> None:
    project = an_organization(connection, ACME)
    row = raw(connection, project, connection_string="redis://:one@cache.test:6379")
    with psycopg.connect(keyed_platform) as writer:
        writer.execute("SELECT FROM platform.databases WHERE id = %s FOR UPDATE", (row,))
        taken = Taken()
        done = threading.Thread(target=lambda: list(take_over(connection, DataKeys(RING), None, taken)))
        done.start()
        done.join(0.4)
        assert done.is_alive()
        writer.rollback()
        done.join(20)
    assert taken.plain == 1


def test_where_the_table_cannot_be_locked_everything_else_is_done(
    connection: psycopg.Connection, keyed_platform: str
) -> None:
    project = an_organization(connection, ACME)
    row = raw(connection, project, connection_string="redis://:one@cache.test:6379")
    with psycopg.connect(keyed_platform) as reader:
        reader.execute("SELECT count(*) FROM platform.databases")
        with pytest.raises(key_rotation.RotationRefused, match="could not be locked"):
            list(take_over(connection, DataKeys(RING), None, Taken(), waits=1))
    assert opens(connection, row, DataKeys(RING))[0] == "redis://:one@cache.test:6379"
    assert outlook(connection, DataKeys(RING), None).rewrite


def test_a_row_that_its_table_takes_no_change_of_keeps_none_of_the_others(connection: psycopg.Connection) -> None:
    project = an_organization(connection, ACME)
    bad = [raw(connection, project, host="me:pw@cache", connection_string=f"redis://:{n}@x:1") for n in range(2)]
    good = [raw(connection, project, connection_string=f"redis://:{n}@cache.test:6379") for n in range(21)]
    taken = Taken()
    with pytest.raises(key_rotation.RotationRefused, match="2 rows cannot be changed as they are") as caught:
        list(take_over(connection, DataKeys(RING), None, taken, batch=8))
    assert "host is not the name or the address of a host alone" in caught.value.cause
    assert str(bad[0]) in caught.value.cause
    assert "pw" not in caught.value.cause
    assert taken.plain == 21
    assert {opens(connection, row, DataKeys(RING))[0] for row in good} == {
        f"redis://:{n}@cache.test:6379" for n in range(21)
    }
    connection.execute("ALTER TABLE platform.databases DISABLE TRIGGER USER")
    connection.execute("UPDATE platform.databases SET host = 'x' WHERE id = ANY (%s)", (bad,))
    connection.execute("ALTER TABLE platform.databases ENABLE TRIGGER USER")
    list(take_over(connection, DataKeys(RING), None, again := Taken()))
    assert again.plain == 2


def test_two_takeovers_at_once_seal_and_keep_everything_once(
    connection: psycopg.Connection, keyed_platform: str
) -> None:
    project = an_organization(connection, ACME)
    for each in range(60):
        raw(connection, project, connection_string=f"redis://:{each}@cache.test:6379", password="another")
    done: list[Taken] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            with psycopg.connect(keyed_platform, autocommit=True) as own:
                list(take_over(own, DataKeys(RING), None, taken := Taken(), batch=5, write_anew=False))
                done.append(taken)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not failed, failed
    assert sum(taken.plain for taken in done) == 60
    assert sum(taken.kept for taken in done) == 60
    assert connection.execute("SELECT count(*) FROM platform.credentials").fetchone() == (60,)
    assert all_secrets(connection, DataKeys(RING)) == {f"redis://:{each}@cache.test:6379" for each in range(60)}


def test_a_role_that_is_no_superuser_may_do_it_with_what_the_manual_says(
    connection: psycopg.Connection, keyed_platform: str
) -> None:
    project = an_organization(connection, ACME)
    raw(connection, project, connection_string="redis://:one@cache.test:6379")
    name = sql.Identifier(f"keeper_{uuid4().hex[:8]}")
    connection.execute(sql.SQL("CREATE ROLE {} LOGIN BYPASSRLS PASSWORD 'k33per' IN ROLE lancio_owner").format(name))
    try:
        login = name.as_string().strip('"')
        with psycopg.connect(keyed_platform, user=login, password="k33per", autocommit=True) as own:
            list(take_over(own, DataKeys(RING), None, taken := Taken()))
            assert (taken.plain, taken.rewritten, taken.statistics) == (1, True, False)
            list(key_rotation.rotate(own, DataKeys(RING), ACME, settle_s=0))
            new = KeyEncryptionKey.random()
            list(key_rotation.rewrap(own, Ring(new, (KEK,))))
            key_rotation.destroy(own, ACME)
    finally:
        connection.execute(sql.SQL("DROP ROLE {}").format(name))


def test_a_wrong_kek_takes_nothing_over(before_008: psycopg.Connection) -> None:
    DataKeys(RING).active(before_008, ACME)
    with pytest.raises(KeyRefused, match=KEK.id):
        list(take_over(before_008, DataKeys(Ring(KeyEncryptionKey.random())), SINGLE, Taken()))


def test_the_words_of_a_row_are_pure() -> None:
    class Row:
        type, host, port, database, username, password = "redis", "h", 1, None, None, "x"
        connection_string = "redis://h:1"

    assert merged(Row, None) == ("redis://:x@h:1", None)
    assert key_takeover.BATCH > 0
