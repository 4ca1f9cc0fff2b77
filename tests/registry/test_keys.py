"""Migration 008: which key seals what, what opens, what is written down, and who sees the keys."""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import random
import re
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from isolation import OTHER, OWN, THIRD, Organization, insert, made, populate, set_context, values, work_as
from psycopg import sql
from schema_files import (
    ALL,
    BACK,
    FOLDER,
    ISOLATION,
    KEY,
    KEYS,
    KEYS_BACK,
    TEN,
    add_key,
    give_key,
    launch,
    objects,
    psql,
    rows,
    run,
    state,
)

from lancio.registry import secrets
from lancio.registry.context import BypassRefused, context, refuse_bypass
from lancio.registry.opening import OpeningRefused, WrappedKey, open_connection_string, open_credential
from lancio.registry.secrets import Key, SealBroken
from servers import run_psql

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from servers import TestServer

SECRET = "redis://:s3cret@cache.test:6379"
DICE = random.Random(8)
KEYS_OF = {each.name: Key(1004 + n, DICE.randbytes(64), each.id) for n, each in enumerate((OWN, OTHER))}
NEW = Key(1010, DICE.randbytes(64), OWN.id)
"""What replaces OWN's key. THIRD has none."""
ROLES = ("lancio_application", "lancio_service", "lancio_readonly")
OPEN = "SELECT platform.decrypt_database_connection_string(%s)"
OPEN_CREDENTIAL = "SELECT platform.open_credential(%s)"
OPENED = "SELECT target_type, target_id, organization_id FROM platform.audit_logs WHERE action = 'secret.open'"


def furnish(url: str) -> None:
    """Three organizations, two of which have a key."""
    run(url, *TEN)
    with psycopg.connect(url, autocommit=True) as connection:
        populate(connection)
        for key in KEYS_OF.values():
            add_key(connection, key)


@pytest.fixture(scope="module")
def furnished(server: TestServer) -> str:
    url = server.create_database()
    furnish(url)
    return url.rpartition("/")[2]


@pytest.fixture
def keys(server: TestServer, furnished: str) -> Iterator[psycopg.Connection]:
    """A superuser's session, without a key yet."""
    url = server.create_database(template=furnished)
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
    server.drop_database(url)


def give(connection: psycopg.Connection, *keys: Key) -> None:
    """Keys for the session; none at all takes them away."""
    settings = keys[0].settings(*keys[1:]) if keys else dict.fromkeys(Key.SETTINGS, secrets.Secret(""))
    for name, value in settings.items():
        connection.execute("SELECT set_config(%s, %s, false)", (name, value.reveal()))


def write(connection: psycopg.Connection, of: Organization = OWN, secret: str = SECRET) -> UUID:
    """A secret for an organization's database."""
    done = connection.execute(
        "UPDATE platform.databases SET connection_string = %s WHERE id = %s", (secret, of.row("databases"))
    )
    assert done.rowcount == 1
    return of.row("databases")


def sealed(connection: psycopg.Connection, of: Organization = OWN) -> bytes:
    row = connection.execute(
        "SELECT connection_string_encrypted FROM platform.databases WHERE id = %s", (of.row("databases"),)
    ).fetchone()
    assert row is not None
    assert isinstance(row[0], bytes)
    return row[0]


def put(connection: psycopg.Connection, of: Organization, envelope: bytes) -> None:
    """An envelope that a client made."""
    connection.execute(
        "UPDATE platform.databases SET connection_string = %s, connection_string_encrypted = %s WHERE id = %s",
        (secrets.sealed_form(envelope, "redis", "cache.test", 6379), envelope, of.row("databases")),
    )


@contextlib.contextmanager
def unguarded(connection: psycopg.Connection) -> Iterator[None]:
    """As someone who can write the table's file: no trigger looks."""
    connection.execute("SET session_replication_role = replica")
    try:
        yield
    finally:
        connection.execute("SET session_replication_role = origin")


def refused(connection: psycopg.Connection, message: str, statement: str, *parameters: object) -> str:
    """That a statement is refused with a message; its SQLSTATE. No secret and no key is in what it says."""
    with pytest.raises(psycopg.Error, match=message) as caught:
        connection.execute(statement, parameters)  # type: ignore[arg-type]
    said = repr([getattr(caught.value.diag, name) for name in dir(caught.value.diag) if name[0] != "_"])
    assert "s3cret" not in said
    assert not any(key.secret.hex()[:16] in said for key in (*KEYS_OF.values(), NEW))
    assert caught.value.sqlstate is not None
    return caught.value.sqlstate


def state_of(connection: psycopg.Connection, key: Key, to: str) -> None:
    change = {
        "retired": "state = 'retired', retired_at = now()",
        "destroyed": "state = 'destroyed', wrapped = NULL, kek_id = NULL, destroyed_at = now()",
    }[to]
    done = connection.execute(f"UPDATE platform.data_keys SET {change} WHERE key_id = %s", (key.id,))  # type: ignore[arg-type]
    assert done.rowcount == 1


WRITE = "UPDATE platform.databases SET connection_string = %s WHERE id = %s"


