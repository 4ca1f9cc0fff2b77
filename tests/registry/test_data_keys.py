"""Data keys: made on first need, opened for a short time, and refused where they are not what they should be."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
import pytest
from keys import ACME, KEK, OTHER, RING, an_organization, database, opened
from psycopg import sql

from lancio.registry import opening, secrets
from lancio.registry.context import context
from lancio.registry.data_keys import DataKeys
from lancio.registry.key_encryption_key import KeyEncryptionKey, Ring, WrapBroken
from lancio.registry.secrets import Key, KeyRefused

if TYPE_CHECKING:
    from servers import TestServer


def stored(connection: psycopg.Connection, query: str = "", *values: object) -> list[tuple]:
    return connection.execute(
        f"SELECT key_id, organization_id, state FROM platform.data_keys {query} ORDER BY key_id", values
    ).fetchall()


def test_an_organizations_first_key_is_made_when_it_is_needed_and_stays(keyed_platform: str) -> None:
    with psycopg.connect(keyed_platform, autocommit=True) as connection:
        an_organization(connection, ACME)
        keys = DataKeys(RING)
        assert stored(connection) == []
        key = keys.active(connection, ACME)
        assert key.organization == ACME
        assert len(key.secret) == 64
        assert stored(connection) == [(key.id, ACME, "active")]
        assert keys.active(connection, ACME) == key
        assert DataKeys(RING).active(connection, ACME) == key
        assert keys.opening(connection, key.id) == key
        wrapped = connection.execute("SELECT wrapped FROM platform.data_keys").fetchone()[0]
        assert key.secret not in wrapped


def test_of_many_first_needs_at_once_one_wins(keyed_platform: str) -> None:
    with psycopg.connect(keyed_platform, autocommit=True) as connection:
        an_organization(connection, ACME)
        found: list[Key] = []
        start = threading.Barrier(8)

        def need() -> None:
            with psycopg.connect(keyed_platform, autocommit=True) as own:
                start.wait()
                found.append(DataKeys(RING).active(own, ACME))

        threads = [threading.Thread(target=need) for _ in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert len(found) == 8
        assert len(set(found)) == 1
        assert stored(connection) == [(found[0].id, ACME, "active")]


def test_a_key_that_was_rolled_back_is_not_kept(keyed_platform: str) -> None:
    with psycopg.connect(keyed_platform, autocommit=True) as connection:
        an_organization(connection, ACME)
        keys = DataKeys(RING)
        with connection.transaction(force_rollback=True):
            gone = keys.active(connection, ACME)
            assert keys.opening(connection, gone.id) == gone
        assert keys.active(connection, ACME) != gone
        with pytest.raises(KeyRefused, match="is not in this database"):
            keys.opening(connection, gone.id)


def test_a_key_is_unwrapped_again_after_its_time_and_not_given_once_it_is_destroyed(keyed_platform: str) -> None:
    with psycopg.connect(keyed_platform, autocommit=True) as connection:
        an_organization(connection, ACME)
        now = 0.0
        keys = DataKeys(RING, life_s=30, clock=lambda: now)
        key = keys.active(connection, ACME)
        now = 29.0
        assert keys.opening(connection, key.id) is key
        now = 31.0
        assert keys.opening(connection, key.id) is not key
        assert keys.opening(connection, key.id) == key
        connection.execute("SELECT platform.destroy_data_keys(%s)", (ACME,))
        with pytest.raises(KeyRefused, match="was destroyed"):
            keys.opening(connection, key.id)
        assert keys.active(connection, ACME) != key


def test_sql_seals_and_opens_with_what_is_given_and_only_in_that_transaction(keyed_platform: str) -> None:
    with psycopg.connect(keyed_platform, autocommit=True) as connection:
        project = an_organization(connection, ACME)
        keys = DataKeys(RING)
        with pytest.raises(KeyRefused, match="none is open"):
            keys.give(connection, ACME)
        with connection.transaction():
            keys.give(connection, ACME)
            row = database(connection, project, "redis://:s3cret@cache.test:6379")
            assert opened(connection, row) == "redis://:s3cret@cache.test:6379"
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
            opened(connection, row)
        envelope = connection.execute("SELECT connection_string_encrypted FROM platform.databases").fetchone()[0]
        key = keys.opening(connection, secrets.key_id_of(envelope))
        assert secrets.open_sealed(envelope, row_id=row, key=key).reveal() == "redis://:s3cret@cache.test:6379"


def test_a_broker_works_within_its_organization(keyed_platform: str, server: TestServer) -> None:
    name = sql.Identifier(f"broker_{uuid4().hex[:8]}")
    user = uuid4()
    with psycopg.connect(keyed_platform, autocommit=True) as connection:
        project = an_organization(connection, ACME)
        an_organization(connection, OTHER)
        foreign = DataKeys(RING).active(connection, OTHER)
        connection.execute("INSERT INTO platform.users (id, primary_email) VALUES (%s, 'b@test.invalid')", (user,))
        connection.execute(
            "INSERT INTO platform.organization_members (organization_id, user_id) VALUES (%s, %s)", (ACME, user)
        )
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'br0ker' IN ROLE lancio_service").format(name))
        try:
            with psycopg.connect(
                keyed_platform, user=name.as_string().strip('"'), password="br0ker", autocommit=True
            ) as own:
                keys = DataKeys(RING)
                keys.refuse_wrong(own)
                with pytest.raises(KeyRefused, match="is not here"):
                    DataKeys(Ring(KeyEncryptionKey.random())).refuse_wrong(own)
                with context(own, user=user, organization=ACME):
                    keys.give(own, ACME)
                    row = database(own, project, "redis://:s3cret@cache.test:6379")
                    assert opened(own, row) == "redis://:s3cret@cache.test:6379"
                    secret = opening.open_connection_string(own, row, keys.unwrap)
                    assert secret == secrets.Secret("redis://:s3cret@cache.test:6379")
                    with pytest.raises(KeyRefused, match="is not here"):
                        opening.open_connection_string(own, row, DataKeys(Ring(KeyEncryptionKey.random())).unwrap)
                    with pytest.raises(KeyRefused, match="no key that this session may see"):
                        keys.active(own, OTHER)
                    with pytest.raises(KeyRefused, match="is not in this database"):
                        keys.opening(own, foreign.id)
        finally:
            connection.execute(sql.SQL("DROP ROLE {}").format(name))


def test_a_wrong_kek_stops_the_start_and_says_which_one_is_wanted(keyed_platform: str) -> None:
    with psycopg.connect(keyed_platform, autocommit=True) as connection:
        an_organization(connection, ACME)
        DataKeys(Ring(KeyEncryptionKey.random())).refuse_wrong(connection)  # nothing is wrapped yet
        DataKeys(RING).active(connection, ACME)
        DataKeys(RING).refuse_wrong(connection)
        stranger = KeyEncryptionKey.random()
        DataKeys(Ring(stranger, (KEK,))).refuse_wrong(connection)
        for use in (
            lambda keys: keys.refuse_wrong(connection),
            lambda keys: keys.active(connection, ACME),
        ):
            with pytest.raises(KeyRefused, match=f"key-encryption key {KEK.id} is not here") as caught:
                use(DataKeys(Ring(stranger)))
            assert stranger.id in caught.value.cause
            assert caught.value.commands
        assert len(stored(connection)) == 1


def test_without_008_the_start_says_so(isolated: str) -> None:
    with psycopg.connect(isolated, autocommit=True) as connection, pytest.raises(KeyRefused, match="no keys") as caught:
        DataKeys(RING).refuse_wrong(connection)
    assert "008" in caught.value.cause


def test_wrapped_keys_that_were_swapped_between_rows_do_not_open(keyed_platform: str) -> None:
    with psycopg.connect(keyed_platform, autocommit=True) as connection:
        for each in (ACME, OTHER):
            an_organization(connection, each)
            DataKeys(RING).active(connection, each)
        connection.execute(
            "UPDATE platform.data_keys a SET wrapped = b.wrapped FROM platform.data_keys b WHERE a.key_id <> b.key_id"
        )
        for each in (ACME, OTHER):
            with pytest.raises(WrapBroken):
                DataKeys(RING).active(connection, each)


def test_a_key_of_another_check_value_is_refused(keyed_platform: str) -> None:
    with psycopg.connect(keyed_platform, autocommit=True) as connection:
        an_organization(connection, ACME)
        key = DataKeys(RING).active(connection, ACME)
        other = Key.random(key.id, ACME)
        connection.execute("UPDATE platform.data_keys SET wrapped = %s", (KEK.wrap(other),))
        with pytest.raises(WrapBroken, match="check value"):
            DataKeys(RING).active(connection, ACME)


def test_an_organization_that_is_not_there_has_no_key(keyed_platform: str) -> None:
    with psycopg.connect(keyed_platform, autocommit=True) as connection:
        with pytest.raises(KeyRefused, match="no key that this session may see"):
            DataKeys(RING).active(connection, uuid4())
        assert stored(connection) == []


def test_no_key_is_shown(keyed_platform: str) -> None:
    with psycopg.connect(keyed_platform, autocommit=True) as connection:
        an_organization(connection, ACME)
        keys = DataKeys(RING)
        key = keys.active(connection, ACME)
        shown = f"{keys} {keys!r} {key!r} {vars(keys)}"
        assert key.secret.hex() not in shown
        assert repr(key.secret)[2:12] not in shown
        assert KEK.secret.hex() not in shown
        with connection.transaction():
            keys.give(connection, ACME)
            seen = connection.execute("SELECT string_agg(query, ' ') FROM pg_stat_activity").fetchone()[0]
        assert key.secret.hex() not in seen
    assert isinstance(ACME, UUID)
