"""The trail is sealed while others write, and whatever is done to it afterwards is named."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest
from isolation import PROOF
from schema_files import CHAIN, CHAIN_BACK, TEN, objects, run, state
from trails import ACME, KEK, OTHER, RING, STRANGER, an_organization, one, sealed, trail, unguarded, verified, write

from lancio.registry import audit_seal
from lancio.registry.audit_seal import Anchor, Pruned, Verified
from lancio.registry.audit_trail import AuditRefused
from lancio.registry.context import context
from lancio.registry.key_encryption_key import KeyEncryptionKey, Ring
from lancio.registry.secrets import KeyRefused
from servers import TestServer, database_of, newest_program

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def trail_template(server: TestServer) -> str:
    """A database with 001 to 008 and 010, and two organizations; nobody connects to it."""
    url = server.create_database()
    run(url, *TEN, CHAIN)
    with psycopg.connect(url, autocommit=True) as connection:
        for each in (ACME, OTHER):
            an_organization(connection, each)
    return database_of(url)


@pytest.fixture
def url(server: TestServer, trail_template: str) -> Iterator[str]:
    url = server.create_database(template=trail_template)
    yield url
    server.drop_database(url)


@pytest.fixture
def connection(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


# --- the migration ----------------------------------------------------------------------------------------------------


def test_the_file_runs_again_on_every_version_and_so_do_those_before_it_and_its_way_back(every_database: str) -> None:
    run(every_database, *TEN)
    before = objects(every_database)
    run(every_database, CHAIN)
    after = state(every_database)
    run(every_database, CHAIN, *TEN)
    assert state(every_database) == after
    with psycopg.connect(every_database, autocommit=True) as connection:
        entries = {*write(connection, 3, None), *write(connection, 2, None)}
        assert sealed(connection, batch=2) == one(connection, "SELECT count(*) FROM platform.audit_logs")
        unguarded(connection, "UPDATE platform.audit_logs SET action = 'x' WHERE seq = 2",
                  "DELETE FROM platform.audit_logs WHERE seq = 1")  # fmt: skip
        findings, _ = verified(connection)
        assert {each.kind for each in findings} == {"changed", "removed"}
        assert {each.entry for each in findings} <= entries
        connection.execute("DELETE FROM platform.organizations")
    run(every_database, CHAIN_BACK, CHAIN_BACK)
    assert objects(every_database) == before
    run(every_database, CHAIN)
    with psycopg.connect(every_database, autocommit=True) as connection:
        assert sealed(connection) == one(connection, "SELECT count(*) FROM platform.audit_logs")
        assert verified(connection)[0] == []


GUARDED = [
    "UPDATE platform.audit_logs SET action = 'x'",
    "DELETE FROM platform.audit_logs",
    "TRUNCATE platform.audit_logs",
    "UPDATE platform.audit_seals SET number = number + 1",
    "DELETE FROM platform.audit_seals",
    "TRUNCATE platform.audit_seals",
    "UPDATE platform.audit_rounds SET entries = 0",
    "DELETE FROM platform.audit_rounds",
    "TRUNCATE platform.audit_rounds",
    "SELECT platform.prune_audit_round(1)",
]


def test_not_even_a_superuser_changes_an_entry_or_a_seal_by_mistake(connection: psycopg.Connection) -> None:
    write(connection)
    sealed(connection)
    for statement in GUARDED:
        with pytest.raises(psycopg.Error, match=r"is not changed|no record says"):
            connection.execute(statement)
    assert verified(connection)[0] == []


def test_an_entry_outlives_its_organization_and_its_project_unchanged(connection: psycopg.Connection) -> None:
    project = one(connection, "SELECT id FROM platform.projects WHERE organization_id = %s", ACME)
    (entry,) = write(connection, project_id=project)
    sealed(connection)
    connection.execute("DELETE FROM platform.organizations WHERE id = %s", (ACME,))
    row = connection.execute(
        "SELECT organization_id, project_id FROM platform.audit_logs WHERE id = %s", (entry,)
    ).fetchone()
    assert row == (ACME, project)
    assert verified(connection)[0] == []


def test_nobody_but_a_superuser_gives_an_entry_its_number_or_its_time_of_writing(
    url: str, connection: psycopg.Connection
) -> None:
    user = uuid4()
    connection.execute("INSERT INTO platform.users (id, primary_email) VALUES (%s, 'eve@test.dev')", (user,))
    connection.execute(
        "INSERT INTO platform.organization_members (id, organization_id, user_id) VALUES (gen_random_uuid(), %s, %s)",
        (ACME, user),
    )
    write(connection, 3)
    sealed(connection)
    with psycopg.connect(url, autocommit=True) as eve:
        eve.execute("SET ROLE lancio_application")
        with context(eve, user=user, organization=ACME):
            (entry,) = write(eve, 1, ACME, seq=1_000_000, created_at=datetime(2001, 1, 1, tzinfo=UTC))
    seq, at = (
        connection.execute("SELECT seq, created_at FROM platform.audit_logs WHERE id = %s", (entry,)).fetchone() or ()
    )
    assert seq < 1000
    assert at.year > 2001
    assert verified(connection)[0] == []


# --- mutations --------------------------------------------------------------------------------------------------------

COLUMNS = {
    "id": "gen_random_uuid()", "seq": "-5", "organization_id": f"'{OTHER}'", "project_id": "gen_random_uuid()",
    "occurred_at": "occurred_at + interval '1 microsecond'", "actor_type": "'service'", "actor_id": "gen_random_uuid()",
    "actor_email": "'x@y.z'", "action": "action || ' '", "method": "'GET'", "status": "coalesce(status, 0) + 1",
    "target_type": "NULL", "target_id": "''", "ip": "'10.0.0.1/8'", "user_agent": "'x'", "request_id": "'x'",
    "before": "'null'", "after": "'{}'", "prev_hash": "''", "row_hash": "''", "created_at": "'infinity'",
}  # fmt: skip


def test_every_column_of_an_entry_is_named_when_it_changes(connection: psycopg.Connection) -> None:
    columns = [
        name for (name,) in connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'platform.audit_logs'::regclass AND attnum > 0"
            " AND NOT attisdropped"
        )
    ]  # fmt: skip
    assert set(columns) == set(COLUMNS)
    ids = write(connection, len(COLUMNS) + 4)
    sealed(connection, batch=10)
    for id_, (column, value) in zip(ids[2:], COLUMNS.items(), strict=False):
        before = connection.execute("SELECT * FROM platform.audit_logs WHERE id = %s", (id_,)).fetchone()
        assert before is not None
        unguarded(connection, f"UPDATE platform.audit_logs SET {column} = {value} WHERE id = '{id_}'")
        findings, found = verified(connection)
        assert id_ in {each.entry for each in findings if each.kind in ("changed", "removed")}, column
        assert {each.entry for each in findings} - {id_} <= (
            {None}
            if column != "id"
            else {one(connection, "SELECT id FROM platform.audit_logs WHERE seq = %s", before[-1])}
        ), column
        assert found.findings == len(findings) <= 2, column
        unguarded(connection, f"DELETE FROM platform.audit_logs WHERE seq = {before[-1] if column != 'seq' else -5}")
        places = ", ".join(["%s"] * len(before))
        values = tuple(psycopg.types.json.Jsonb(each) if isinstance(each, dict) else each for each in before)
        with connection.transaction():
            connection.execute("SET LOCAL session_replication_role = replica")
            connection.execute(f"INSERT INTO platform.audit_logs VALUES ({places})", values)
        assert verified(connection)[0] == [], column


@pytest.mark.parametrize("which", [0, 7, 19], ids=["first", "middle", "last"])
def test_a_removed_entry_is_named(connection: psycopg.Connection, which: int) -> None:
    ids = write(connection, 20)
    sealed(connection, batch=7)
    unguarded(connection, f"DELETE FROM platform.audit_logs WHERE id = '{ids[which]}'")
    findings, found = verified(connection)
    assert [(each.kind, each.entry, each.organization) for each in findings] == [("removed", ids[which], ACME)]
    assert found.entries == one(connection, "SELECT count(*) FROM platform.audit_logs")
    assert [(each.kind, each.entry) for each in trail(connection, ACME)[0]] == [("removed", ids[which])]


def test_an_entry_that_was_slipped_in_is_named_wherever_it_is(connection: psycopg.Connection) -> None:
    write(connection, 10)
    with connection.transaction():
        write(connection, 2)
        raise_ = psycopg.Rollback()
        raise raise_
    write(connection, 10)
    sealed(connection, batch=6)
    gap = one(connection, "SELECT max(seq) - 10 FROM platform.audit_logs")
    for seq in (0, -1, gap):
        for organization in (ACME, OTHER, None):
            (id_,) = write(connection, 1, organization, seq=seq)
            findings, _ = verified(connection)
            assert [(each.kind, each.entry) for each in findings] == [("added", id_)], (seq, organization)
            if organization is not None and seq > 0:
                assert [(each.kind, each.entry) for each in trail(connection, organization)[0]] == [("added", id_)]
            unguarded(connection, f"DELETE FROM platform.audit_logs WHERE id = '{id_}'")
    assert verified(connection)[0] == []


@pytest.mark.parametrize("column", ["id", "seq", "occurred_at"])
def test_two_entries_that_changed_places_are_both_named(connection: psycopg.Connection, column: str) -> None:
    ids = write(connection, 12)
    unguarded(connection, "UPDATE platform.audit_logs SET occurred_at = occurred_at + seq * interval '1 second'")
    sealed(connection, batch=5)
    one_, two = connection.execute(
        f"SELECT {column}, id, seq FROM platform.audit_logs WHERE id = ANY (%s) ORDER BY seq", ([ids[1], ids[9]],)
    ).fetchall()
    table = "platform.audit_logs"
    if column == "occurred_at":
        unguarded(connection, f"UPDATE {table} SET {column} = '{two[0]}' WHERE id = '{one_[1]}'",
                  f"UPDATE {table} SET {column} = '{one_[0]}' WHERE id = '{two[1]}'")  # fmt: skip
    else:
        spare = "gen_random_uuid()" if column == "id" else "-1"
        unguarded(connection, f"UPDATE {table} SET {column} = {spare} WHERE {column} = '{one_[0]}'",
                  f"UPDATE {table} SET {column} = '{one_[0]}' WHERE {column} = '{two[0]}'",
                  f"UPDATE {table} SET {column} = '{two[0]}' WHERE {'seq' if column == 'id' else 'id'} ="
                  f" '{one_[2 if column == 'id' else 1]}'")  # fmt: skip
    findings, _ = verified(connection)
    assert {ids[1], ids[9]} <= {each.entry for each in findings}
    assert {ids[1], ids[9]} >= {each.entry for each in findings}


SPOILED = [
    *(("audit_rounds", column, f"{column} + 1") for column in
      ("number", "after_seq", "upto_seq", "entries", "seals", "newest", "through", "sealed_at")),
    *(("audit_rounds", column, "sha256('x')") for column in ("root", "previous", "chain", "mac")),
    ("audit_rounds", "kind", "'prune'"),
    ("audit_rounds", "kek_id", f"'{STRANGER.id}'"),
    *(("audit_seals", column, f"{column} + 1") for column in
      ("number", "round", "first_seq", "last_seq", "entries")),
    *(("audit_seals", column, "sha256('x')") for column in ("previous", "chain", "mac")),
    ("audit_seals", "kek_id", f"'{STRANGER.id}'"),
    ("audit_seals", "organization_id", "gen_random_uuid()"),
    ("audit_seals", "leaves", "substr(leaves, 49)"),
    ("audit_seals", "leaves", "substr(leaves, 49) || substr(leaves, 1, 48)"),
]  # fmt: skip


def test_a_changed_seal_or_round_is_told(connection: psycopg.Connection) -> None:
    for _ in range(3):
        write(connection, 4)
        write(connection, 2, OTHER)
        sealed(connection)
    seals = f"SELECT %s(number) FROM platform.audit_seals WHERE organization_id = '{ACME}'"
    for which, (table, column, value) in product(("max", "min"), SPOILED):
        row = {
            "audit_rounds": f"number = (SELECT {which}(number) FROM platform.audit_rounds)",
            "audit_seals": f"organization_id = '{ACME}' AND number = ({seals % which})",
        }[table]
        if which == "min" and (column, value) in (("number", "number + 1"), ("round", "round + 1")):
            continue  # there is one of that number
        with connection.transaction(force_rollback=True):
            unguarded(connection, f"UPDATE platform.{table} SET {column} = {value} WHERE {row}")
            findings = _inside(connection)
            assert findings, (which, table, column)
            assert "changed" not in {each.kind for each in findings}, (which, table, column)  # no entry was
            if which == "max" and table == "audit_rounds" and column != "kind":
                with pytest.raises((AuditRefused, KeyRefused)):
                    audit_seal._refuse_unproved(audit_seal._head(connection), RING, None)
    assert _inside(connection) == []


def test_a_seal_that_was_removed_or_copied_is_told(connection: psycopg.Connection) -> None:
    for _ in range(3):
        write(connection, 4)
        write(connection, 2, OTHER)
        sealed(connection)
    last = one(connection, "SELECT max(number) FROM platform.audit_rounds")
    with connection.transaction(force_rollback=True):
        unguarded(
            connection, f"DELETE FROM platform.audit_seals WHERE organization_id = '{ACME}' AND round = {last - 1}"
        )
        findings = [each.says for each in _inside(connection)]
        assert any(f"round {last - 1} had 2 seals, and 1 are there" in each for each in findings)
        assert any(f"of organization {ACME} comes after seal" in each for each in findings)
        assert sum("belongs to a seal that was removed" in each for each in findings) == 4
    with connection.transaction(force_rollback=True):
        unguarded(connection, f"INSERT INTO platform.audit_seals SELECT organization_id, number + 1, round + 1,"
                              f" first_seq, last_seq,"
                  f" entries, leaves, previous, chain, kek_id, mac FROM platform.audit_seals WHERE"
                  f" organization_id = '{ACME}' AND round = {last}")  # fmt: skip
        findings = [each.says for each in _inside(connection)]
        assert any(f"belongs to round {last + 1}, which is not there" in each for each in findings)
    with connection.transaction(force_rollback=True):
        unguarded(connection, f"DELETE FROM platform.audit_rounds WHERE number = {last - 1}")
        assert any(each.says == f"round {last - 1} was removed" for each in _inside(connection))


def _inside(connection: psycopg.Connection) -> list[Any]:
    """As `verify`, in a transaction that is open, and will be rolled back."""
    with connection.transaction():
        return list(audit_seal._verify(connection, RING, Verified(), (), None))


class Pretending(KeyEncryptionKey):
    """Another key under the name of the right one."""

    @property
    def id(self) -> str:
        return KEK.id


def test_who_has_the_database_and_not_the_key_cannot_make_the_seals_anew(connection: psycopg.Connection) -> None:
    ids = write(connection, 10)
    sealed(connection)
    write(connection, 10)
    sealed(connection)
    unguarded(connection, f"UPDATE platform.audit_logs SET action = 'harmless' WHERE id = '{ids[3]}'",
              "TRUNCATE platform.audit_rounds, platform.audit_seals")  # fmt: skip
    # Everything again by the same program, with a key of the forger's and then with the name of the right one.
    sealed(connection, Ring(STRANGER), batch=10)
    assert [each.kind for each in verified(connection)[0]] == ["unproved"]
    unguarded(connection, "TRUNCATE platform.audit_rounds, platform.audit_seals")
    sealed(connection, Ring(Pretending(STRANGER.secret)), batch=10)
    findings, found = verified(connection)
    assert {each.kind for each in findings} == {"forged"}
    assert found.proved == 0
    assert {each.kind for each in trail(connection, ACME)[0]} == {"forged"}
    # Without the key nothing is found, and `found` says that there was none.
    findings, found = verified(connection, None)
    assert (findings, found.key) == ([], False)
    with pytest.raises(AuditRefused, match="was not made with the key-encryption key"):
        sealed(connection)


def test_an_older_state_and_a_cut_end_show_against_an_anchor_alone(url: str, connection: psycopg.Connection) -> None:
    write(connection, 5)
    sealed(connection)
    old = audit_seal.anchor(connection)
    tables = ("audit_logs", "audit_rounds", "audit_seals")
    for each in tables:
        connection.execute(f"CREATE TABLE public.{each} AS TABLE platform.{each}")
    write(connection, 5)
    sealed(connection)
    new, own = audit_seal.anchor(connection), audit_seal.anchor(connection, ACME)
    assert old is not None
    assert new is not None
    assert own is not None
    assert verified(connection, anchors=[old, new])[1].anchored == [old.number, new.number]
    assert trail(connection, ACME, anchors=(own,))[1].anchored == [own.number]
    for each in tables:
        unguarded(connection, f"TRUNCATE platform.{each}", f"INSERT INTO platform.{each} SELECT * FROM public.{each}")
    assert verified(connection)[0] == []
    findings, found = verified(connection, anchors=[old, new])
    assert [(each.kind, each.round) for each in findings] == [("cut", new.number)]
    assert found.anchored == [old.number]
    assert [each.kind for each in trail(connection, ACME, anchors=(own,))[0]] == ["cut"]
    # And history that was written anew from there on, with the key.
    write(connection, 6)
    sealed(connection)
    findings, _ = verified(connection, anchors=[new])
    assert [each.kind for each in findings] == ["cut"]
    assert audit_seal.anchors_of(f"{old.line()}\n\n{own.line()}\n") == [old, own]


NO_ANCHORS = [
    "", "{", "[]", "1", '{"lancio_audit_anchor": 2}', '{"lancio_audit_anchor": 1, "chain": "zz"}', "[" * 100_000,
    '{"lancio_audit_anchor":1,"chain":"00","number":1,"upto_seq":1,"sealed_at":null,"organization":null}',
]  # fmt: skip


@pytest.mark.parametrize("text", NO_ANCHORS, ids=range(len(NO_ANCHORS)))
def test_what_is_no_anchor_is_refused(text: str) -> None:
    with pytest.raises(AuditRefused):
        audit_seal.anchors_of(text)


def test_verifying_goes_on_from_an_anchor(connection: psycopg.Connection) -> None:
    ids = write(connection, 5)
    sealed(connection)
    anchor = audit_seal.anchor(connection)
    write(connection, 7)
    sealed(connection)
    unguarded(connection, f"DELETE FROM platform.audit_logs WHERE id = '{ids[0]}'")
    findings, found = verified(connection, resume=anchor)
    assert (findings, found.rounds, found.entries) == ([], 1, 7)
    assert anchor is not None
    # Anchors of what is not looked at again are not missed there.
    last = audit_seal.anchor(connection)
    assert last is not None
    findings, found = verified(connection, resume=anchor, anchors=[anchor, last])
    assert (findings, found.anchored) == ([], [last.number])
    with pytest.raises(AuditRefused, match="is not here as the anchor knows it"):
        verified(connection, resume=Anchor(anchor.number, bytes(32), 0))


def test_a_new_kek_vouches_for_what_the_old_one_sealed(connection: psycopg.Connection) -> None:
    write(connection, 5)
    sealed(connection)
    with pytest.raises(KeyRefused, match="is not here"):
        sealed(connection, Ring(STRANGER))
    write(connection, 5)
    sealed(connection, Ring(STRANGER, (KEK,)))
    for ring in (Ring(STRANGER), Ring(STRANGER, (KEK,))):
        findings, found = verified(connection, ring)
        assert (findings, found.proved) == ([], found.last)
    assert [each.kind for each in verified(connection, RING)[0]] == ["unproved"]
    # The old one is lost: an anchor says what the last round was.
    anchor = audit_seal.anchor(connection)
    write(connection)
    assert sealed(connection, RING, anchor=anchor) == 1
    assert verified(connection, RING)[0] == []


def test_a_new_kek_vouches_once_where_nothing_is_to_be_sealed(url: str, connection: psycopg.Connection) -> None:
    new = Ring(STRANGER, (KEK,))
    write(connection, 5)
    count = sealed(connection)
    assert list(audit_seal.seal(connection, RING)) == []
    with psycopg.connect(url) as writer:  # somebody writes: the round has to wait for nobody
        write(writer)
        assert list(audit_seal.seal(connection, new, wait_s=0)) == [audit_seal.Sealed(2, 0)]
    assert list(audit_seal.seal(connection, RING, anchor=audit_seal.anchor(connection))) != []
    assert list(audit_seal.seal(connection, new)) != []
    assert list(audit_seal.seal(connection, new)) == []
    findings, found = verified(connection, Ring(STRANGER))
    assert (findings, found.proved, found.entries, found.unsealed) == ([], found.last, count + 1, 0)
    # It is pruned when it is old itself, and is part of the chain.
    done = Pruned()
    list(audit_seal.prune(connection, new, datetime.now(UTC) + timedelta(days=1), done))
    assert (done.rounds, done.entries) == ([1, 2, 3, 4], count + 1)
    findings, found = verified(connection, new)
    assert (findings, found.pruned) == ([], count + 1)


# --- beside others ----------------------------------------------------------------------------------------------------


def test_what_commits_late_is_sealed_late_and_never_missed(url: str, connection: psycopg.Connection) -> None:
    with psycopg.connect(url) as slow:
        (late,) = write(slow)
        (early,) = write(connection)
        assert sealed(connection, wait_s=0.1) == 0  # both are younger than what is open, as far as can be told
        write(connection, 3)
        assert sealed(connection, wait_s=0) == 0
        slow.commit()
        with psycopg.connect(url) as other:  # now another one is open all the time
            write(other)
            # What the first run has marked is over by now.
            assert sealed(connection, wait_s=0) >= 2
            there = one(connection, "SELECT string_agg(encode(leaves, 'hex'), '') FROM platform.audit_seals")
            assert late.hex in there
            assert early.hex in there
            other.rollback()
    sealed(connection)
    findings, found = verified(connection)
    assert (findings, found.unsealed) == ([], 0)


def test_a_mark_of_another_server_is_not_waited_for(connection: psycopg.Connection) -> None:
    connection.execute("INSERT INTO platform_private.audit_mark (seq, xact) VALUES (5, 9000000000000)")
    write(connection, 3)
    assert sealed(connection) >= 3
    assert one(connection, "SELECT count(*) FROM platform_private.audit_mark") == 0


WRITERS, SECONDS = 16, (60.0 if PROOF else 4.0)


def test_sixteen_writers_wait_for_nobody_and_nothing_is_missed(url: str, connection: psycopg.Connection) -> None:
    written: set[UUID] = set()
    errors: list[BaseException] = []
    lock, stop = threading.Lock(), threading.Event()

    def writes(seed: int) -> None:
        chance = random.Random(seed)
        try:
            with psycopg.connect(url) as mine:
                mine.execute("SET lock_timeout = '200ms'")  # a writer that has to wait for the sealer fails
                mine.commit()
                while not stop.is_set():
                    ids = write(mine, chance.randint(1, 5), chance.choice([ACME, OTHER, None]))
                    if chance.random() < 0.3:
                        with mine.transaction(force_rollback=True):
                            write(mine, 2)
                    if chance.random() < 0.3:
                        time.sleep(chance.random() * 0.2)  # late
                    if chance.random() < 0.2:
                        mine.rollback()
                        continue
                    mine.commit()
                    with lock:
                        written.update(ids)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=writes, args=(seed,)) for seed in range(WRITERS)]
    for each in threads:
        each.start()
    waited, rounds, until = 0, 0, time.monotonic() + SECONDS
    with psycopg.connect(url, autocommit=True) as watch:
        while time.monotonic() < until:
            rounds += sealed(connection, batch=40, wait_s=0.3) > 0
            waited += one(
                watch,
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
                " AND wait_event NOT IN ('extend', 'transactionid')",
            )
            findings, _ = verified(watch)
            assert findings == []
    stop.set()
    for each in threads:
        each.join()
    assert errors == []
    assert waited == 0
    assert rounds >= 2
    sealed(connection)
    findings, found = verified(connection)
    assert (findings, found.unsealed) == ([], 0)
    leaves = b"".join(each for (each,) in connection.execute("SELECT leaves FROM platform.audit_seals"))
    assert {UUID(bytes=leaves[at : at + 16]) for at in range(0, len(leaves), 48)} >= written
    assert found.entries == one(connection, "SELECT count(*) FROM platform.audit_logs")


def test_two_sealers_take_turns(url: str, connection: psycopg.Connection) -> None:
    write(connection, 60)
    with psycopg.connect(url, autocommit=True) as other:
        steps = [audit_seal.seal(each, RING, batch=5) for each in (connection, other)]
        made = [next(steps[number % 2]).round for number in range(6)]
        assert made == [1, 2, 3, 4, 5, 6]
        first, second = (threading.Thread(target=list, args=(each,)) for each in steps)
        first.start()
        second.start()
        first.join()
        second.join()
        findings, found = verified(other)
    assert (findings, found.unsealed) == ([], 0)


def test_nobody_who_may_log_in_keeps_the_sealer_from_its_work(url: str, connection: psycopg.Connection) -> None:
    write(connection)
    with psycopg.connect(url, autocommit=True) as eve:
        eve.execute("SET ROLE lancio_readonly")
        eve.execute("SELECT pg_advisory_lock(%s)", (0x6C616E63_61756474,))  # what an earlier sealer went by
        for mode in ("ACCESS SHARE", "ROW EXCLUSIVE", "SHARE ROW EXCLUSIVE"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), eve.transaction():
                eve.execute(f"LOCK TABLE platform.audit_rounds IN {mode} MODE")
        assert sealed(connection) >= 1


SEALER = """
import sys, psycopg
from lancio.registry import audit_seal
from lancio.registry.key_encryption_key import KeyEncryptionKey, Ring
with psycopg.connect(sys.argv[1], autocommit=True) as connection:
    for step in audit_seal.seal(connection, Ring(KeyEncryptionKey(bytes(range(100, 132)))), batch=10):
        print(step.round, flush=True)