def test_008_runs_on_every_version_and_nothing_changes_when_all_run_again(every_server: TestServer) -> None:
    """On two of them with pgcrypto in a schema of its own."""
    url = every_server.create_database()
    if every_server.version in (10, 17):
        run_psql(url, sql="CREATE SCHEMA extensions; CREATE EXTENSION pgcrypto SCHEMA extensions", stop_on_error=True)
    furnish(url)
    with psycopg.connect(url, autocommit=True) as connection:
        for check in re.findall(r"^-- lancio: verify(?:-once)? (.*)$", (FOLDER / KEYS).read_text(), re.MULTILINE):
            assert connection.execute(check).fetchone() == (True,), check
        results = connection.execute("SELECT test_name, test_result FROM platform.test_rls_policies()").fetchall()
        assert [result for _, result in results] == ["PASS"] * 5, results
        give(connection, KEYS_OF["own"])
        id_ = write(connection)
        assert connection.execute(OPEN, (id_,)).fetchone() == (SECRET,)
        assert secrets.open_sealed(sealed(connection), row_id=id_, key=KEYS_OF["own"]).reveal() == SECRET
        connection.execute("SELECT platform.seal_credential(%s, %s)", (OWN.row("credentials"), "s3cret"))
        assert connection.execute(OPEN_CREDENTIAL, (OWN.row("credentials"),)).fetchone() == ("s3cret",)
        unwrap = lambda _: KEYS_OF["own"]  # noqa: E731
        assert open_connection_string(connection, id_, unwrap) == secrets.Secret(SECRET)
        assert open_credential(connection, OWN.row("credentials"), unwrap) == secrets.Secret("s3cret")
        with connection.transaction():
            work_as(connection, "lancio_service")
            set_context(connection, OWN.user, OWN.id)
            assert connection.execute(OPEN, (id_,)).fetchone() == (SECRET,)
        assert connection.execute(OPENED).rowcount == 5
    before = state(url)
    run(url, *TEN, *random.Random(8).sample(TEN, len(TEN)))
    assert state(url) == before
    every_server.drop_database(url)


def test_what_008_makes_belongs_to_the_owner_and_is_granted_to_few(keys: psycopg.Connection) -> None:
    others = keys.execute(
        """SELECT 'relation', c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname IN ('platform', 'platform_private') AND c.relowner <> 'lancio_owner'::regrole
           UNION ALL SELECT 'function', p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
           WHERE n.nspname IN ('platform', 'platform_private') AND p.proowner <> 'lancio_owner'::regrole"""
    ).fetchall()
    assert others == []
    functions = keys.execute(
        "SELECT p.oid::regprocedure::text, prosecdef, proconfig, has_function_privilege('public', p.oid, 'EXECUTE')"
        " FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname ~ '^platform'"
    ).fetchall()
    for name, definer, settings, public in functions:
        if re.search(r"(current|first|last)_\w+_id\((name)?\)|caller_bypasses|write_context", name):
            continue  # of 007: test_isolation.py
        if definer:
            path = [each for each in settings if each.startswith("search_path=")]
            assert re.fullmatch(r"search_path=pg_catalog, (public, )?pg_temp", path[0]), name
            assert "row_security=on" in settings, name
        assert not public or name in PUBLIC, name


PUBLIC = {
    "platform.update_updated_at_column()",
    "platform.get_project_databases(uuid,text)",
    "platform.verify_rls_enabled()",
    "platform.test_rls_policies()",
    "platform.envelope_key_id(bytea)",
}
"""Functions of schema platform that everyone may call; of platform_private nobody may, who may not use that schema."""


def test_an_organization_seals_with_its_active_key_and_no_other(keys: psycopg.Connection) -> None:
    own, other = KEYS_OF["own"], KEYS_OF["other"]
    id_ = OWN.row("databases")
    wrong = Key(own.id, other.secret, OWN.id)
    for given, message in (
        ((), "no key to seal the connection string with"),
        ((other,), "the session does not have the active key of organization"),
        ((Key(own.id + 1, own.secret, OWN.id),), "the session does not have the active key"),
        ((wrong,), f"lancio.key is not key {own.id}"),
        ((other, wrong), f"lancio.key is not key {own.id}"),
    ):
        give(keys, *given)
        assert refused(keys, message, WRITE, SECRET, id_) == "55000"
    # THIRD has no key, and there is no single one.
    give(keys, own, other)
    assert refused(keys, "has no key to seal", WRITE, SECRET, THIRD.row("databases")) == "55000"
    # The right one among several; and each organization with its own.
    for of in (OWN, OTHER):
        write(keys, of)
        assert secrets.key_id_of(sealed(keys, of)) == KEYS_OF[of.name].id
        assert sealed(keys, of)[0] == 2
        assert keys.execute(OPEN, (of.row("databases"),)).fetchone() == (SECRET,)
    # Rotated: the new one seals, the old one still opens.
    before = sealed(keys)
    add_key(keys, NEW, replaces=own.id)
    assert refused(keys, "does not have the active key", WRITE, SECRET, id_) == "55000"
    give(keys, NEW)
    assert refused(keys, "sealed with another key", OPEN, id_) == "22000"
    give(keys, own, NEW)
    assert keys.execute(OPEN, (id_,)).fetchone() == (SECRET,)
    write(keys)
    assert secrets.key_id_of(sealed(keys)) == NEW.id
    assert keys.execute(OPEN, (id_,)).fetchone() == (SECRET,)
    # A retired key's envelope may be written (a restored dump), a destroyed key's may not.
    put(keys, OWN, before)
    state_of(keys, own, "destroyed")
    write(keys)
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="was destroyed"):
        put(keys, OWN, before)


UNREADABLE = [
    ("1004", KEY[:-2]), ("1004,", KEY), ("1004,1005", KEY), ("1004", f"{KEY},{KEY}"), ("1004, 1005", f"{KEY},{KEY}"),
    ("1004,1005", f"{KEY}, {KEY}"), ("01004", KEY), ("1004", "zz" + KEY[2:]), ("x", KEY), ("1004", KEY + "\n"),
]  # fmt: skip


def test_settings_that_are_not_keys_are_refused_without_being_shown(keys: psycopg.Connection) -> None:
    for ids, secret in UNREADABLE:
        give_key(keys, secret, ids)
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="is not what it should be") as caught:
            write(keys)
        assert secret[8:40] not in str(caught.value)


