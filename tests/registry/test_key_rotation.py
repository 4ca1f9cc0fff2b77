"""Keys take one another's place while programs read and write, wherever the rotation is killed."""

from __future__ import annotations

import random
import threading
import time
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
import pytest
from isolation import PROOF
from keys import ACME, KEK, OTHER, RING, an_organization, opened
from schema_files import KEYS, NINE, run

from lancio.registry import key_rotation, secrets
from lancio.registry.data_keys import DataKeys
from lancio.registry.key_encryption_key import KeyEncryptionKey, Ring, WrapBroken
from lancio.registry.key_rotation import PLACES, RotationRefused, destroy, destroy_retired, rewrap, rotate
from lancio.registry.secrets import KeyRefused, SealBroken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import TestServer

NEW = KeyEncryptionKey(bytes(range(150, 182)), "another test")
BOTH = Ring(NEW, (KEK,))
ORGANIZATIONS = 10_000 if PROOF else 400
ROWS = 1_000_000 if PROOF else 1_500


@pytest.fixture
def connection(keyed_platform: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(keyed_platform, autocommit=True) as connection:
        yield connection


def some_secrets(connection: psycopg.Connection, organization: UUID, count: int) -> dict[UUID, str]:
    """Databases and credentials of an organization, sealed in Python and written in one statement; what is in them."""
    project = an_organization(connection, organization)
    key = DataKeys(RING).active(connection, organization)
    made = {uuid4(): f"redis://:pass-{each}@cache.test:6379" for each in range(count)}
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY platform.databases (id, project_id, organization_id, name, type, host, port, connection_string,"
            " connection_string_encrypted) FROM STDIN"
        ) as copy,
    ):
        for row, secret in made.items():
            envelope = secrets.seal(secret, row_id=row, key=key)
            shown = secrets.sealed_form(envelope, "redis", "cache.test", 6379)
            copy.write_row((row, project, organization, str(row), "redis", "cache.test", 6379, shown, envelope))
    own = uuid4()
    envelope = secrets.seal("a token", row_id=own, key=key, column=secrets.CREDENTIAL)
    connection.execute(
        "INSERT INTO platform.credentials (id, organization_id, project_id, kind, name, secret_encrypted)"
        " VALUES (%s, %s, %s, 'token', 'test', %s)",
        (own, organization, project, envelope),
    )
    return made


def all_open(connection: psycopg.Connection, ring: Ring, of: dict[UUID, str]) -> set[int]:
    """Every secret opens and says what it said; the numbers of the keys they are sealed with."""
    keys, used = DataKeys(ring), set()
    rows = connection.execute(
        "SELECT id, connection_string_encrypted, connection_string FROM platform.databases"
    ).fetchall()
    assert {row for row, _, _ in rows} == set(of)
    for row, envelope, shown in rows:
        key = keys.opening(connection, secrets.key_id_of(envelope))
        assert secrets.open_sealed(envelope, row_id=row, key=key).reveal() == of[row]
        assert shown == secrets.sealed_form(envelope, "redis", "cache.test", 6379)
        used.add(key.id)
    for row, envelope, number in connection.execute(
        "SELECT id, secret_encrypted, key_id FROM platform.credentials"
    ).fetchall():
        key = keys.opening(connection, secrets.key_id_of(envelope))
        assert secrets.open_sealed(envelope, row_id=row, key=key, column=secrets.CREDENTIAL).reveal() == "a token"
        assert number == key.id
        used.add(key.id)
    return used


def states(connection: psycopg.Connection) -> list[str]:
    return [state for (state,) in connection.execute("SELECT state FROM platform.data_keys ORDER BY key_id").fetchall()]


def many_organizations(connection: psycopg.Connection, count: int) -> None:
    connection.execute(
        "INSERT INTO platform.organizations (id, slug, name)"
        " SELECT md5(i::text)::uuid, 'many-' || i, 'many' FROM generate_series(1, %s) i",
        (count,),
    )
    for _ in key_rotation.make_missing(connection, RING):
        pass


# The key-encryption key.


