"""The backup of keys: useless without the KEK, whole or refused, and given back without undoing anything."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import psycopg
import pytest
from keys import ACME, KEK, OTHER, RING, an_organization

from lancio.registry import key_backup, key_rotation
from lancio.registry.data_keys import DataKeys
from lancio.registry.key_backup import BackupRefused, Restored, read, restore
from lancio.registry.key_encryption_key import KeyEncryptionKey, Ring, WrapBroken
from lancio.registry.secrets import KeyRefused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def connection(keyed_platform: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(keyed_platform, autocommit=True) as connection:
        for each in (ACME, OTHER):
            an_organization(connection, each)
            DataKeys(RING).active(connection, each)
        list(key_rotation.rotate(connection, DataKeys(RING), ACME, settle_s=0))
        yield connection


@pytest.fixture
def backup(connection: psycopg.Connection, tmp_path: Path) -> Path:
    path = tmp_path / "keys.backup"
    assert key_backup.backup(connection, path) == (3, (KEK.id,))
    return path


def all_rows(connection: psycopg.Connection) -> list[tuple]:
    return connection.execute("SELECT * FROM platform.data_keys ORDER BY key_id").fetchall()


def lose(connection: psycopg.Connection) -> None:
    """As after a dump that was restored without platform.data_keys."""
    connection.execute("ALTER TABLE platform.data_keys DISABLE TRIGGER USER")
    connection.execute("DELETE FROM platform.data_keys")
    connection.execute("ALTER TABLE platform.data_keys ENABLE TRIGGER USER")


def test_a_backup_has_no_key_in_it_and_is_its_owners_alone(connection: psycopg.Connection, backup: Path) -> None:
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    text = backup.read_text()
    for each in read(backup):
        assert each.stored.open(RING).secret.hex() not in text
    assert KEK.secret.hex() not in text
    assert KEK.id in text
    with pytest.raises(KeyRefused, match="exists"):
        key_backup.backup(connection, backup)


def test_lost_keys_are_given_back_as_they_were(connection: psycopg.Connection, backup: Path) -> None:
    before = all_rows(connection)
    active = DataKeys(RING).active(connection, ACME)
    lose(connection)
    with pytest.raises(KeyRefused, match="is not in this database") as caught:
        DataKeys(RING).opening(connection, active.id)
    assert any("restore" in command for command in caught.value.commands)
    assert restore(connection, read(backup), RING, write=False) == Restored(3, 0, 0, 0, 0)
    assert all_rows(connection) == []
    assert restore(connection, read(backup), RING) == Restored(3, 0, 0, 0, 0)
    assert all_rows(connection) == before
    assert DataKeys(RING).active(connection, ACME) == active
    assert restore(connection, read(backup), RING) == Restored(0, 0, 3, 0, 0)
    assert all_rows(connection) == before
    # New keys get new numbers.
    list(key_rotation.rotate(connection, DataKeys(RING), ACME, settle_s=0))
    assert DataKeys(RING).active(connection, ACME).id > active.id


def test_damaged_keys_are_mended(connection: psycopg.Connection, backup: Path) -> None:
    before = all_rows(connection)
    connection.execute("UPDATE platform.data_keys SET wrapped = substring(wrapped, 2) WHERE state = 'retired'")
    assert restore(connection, read(backup), RING) == Restored(0, 1, 2, 0, 0)
    assert all_rows(connection) == before


def test_keys_that_a_later_kek_wraps_are_not_written_over(connection: psycopg.Connection, backup: Path) -> None:
    new = KeyEncryptionKey.random()
    both = Ring(new, (KEK,))
    list(key_rotation.rewrap(connection, both))
    rotated = all_rows(connection)
    for write in (False, True):
        with pytest.raises(BackupRefused, match=f"3 data keys .* under another key-encryption key, {new.id}") as caught:
            restore(connection, read(backup), RING, write=write)
        assert KEK.id in caught.value.cause
        assert "--other-kek" in caught.value.remedy
    assert all_rows(connection) == rotated
    # Those that are damaged are mended, with both beside the sound ones.
    connection.execute("UPDATE platform.data_keys SET wrapped = substring(wrapped, 2) WHERE state = 'retired'")
    assert restore(connection, read(backup), both) == Restored(0, 1, 2, 0, 0)
    list(key_rotation.rewrap(connection, both))
    assert key_rotation.check(connection, Ring(new)) == 3
    # A lost KEK.
    assert restore(connection, read(backup), RING, other_kek=True) == Restored(0, 3, 0, 0, 0)
    assert key_rotation.check(connection, RING) == 3
    noted = connection.execute("SELECT DISTINCT target_id FROM platform.audit_logs WHERE action = 'data_key.restore'")
    assert noted.fetchall() == [(None,)]


def test_what_was_destroyed_stays_so(connection: psycopg.Connection, backup: Path) -> None:
    key_rotation.destroy(connection, ACME)
    before = all_rows(connection)
    assert restore(connection, read(backup), RING) == Restored(0, 0, 1, 2, 0)
    assert all_rows(connection) == before


def test_an_organization_that_got_another_key_since_keeps_it(connection: psycopg.Connection, backup: Path) -> None:
    lose(connection)
    newer = DataKeys(RING).active(connection, ACME)
    assert restore(connection, read(backup), RING).added == 3
    assert DataKeys(RING).active(connection, ACME) == newer
    states = connection.execute("SELECT state FROM platform.data_keys WHERE organization_id = %s", (ACME,)).fetchall()
    assert sorted(state for (state,) in states) == ["active", "retired", "retired"]


def test_keys_of_organizations_that_are_not_here_are_left_out(connection: psycopg.Connection, backup: Path) -> None:
    connection.execute("DELETE FROM platform.projects WHERE organization_id = %s", (OTHER,))
    connection.execute("DELETE FROM platform.organizations WHERE id = %s", (OTHER,))
    lose(connection)
    assert restore(connection, read(backup), RING) == Restored(2, 0, 0, 0, 1)


def test_a_number_that_another_key_has_by_now_is_refused(connection: psycopg.Connection, backup: Path) -> None:
    lose(connection)
    connection.execute("ALTER SEQUENCE platform_private.data_key_ids RESTART")
    DataKeys(RING).active(connection, OTHER)
    before = all_rows(connection)
    with pytest.raises(BackupRefused, match="1 keys of the backup are other keys here"):
        restore(connection, read(backup), RING)
    assert all_rows(connection) == before


def test_without_the_kek_nothing_is_written(connection: psycopg.Connection, backup: Path) -> None:
    lose(connection)
    with pytest.raises(KeyRefused, match=KEK.id):
        restore(connection, read(backup), Ring(KeyEncryptionKey.random()))
    assert all_rows(connection) == []


def test_a_cut_backup_is_refused_at_every_line_and_byte_near_its_end(backup: Path) -> None:
    whole = backup.read_bytes()
    ends = {0, 1, 20, *(at for at, byte in enumerate(whole) if byte == 10), *range(len(whole) - 90, len(whole) - 1)}
    for end in sorted(ends - {len(whole) - 1}):
        backup.write_bytes(whole[:end])
        with pytest.raises(BackupRefused):
            read(backup)
    backup.write_bytes(whole)
    assert len(read(backup)) == 3


def test_a_changed_backup_is_refused(connection: psycopg.Connection, backup: Path) -> None:
    lines = backup.read_text().splitlines()
    first = json.loads(lines[1])
    for text in (
        "\n".join([lines[0], lines[2], lines[1], *lines[3:]]),
        "\n".join([lines[0], *lines[2:]]),
        backup.read_text().replace(first["wrapped"][:8], "00000000"),
    ):
        backup.write_text(text + "\n")
        with pytest.raises(BackupRefused, match="damaged"):
            read(backup)
    for text in ("", "{}", "[]\n[]\n", '"x"\n1\n', "not JSON\n\n", "\xff\n\x00\n"):
        backup.write_text(text, encoding="latin-1")
        with pytest.raises(BackupRefused, match="is no backup"):
            read(backup)


def test_a_backup_that_was_made_up_with_its_sum_does_not_open(connection: psycopg.Connection, backup: Path) -> None:
    first, second, third = read(backup)
    from dataclasses import replace

    swapped = [replace(first, wrapped=second.wrapped), replace(second, wrapped=first.wrapped), third]
    lose(connection)
    with pytest.raises(WrapBroken, match="2 keys of the backup do not open"):
        restore(connection, swapped, RING)
    assert all_rows(connection) == []


def test_a_backup_that_others_may_read_is_refused(backup: Path) -> None:
    backup.chmod(0o644)
    with pytest.raises(KeyRefused, match="others"):
        read(backup)