def test_a_row_of_another_organization_is_not_opened_whatever_is_swapped(keys: psycopg.Connection) -> None:
    both = (KEYS_OF["own"], KEYS_OF["other"])
    give(keys, *both)
    ids = {of.name: write(keys, of, f"redis://:of-{of.name}@cache.test:6379") for of in (OWN, OTHER)}
    envelopes = {of.name: sealed(keys, of) for of in (OWN, OTHER)}
    # An envelope of the other organization is refused as it is written, with and without its key in the session.
    for given in (both, ()):
        give(keys, *given)
        with pytest.raises(psycopg.errors.DataException, match="is not a key of this organization"):
            put(keys, OWN, envelopes["other"])
    # Where no trigger looked: refused as it is opened. The other's envelope in one's own row; and one's own row, whose
    # organization was changed.
    give(keys, *both)
    for change, value in (("connection_string_encrypted", envelopes["other"]), ("organization_id", OTHER.id)):
        with keys.transaction(force_rollback=True):
            with unguarded(keys):
                keys.execute(
                    sql.SQL("UPDATE platform.databases SET {} = %s WHERE id = %s").format(sql.Identifier(change)),
                    (value, ids["own"]),
                )
                shown = secrets.sealed_form(sealed(keys), "redis", "cache.test", 6379)
                keys.execute("UPDATE platform.databases SET connection_string = %s WHERE id = %s", (shown, ids["own"]))
            for attempt in (OPEN, "SELECT * FROM platform.read_sealed_connection_string(%s)"):
                with keys.transaction(force_rollback=True):
                    assert refused(keys, "is not a key of this organization", attempt, ids["own"]) == "22000"
    # Even if the key's row is given to the other organization: that is in the MAC.
    with keys.transaction(force_rollback=True):
        with unguarded(keys):
            keys.execute("UPDATE platform.data_keys SET state = 'retired' WHERE key_id = %s", (KEYS_OF["other"].id,))
            keys.execute(
                "UPDATE platform.data_keys SET organization_id = %s WHERE key_id = %s", (OTHER.id, KEYS_OF["own"].id)
            )
            keys.execute(
                "UPDATE platform.databases SET organization_id = %s, project_id = %s WHERE id = %s",
                (OTHER.id, OTHER.project, ids["own"]),
            )
        with keys.transaction(force_rollback=True):
            assert refused(keys, f"lancio.key is not key {KEYS_OF['own'].id}", OPEN, ids["own"]) == "55000"
        moved = Key(KEYS_OF["own"].id, KEYS_OF["own"].secret, OTHER.id)
        with unguarded(keys):
            keys.execute(
                "UPDATE platform.data_keys SET check_value = %s WHERE key_id = %s", (moved.check_value(), moved.id)
            )
        with keys.transaction(force_rollback=True):
            assert refused(keys, "was tampered with", OPEN, ids["own"]) == "22000"
        with pytest.raises(SealBroken), keys.transaction(force_rollback=True):
            open_connection_string(keys, ids["own"], lambda _: moved)


def test_another_organizations_secret_is_null_in_sql_and_not_found_in_python(keys: psycopg.Connection) -> None:
    give(keys, *KEYS_OF.values())
    for of in (OWN, OTHER):
        write(keys, of)
        keys.execute("SELECT platform.seal_credential(%s, %s)", (of.row("credentials"), "s3cret"))
    keys.execute("SET ROLE lancio_service")
    with context(keys, user=OWN.user, organization=OWN.id):
        assert keys.execute(OPEN, (OWN.row("databases"),)).fetchone() == (SECRET,)
        assert keys.execute(OPEN_CREDENTIAL, (OWN.row("credentials"),)).fetchone() == ("s3cret",)
        for of_none in (OTHER.row("databases"), made("nowhere")):
            assert keys.execute(OPEN, (of_none,)).fetchone() == (None,)
            with pytest.raises(OpeningRefused, match="is not there"):
                open_connection_string(keys, of_none, lambda _: KEYS_OF["other"])
        for of_none in (OTHER.row("credentials"), made("nowhere")):
            assert keys.execute(OPEN_CREDENTIAL, (of_none,)).fetchone() == (None,)
            with pytest.raises(OpeningRefused, match="is not there"):
                open_credential(keys, of_none, lambda _: KEYS_OF["other"])
            with pytest.raises(psycopg.errors.NoDataFound), keys.transaction():
                keys.execute("SELECT platform.seal_credential(%s, 'new')", (of_none,))
    assert keys.execute(OPEN, (OWN.row("databases"),)).fetchone() == (None,)  # without a context
    keys.execute("RESET ROLE")
    assert {row[2] for row in keys.execute(OPENED)} == {OWN.id}


def test_each_opening_leaves_an_entry_in_its_transaction_and_nothing_else_does(keys: psycopg.Connection) -> None:
    own = KEYS_OF["own"]
    give(keys, own)
    id_ = write(keys)
    credential = OWN.row("credentials")
    keys.execute("SELECT platform.seal_credential(%s, %s)", (credential, "s3cret"))
    keys.execute("SELECT platform.update_database_health(%s, 'healthy', NULL)", (id_,))
    keys.execute("SELECT * FROM platform.databases_safe")
    assert keys.execute(OPEN, (made("nowhere"),)).fetchone() == (None,)
    assert keys.execute(OPEN, (OTHER.row("databases"),)).fetchone() == ("redis://cache.test:6379",)  # no secret in it
    assert open_connection_string(keys, OTHER.row("databases"), lambda _: own) == secrets.Secret(
        "redis://cache.test:6379"
    )
    assert open_credential(keys, OTHER.row("credentials"), lambda _: own) is None
    assert keys.execute(OPENED).fetchall() == []
    keys.execute("SET ROLE lancio_service")
    ways: tuple[Any, ...] = (
        lambda: keys.execute(OPEN, (id_,)).fetchone(),
        lambda: keys.execute(OPEN_CREDENTIAL, (credential,)).fetchone(),
        lambda: keys.execute("SELECT connection_string FROM platform.databases_with_connection_strings").fetchone(),
        lambda: open_connection_string(keys, id_, lambda _: own),
        lambda: open_credential(keys, credential, lambda _: own),
    )
    for n, way in enumerate(ways, start=1):
        with context(keys, user=OWN.user, organization=OWN.id):
            assert "s3cret" in str(way()) or way is ways[3] or way is ways[4]
            assert keys.execute("SELECT count(*) FROM platform.audit_logs WHERE action = 'secret.open'").fetchone() == (
                n,
            )
        with contextlib.suppress(ZeroDivisionError), context(keys, user=OWN.user, organization=OWN.id):
            way()
            raise ZeroDivisionError  # rolled back together
    keys.execute("RESET ROLE")
    entries = keys.execute(
        "SELECT organization_id, project_id, actor_type, actor_id, target_type, target_id, after->>'key_id',"
        " after->>'opened_by', after->>'role' FROM platform.audit_logs WHERE action = 'secret.open'"
        " ORDER BY occurred_at"
    ).fetchall()
    assert entries == [
        (OWN.id, OWN.project, "user", OWN.user, what, str(row), str(own.id), by, "lancio_service")
        for what, row, by in (
            ("database", id_, "server"),
            ("credential", credential, "server"),
            ("database", id_, "server"),
            ("database", id_, "client"),
            ("credential", credential, "client"),
        )
    ]
    assert "s3cret" not in str(keys.execute("SELECT a::text FROM platform.audit_logs a").fetchall())