def test_the_kek_is_rotated_over_ten_thousand_organizations(connection: psycopg.Connection) -> None:
    many_organizations(connection, ORGANIZATIONS)
    before = {row: DataKeys(RING).opening(connection, row) for row in (1000, 1234, 999 + ORGANIZATIONS)}
    begun = time.monotonic()
    steps = list(rewrap(connection, BOTH))
    took = time.monotonic() - begun
    assert steps[-1].done == steps[-1].of == ORGANIZATIONS
    assert key_rotation.check(connection, Ring(NEW)) == ORGANIZATIONS
    assert {row: DataKeys(Ring(NEW)).opening(connection, row) for row in before} == before
    with pytest.raises(KeyRefused):
        DataKeys(RING).refuse_wrong(connection)
    DataKeys(Ring(NEW)).refuse_wrong(connection)
    assert took < 60
    print(f"rewrapped {ORGANIZATIONS} in {took:.2f} s")


def test_a_kek_rotation_goes_on_wherever_it_was_killed(connection: psycopg.Connection, keyed_platform: str) -> None:
    many_organizations(connection, 40)
    current = KEK
    for killed_after in range(7):
        new = KeyEncryptionKey.random()
        both = Ring(new, (current,))
        with closing(psycopg.connect(keyed_platform, autocommit=True)) as other:
            for _ in islice(rewrap(other, both, batch=8), killed_after):
                assert key_rotation.check(connection, both) == 40  # both are usable all the while
                assert key_rotation.check(connection, Ring(current, (new,))) == 40
        list(rewrap(connection, both, batch=8))
        assert key_rotation.check(connection, Ring(new)) == 40
        current = new


def test_a_killed_batch_leaves_nothing_half_done(connection: psycopg.Connection, keyed_platform: str) -> None:
    many_organizations(connection, 20)
    with psycopg.connect(keyed_platform, autocommit=True) as other:
        steps = rewrap(other, BOTH, batch=5)
        next(steps)
        next(steps)
        with connection.transaction():
            connection.execute("SELECT FROM platform.data_keys FOR UPDATE SKIP LOCKED")  # all that is left is held
            with psycopg.connect(keyed_platform, autocommit=True) as third:
                third.execute("SELECT pg_terminate_backend(%s)", (other.info.backend_pid,))
            with pytest.raises(psycopg.OperationalError):
                list(steps)
    assert key_rotation.check(connection, BOTH) == 20
    list(rewrap(connection, BOTH, batch=5))
    assert key_rotation.check(connection, Ring(NEW)) == 20