"""


def test_a_killed_sealer_leaves_whole_rounds_and_the_next_goes_on(url: str, connection: psycopg.Connection) -> None:
    for _ in range(20 if PROOF else 2):
        write(connection, 600)
        process = subprocess.Popen([sys.executable, "-c", SEALER, url], stdout=subprocess.PIPE)
        assert process.stdout is not None
        for _ in range(random.randint(1, 8)):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert verified(connection)[0] == []
        until = time.monotonic() + 10
        while True:  # until the server has seen that it is gone
            try:
                sealed(connection)
                break
            except AuditRefused:
                assert time.monotonic() < until
                time.sleep(0.05)
    findings, found = verified(connection)
    assert (findings, found.unsealed) == ([], 0)


def test_a_sealer_that_policies_bind_is_refused(url: str, connection: psycopg.Connection) -> None:
    write(connection)
    with psycopg.connect(url, autocommit=True) as bound:
        bound.execute("SET ROLE lancio_owner")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            sealed(bound)


def test_a_database_without_010_is_refused(isolated: str) -> None:
    with (
        psycopg.connect(isolated, autocommit=True) as connection,
        pytest.raises(AuditRefused, match="not sealed in this"),
    ):
        sealed(connection)


# --- organizations ----------------------------------------------------------------------------------------------------


@pytest.fixture
def members(url: str, connection: psycopg.Connection) -> dict[UUID, UUID]:
    found = {}
    for number, organization in enumerate((ACME, OTHER)):
        user = found[organization] = uuid4()
        connection.execute(
            "INSERT INTO platform.users (id, primary_email) VALUES (%s, %s)", (user, f"u{number}@test.dev")
        )
        connection.execute(
            "INSERT INTO platform.organization_members (id, organization_id, user_id) VALUES"
            " (gen_random_uuid(), %s, %s)",
            (organization, user),
        )
    return found


@pytest.mark.parametrize("role", ["lancio_application", "lancio_service", "lancio_readonly"])
def test_a_member_sees_and_verifies_the_own_trail_alone(
    url: str, connection: psycopg.Connection, members: dict[UUID, UUID], role: str
) -> None:
    for _ in range(3):
        write(connection, 4)
        write(connection, 3, OTHER)
        write(connection, 2, None)
        sealed(connection)
    (young,) = write(connection)
    counts = {
        each: one(connection, "SELECT count(*) FROM platform.audit_logs WHERE organization_id = %s", each)
        for each in members
    }
    (victim,) = (
        connection.execute(
            "SELECT id FROM platform.audit_logs WHERE organization_id = %s ORDER BY seq DESC LIMIT 1", (OTHER,)
        ).fetchone()
        or ()
    )
    unguarded(connection, f"UPDATE platform.audit_logs SET action = 'x' WHERE id = '{victim}'")
    with psycopg.connect(url, autocommit=True) as session:
        session.execute(f"SET ROLE {role}")
        for organization, wrong in ((ACME, []), (OTHER, [victim])):
            with context(session, user=members[organization], organization=organization):
                assert one(session, "SELECT count(DISTINCT organization_id) FROM platform.audit_seals") == 1
                for ring in (RING, None):
                    found = Verified()
                    findings = list(audit_seal.verify_trail(session, organization, ring, found))
                    assert [each.entry for each in findings] == wrong
                    assert found.entries + found.unsealed == counts[organization] - len(wrong)
                    assert found.unsealed == (organization == ACME)
                # Of another organization there is nothing to verify.
                found = Verified()
                other = OTHER if organization == ACME else ACME
                assert list(audit_seal.verify_trail(session, other, RING, found)) == []
                assert (found.entries, found.seals) == (0, 0)
            assert one(session, "SELECT count(*) FROM platform.audit_seals") == 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("SELECT * FROM platform.audit_rounds")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("SELECT platform.prune_audit_round(1)")
    assert young


# --- retention --------------------------------------------------------------------------------------------------------


def aged(connection: psycopg.Connection) -> datetime:
    """Four rounds, two of them a year old; the time between."""
    between = datetime.now(UTC) - timedelta(days=100)
    for age in (400, 350, 10, 1):
        at = datetime.now(UTC) - timedelta(days=age)
        for _ in range(4):
            write(
                connection,
                1,
                ACME,
                seq=one(connection, "SELECT nextval('platform_private.audit_numbers')"),
                created_at=at,
            )
        write(
            connection, 1, OTHER, seq=one(connection, "SELECT nextval('platform_private.audit_numbers')"), created_at=at
        )
        sealed(connection)
    return between


@pytest.fixture
def bare(connection: psycopg.Connection) -> psycopg.Connection:
    """Without the entries of the organizations' making, which are of today."""
    unguarded(connection, "DELETE FROM platform.audit_logs")
    return connection