def test_what_cannot_be_written_down_is_not_opened(keys: psycopg.Connection) -> None:
    give(keys, KEYS_OF["own"])
    id_ = write(keys)
    credential = OWN.row("credentials")
    keys.execute("SELECT platform.seal_credential(%s, %s)", (credential, "s3cret"))
    unwrap = lambda _: KEYS_OF["own"]  # noqa: E731
    keys.execute("SET default_transaction_read_only = on")
    for attempt, row in ((OPEN, id_), (OPEN_CREDENTIAL, credential)):
        assert refused(keys, "read-only transaction", attempt, row) == "25006"
    assert refused(keys, "read-only", "SELECT * FROM platform.databases_with_connection_strings") == "25006"
    with pytest.raises(OpeningRefused, match="read-only"):
        open_connection_string(keys, id_, unwrap)
    with pytest.raises(OpeningRefused, match="read-only"):
        open_credential(keys, credential, unwrap)
    keys.execute("SET default_transaction_read_only = off")
    for role in ("lancio_application", "lancio_readonly"):
        keys.execute(f"SET ROLE {role}")
        with context(keys, user=OWN.user, organization=OWN.id):
            for attempt, row in ((OPEN, id_), (OPEN_CREDENTIAL, credential)):
                with keys.transaction(force_rollback=True):
                    assert refused(keys, "permission denied", attempt, row) == "42501"
            with pytest.raises(OpeningRefused, match="may not open"):
                open_connection_string(keys, id_, unwrap)
        keys.execute("RESET ROLE")
    keys.execute("REVOKE INSERT ON platform.audit_logs FROM lancio_owner")
    for attempt, row in ((OPEN, id_), (OPEN_CREDENTIAL, credential)):
        assert refused(keys, "permission denied", attempt, row) == "42501"
    with pytest.raises(OpeningRefused):
        open_connection_string(keys, id_, unwrap)
    assert keys.execute(OPENED).fetchall() == []


def test_a_program_opens_with_what_the_database_has_of_the_key(keys: psycopg.Connection) -> None:
    own = KEYS_OF["own"]
    give(keys, own)
    id_ = write(keys)
    give(keys)  # PostgreSQL has no key any more
    asked: list[WrappedKey] = []
    assert open_connection_string(keys, id_, lambda wrapped: asked.append(wrapped) or own) == secrets.Secret(SECRET)  # type: ignore[func-returns-value]
    assert asked == [WrappedKey(own.id, OWN.id, b"wrapped elsewhere", "test", own.check_value(), "active")]
    assert "elsewhere" not in repr(asked)
    for wrong in (NEW, KEYS_OF["other"], Key(own.id, own.secret)):
        with pytest.raises(SealBroken, match="is not data key"):
            open_connection_string(keys, id_, lambda _: wrong)  # noqa: B023
    keys.execute("SELECT platform.destroy_data_keys(%s)", (OWN.id,))
    with pytest.raises(OpeningRefused, match="unreadable for ever"):
        open_connection_string(keys, id_, lambda _: own)


EARLIER = {
    "platform_private.guard_data_keys()": "pg_trigger_depth",
    "platform_private.unseal(bytea, text, uuid, uuid, bytea)": "untranslatable_character",
    "platform_private.accept_envelope(bytea, text, uuid, uuid, text)": "caller_bypasses",
    "platform.next_data_key_id()": "data_key_ids_taken",
    "platform.add_data_key(integer, uuid, bytea, text, bytea, integer)": "data_key_ids_taken",
    "platform.kek_ids()": "key_encryption_keys",
}
"""What 008 made otherwise at first, and a word that the body has only since."""


def test_008_makes_anew_what_an_earlier_text_of_it_made_and_nothing_else(keyed_platform: str) -> None:
    before = objects(keyed_platform)
    with psycopg.connect(keyed_platform) as connection:
        connection.execute("SET check_function_bodies = off")
        for function, word in EARLIER.items():
            row = connection.execute("SELECT pg_get_functiondef(%s::regprocedure)", (function,)).fetchone()
            assert row is not None
            assert word in row[0]
            connection.execute(row[0].replace(word, "lower"))
    assert objects(keyed_platform) != before
    run(keyed_platform, KEYS)
    assert objects(keyed_platform) == before


