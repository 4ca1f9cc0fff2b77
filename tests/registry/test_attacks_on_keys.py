"""What one organization's session tries on the keys, the sealing and the trail of all the others."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
import pytest
from isolation import OTHER, OWN, logins, populate, set_context
from keys import KEK, RING
from psycopg import sql
from schema_files import CHAIN, KEYS, TEN, add_key, give_key, run

from lancio.registry import data_keys, key_rotation, secrets
from lancio.registry.context import context
from lancio.registry.data_keys import DataKeys, refuse_wrong
from lancio.registry.key_encryption_key import KeyEncryptionKey, Ring, WrapBroken
from lancio.registry.key_rotation import RotationRefused
from lancio.registry.key_takeover import Taken, due, take_over
from lancio.registry.secrets import Key, KeyRefused, SealBroken
from servers import TestServer, database_of

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST = Key(7, b"\x11" * 64)
"""The single key of before organizations had their own."""

ADD = "SELECT platform.add_data_key(%s, %s, %s, %s, %s, %s)"


@pytest.fixture
def admin(isolated: str) -> Iterator[psycopg.Connection]:
    """A superuser's session on a platform of three organizations that have no keys yet."""
    run(isolated, KEYS, CHAIN)
    with psycopg.connect(isolated, autocommit=True) as connection:
        populate(connection)
        yield connection


@pytest.fixture
def urls(server: TestServer, isolated: str, admin: psycopg.Connection) -> Iterator[dict[str, str]]:
    """A login for each role, in a database where anybody may create things in schema public, as below 15."""
    admin.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    with logins(server, database_of(isolated)) as found:
        yield found
        for role in found:
            admin.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(f"{database_of(isolated)}_{role}")))


@pytest.fixture
def app(urls: dict[str, str]) -> Iterator[psycopg.Connection]:
    with psycopg.connect(urls["lancio_application"], autocommit=True) as connection:
        yield connection


@pytest.fixture
def service(urls: dict[str, str]) -> Iterator[psycopg.Connection]:
    with psycopg.connect(urls["lancio_service"], autocommit=True) as connection:
        yield connection


@pytest.fixture
def keys(admin: psycopg.Connection) -> DataKeys:
    """OWN and OTHER have keys, made by the operator."""
    made = DataKeys(RING)
    for each in (OWN, OTHER):
        made.active(admin, each.id)
    return made


@pytest.fixture
def first(admin: psycopg.Connection) -> DataKeys:
    """All is sealed with the single key still."""
    give_key(admin, FIRST.secret.hex())
    admin.execute("SELECT platform.register_first_key()")
    admin.execute("RESET lancio.key")
    admin.execute("RESET lancio.key_id")
    return DataKeys(RING, single=FIRST)


def active_of(admin: psycopg.Connection, organization: UUID) -> int:
    row = admin.execute(
        "SELECT key_id FROM platform.data_keys WHERE organization_id = %s AND state = 'active'", (organization,)
    ).fetchone()
    assert row is not None
    return int(row[0])


def write_envelope(app: psycopg.Connection, envelope: bytes) -> None:
    with app.transaction():
        set_context(app, OWN.user, OWN.id)
        app.execute(
            "UPDATE platform.databases SET connection_string = %s, connection_string_encrypted = %s",
            (secrets.sealed_form(envelope, "redis", "cache.test", 6379), envelope),
        )


def in_clear(admin: psycopg.Connection, of: UUID, project: UUID) -> UUID:
    row = uuid4()
    admin.execute("SET session_replication_role = replica")
    admin.execute(
        "INSERT INTO platform.databases (id, project_id, organization_id, name, type, host, port, connection_string)"
        " VALUES (%s, %s, %s, 'old', 'redis', 'cache.test', 6379, 'redis://:Can4ry-of-another@cache.test:6379')",
        (row, project, of),
    )
    admin.execute("RESET session_replication_role")
    return row


# --- the take-over ----------------------------------------------------------------------------------------------------


def test_no_entry_decides_whether_clear_text_of_others_leaves_the_tables_file(
    server: TestServer, admin: psycopg.Connection
) -> None:
    in_clear(admin, OTHER.id, OTHER.project)
    admin.execute(
        "INSERT INTO platform.audit_logs (organization_id, actor_type, action, occurred_at)"
        " VALUES (%s, 'user', 'data_key.rewritten', 'infinity')", (OWN.id,),
    )  # fmt: skip

    def file() -> bytes:
        admin.execute("CHECKPOINT")
        row = admin.execute("SELECT pg_relation_filepath('platform.databases')").fetchone()
        assert row is not None
        return (server.data / row[0]).read_bytes()

    assert b"Can4ry-of-another" in file()
    taken = Taken()
    list(take_over(admin, DataKeys(RING), None, taken))
    assert (taken.plain, taken.rewritten) == (1, True)
    assert b"Can4ry-of-another" not in file()
    assert not due(admin)