def pruned(connection: psycopg.Connection, before: datetime) -> Pruned:
    done = Pruned()
    for _ in audit_seal.prune(connection, RING, before, done):
        pass
    return done


def test_what_is_pruned_is_gone_and_the_rest_verifies(
    bare: psycopg.Connection, members: dict[UUID, UUID], url: str
) -> None:
    unguarded(bare, "DELETE FROM platform.audit_logs")
    between = aged(bare)
    plan = audit_seal.outlook(bare, between)
    assert (plan.rounds, plan.of) == ([1, 2], 10)
    anchor = audit_seal.anchor(bare)
    done = pruned(bare, between)
    assert (done.rounds, done.entries) == ([1, 2], 10)
    findings, found = verified(bare, anchors=[anchor] if anchor else [])
    assert (findings, found.pruned, found.entries) == ([], 10, 10)
    assert found.unsealed == 1  # that it was pruned is an entry
    assert anchor is not None
    assert found.anchored == [anchor.number]
    assert [each.kind for each in verified(bare, None)[0]] == []
    findings, found = trail(bare, ACME)
    assert (findings, found.entries) == ([], 8)
    assert pruned(bare, between).rounds == []
    # And goes on, also for who has nothing left.
    write(bare, 2)
    sealed(bare)
    assert pruned(bare, datetime.now(UTC) + timedelta(days=1)).entries == 13
    write(bare, 2)
    sealed(bare)
    assert verified(bare)[0] == trail(bare, ACME)[0] == []
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("SET ROLE lancio_application")
        with context(session, user=members[ACME], organization=ACME):
            assert list(audit_seal.verify_trail(session, ACME, RING, Verified())) == []