def test_destroyed_keys_leave_secrets_unreadable_and_the_organization_may_begin_again(keys: psycopg.Connection) -> None:
    own = KEYS_OF["own"]
    give(keys, own)
    id_ = write(keys)
    before = sealed(keys)
    add_key(keys, NEW, replaces=own.id)
    assert keys.execute("SELECT platform.destroy_data_keys(%s)", (OWN.id,)).fetchone() == (2,)
    assert keys.execute("SELECT platform.destroy_data_keys(%s)", (OWN.id,)).fetchone() == (0,)
    give(keys, own, NEW)  # someone who has kept them
    assert refused(keys, "is unreadable for ever: key 1004 was destroyed", OPEN, id_) == "55000"
    assert refused(keys, "has no active key", WRITE, SECRET, id_) == "55000"
    keys.execute("SELECT platform.update_database_health(%s, 'healthy', NULL)", (id_,))
    assert sealed(keys) == before
    assert keys.execute(
        "SELECT key_id, wrapped, kek_id, state, check_value IS NOT NULL FROM platform.data_keys"
        " WHERE organization_id = %s ORDER BY key_id",
        (OWN.id,),
    ).fetchall() == [(key.id, None, None, "destroyed", True) for key in (own, NEW)]
    again = Key.random(1011, OWN.id)
    add_key(keys, again)
    give(keys, again)
    write(keys)
    assert keys.execute(OPEN, (id_,)).fetchone() == (SECRET,)
    events = keys.execute(
        "SELECT action, target_id, organization_id FROM platform.audit_logs WHERE action LIKE 'data_key.%%'"
        " AND organization_id = %s ORDER BY occurred_at, action, target_id",
        (OWN.id,),
    ).fetchall()
    assert events == [
        (f"data_key.{what}", str(key.id), OWN.id)
        for what, key in (("add", own), ("add", NEW), ("destroy", own), ("destroy", NEW), ("add", again))
    ]


BACKWARDS = [
    ("DELETE FROM platform.data_keys WHERE key_id = 1004", "23001"),
    ("UPDATE platform.data_keys SET key_id = 5 WHERE key_id = 1004", "22023"),
    (f"UPDATE platform.data_keys SET organization_id = '{THIRD.id}' WHERE key_id = 1004", "22023"),
    ("UPDATE platform.data_keys SET check_value = decode(repeat('00', 32), 'hex') WHERE key_id = 1004", "22023"),
    ("UPDATE platform.data_keys SET wrapped = NULL WHERE key_id = 1004", "23514"),
    ("UPDATE platform.data_keys SET state = 'destroyed', destroyed_at = now() WHERE key_id = 1004", "23514"),
    ("UPDATE platform.data_keys SET state = 'active', retired_at = NULL WHERE key_id = 1010", "55000"),
    ("UPDATE platform.data_keys SET state = 'retired', destroyed_at = NULL WHERE key_id = 1012", "55000"),
    ("UPDATE platform.data_keys SET wrapped = '\\x01', kek_id = 'test' WHERE key_id = 1012", "55000"),
    (f"INSERT INTO platform.data_keys VALUES (9, '{OWN.id}', '\\x01', 'test', decode(repeat('00', 32), 'hex'))",
     "23505"),
    (f"INSERT INTO platform.data_keys VALUES (9, '{THIRD.id}', '\\x01', 'test', NULL)", "23514"),
    (f"SELECT platform.add_data_key(1004, '{THIRD.id}', '\\x01', 'test', decode(repeat('00', 32), 'hex'))",
     "23505"),
    (f"SELECT platform.add_data_key(9, '{made('nowhere')}', '\\x01', 'test', decode(repeat('00', 32), 'hex'))",
     "P0002"),
    ("SELECT platform.register_first_key()", "55000"),
]  # fmt: skip


def test_keys_go_forwards_only(keys: psycopg.Connection) -> None:
    add_key(keys, NEW, replaces=1004)
    add_key(keys, Key.random(1011, OWN.id), replaces=NEW.id)
    add_key(keys, Key.random(1012, OTHER.id), replaces=1005)
    state_of(keys, Key(1012, bytes(64)), "destroyed")
    before = keys.execute("SELECT * FROM platform.data_keys ORDER BY key_id").fetchall()
    for statement, sqlstate in BACKWARDS:
        assert refused(keys, ".", statement) == sqlstate, statement
        assert keys.execute("SELECT * FROM platform.data_keys ORDER BY key_id").fetchall() == before


def test_of_several_that_add_a_key_at_once_one_does(server: TestServer, keys: psycopg.Connection) -> None:
    def add(number: int) -> bool:
        with psycopg.connect(server.url(keys.info.dbname), autocommit=True) as connection:
            key = Key.random(2000 + number, OWN.id)
            row = connection.execute(
                "SELECT platform.add_data_key(%s, %s, '\\x01', 'test', %s, %s)",
                (key.id, OWN.id, key.check_value(), KEYS_OF["own"].id),
            ).fetchone()
            assert row is not None
            return bool(row[0])

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(add, range(8))) == [False] * 7 + [True]
    assert keys.execute(
        "SELECT count(*) FROM platform.data_keys WHERE organization_id = %s AND state = 'active'", (OWN.id,)
    ).fetchone() == (1,)


def test_an_id_is_never_given_twice(keys: psycopg.Connection) -> None:
    next_id = "SELECT platform.next_data_key_id()"
    given = [keys.execute(next_id).fetchone() for _ in range(8)]
    assert given == [(n,) for n in range(1000, 1010) if n not in (1004, 1005)]  # which are taken
    keys.execute("DELETE FROM platform.organizations WHERE id = %s", (OWN.id,))
    assert keys.execute("SELECT count(*) FROM platform.data_keys WHERE key_id = 1004").fetchone() == (0,)
    assert keys.execute(next_id).fetchone() == (1010,)