def test_what_is_sealed_while_the_table_is_written_anew_is_due_still(admin: psycopg.Connection) -> None:
    in_clear(admin, OTHER.id, OTHER.project)
    list(take_over(admin, DataKeys(RING), None, Taken(), write_anew=False))
    assert due(admin)
    admin.execute("DELETE FROM platform_private.rewrites_due WHERE since = now() - interval '1 day'")
    assert due(admin)
    list(take_over(admin, DataKeys(RING), None, Taken()))
    assert not due(admin)


def test_an_envelope_that_opens_nowhere_does_not_keep_the_single_key_sealing(
    admin: psycopg.Connection, first: DataKeys, app: psycopg.Connection
) -> None:
    write_envelope(app, secrets.seal("junk", row_id=uuid4(), key=Key(7, b"\x99" * 64)))
    with pytest.raises(SealBroken):
        list(take_over(admin, first, FIRST, Taken()))
    assert admin.execute("SELECT state FROM platform.data_keys WHERE key_id = 7").fetchone() == ("retired",)


def test_nobody_writes_the_single_keys_envelopes_once_there_are_others(
    admin: psycopg.Connection, first: DataKeys, app: psycopg.Connection
) -> None:
    list(take_over(admin, first, FIRST, Taken()))
    for key_id in (7, active_of(admin, OTHER.id), 1999):
        stolen = secrets.seal("of OTHER", row_id=OWN.row("databases"), key=Key(key_id, FIRST.secret))
        with pytest.raises(psycopg.DataError, match="is not a key of this organization"):
            write_envelope(app, stolen)
        sealed = secrets.seal(
            "x", row_id=OWN.row("credentials"), key=Key(key_id, FIRST.secret), column=secrets.CREDENTIAL
        )
        with app.transaction():
            set_context(app, OWN.user, OWN.id)
            with pytest.raises(psycopg.DataError, match="is not a key of this organization"), app.transaction():
                app.execute("UPDATE platform.credentials SET secret_encrypted = %s", (sealed,))
    key_rotation.destroy_retired(admin, 7, settle_s=0)


def test_a_row_that_is_held_does_not_hold_the_take_over(
    admin: psycopg.Connection, app: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_rotation, "PATIENCE_SECONDS", 0.5)
    in_clear(admin, OTHER.id, OTHER.project)
    row = in_clear(admin, OWN.id, OWN.project)
    with app.transaction():
        set_context(app, OWN.user, OWN.id)
        app.execute("SELECT 1 FROM platform.databases FOR UPDATE")
        taken = Taken()
        with pytest.raises(RotationRefused, match=r"1 rows cannot be changed") as refused:
            list(take_over(admin, DataKeys(RING), None, taken, write_anew=False))
        assert str(row) in refused.value.cause
        assert taken.plain == 1
    list(take_over(admin, DataKeys(RING), None, taken := Taken()))
    assert (taken.plain, taken.rewritten) == (1, True)


# --- numbers and key-encryption keys ----------------------------------------------------------------------------------


def test_a_key_row_of_one_organization_stops_no_program(
    admin: psycopg.Connection, keys: DataKeys, service: psycopg.Connection, app: psycopg.Connection
) -> None:
    with service.transaction():
        set_context(service, OWN.user, OWN.id)
        drawn = service.execute("SELECT platform.next_data_key_id()").fetchone()
        assert drawn is not None
        new = Key(drawn[0], b"\7" * 64, OWN.id)
        values = (new.id, OWN.id, b"x", "from OWN to all", new.check_value(), active_of(admin, OWN.id))
        with pytest.raises(psycopg.DataError, match="no key-encryption key of this platform"), service.transaction():
            service.execute(ADD, values)
    assert app.execute("SELECT * FROM platform.kek_ids()").fetchall() == [(KEK.id,)]
    refuse_wrong(app, RING)


def test_a_key_that_does_not_open_keeps_no_kek_alive(
    admin: psycopg.Connection, keys: DataKeys, service: psycopg.Connection, app: psycopg.Connection
) -> None:
    def add(kek: KeyEncryptionKey, replaces: int) -> None:
        with service.transaction():
            set_context(service, OWN.user, OWN.id)
            drawn = service.execute("SELECT platform.next_data_key_id()").fetchone()
            assert drawn is not None
            new = Key(drawn[0], b"\7" * 64, OWN.id)
            assert service.execute(ADD, (new.id, OWN.id, b"junk", kek.id, new.check_value(), replaces)).fetchone() == (
                True,
            )

    add(KEK, active_of(admin, OWN.id))
    after = KeyEncryptionKey(bytes(range(32)), "the next")
    with pytest.raises(WrapBroken, match="1 data keys do not open"):
        list(key_rotation.rewrap(admin, Ring(after, (KEK,))))
    refuse_wrong(app, Ring(after))
    with pytest.raises(psycopg.DataError, match="no key-encryption key of this platform"):
        add(KEK, active_of(admin, OWN.id))
    refuse_wrong(app, Ring(after))
    assert DataKeys(Ring(after)).active(admin, OTHER.id).organization == OTHER.id