def test_what_is_put_back_where_it_was_pruned_is_named(bare: psycopg.Connection) -> None:
    between = aged(bare)
    pruned(bare, between)
    (id_,) = write(bare, 1, ACME, seq=one(bare, "SELECT upto_seq FROM platform.audit_rounds WHERE number = 2"))
    assert [(each.kind, each.entry) for each in verified(bare)[0]] == [("added", id_)]


def test_pruning_that_no_record_with_the_right_mac_says_is_told(bare: psycopg.Connection) -> None:
    aged(bare)
    last = audit_seal.anchor(bare)
    assert last is not None
    unguarded(
        bare, "DELETE FROM platform.audit_logs WHERE seq <= (SELECT upto_seq FROM platform.audit_rounds WHERE"
              " number = 1)",
        "DELETE FROM platform.audit_seals WHERE round = 1",
        "INSERT INTO platform.audit_rounds SELECT number + 1, 'prune', upto_seq, upto_seq, 5, 0, 0, 1, root,"
        " sealed_at, chain, chain, kek_id, mac"
        f" FROM platform.audit_rounds WHERE number = {last.number}",
    )  # fmt: skip
    findings, found = verified(bare)
    assert {each.round for each in findings} == {last.number + 1}
    assert found.proved == last.number


def test_a_forged_record_of_a_prune_hides_nothing_of_one_organization_from_who_has_the_key(
    bare: psycopg.Connection,
) -> None:
    aged(bare)
    own = audit_seal.anchor(bare, ACME)
    assert own is not None
    unguarded(
        bare, f"DELETE FROM platform.audit_logs WHERE organization_id = '{ACME}'",
        f"DELETE FROM platform.audit_seals WHERE organization_id = '{ACME}'",
        "INSERT INTO platform.audit_rounds SELECT number + 1, 'prune', upto_seq, upto_seq, 5, 0, 0, number, root,"
        " sealed_at, chain, chain, kek_id, mac FROM platform.audit_rounds ORDER BY number DESC LIMIT 1",
    )  # fmt: skip
    findings, _ = trail(bare, ACME, anchors=(own,))
    assert [(each.kind, each.round) for each in findings] == [("forged", 5)]