def test_each_role_sees_its_own_organizations_keys_and_the_broker_alone_what_is_wrapped(
    keys: psycopg.Connection,
) -> None:
    keys.execute("INSERT INTO platform.data_keys (key_id, check_value) VALUES (7, decode(repeat('00', 32), 'hex'))")
    seen = "SELECT key_id FROM platform.data_keys"
    writes = (
        "UPDATE platform.data_keys SET kek_id = kek_id",
        "DELETE FROM platform.data_keys",
        "INSERT INTO platform.data_keys (key_id, check_value) VALUES (8, decode(repeat('00', 32), 'hex'))",
    )
    for role in ROLES:
        with keys.transaction(force_rollback=True):
            work_as(keys, role)
            assert keys.execute(seen).fetchall() == []
            for of in (OWN, OTHER, THIRD):
                set_context(keys, of.user, of.id)
                wanted = [(KEYS_OF[of.name].id,)] if of.name in KEYS_OF else []
                assert keys.execute(seen).fetchall() == wanted
            set_context(keys, OWN.user, OWN.id)
            wrapped = "SELECT wrapped FROM platform.data_keys"
            if role == "lancio_service":
                assert keys.execute(wrapped).fetchall() == [(b"wrapped elsewhere",)]
            else:
                with keys.transaction(force_rollback=True):
                    assert refused(keys, "permission denied", wrapped) == "42501"
            private = (
                "SELECT platform_private.seal('x', 'x', NULL, NULL, 1, NULL)",
                "SELECT platform_private.session_key(7)",
                "SELECT platform.register_first_key()",
                f"SELECT platform.destroy_data_keys('{OWN.id}')",
            )
            granted = ("SELECT platform.next_data_key_id()",)
            for statement in (*writes, *private, *(granted if role != "lancio_service" else ())):
                with keys.transaction(force_rollback=True):
                    assert refused(keys, "permission denied", statement) == "42501", statement
    # The broker makes keys for the organization in its context, and for no other.
    with keys.transaction(force_rollback=True):
        work_as(keys, "lancio_service")
        set_context(keys, THIRD.user, THIRD.id)
        new = keys.execute("SELECT platform.next_data_key_id()").fetchone()
        assert new is not None
        add_key(keys, Key.random(new[0], THIRD.id))
        assert keys.execute(seen).fetchall() == [new]
        with keys.transaction(force_rollback=True):
            assert (
                refused(keys, "is not there", "SELECT platform.add_data_key(5, %s, '\\x01', 'test', %s, 1004)",
                        OWN.id, bytes(32)) == "P0002"
            )  # fmt: skip


def test_a_program_does_not_start_where_keys_are_open(server: TestServer, keys: psycopg.Connection) -> None:
    name = f"web_{keys.info.dbname}"
    keys.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    keys.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE lancio_application").format(
        sql.Identifier(name), "Pr0be"))  # fmt: skip
    try:
        with psycopg.connect(server.url(keys.info.dbname, user=name, password="Pr0be"), autocommit=True) as web:
            refuse_bypass(web)
            keys.execute("ALTER TABLE platform.data_keys NO FORCE ROW LEVEL SECURITY")
            with pytest.raises(BypassRefused, match="not isolated") as caught:
                refuse_bypass(web)
            assert "data_keys" in caught.value.cause
    finally:
        keys.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def test_the_application_seals_within_its_context(keys: psycopg.Connection) -> None:
    """As lancio_application, whom the policies bind, and in a session that wants no filtered answers."""
    give(keys, *KEYS_OF.values())
    for setting in ("on", "off"):
        keys.execute(f"SET row_security = {setting}")  # type: ignore[arg-type]
        with keys.transaction():
            set_context(keys, OWN.user, OWN.id)
            if setting == "on":
                work_as(keys, "lancio_application")
            row = dict(values("databases", OWN, setting)) | {"connection_string": SECRET}
            keys.execute(insert("databases", row), row)
            keys.execute("SELECT platform.seal_credential(%s, %s)", (OWN.row("credentials"), "s3cret"))
        assert keys.execute(OPEN, (row["id"],)).fetchone() == (SECRET,)
        assert keys.execute(OPEN_CREDENTIAL, (OWN.row("credentials"),)).fetchone() == ("s3cret",)


def test_a_project_and_what_is_in_it_stay_with_their_organization(keys: psycopg.Connection) -> None:
    for table in ("projects", "databases", "credentials"):
        sqlstate = refused(
            keys, "the organization of a .* does not change",
            f"UPDATE platform.{table} SET organization_id = %s WHERE id = %s", THIRD.id, OWN.row(table),
        )  # fmt: skip
        assert sqlstate == "22023"
    # One that has nothing in it, too; and other changes of a project are nobody's business.
    keys.execute(
        "INSERT INTO platform.projects (id, organization_id, slug, name) VALUES (%s, %s, 'bare', 'x')",
        (made("bare"), OWN.id),
    )
    refused(keys, "does not change", "UPDATE platform.projects SET organization_id = %s WHERE id = %s", THIRD.id,
            made("bare"))  # fmt: skip
    keys.execute("UPDATE platform.projects SET name = 'y', organization_id = organization_id")