def test_a_kek_ends_only_when_nobody_is_wrapping_with_it(
    admin: psycopg.Connection, keys: DataKeys, service: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_rotation, "PATIENCE_SECONDS", 0.5)
    after = Ring(KeyEncryptionKey(bytes(range(32)), "the next"), (KEK,))
    with service.transaction():
        set_context(service, OWN.user, OWN.id)
        data_keys.make(service, RING, OWN.id, replaces=active_of(admin, OWN.id))
        with pytest.raises(RotationRefused, match="another session holds"):
            list(key_rotation.rewrap(admin, after))
    list(key_rotation.rewrap(admin, after))
    refuse_wrong(service, Ring(after.current))


def test_before_its_rotation_a_new_kek_is_not_the_brokers_to_begin_with(
    admin: psycopg.Connection, keys: DataKeys, service: psycopg.Connection
) -> None:
    stranger = KeyEncryptionKey(bytes(range(32)), "the next")
    with service.transaction():
        set_context(service, OWN.user, OWN.id)
        made = data_keys.make(service, Ring(stranger, (KEK,)), OWN.id, replaces=active_of(admin, OWN.id))
        assert made is not None
        wrapped = service.execute("SELECT kek_id FROM platform.data_keys WHERE key_id = %s", (made.id,)).fetchone()
        assert wrapped == (KEK.id,)
        with pytest.raises(KeyRefused, match="no data key can be made here"), service.transaction():
            data_keys.make(service, Ring(stranger), OWN.id, replaces=made.id)


def test_the_number_of_a_key_is_the_one_that_was_drawn_for_its_organization(
    admin: psycopg.Connection, keys: DataKeys, service: psycopg.Connection
) -> None:
    gone = active_of(admin, OTHER.id)
    with service.transaction():
        set_context(service, OTHER.user, OTHER.id)
        others = service.execute("SELECT platform.next_data_key_id()").fetchone()
        assert others is not None
    admin.execute("DELETE FROM platform.organizations WHERE id = %s", (OTHER.id,))
    for key_id in (others[0], gone, 4242):
        with service.transaction():
            set_context(service, OWN.user, OWN.id)
            new = Key(key_id, b"\7" * 64, OWN.id)
            with pytest.raises(psycopg.DataError, match="was not drawn for this organization"), service.transaction():
                service.execute(ADD, (new.id, OWN.id, b"x", KEK.id, new.check_value(), active_of(admin, OWN.id)))
    admin.execute("SELECT setval('platform_private.data_key_ids', %s, false)", (gone,))
    assert admin.execute("SELECT platform.next_data_key_id()").fetchone() not in [(gone,), others]


def test_a_member_of_the_owner_deletes_no_key(urls: dict[str, str], admin: psycopg.Connection, keys: DataKeys) -> None:
    before = admin.execute("SELECT count(*) FROM platform.data_keys").fetchone()
    with psycopg.connect(urls["lancio_owner"], autocommit=True) as owner:
        for seen in (False, True):
            with owner.transaction():
                if seen:
                    set_context(owner, OWN.user, OWN.id)
                with pytest.raises(psycopg.errors.RestrictViolation), owner.transaction():
                    owner.execute("DELETE FROM platform.data_keys")
    assert admin.execute("SELECT count(*) FROM platform.data_keys").fetchone() == before


# --- what a program and a session are given ---------------------------------------------------------------------------


def test_a_key_that_is_kept_is_given_to_nobody_who_may_not_ask_for_it(
    admin: psycopg.Connection, keys: DataKeys, service: psycopg.Connection
) -> None:
    with context(service, user=OTHER.user, organization=OTHER.id):
        other = keys.active(service, OTHER.id)
        keys.opening(service, other.id)
    with context(service, user=OWN.user, organization=OWN.id):
        for ask in (
            lambda: keys.opening(service, other.id),
            lambda: keys.active(service, OTHER.id),
            lambda: keys.give(service, OTHER.id),
        ):
            with pytest.raises(KeyRefused), service.transaction():
                ask()