def test_two_kek_rotations_at_once_share_the_work(connection: psycopg.Connection, keyed_platform: str) -> None:
    many_organizations(connection, 300)
    done: list[int] = []

    def run() -> None:
        with psycopg.connect(keyed_platform, autocommit=True) as own:
            done.append([each.done for each in rewrap(own, BOTH, batch=10)][-1])

    threads = [threading.Thread(target=run) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sum(done) == 300
    assert key_rotation.check(connection, Ring(NEW)) == 300


def test_without_the_old_kek_nothing_is_changed(connection: psycopg.Connection) -> None:
    many_organizations(connection, 3)
    before = connection.execute("SELECT * FROM platform.data_keys ORDER BY 1").fetchall()
    with pytest.raises(KeyRefused, match=KEK.id):
        list(rewrap(connection, Ring(NEW)))
    assert connection.execute("SELECT * FROM platform.data_keys ORDER BY 1").fetchall() == before


def test_a_damaged_data_key_does_not_keep_the_others(connection: psycopg.Connection) -> None:
    many_organizations(connection, 30)
    connection.execute("UPDATE platform.data_keys SET wrapped = substring(wrapped, 1, 90) WHERE key_id = 1007")
    with pytest.raises(WrapBroken, match="1 data keys do not open") as caught:
        list(rewrap(connection, BOTH, batch=5))
    assert "1007" in caught.value.cause
    counts = dict(connection.execute("SELECT kek_id, count(*) FROM platform.data_keys GROUP BY 1").fetchall())
    assert counts == {NEW.id: 29, KEK.id: 1}


# An organization's data key.


def test_an_organizations_key_is_rotated(connection: psycopg.Connection) -> None:
    made = some_secrets(connection, ACME, 30)
    foreign = DataKeys(RING).active(connection, an_and(connection, OTHER))
    old = DataKeys(RING).active(connection, ACME)
    steps = list(rotate(connection, DataKeys(RING), ACME, batch=7, settle_s=0))
    assert sum(step.what == "databases" for step in steps) == 5
    new = DataKeys(RING).active(connection, ACME)
    assert new.id != old.id
    assert new.secret != old.secret
    assert all_open(connection, RING, made) == {new.id}
    assert DataKeys(RING).active(connection, OTHER) == foreign
    assert sorted(states(connection)) == ["active", "active", "retired"]
    destroy_retired(connection, old.id, settle_s=0)
    assert all_open(connection, RING, made) == {new.id}
    with pytest.raises(KeyRefused, match="destroyed"):
        DataKeys(RING).opening(connection, old.id)


def an_and(connection: psycopg.Connection, organization: UUID) -> UUID:
    an_organization(connection, organization)
    return organization


def test_a_rotation_goes_on_wherever_it_was_killed(connection: psycopg.Connection, keyed_platform: str) -> None:
    made = some_secrets(connection, ACME, 24)
    for killed_after in range(6):
        before = DataKeys(RING).active(connection, ACME)
        with closing(psycopg.connect(keyed_platform, autocommit=True)) as other:
            for _ in islice(rotate(other, DataKeys(RING), ACME, batch=6, settle_s=0), killed_after):
                all_open(connection, RING, made)
        list(rotate(connection, DataKeys(RING), ACME, batch=6, settle_s=0))
        after = DataKeys(RING).active(connection, ACME)
        assert after.id != before.id
        assert all_open(connection, RING, made) == {after.id}
    # Each killed one was gone on with: one more key each time, or two where all rows were done already.
    assert states(connection).count("active") == 1


def test_a_rotation_that_was_killed_is_gone_on_with_and_makes_no_other_key(
    connection: psycopg.Connection, keyed_platform: str
) -> None:
    some_secrets(connection, ACME, 20)
    with closing(psycopg.connect(keyed_platform, autocommit=True)) as other:
        next(rotate(other, DataKeys(RING), ACME, batch=5, settle_s=0))
    assert states(connection) == ["retired", "active"]
    list(rotate(connection, DataKeys(RING), ACME, settle_s=0))
    assert states(connection) == ["retired", "active"]


def test_two_rotations_at_once_make_one_key(connection: psycopg.Connection, keyed_platform: str) -> None:
    made = some_secrets(connection, ACME, 200)
    failed: list[BaseException] = []

    def run() -> None:
        try:
            with psycopg.connect(keyed_platform, autocommit=True) as own:
                list(rotate(own, DataKeys(RING), ACME, batch=10, settle_s=0))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not failed
    assert states(connection).count("active") == 1
    assert all_open(connection, RING, made) == {DataKeys(RING).active(connection, ACME).id}


def test_a_row_that_somebody_holds_is_waited_for_and_keeps_what_was_written(
    connection: psycopg.Connection, keyed_platform: str
) -> None:
    made = some_secrets(connection, ACME, 20)
    held = next(iter(made))
    keys = DataKeys(RING)
    with psycopg.connect(keyed_platform) as writer:
        keys.give(writer.execute("SELECT 1").connection, ACME)
        writer.execute(
            "UPDATE platform.databases SET connection_string = 'redis://:changed@cache.test:6379' WHERE id = %s",
            (held,),
        )
        steps = rotate(connection, DataKeys(RING), ACME, batch=5, settle_s=0)
        done = threading.Thread(target=lambda: list(steps))
        done.start()
        time.sleep(0.5)
        assert done.is_alive()
        writer.commit()
        done.join(20)
    assert not done.is_alive()
    made[held] = "redis://:changed@cache.test:6379"
    assert all_open(connection, RING, made) == {DataKeys(RING).active(connection, ACME).id}


def test_a_slow_writer_with_the_old_key_is_caught_by_the_last_look(
    connection: psycopg.Connection, keyed_platform: str
) -> None:
    made = some_secrets(connection, ACME, 5)
    old = DataKeys(RING).active(connection, ACME)
    late = uuid4()

    def written(_: float) -> None:
        # A program that was given the old key before seals with it after all rows were looked at.
        envelope = secrets.seal("redis://:late@cache.test:6379", row_id=late, key=old)
        shown = secrets.sealed_form(envelope, "redis", "cache.test", 6379)
        with psycopg.connect(keyed_platform, autocommit=True) as own:
            own.execute(
                "INSERT INTO platform.databases (id, project_id, name, type, host, port, connection_string,"
                " connection_string_encrypted) SELECT %s, id, 'late', 'redis', 'cache.test', 6379, %s, %s"
                " FROM platform.projects LIMIT 1",
                (late, shown, envelope),
            )
        time.sleep(0.6)

    steps = list(rotate(connection, DataKeys(RING), ACME, settle_s=0.5, sleep=written))
    assert [step.done for step in steps if step.what == "databases"] == [5, 6]
    made[late] = "redis://:late@cache.test:6379"
    assert all_open(connection, RING, made) == {DataKeys(RING).active(connection, ACME).id}


def test_a_damaged_secret_does_not_keep_the_others(connection: psycopg.Connection) -> None:
    made = some_secrets(connection, ACME, 12)
    damaged = list(made)[3]
    connection.execute("ALTER TABLE platform.databases DISABLE TRIGGER USER")
    connection.execute(
        "UPDATE platform.databases SET connection_string_encrypted = set_byte(connection_string_encrypted, 30,"
        " get_byte(connection_string_encrypted, 30) # 1) WHERE id = %s",
        (damaged,),
    )
    connection.execute("ALTER TABLE platform.databases ENABLE TRIGGER USER")
    with pytest.raises(SealBroken, match="1 secrets do not open") as caught:
        list(rotate(connection, DataKeys(RING), ACME, batch=5, settle_s=0))
    assert str(damaged) in caught.value.cause
    old, new = (row for (row,) in connection.execute("SELECT key_id FROM platform.data_keys ORDER BY 1").fetchall())
    assert key_rotation.sealed_with(connection, [old], ACME) == {"databases": 1, "credentials": 0}
    assert key_rotation.sealed_with(connection, [new], ACME) == {"databases": 11, "credentials": 1}
    with pytest.raises(RotationRefused, match="1 secrets are sealed with data key"):
        destroy_retired(connection, old, settle_s=0)
    # It does not keep the key from being rotated again either.
    with pytest.raises(SealBroken, match="1 secrets do not open"):
        list(rotate(connection, DataKeys(RING), ACME, batch=5, settle_s=0))
    assert states(connection) == ["retired", "retired", "active"]
    newest = DataKeys(RING).active(connection, ACME).id
    assert key_rotation.sealed_with(connection, [newest], ACME) == {"databases": 11, "credentials": 1}


def test_a_session_that_policies_bind_is_refused_rather_than_shown_a_part(
    connection: psycopg.Connection, keyed_platform: str
) -> None:
    some_secrets(connection, ACME, 3)
    with psycopg.connect(keyed_platform, autocommit=True) as other:
        other.execute("SET ROLE lancio_service")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            list(rotate(other, DataKeys(RING), ACME, settle_s=0))
    assert states(connection) == ["active"]


def test_rows_are_sealed_again_under_reads_without_a_failed_one(
    connection: psycopg.Connection, keyed_platform: str
) -> None:
    """Two readers by SQL, with the keys they are given, and two in Python; 200 reads a second together."""
    rng = random.Random(6)
    made = some_secrets(connection, ACME, ROWS)
    connection.execute("ANALYZE platform.databases")
    old = DataKeys(RING).active(connection, ACME)
    ids = list(made)
    stop = threading.Event()
    counts, failed = [0, 0, 0, 0], []
    slots = [0.0, 0.005, 0.010, 0.015]

    def read(who: int) -> None:
        keys = DataKeys(RING, life_s=5)
        own_rng = random.Random(rng.random())
        try:
            with psycopg.connect(keyed_platform, autocommit=True) as own:
                begun = time.monotonic() + slots[who]
                while not stop.is_set():
                    time.sleep(max(0.0, begun + counts[who] * 0.02 - time.monotonic()))
                    row = own_rng.choice(ids)
                    if who % 2:
                        with own.transaction():
                            keys.give(own, ACME)
                            assert opened(own, row) == made[row]
                    else:
                        (envelope,) = own.execute(
                            "SELECT connection_string_encrypted FROM platform.databases WHERE id = %s", (row,)
                        ).fetchone()
                        key = keys.opening(own, secrets.key_id_of(envelope))
                        assert secrets.open_sealed(envelope, row_id=row, key=key).reveal() == made[row]
                    counts[who] += 1
        except BaseException as error:
            failed.append(error)

    readers = [threading.Thread(target=read, args=(who,)) for who in range(4)]
    for each in readers:
        each.start()
    begun = time.monotonic()
    try:
        with closing(psycopg.connect(keyed_platform, autocommit=True)) as other:
            half = 0
            for step in rotate(other, DataKeys(RING), ACME, settle_s=0):
                half = step.done
                if step.what == "databases" and step.done >= ROWS // 2:
                    break  # killed half-way
        assert half >= ROWS // 2
        list(rotate(connection, DataKeys(RING), ACME, settle_s=2 if not PROOF else 30))
    finally:
        took = time.monotonic() - begun
        stop.set()
        for each in readers:
            each.join()
    assert not failed, failed
    assert sum(counts) > 50
    print(f"{ROWS} rows in {took:.1f} s under {sum(counts) / took:.0f} reads/s, {sum(counts)} reads, none failed")
    assert key_rotation.sealed_with(connection, [old.id], None) == {"databases": 0, "credentials": 0}
    assert all_open(connection, RING, made) == {DataKeys(RING).active(connection, ACME).id}


# The end of a key.


def test_a_destroyed_organization_is_unreadable_and_the_others_are_not(connection: psycopg.Connection) -> None:
    some_secrets(connection, ACME, 4)
    key = DataKeys(RING).active(connection, ACME)
    foreign = some_secrets(connection, OTHER, 2)
    (wrapped,) = connection.execute("SELECT wrapped FROM platform.data_keys WHERE key_id = %s", (key.id,)).fetchone()
    assert destroy(connection, ACME) == {"databases": 4, "credentials": 1}
    with pytest.raises(KeyRefused, match="destroyed"):
        DataKeys(RING).opening(connection, key.id)
    with pytest.raises(RotationRefused, match="no key that could be destroyed"):
        destroy(connection, ACME)
    with connection.transaction():
        DataKeys(RING).give(connection, ACME)
        row = connection.execute(
            "SELECT id FROM platform.databases WHERE organization_id = %s LIMIT 1", (ACME,)
        ).fetchone()
        with (
            pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="unreadable for ever"),
            connection.transaction(),
        ):
            opened(connection, row[0])
    keys = DataKeys(RING)
    for row, secret in foreign.items():
        (envelope,) = connection.execute(
            "SELECT connection_string_encrypted FROM platform.databases WHERE id = %s", (row,)
        ).fetchone()
        assert (
            secrets.open_sealed(
                envelope, row_id=row, key=keys.opening(connection, secrets.key_id_of(envelope))
            ).reveal()
            == secret
        )
    # Its bytes are not in the table's file either, the free space of its pages included.
    connection.execute("CHECKPOINT")
    (path,) = connection.execute("SELECT pg_relation_filepath('platform.data_keys')").fetchone()
    (content,) = connection.execute("SELECT pg_read_binary_file(%s)", (path,)).fetchone()
    assert wrapped[20:60] not in content
    assert len(content) > 0