def test_credentials_hold_envelopes_and_nothing_else(keys: psycopg.Connection) -> None:
    own = KEYS_OF["own"]
    id_, other = OWN.row("credentials"), OTHER.row("credentials")
    change = "UPDATE platform.credentials SET secret_encrypted = %s WHERE id = %s"
    for plain in (b"", b"s3cret", b"s3cret" * 20, b"\x01" + b"s3cret" * 20, b"\x03" + bytes(68)):
        assert refused(keys, "secret_encrypted is not an envelope", change, plain, id_) == "22023"
        row = dict(values("credentials", OWN, "x")) | {"secret_encrypted": plain}
        with pytest.raises(psycopg.errors.InvalidParameterValue):
            keys.execute(insert("credentials", row), row)
        with unguarded(keys):  # not without triggers either
            assert refused(keys, "credentials_secret_encrypted_check", change, plain, id_) == "23514"
    refused(keys, "no key to seal the credential with", "SELECT platform.seal_credential(%s, 's3cret')", id_)
    for empty in ("", None):
        refused(keys, "not empty", "SELECT platform.seal_credential(%s, %s)", id_, empty)
    give(keys, own)
    seal = "SELECT platform.seal_credential(%s, %s)"
    keys.execute(seal, (id_, "s3cret\nin two lines \U0001f511"))
    stored = "SELECT secret_encrypted, key_id, rotated_at IS NOT NULL FROM platform.credentials WHERE id = %s"
    row_ = keys.execute(stored, (id_,)).fetchone()
    assert row_ is not None
    envelope, key_id, rotated = row_
    assert (envelope[0], key_id, rotated) == (2, own.id, False)
    assert (
        secrets.open_sealed(envelope, row_id=id_, key=own, column=secrets.CREDENTIAL).reveal()
        == "s3cret\nin two lines \U0001f511"
    )
    keys.execute(seal, (id_, "another"))
    assert keys.execute(OPEN_CREDENTIAL, (id_,)).fetchone() == ("another",)
    row_ = keys.execute(stored, (id_,)).fetchone()
    assert row_ is not None
    assert row_[2] is True
    # key_id is what the envelope says, whatever is written there.
    keys.execute("UPDATE platform.credentials SET key_id = 5, name = 'x' WHERE id = %s", (id_,))
    assert keys.execute(stored, (id_,)).fetchone() == row_
    # Sealed by a client, for this row, for another row, for another column, by another organization.
    keys.execute(change, (secrets.seal("by Python", row_id=id_, key=own, column=secrets.CREDENTIAL), id_))
    assert keys.execute(OPEN_CREDENTIAL, (id_,)).fetchone() == ("by Python",)
    for strange, message in (
        (secrets.seal("x", row_id=other, key=own, column=secrets.CREDENTIAL), "does not belong to this row"),
        (secrets.seal("x", row_id=id_, key=own), "does not belong to this row"),
        (secrets.seal("x", row_id=id_, key=KEYS_OF["other"], column=secrets.CREDENTIAL), "not a key of this"),
        (secrets.seal("x", row_id=id_, key=Key.random(5, OWN.id), column=secrets.CREDENTIAL), "not a key of this"),
    ):
        assert refused(keys, message, change, strange, id_) == "22000"
    refused(keys, "id of a row", "UPDATE platform.credentials SET id = gen_random_uuid() WHERE id = %s", id_)
    keys.execute(change, (None, id_))
    assert keys.execute(OPEN_CREDENTIAL, (id_,)).fetchone() == (None,)
    assert keys.execute("SELECT key_id FROM platform.credentials WHERE id = %s", (id_,)).fetchone() == (None,)


HASHED = ("user_sessions", "api_keys", "organization_invitations")


def test_tokens_and_passwords_are_kept_as_hashes_alone(keys: psycopg.Connection) -> None:
    """By triggers, which don't show what was given; and by constraints, where triggers are off."""
    plain = (b"lk_live_s3cret", b"s3cret__" * 4, b"0123456789abcdef" * 2, b"", bytes(31), bytes(33), bytes(64))
    cases = [(f"UPDATE platform.{table} SET token_hash = %s", token) for table in HASHED for token in plain]
    cases += [
        ("UPDATE platform.api_keys SET prefix = %s", "lk_live_s3cret_s3cret"),
        ("UPDATE platform.users SET password_hash = %s", "s3cret"),
    ]
    for statement, value in cases:
        assert refused(keys, "token_hash is not|prefix is longer|password_hash is not", statement, value) == "22023"
        with unguarded(keys), pytest.raises(psycopg.errors.CheckViolation):
            keys.execute(statement, (value,))  # type: ignore[arg-type]
    for number, table in enumerate(HASHED):
        hashed = hashlib.sha256(f"lk_live_s3cret{number}".encode()).digest()
        keys.execute(f"UPDATE platform.{table} SET token_hash = %s WHERE id = %s", (hashed, OWN.row(table)))  # type: ignore[arg-type]
    keys.execute("UPDATE platform.api_keys SET prefix = 'lk_live_abcd'")
    for hash_ in ("$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA", "$2b$12$abcdefghijklmnopqrstuv", None):
        keys.execute("UPDATE platform.users SET password_hash = %s WHERE id = %s", (hash_, OWN.user))


def test_rows_that_hold_tokens_already_are_told_and_left(isolated: str) -> None:
    with psycopg.connect(isolated, autocommit=True) as connection:
        populate(connection)
        connection.execute("UPDATE platform.api_keys SET token_hash = convert_to('plain' || id, 'UTF8')")
        connection.execute("UPDATE platform.credentials SET secret_encrypted = 's3cret'")
    before = rows(isolated)
    done = psql(isolated, KEYS)
    assert "ERROR" not in done.stderr
    assert "3 rows of platform.api_keys have a token_hash that is not a SHA-256" in done.stderr
    assert "3 rows of platform.credentials hold something that is no envelope" in done.stderr
    assert "s3cret" not in done.stderr
    after = rows(isolated)
    assert {table for table in before if before[table] != after[table]} == set()
    assert "WARNING" not in psql(isolated, KEYS).stderr


# The single key of before.

FIRST = Key(7, bytes.fromhex(KEY))


@pytest.fixture
def before(isolated: str) -> str:
    """A database of 007 in which OWN and THIRD have a secret under the single key."""
    with psycopg.connect(isolated, autocommit=True) as connection:
        populate(connection)
        give_key(connection)
        for of in (OWN, THIRD):
            write(connection, of)
    return isolated


def with_key(url: str, name: str, key: Key) -> str:
    done = psql(url, name, {"PGOPTIONS": f"-c lancio.key_id={key.id} -c lancio.key={key.secret.hex()}"})
    assert key.secret.hex() not in done.stdout + done.stderr
    return done.stderr


FIRST_ROW = "SELECT key_id, organization_id, wrapped, check_value, state FROM platform.data_keys ORDER BY key_id"