def test_a_function_of_a_third_party_is_not_given_the_keys(urls: dict[str, str], keys: DataKeys) -> None:
    with psycopg.connect(urls["lancio_service"], autocommit=True) as connection:
        connection.execute("CREATE TABLE public.caught (name text, value text)")
        connection.execute(
            "CREATE FUNCTION public.set_config(n text, v text, l boolean) RETURNS text LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO public.caught VALUES (n, v); RETURN pg_catalog.set_config(n, v, l); END $$"
        )
        connection.execute("ALTER ROLE CURRENT_USER SET search_path = public, pg_catalog")
    with psycopg.connect(urls["lancio_service"], autocommit=True) as connection:
        with context(connection, user=OTHER.user, organization=OTHER.id):
            keys.give(connection, OTHER.id)
        assert connection.execute("SELECT * FROM public.caught").fetchall() == []


def test_what_a_login_sets_for_itself_brings_no_secret_into_the_log(
    server: TestServer, urls: dict[str, str], keys: DataKeys
) -> None:
    with psycopg.connect(urls["lancio_service"], autocommit=True) as connection:
        connection.execute("ALTER ROLE CURRENT_USER SET debug_print_plan = on")
        if server.version >= 13:
            connection.execute("ALTER ROLE CURRENT_USER SET log_parameter_max_length_on_error = -1")
    with (
        psycopg.connect(urls["lancio_service"], autocommit=True) as connection,
        context(connection, user=OTHER.user, organization=OTHER.id),
    ):
        # The program's own secret, which no key was given for.
        connection.execute("SELECT %s::text FROM platform.projects", ("Pl4inS3cret",))
        key = keys.active(connection, OTHER.id).secret.hex()
        keys.give(connection, OTHER.id)
        connection.execute("SELECT platform.seal_credential(%s, %s)", (OTHER.row("credentials"), "PlannedS3cret"))
        with pytest.raises(psycopg.Error), connection.transaction():
            connection.execute("SELECT %s::text, 1 / 0 FROM platform.projects", ("L0ggedS3cret",))
    log = server.log_file.read_bytes()
    for text in (key[:20], "Pl4inS3cret", "PlannedS3cret", "L0ggedS3cret"):
        assert text.encode() not in log
        assert " ".join(map(str, text.encode())).encode() not in log


def test_in_a_database_of_another_encoding_a_secret_that_is_not_opened_shows_no_character(
    server: TestServer,
) -> None:
    name = f"latin_{uuid4().hex[:12]}"
    libc = sql.SQL(" LOCALE_PROVIDER libc" if server.version >= 15 else "")
    with server.connect() as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'{}").format(
                sql.Identifier(name), libc
            )
        )
    try:
        run(server.url(name), *TEN)
        with psycopg.connect(server.url(name), autocommit=True) as connection:
            populate(connection)
            key = Key(1004, b"\1" * 64, OWN.id)
            add_key(connection, key)
            data_id = OWN.row("databases")
            envelope = secrets.seal("redis://:\u20ac\u4e16@cache.test:6379", row_id=data_id, key=key)
            connection.execute(
                "UPDATE platform.databases SET connection_string = %s, connection_string_encrypted = %s WHERE id = %s",
                (secrets.sealed_form(envelope, "redis", "cache.test", 6379), envelope, data_id),
            )
            give_key(connection, key.secret.hex(), "1004")
            with pytest.raises(psycopg.errors.UntranslatableCharacter) as refused:
                connection.execute("SELECT platform.decrypt_database_connection_string(%s)", (data_id,))
            assert "0x" not in str(refused.value)
    finally:
        server.drop_database(server.url(name))


# --- the trail --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry",
    [
        {"action": "secret.open"},
        {"action": "data_key.rewritten"},
        {"action": "audit.prune"},
        {"method": "sql"},
        {"actor_type": "system", "actor_id": None},
        {"actor_id": OTHER.user},
        {"actor_id": None},
        {"occurred_at": "2001-01-01"},
        {"occurred_at": "infinity"},
    ],
    ids=lambda entry: "-".join(f"{name}={value}" for name, value in entry.items()),
)
def test_an_application_forges_no_entry(app: psycopg.Connection, entry: dict[str, object]) -> None:
    values = {"organization_id": OWN.id, "actor_type": "user", "actor_id": OWN.user, "action": "project.rename"}
    with app.transaction():
        set_context(app, OWN.user, OWN.id)
        for each in (values, values | entry):
            columns = ", ".join(each)
            places = ", ".join(["%s"] * len(each))
            insert = f"INSERT INTO platform.audit_logs ({columns}) VALUES ({places})"
            if each == values:
                app.execute(insert, list(each.values()))
            else:
                with pytest.raises(psycopg.errors.InsufficientPrivilege), app.transaction():
                    app.execute(insert, list(each.values()))