def test_only_a_retired_key_that_nothing_needs_is_destroyed_by_its_number(connection: psycopg.Connection) -> None:
    some_secrets(connection, ACME, 2)
    key = DataKeys(RING).active(connection, ACME)
    with pytest.raises(RotationRefused, match="is active"):
        destroy_retired(connection, key.id)
    with pytest.raises(RotationRefused, match="there is no data key 7"):
        destroy_retired(connection, 7)
    list(rotate(connection, DataKeys(RING), ACME, settle_s=0))
    with pytest.raises(RotationRefused, match="was retired"):
        destroy_retired(connection, key.id, settle_s=30)
    destroy_retired(connection, key.id, settle_s=0)
    with pytest.raises(RotationRefused, match="is destroyed"):
        destroy_retired(connection, key.id, settle_s=0)


def test_a_key_is_not_destroyed_under_a_secret_that_is_being_written(
    connection: psycopg.Connection, keyed_platform: str
) -> None:
    some_secrets(connection, ACME, 2)
    slow = DataKeys(RING)
    old = slow.active(connection, ACME)
    list(rotate(connection, DataKeys(RING), ACME, settle_s=0))
    late = uuid4()
    envelope = secrets.seal("redis://:late@cache.test:6379", row_id=late, key=old)
    with psycopg.connect(keyed_platform) as writer:
        writer.execute(
            "INSERT INTO platform.databases (id, project_id, name, type, host, port, connection_string,"
            " connection_string_encrypted) SELECT %s, id, 'late', 'redis', 'cache.test', 6379, %s, %s"
            " FROM platform.projects LIMIT 1",
            (late, secrets.sealed_form(envelope, "redis", "cache.test", 6379), envelope),
        )
        found: list[BaseException] = []

        def end() -> None:
            with pytest.raises(RotationRefused) as caught, psycopg.connect(keyed_platform, autocommit=True) as own:
                destroy_retired(own, old.id, settle_s=0)
            found.append(caught.value)

        ending = threading.Thread(target=end)
        ending.start()
        ending.join(0.5)
        assert ending.is_alive()
        writer.commit()
        ending.join(20)
    assert "1 secrets are sealed with data key" in str(found[0])
    an_organization(connection, OTHER)
    unused = DataKeys(RING).active(connection, OTHER)
    list(rotate(connection, DataKeys(RING), OTHER, settle_s=0))
    with psycopg.connect(keyed_platform) as writer:
        writer.execute("UPDATE platform.databases SET name = name")
        with pytest.raises(RotationRefused, match="being written"):
            destroy_retired(connection, unused.id, settle_s=0, wait_s=0.2)
    destroy_retired(connection, unused.id, settle_s=0)