def test_with_the_single_key_at_hand_everything_goes_on_until_an_organization_has_its_own(before: str) -> None:
    assert "ERROR" not in with_key(before, KEYS, FIRST)
    with psycopg.connect(before, autocommit=True) as connection:
        assert connection.execute(FIRST_ROW).fetchall() == [(7, None, None, FIRST.check_value(), "active")]
        give(connection, FIRST)
        for of in (OWN, OTHER, THIRD):
            write(connection, of)
            assert sealed(connection, of)[0] == 1
            assert connection.execute(OPEN, (of.row("databases"),)).fetchone() == (SECRET,)
            assert open_connection_string(connection, of.row("databases"), lambda _: FIRST) == secrets.Secret(SECRET)
        # A wrong key of that id seals nothing.
        give(connection, Key(7, bytes(64)))
        assert refused(connection, "lancio.key is not key 7", WRITE, SECRET, OWN.row("databases")) == "55000"
        # With its own key an organization seals with that alone; what is sealed already opens as before.
        own = KEYS_OF["own"]
        add_key(connection, own)
        give(connection, FIRST)
        assert refused(connection, "does not have the active key", WRITE, SECRET, OWN.row("databases")) == "55000"
        assert connection.execute(OPEN, (OWN.row("databases"),)).fetchone() == (SECRET,)
        give(connection, own, FIRST)
        assert connection.execute(OPEN, (OWN.row("databases"),)).fetchone() == (SECRET,)
        write(connection)
        assert sealed(connection)[0] == 2
        # Retired, it opens; destroyed, it does not.
        state_of(connection, FIRST, "retired")
        assert refused(connection, "has no key to seal", WRITE, SECRET, THIRD.row("databases")) == "55000"
        assert connection.execute(OPEN, (THIRD.row("databases"),)).fetchone() == (SECRET,)
        state_of(connection, FIRST, "destroyed")
        assert refused(connection, "unreadable for ever", OPEN, THIRD.row("databases")) == "55000"


def test_without_it_what_is_sealed_still_opens_and_the_key_may_be_shown_later(before: str) -> None:
    launch(before, KEYS)
    with psycopg.connect(before, autocommit=True) as connection:
        assert connection.execute(FIRST_ROW).fetchall() == [(7, None, None, None, "retired")]
        give(connection, FIRST)
        assert connection.execute(OPEN, (OWN.row("databases"),)).fetchone() == (SECRET,)
        assert open_connection_string(connection, OWN.row("databases"), lambda _: FIRST) == secrets.Secret(SECRET)
        assert refused(connection, "has no key to seal", WRITE, SECRET, OWN.row("databases")) == "55000"
        register = "SELECT platform.register_first_key()"
        for wrong in (Key(7, bytes(64)), Key(7, FIRST.secret[:63] + b"\0")):
            give(connection, wrong)
            assert refused(connection, "is not the key 7 that rows are sealed with", register) == "55000"
        give(connection, FIRST)
        for _ in range(2):
            assert connection.execute(register).fetchone() == (7,)
        assert connection.execute(FIRST_ROW).fetchall() == [(7, None, None, FIRST.check_value(), "active")]
        give(connection, Key(7, bytes(64)))
        assert refused(connection, "lancio.key is not key 7", register) == "55000"
        give(connection, FIRST)
        write(connection)
        assert connection.execute(OPEN, (OWN.row("databases"),)).fetchone() == (SECRET,)


def test_with_a_wrong_single_key_008_stops_and_leaves_nothing(before: str) -> None:
    found = state(before)
    assert "lancio.key is not the key 7 that rows are sealed with" in with_key(before, KEYS, Key(7, bytes(64)))
    assert state(before) == found


def test_an_envelope_of_before_whose_key_is_not_known_here_opens(before: str) -> None:
    """A row of an old dump, restored behind 008: nothing but the envelope names its key."""
    launch(before, KEYS)
    strange = Key(9, bytes(range(64)))
    with psycopg.connect(before, autocommit=True) as connection:
        put(connection, OWN, secrets.seal(SECRET, row_id=OWN.row("databases"), key=strange))
        give(connection, strange)
        assert connection.execute(OPEN, (OWN.row("databases"),)).fetchone() == (SECRET,)
        asked: list[WrappedKey] = []
        opened = open_connection_string(
            connection, OWN.row("databases"), lambda wrapped: asked.append(wrapped) or strange  # type: ignore[func-returns-value]
        )  # fmt: skip
        assert opened == secrets.Secret(SECRET)
        assert asked == [WrappedKey(9, None, None, None, None, None)]


def test_the_way_back_is_open_until_something_is_sealed_with_an_organizations_key(before: str) -> None:
    # What replaces the 007 that ran here and comes back: the definitions as pg_get_functiondef() writes them.
    found = state(before)
    with psycopg.connect(before, autocommit=True) as connection:
        give_key(connection)
        give(connection, FIRST)
    launch(before, KEYS)
    assert state(before) != found
    assert "migration 008 is applied here" in psql(before, BACK).stderr
    with psycopg.connect(before, autocommit=True) as connection:
        add_key(connection, KEYS_OF["own"])
        give(connection, KEYS_OF["own"])
        envelope = sealed(connection)
        write(connection)
        done = psql(before, KEYS_BACK)
        assert "1 secrets are sealed with an organization's key" in done.stderr
        put(connection, OWN, envelope)
        connection.execute("DELETE FROM platform.audit_logs WHERE action LIKE 'data_key.%%'")
    launch(before, KEYS_BACK)
    after = state(before)
    assert after[0] == found[0]
    assert {table for table in found[1] if found[1][table] != after[1][table]} <= {"databases"}  # updated_at
    assert "nothing is taken back" in psql(before, KEYS_BACK).stderr
    launch(before, KEYS, KEYS_BACK)
    assert state(before) == after
    launch(before, BACK, ISOLATION, KEYS)
    with psycopg.connect(before, autocommit=True) as connection:
        give(connection, FIRST)
        assert connection.execute(OPEN, (OWN.row("databases"),)).fetchone() == (SECRET,)


def test_008_asks_for_what_it_needs(database: str) -> None:
    for names, missing in (((), "extension pgcrypto does not exist"), (ALL, "organizations are not isolated")):
        launch(database, *names)
        found = state(database)
        assert missing in psql(database, KEYS).stderr
        assert state(database) == found