def test_of_two_prunes_at_once_one_is_told(url: str, bare: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    between, verifies = aged(bare), audit_seal._refuse_altered

    def and_another(*given: Any) -> None:
        verifies(*given)
        monkeypatch.setattr(audit_seal, "_refuse_altered", verifies)
        with psycopg.connect(url, autocommit=True) as other:
            assert pruned(other, between).entries == 10

    monkeypatch.setattr(audit_seal, "_refuse_altered", and_another)
    with pytest.raises(AuditRefused, match="another prune has just begun"):
        pruned(bare, between)
    assert verified(bare)[0] == []


def test_what_is_not_as_it_was_sealed_is_not_pruned(bare: psycopg.Connection) -> None:
    between = aged(bare)
    unguarded(
        bare, "UPDATE platform.audit_logs SET action = 'x' WHERE seq = (SELECT min(seq) + 2 FROM platform.audit_logs)"
    )
    with pytest.raises(AuditRefused, match="nothing was pruned") as refused:
        pruned(bare, between)
    assert "was changed" in refused.value.cause
    assert one(bare, "SELECT count(*) FROM platform.audit_logs") == 20


def test_a_prune_that_was_killed_goes_on_and_what_is_left_verifies_meanwhile(bare: psycopg.Connection) -> None:
    between = aged(bare)
    steps = audit_seal.prune(bare, RING, between, Pruned())
    next(steps)
    steps.close()
    findings, found = verified(bare)
    assert (findings, found.pruned, found.entries) == ([], 5, 15)
    assert audit_seal.outlook(bare, between).rounds == [2]
    assert pruned(bare, between).entries == 5
    assert verified(bare)[0] == []


# --- elsewhere --------------------------------------------------------------------------------------------------------


def test_a_dump_that_is_restored_elsewhere_verifies_and_goes_on(
    url: str, connection: psycopg.Connection, server: TestServer
) -> None:
    write(connection, 30, after=psycopg.types.json.Jsonb({"n": 1.10, "t": "à\u2603\\"}), ip="10.1.2.3")
    sealed(connection, batch=7)
    anchor = audit_seal.anchor(connection)
    copy = server.create_database()
    program, environment = newest_program("pg_dump")
    dump = subprocess.run(
        [program, "--no-password", url], capture_output=True, check=True, env={**os.environ, **environment}
    )
    psql, environment = newest_program("psql")
    subprocess.run([psql, "-qX", "-v", "ON_ERROR_STOP=1", copy], input=dump.stdout, capture_output=True, check=True,
                   env={**os.environ, **environment})  # fmt: skip
    with psycopg.connect(copy, autocommit=True) as restored:
        findings, found = verified(restored, anchors=[anchor] if anchor else [])
        assert (findings, found.entries) == ([], one(connection, "SELECT count(*) FROM platform.audit_logs"))
        write(restored, 3)
        assert sealed(restored) == 3
        assert verified(restored)[0] == []
    server.drop_database(copy)


def test_a_million_entries_are_verified_and_each_of_many_changes_is_named(connection: psycopg.Connection) -> None:
    count, changes = (1_000_000, 1000) if PROOF else (20_000, 40)
    connection.execute(
        "INSERT INTO platform.audit_logs (organization_id, actor_type, action, target_type, target_id, after)"
        " SELECT CASE i %% 3 WHEN 0 THEN %s::uuid WHEN 1 THEN %s::uuid END, 'system', 'secret.open',"
        " 'database', i::text,"
        " '{\"key_id\": 1000}' FROM generate_series(1, %s) i",
        (ACME, OTHER, count),
    )
    begun = time.monotonic()
    total = sealed(connection)
    sealing = time.monotonic() - begun
    import tracemalloc

    tracemalloc.start()
    begun = time.monotonic()
    findings, found = verified(connection)
    verifying = time.monotonic() - begun
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (findings, found.entries) == ([], total)
    print(f"{total} entries: sealed in {sealing:.1f} s, verified in {verifying:.1f} s, {peak / 1e6:.1f} MB")
    assert peak < 64e6
    chance = random.Random(7)
    wrong: dict[UUID, str] = {}
    ids = [each for (each,) in connection.execute("SELECT id FROM platform.audit_logs WHERE seq % 97 = 5 ORDER BY seq")]
    for id_ in chance.sample(ids, changes):
        wrong[id_] = chance.choice(["changed", "removed"])
    unguarded(connection, "UPDATE platform.audit_logs SET target_id = '0' WHERE id = ANY (%(ids)s)",
              ids=[id_ for id_, kind in wrong.items() if kind == "changed"])  # fmt: skip
    unguarded(connection, "DELETE FROM platform.audit_logs WHERE id = ANY (%(ids)s)",
              ids=[id_ for id_, kind in wrong.items() if kind == "removed"])  # fmt: skip
    assert {each.entry: each.kind for each in verified(connection)[0]} == wrong