def test_a_table_that_cannot_be_locked_is_not_waited_for_without_end(
    connection: psycopg.Connection, keyed_platform: str
) -> None:
    with psycopg.connect(keyed_platform) as other:
        other.execute("SELECT count(*) FROM platform.data_keys")
        with pytest.raises(RotationRefused, match="could not be locked") as caught:
            key_rotation.rewrite(connection, "platform.data_keys", waits=1, pause_s=0)
        assert "VACUUM" in caught.value.commands[0]
    key_rotation.rewrite(connection, "platform.data_keys", waits=1)
    with psycopg.connect(keyed_platform, autocommit=True) as other:
        other.execute("SET ROLE lancio_application")
        with pytest.raises(RotationRefused, match="may not be written anew"):
            key_rotation.rewrite(other, "platform.data_keys", waits=1)


def test_what_was_done_with_keys_is_written_down(connection: psycopg.Connection) -> None:
    some_secrets(connection, ACME, 2)
    list(rotate(connection, DataKeys(RING), ACME, settle_s=0))
    destroy(connection, ACME)
    entries = connection.execute(
        "SELECT action FROM platform.audit_logs WHERE organization_id = %s ORDER BY occurred_at, action", (ACME,)
    ).fetchall()
    actions = [action for (action,) in entries]
    assert actions.count("data_key.add") == 2
    assert actions.count("data_key.destroy") == 2


def test_keys_work_on_every_version(every_server: TestServer) -> None:
    url = every_server.create_database()
    try:
        with psycopg.connect(url, autocommit=True) as own:
            run(url, *NINE, KEYS)
            own.execute("DELETE FROM platform.organizations")
            made = some_secrets(own, ACME, 12)
            list(rotate(own, DataKeys(RING), ACME, batch=5, settle_s=0))
            list(rewrap(own, BOTH, batch=1))
            new = Ring(NEW)
            all_open(own, new, made)
            key_rotation.forget_old_bytes(own)
            with own.transaction():
                DataKeys(new).give(own, ACME)
                assert {opened(own, row) for row in made} == set(made.values())
            destroy_retired(own, 1000, settle_s=0)
            assert destroy(own, ACME) == {"databases": 12, "credentials": 1}
    finally:
        every_server.drop_database(url)


def test_the_places_are_all_columns_of_envelopes() -> None:
    assert {place.table for place in PLACES} == {"databases", "credentials"}
